"""From specs to a process: interpreters, ipykernel, plans. Knows no server."""
