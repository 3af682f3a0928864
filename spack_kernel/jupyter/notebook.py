"""Notebooks that name the spec they need, in their metadata under ``spack``.

``{"spec": QUERY, "hash": DAG_HASH}``, or ``{"specs": [QUERY, …]}`` for several loaded together.
Nothing else is read from there: a notebook can come from anyone, so it can only name specs of the
site's stores. It cannot name a store, an environment variable or a command.
"""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from spack_kernel.kernels.request import KernelRequest
from spack_kernel.spack.errors import SpackKernelError
from spack_kernel.spack.system import file_checks, replace_file

from .errors import NotebookError
from .kernelspecs.names import NOTEBOOK_DISPLAY_NAME, NOTEBOOK_NAME

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence

    from spack_kernel.spack.spec import Spec

#: The key of our entry in a notebook's metadata.
KEY = "spack"

#: The environment variable with the path of the kernel's notebook, set by Jupyter Server.
SESSION_VARIABLE = "JPY_SESSION_NAME"

#: The environment variable that users set: nbclient, papermill and nbconvert pass no path.
NOTEBOOK_VARIABLE = "SPACK_KERNEL_NOTEBOOK"

#: The largest notebook that is read, in bytes.
MAX_NOTEBOOK_SIZE = 512 * 1024 * 1024

_KEYS = {"spec": str, "hash": str, "specs": list}

_HASH = re.compile(r"[a-z2-7]{1,32}")

_decoder = json.JSONDecoder()
_BLANK = re.compile(r"\s*")


@dataclass(frozen=True)
class NotebookSpec:
    """The specs that a notebook needs.

    Attributes
    ----------
    spec, hash : str
        A query and the DAG hash that pins it; either may be empty.
    specs : tuple of str
        Several queries instead.
    """

    spec: str = ""
    hash: str = ""
    specs: tuple[str, ...] = ()

    @classmethod
    def of(cls, specs: Sequence[Spec], query: str = "", *, pinned: bool = True) -> NotebookSpec:
        """Return the entry of a notebook that needs the given specs.

        Parameters
        ----------
        specs : sequence of Spec
            The roots.
        query : str
            The query as the user typed it. It is recorded for a single spec if it contains no hash.
        pinned : bool
            Whether to record hashes; without them the queries are resolved at each start.
        """
        if len(specs) > 1:
            return cls(specs=tuple(f"{s.name}/{s.hash}" if pinned else _exact(s) for s in specs))
        (spec,) = specs
        text = query if query and "/" not in query else _exact(spec)
        return cls(spec=text, hash=spec.hash if pinned else "")

    @property
    def queries(self) -> tuple[str, ...]:
        """The corresponding queries for `spack-kernel` commands."""
        if self.specs:
            return self.specs
        return (f"/{self.hash}" if self.hash else self.spec,)

    def request(self, options: KernelRequest | None = None) -> KernelRequest:
        """Return the request for these specs, with the other options of a request."""
        return msgspec.structs.replace(
            options or KernelRequest(), spec=self.spec, hash=self.hash, specs=self.specs
        )

    def as_dict(self) -> dict[str, Any]:
        """Return the entry for the metadata."""
        if self.specs:
            return {"specs": list(self.specs)}
        return {
            **({"hash": self.hash} if self.hash else {}),
            **({"spec": self.spec} if self.spec else {}),
        }

    def __str__(self) -> str:
        return " ".join(self.specs or filter(None, [self.spec, self.hash and f"/{self.hash[:7]}"]))


