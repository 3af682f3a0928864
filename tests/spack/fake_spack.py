"""A fake ``spack`` executable: runs `spack python -c` on recorded operations.

Only Spack's results are fake: they were recorded from a real Spack of that version. The code that
queries them runs as in Spack, in an interactive console that takes one statement. The behaviour
is read from ``behaviour.json`` next to the executable.
"""

from __future__ import annotations

import code
import json
import os
import sys
import time
import types
from pathlib import Path
from typing import Any


class Spec:
    def __init__(self, dag_hash: str) -> None:
        self._hash = dag_hash

    def dag_hash(self) -> str:
        return self._hash

    def traverse(self, root: bool, order: str) -> list[Spec]:
        assert root
        assert order == "post"
        return [self]


class Concrete:
    """A concretized spec: its hash, and the nodes that Spack would install for it."""

    def __init__(self, dag_hash: str, nodes: dict[str, Any]) -> None:
        self._hash, self._nodes = dag_hash, nodes

    def dag_hash(self) -> str:
        return self._hash

    def traverse(self) -> list[Concrete]:
        return [Concrete(dag_hash, self._nodes) for dag_hash in self._nodes]

    def to_node_dict(self, hash: str) -> Any:  # noqa: A002 - as in Spack
        assert hash == "the DAG hash"
        return self._nodes[self._hash]


def operation(kind: str, name: str, value: str | None, separator: str | None) -> Any:
    """Return an object like Spack's modifiers, whose class is named after the operation."""
    made = type(kind, (), {})()
    made.name = name
    if value is not None:
        made.value = value
    if separator is not None:
        made.separator = separator
    return made


def install(behaviour: dict[str, Any]) -> None:
    """Install modules that look like Spack's to the querying code."""
    spack, command = types.ModuleType("spack"), types.ModuleType("spack.cmd")
    user_environment = types.ModuleType("spack.user_environment")
    spack.__version__ = behaviour["version"]  # type: ignore[attr-defined]
    answers = {tuple(a["hashes"]): a["modifications"] for a in behaviour["answers"]}

    def parse_specs(args: list[str], concretize: bool = False) -> list[Any]:
        if not concretize:
            return args
        if args[0] not in behaviour.get("concretized", {}):
            sys.stderr.write(f"==> Error: Package '{args[0]}' not found.\n")
            raise SystemExit(1)
        nodes = behaviour["concretized"][args[0]]
        return [Concrete(next(iter(nodes)), nodes)]

    def disambiguate_spec(spec: str, env: None) -> Spec:
        assert env is None
        dag_hash = spec.removeprefix("/")
        if not any(dag_hash in hashes for hashes in answers):
            sys.stderr.write(f"==> Error: Spec '/{dag_hash}' matches no installed packages.\n")
            raise SystemExit(1)
        return Spec(dag_hash)

    def together(*specs: Spec) -> list[Any]:
        listed = answers[tuple(spec.dag_hash() for spec in specs)]
        return [operation(*each) for each in listed if each[1] != "SPACK_LOADED_HASHES"]

    command.parse_specs = parse_specs  # type: ignore[attr-defined]
    command.disambiguate_spec = disambiguate_spec  # type: ignore[attr-defined]
    if behaviour["age"] == "new":
        user_environment.environment_modifications_for_specs = together  # type: ignore[attr-defined]
    else:
        user_environment.environment_modifications_for_spec = together  # type: ignore[attr-defined]
    spack.cmd, spack.user_environment = command, user_environment  # type: ignore[attr-defined]
    hash_types = types.ModuleType("spack.hash_types")
    hash_types.dag_hash = "the DAG hash"  # type: ignore[attr-defined]
    spack.hash_types = hash_types  # type: ignore[attr-defined]
    sys.modules |= {
        "spack": spack,
        "spack.cmd": command,
        "spack.user_environment": user_environment,
        "spack.hash_types": hash_types,
    }


def main() -> int:
    here = Path(__file__).resolve().parent
    behaviour = json.loads((here / "behaviour.json").read_text())
    (here / "seen.json").write_text(
        json.dumps(
            {
                "argv": sys.argv[1:6],
                "env": dict(os.environ),
                "cwd": str(Path.cwd()),
                "scope": {path.name: path.read_text() for path in Path(sys.argv[2]).iterdir()},
            }
        )
    )
    if "sleep" in behaviour:
        child = os.fork()
        if child == 0:
            (here / "child.pid").write_text(str(os.getpid()))
        time.sleep(behaviour["sleep"])
    print(behaviour.get("stdout", "==> Warning: printed before the answer"))
    print(behaviour.get("stderr", "==> Warning: on the other stream"), file=sys.stderr)
    if "status" in behaviour:
        return int(behaviour["status"])
    install(behaviour)
    code.InteractiveConsole({}).runsource(sys.argv[-1])
    return 0


if __name__ == "__main__":
    sys.exit(main())
