"""Small stores for tests: a database with a few records, and prefixes that the test fills."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from spack_kernel.spack import Spec, Store
from tests.records import ARCH, dag_hash, edge, record, write_database


@dataclass
class SmallStore:
    """A store under construction; `open` writes the database and opens it."""

    root: Path
    upstreams: list[Path] = field(default_factory=list)
    records: dict[str, dict[str, Any]] = field(default_factory=dict)

    def add(
        self,
        name: str,
        version: str,
        *dependencies: str | Spec,
        prefix: Path | str | None = None,
        external: bool = False,
        installed: bool = True,
        variants: dict[str, Any] | None = None,
        arch: dict[str, str] | None = None,
        salt: str = "",
        deprecated_for: str | None = None,
    ) -> str:
        """Record a spec and return its hash; dependencies are own hashes or other stores' specs."""
        key = dag_hash(f"{name}@{version} {salt}")
        if prefix is None:
            prefix = self.root / "linux-x86_64_v3" / f"{name}-{version}-{key}"
            Path(prefix).mkdir(parents=True, exist_ok=True)
        edges = []
        for dependency in dependencies:
            if isinstance(dependency, str):
                edges.append(edge(self.records[dependency]["spec"]["name"], dependency))
            else:
                edges.append(edge(dependency.name, dependency.hash))
        more: dict[str, Any] = {"parameters": variants or {}, "arch": arch or ARCH}
        if external:
            more["external"] = {"path": str(prefix), "module": None, "extra_attributes": {}}
        self.records[key] = record(
            name, version, key, *edges, prefix=prefix, installed=installed, **more
        )
        if deprecated_for:
            self.records[key]["deprecated_for"] = deprecated_for
        return key

    def package(self, key: str, module: str, body: str = "", python: str = "3.11") -> Path:
        """Write a module, or a package if `module` ends in a slash, into a spec's prefix."""
        prefix = Path(self.records[key]["path"])
        packages = prefix / "lib" / f"python{python}" / "site-packages"
        path = packages / (f"{module}__init__.py" if module.endswith("/") else f"{module}.py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(body)
        return packages

    def write(self) -> Path:
        """Write the database as Spack does, by rename, and return the install tree."""
        return write_database(self.root, self.records)

    def open(self) -> Store:
        """Write the database and open the store."""
        return Store.open_all([self.write(), *self.upstreams])


def executable(path: Path, text: str) -> Path:
    """Write an executable script."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


def python_prefix(prefix: Path, executable_path: str, version: str = "3.11") -> Path:
    """Create a prefix whose python is a link to an existing executable."""
    (prefix / "bin").mkdir(parents=True, exist_ok=True)
    for name in ("python3", f"python{version}"):
        (prefix / "bin" / name).symlink_to(executable_path)
    return prefix