def notebook_path(
    environment: Mapping[str, str], *, told: bool, directory: str | os.PathLike[str] | None = None
) -> Path:
    """Return the path of the notebook for which a kernel is started.

    Parameters
    ----------
    environment : mapping of str to str
        The environment with which the kernel is started.
    told : bool
        Whether the front end passed that environment for this kernel. Otherwise it is that of the
        process, where a session name would belong to the kernel in which this process runs.
    directory : path, optional
        The kernel's working directory, which contains the notebook when its path is relative.

    Raises
    ------
    NotebookError
        When nothing names a notebook.
    """
    session = environment.get(SESSION_VARIABLE, "") if told else ""
    by_hand = environment.get(NOTEBOOK_VARIABLE, "")
    named = session if session.endswith(".ipynb") or not by_hand else by_hand
    if not named:
        raise NotebookError(
            "this kernel takes its spec from the notebook, but the front end did not pass the path "
            "of the notebook",
            hint=f"Set {NOTEBOOK_VARIABLE} to the notebook's path, because jupyter execute, "
            "papermill\nand nbconvert do not pass it; or pick the kernel of a spec.",
        )
    if not named.endswith(".ipynb"):
        raise NotebookError(
            f"this kernel takes its spec from the notebook, but `{named}` is not a notebook",
            hint="Pick the kernel of a spec.",
        )
    path = Path(named)
    if not path.is_absolute():
        path = Path(directory, path.name) if session and directory else Path.cwd() / path
    return path


def read_notebook_spec(path: Path) -> NotebookSpec:
    """Return the specs that a notebook needs.

    Raises
    ------
    NotebookError
        When it cannot be read, is not a notebook, or does not name a spec.
    """
    found = notebook_metadata(path).get(KEY)
    if found is None:
        raise NotebookError(
            f"{path.name} does not name the spec it needs",
            hint="Save the notebook, and write the spec into it:\n"
            f"  spack-kernel pin {_shell(path)} QUERY\n"
            "`spack-kernel list` shows what is installed. Then reload the notebook.",
        )
    return _checked(found, path)


def notebook_metadata(path: Path) -> dict[str, Any]:
    """Return the metadata of a notebook; cells and outputs are skipped.

    Raises
    ------
    NotebookError
        When it cannot be read or is not a notebook of format 4.
    """
    try:
        content = _decode_metadata(_read(path))
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise NotebookError(f"{path} is not a notebook: {error}") from error
    if content.nbformat < 4:
        raise NotebookError(
            f"{path} is a notebook of format {content.nbformat}, which is too old",
            hint=f"jupyter nbconvert --to notebook --inplace {_shell(path)} converts it.",
        )
    return content.metadata


def write_notebook_spec(
    path: Path, spec: NotebookSpec | None, *, set_kernel: bool = True
) -> dict[str, Any]:
    """Write the spec that a notebook needs into it, atomically; return its metadata.

    Every byte outside the metadata is preserved.

    Parameters
    ----------
    path : Path
        The notebook. A symbolic link is preserved.
    spec : NotebookSpec or None
        The spec it needs; None removes the entry, and the kernel that reads it.
    set_kernel : bool
        Whether the notebook is to open with the kernel that reads the entry.

    Raises
    ------
    NotebookError
        When it cannot be read or written, or is not a notebook of format 4.
    """
    metadata = notebook_metadata(path)
    changed = dict(metadata)
    changed.pop(KEY, None)
    kernelspec = metadata.get("kernelspec")
    if spec is None and isinstance(kernelspec, dict) and kernelspec.get("name") == NOTEBOOK_NAME:
        del changed["kernelspec"]  # which reads what is removed here; front ends ask for another
    if spec is not None:
        changed[KEY] = spec.as_dict()
        if set_kernel:
            changed["kernelspec"] = {
                "display_name": NOTEBOOK_DISPLAY_NAME,
                "language": "python",
                "name": NOTEBOOK_NAME,
            }
    if list(metadata) == sorted(metadata):
        changed = dict(sorted(changed.items()))
    try:
        text = _read(path).decode("utf-8")
    except UnicodeDecodeError as error:
        raise NotebookError(f"{path} is not a notebook: {error}") from error
    _replace(path.resolve(), _spliced(text, changed).encode("utf-8"))
    return changed


def notebook_error(error: SpackKernelError, path: Path, spec: NotebookSpec) -> SpackKernelError:
    """Return the error for a notebook whose spec is not available here, with a hint."""
    told = SpackKernelError(
        f"{path.name} needs {spec}: {error.summary}",
        details=error.details,
        # If the store itself is missing, there is no installed spec to choose.
        hint=error.hint
        if error.code in ("store-not-found", "database", "config")
        else f"Install the spec it needs, or choose an installed one (`spack-kernel list`):\n"
        f"  spack-kernel pin {_shell(path)} QUERY",
    )
    told.code = error.code
    return told


