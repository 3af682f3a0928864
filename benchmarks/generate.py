"""A large install database for measuring: ``python -m benchmarks.generate DIR --records 50000``.

A database that Spack 1.3 wrote is cloned until there are enough records: each clone contains the
same DAGs with other hashes and other versions; externals are shared, as at a site. The result is
deterministic: the same number of records gives the same file. Only ``.spack-db/index.json`` is
created, no prefixes.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import lzma
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

SOURCE = Path(__file__).parent.parent / "tests" / "data" / "1.3" / "index.json.xz"

_HASH = re.compile("(?<![a-z0-9])([a-z2-7]{32})(?![a-z0-9=])")
_VERSION = "@VERSION@"


def generate(
    root: Path, records: int, source: Path = SOURCE, *, before: Path | None = None
) -> Path:
    """Create an install tree in `root` with a database of `records` records.

    Parameters
    ----------
    root : Path
        The install tree; an existing ``.spack-db/index.json`` is replaced.
    records : int
        The number of records; every dependency of a record is among them.
    source : Path
        The database to clone, compressed with xz.
    before : Path, optional
        An install tree whose records come first; they keep their prefixes. If its database has
        another version, or already has more than `records` records, it is copied unchanged.

    Returns
    -------
    Path
        The file, about 1.7 kB per record.
    """
    body = json.loads(lzma.decompress(source.read_bytes()))["database"]
    there: list[str] = []
    taken: set[str] = set()
    if before is not None:
        text = (before / ".spack-db" / "index.json").read_text(encoding="utf-8")
        first = json.loads(text)["database"]
        there = [_member(dag_hash, record) for dag_hash, record in first["installs"].items()]
        taken = set(first["installs"])
        records -= len(there)
        if str(first["version"]) != str(body["version"]) or records < 0:
            body, records = {**first, "installs": {}}, 0
    index = root / ".spack-db" / "index.json"
    index.parent.mkdir(parents=True, exist_ok=True)
    scratch = index.with_suffix(".new")
    with scratch.open("w", encoding="utf-8") as file:
        file.write('{"database":{"version":' + json.dumps(body["version"]) + ',"installs":{')
        file.write(",".join([*there, *_records(body["installs"], str(root), records, taken)]))
        file.write("}}}")
    scratch.replace(index)
    return index


def _records(installs: dict[str, Any], root: str, wanted: int, taken: set[str]) -> Iterator[str]:
    """Yield `wanted` records as JSON, clone after clone, dependencies before dependents.

    Records with hashes in `taken` are left out.
    """
    order = _dependencies_first(installs)
    shared = {dag_hash for dag_hash in order if installs[dag_hash]["spec"].get("external")}
    versions = {dag_hash: installs[dag_hash]["spec"]["version"] for dag_hash in order}
    templates = {
        dag_hash: _HASH.split(_template(dag_hash, installs[dag_hash], root)) for dag_hash in order
    }
    clone = 0
    while wanted > 0:
        hashes = {h: h if clone == 0 or h in shared else _rehash(h, clone) for h in order}
        for dag_hash in order:
            if (clone and dag_hash in shared) or hashes[dag_hash] in taken:
                continue
            if wanted == 0:
                return
            wanted -= 1
            text = "".join([hashes.get(part, part) for part in templates[dag_hash]])
            yield text.replace(_VERSION, _bump(versions[dag_hash], clone))
        clone += 1


def _template(dag_hash: str, record: dict[str, Any], root: str) -> str:
    """Return a record as a member of a JSON object, with marks in place of its version."""
    spec = record["spec"]
    if not spec.get("external"):
        directory = f"{spec['arch']['platform']}-{_target(spec)}"
        path = f"{root}/{directory}/{spec['name']}-{_VERSION}-{dag_hash}"
        record = {**record, "spec": {**spec, "version": _VERSION}, "path": path}
    return _member(dag_hash, record)


def _member(dag_hash: str, record: dict[str, Any]) -> str:
    return json.dumps({dag_hash: record}, separators=(",", ":"))[1:-1]


def _target(spec: dict[str, Any]) -> str:
    target = spec["arch"]["target"]
    return target if isinstance(target, str) else str(target["name"])


def _dependencies_first(installs: dict[str, Any]) -> list[str]:
    done: dict[str, None] = {}
    for root in installs:
        stack = [(root, False)]
        while stack:
            dag_hash, expanded = stack.pop()
            if expanded:
                done[dag_hash] = None
            elif dag_hash not in done and dag_hash in installs:
                stack.append((dag_hash, True))
                edges = installs[dag_hash]["spec"].get("dependencies", ())
                stack.extend((edge["hash"], False) for edge in edges)
    return list(done)


def _rehash(dag_hash: str, clone: int) -> str:
    digest = hashlib.sha1(f"{clone}:{dag_hash}".encode(), usedforsecurity=False).digest()
    return base64.b32encode(digest).decode().lower()


def _bump(version: str, clone: int) -> str:
    """Return a later version: 1.2.3 in the fourth clone is 1.2.7."""
    head, digits, tail = re.fullmatch(r"(.*?)(\d*)(\D*)", version, re.DOTALL).groups()  # type: ignore[union-attr]
    return f"{head}{int(digits) + clone}{tail}" if clone and digits else version


def main(argv: list[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.generate", description=__doc__)
    parser.add_argument("directory", type=Path, help="the install tree to create")
    parser.add_argument("--records", type=int, default=50_000)
    parser.add_argument("--source", type=Path, default=SOURCE, help="a database, xz-compressed")
    parser.add_argument("--before", type=Path, help="an install tree whose records come first")
    options = parser.parse_args(argv)
    index = generate(
        options.directory.absolute(), options.records, options.source, before=options.before
    )
    print(f"{index}: {options.records} records, {index.stat().st_size / 1e6:.0f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
