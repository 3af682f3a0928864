"""From specs to a process: interpreters, ipykernel, plans. Independent of any server."""