class _Content(msgspec.Struct):
    nbformat: int
    metadata: dict[str, Any] = {}


_decode_metadata = msgspec.json.Decoder(_Content).decode


def _exact(spec: Spec) -> str:
    return f"{spec.name}@{spec.version}"


def _checked(found: object, path: Path) -> NotebookSpec:
    """Return the specs that the metadata names, validated."""
    hint = f"`spack-kernel pin {_shell(path)} QUERY` rewrites it."
    place = f"metadata.{KEY} of {path.name}"
    if not isinstance(found, dict):
        raise NotebookError(f"{place} is not an object with `spec` and `hash`", hint=hint)
    for key, value in found.items():
        if key in _KEYS and not isinstance(value, _KEYS[key]):
            raise NotebookError(f"{place} has an invalid value for `{key}`: {value!r}", hint=hint)
    specs = found.get("specs", [])
    spec, dag_hash = found.get("spec", ""), found.get("hash", "").lower().removeprefix("/")
    if not all(isinstance(each, str) for each in specs):
        raise NotebookError(f"{place} has an invalid value for `specs`: {specs!r}", hint=hint)
    if dag_hash and not _HASH.fullmatch(dag_hash):
        raise NotebookError(f"{place} has an invalid hash: {dag_hash!r}", hint=hint)
    if bool(specs) == bool(spec or dag_hash):
        raise NotebookError(f"{place} needs either `spec` and `hash`, or `specs`", hint=hint)
    return NotebookSpec(spec, dag_hash, tuple(specs))


def _read(path: Path) -> bytes:
    try:
        return file_checks.read_regular(path, MAX_NOTEBOOK_SIZE)
    except OSError as error:
        raise NotebookError(
            f"{path} cannot be read: {error.strerror}",
            hint="Save the notebook first." if isinstance(error, FileNotFoundError) else "",
        ) from error


def _spliced(text: str, metadata: Mapping[str, Any]) -> str:
    """Return a notebook's text with new metadata, formatted in the notebook's own style."""
    first = re.match(r"\s*\{(\s*)", text)
    assert first is not None
    newline = "\r\n" if "\r\n" in first[1] else "\n"
    indent = len(first[1].rpartition("\n")[2]) if "\n" in first[1] else None
    written = json.dumps(
        metadata,
        ensure_ascii=False,
        indent=indent,
        separators=(",", ": ") if indent is not None else None,
    )
    written = written.replace("\n", newline + " " * (indent or 0))
    span = _span_of(text, "metadata")
    if span is not None:
        return text[: span[0]] + written + text[span[1] :]
    start = first.end()
    separator = first[1] if indent is not None else " "
    return f'{text[:start]}"metadata": {written},{separator}{text[start:]}'


def _span_of(text: str, wanted: str) -> tuple[int, int] | None:
    """Return the start and the end of a key's value in the outermost object."""
    position = _skip(text, text.index("{") + 1)
    while text[position] == '"':
        key, position = _decoder.raw_decode(text, position)
        start = _skip(text, _skip(text, position) + 1)
        _, end = _decoder.raw_decode(text, start)
        if key == wanted:
            return start, end
        position = _skip(text, end)
        if text[position] == ",":
            position = _skip(text, position + 1)
    return None


def _skip(text: str, position: int) -> int:
    match = _BLANK.match(text, position)
    return match.end() if match else position


def _replace(path: Path, content: bytes) -> None:
    """Write a file by rename, with the mode of the file that it replaces."""
    try:
        replace_file(path, content, path.stat().st_mode & 0o7777)
    except OSError as error:
        raise NotebookError(f"{path} cannot be written: {error.strerror}") from error


def _shell(path: Path) -> str:
    """Return a path quoted for a shell."""
    return shlex.quote(str(path))
