"""What a user may have meant by a query that no installed spec matches.

People type names as pip, Python, module files or directories write them: ``numpy==2.2.6``, ``PIL``,
``py-numpy/2.2.6``, the path of a prefix. Each such text is rewritten, and a rewritten query is
suggested only if it matches something that is installed.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import re
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

from spack_kernel.spack.errors import SpackKernelError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from spack_kernel.spack.database.chain import Chain
    from spack_kernel.spack.spec.spec import Spec

    from .abstract_spec import AbstractSpec

#: Compilers that databases of Spack before 1.0 name in their nodes, not as packages.
_COMPILERS = frozenset(
    [
        "aocc",
        "apple-clang",
        "arm",
        "cce",
        "clang",
        "fj",
        "gcc",
        "intel",
        "nag",
        "nvhpc",
        "oneapi",
        "pgi",
        "rocmcc",
        "xl",
        "xl_r",
    ]
)

#: The longest text that is rewritten.
_LONGEST = 500

#: The shortest name that may be a slip of another.
_SHORTEST_SLIP = 5

#: How many versions of a package are named.
_SHOWN_VERSIONS = 5

#: What precedes or follows the name in a command that was pasted.
_COMMAND = re.compile(
    r"^(?:(?:spack|spack-kernel|jupyter|pip3?|conda|mamba|uv|module|ml|python3? -m pip)\s+)?"
    r"(?:(?:load|install|add|import|from|find|show|list|exec|unload|activate|use)\s+)+"
    r"(?:--?\w\S*\s+)*|^ml\s+"
)
_AFTER_IMPORT = re.compile(r"\s+(?:as|import)\s.*$")
_AROUND = " \t\n\"'`,;"

#: A DAG hash, or the beginning of one, at the end of a text.
_HASH_AT_END = re.compile(r"(?:^|[-/\s])([a-z2-7]{5,32})$")

_SPACED = re.compile(r"\s*(===?|>=|<=|~=|!=|(?<=\w)\s*=|>|<|@|,)\s*")
_VERSION_WORD = re.compile(r"(?<=[\w-])\s+v?(?=\d[\w.]*(?:\s|$))")
_NODES = re.compile(r"(\s+|\^|%%?)")
_SWITCH = re.compile(r"([A-Za-z_][\w-]*)=(on|yes|enabled?|1|off|no|disabled?|0)", re.IGNORECASE)
_ON = ("on", "yes", "enable", "enabled", "1")

_CONSTRAINT = re.compile(r"(===?|>=|<=|~=|!=|[<>=@/:_-]?)[=v]*(\d[A-Za-z0-9._]*?)(\.[*xX])*")
_SPACK_VERSION = re.compile(r"@=?[\w.-]*:?[\w.-]*(,=?[\w.-]*:?[\w.-]*)*")
_BUILT_WITH = re.compile(r"-([a-z]+)-(\d[\d.]*)$")
_NEWEST = re.compile(r"[=@/:]+(?:latest|newest|current|last)$", re.IGNORECASE)
_EXTRAS = re.compile(r"\[[^\]]*\]")


def suggestion(chain: Chain, text: str, matches: Callable[[str], object]) -> str:
    """Return a hint with the query that was probably meant by `text`; empty if nothing is close.

    Parameters
    ----------
    chain : Chain
        The databases.
    text : str
        What was typed.
    matches : callable
        Returns whether a query matches something that is installed.
    """
    candidate, whole = meant(chain, text, matches)
    if candidate == whole:
        return f"Did you mean {candidate}?" if candidate else ""
    return (
        f"Did you mean {whole}? Nothing that is installed matches it, but "
        f"{candidate} is installed{_Guess(chain).versions(candidate)}."
    )


def meant(chain: Chain, text: str, matches: Callable[[str], object]) -> tuple[str, str]:
    """Return the query that was probably meant by `text`, and the whole that it is a part of.

    They differ if nothing installed matches the whole. Both are empty if nothing is close.
    Parameters are those of `suggestion`.
    """
    if len(text) <= _LONGEST:
        for candidate, whole in dict.fromkeys(_Guess(chain).candidates(text.strip(_AROUND))):
            with contextlib.suppress(SpackKernelError):
                if candidate != text and matches(candidate):
                    return candidate, whole
    return "", ""


def packages_meant(chain: Chain, name: str) -> list[str]:
    """Return the recorded packages that Python's or pip's `name` may mean, the likeliest first."""
    return _Guess(chain).packages(name)


def package_of_import(name: str) -> str:
    """Return the package of an import name that differs from it: ``py-pillow`` of ``PIL``.

    Empty if the name is not known to differ.
    """
    return _import_names().get(name, "")


def package_form(name: str) -> str:
    """Return a name in the form of package names: ``scikit-learn`` of ``Scikit_Learn``."""
    return re.sub(r"[_.]", "-", name.lower())


@functools.cache
def _import_names() -> dict[str, str]:
    text = Path(__file__).with_name("import_names.json").read_text(encoding="utf-8")
    packages: dict[str, str] = json.loads(text)["packages"]
    return packages


def pip_version(queries: Iterable[AbstractSpec], chain: Chain) -> str:
    """Return the ``name==version`` in `queries` that pip means as a version; empty without one.

    Spack reads it as a variant that applies to all dependencies, and such a variant matches every
    spec that lacks it.
    """
    guess = _Guess(chain)
    for query in queries:
        for node in query.walk():
            for name, variant in node.variants.items():
                values = {str(value) for value in variant.values}
                is_version = any(value.lstrip("=v")[:1].isdigit() for value in values)
                if not variant.propagate or not is_version:
                    continue
                if query.name is not None and not guess.packages(name):
                    continue
                if not any(values & _values(spec, name) for spec in chain):
                    return str(variant)
    return ""


class _Guess:
    """Rewrites text with the names of one store."""

    def __init__(self, chain: Chain) -> None:
        self._chain = chain
        self._names = chain.names()

    def versions(self, name: str) -> str:
        """Return the installed versions of a package, as the end of a sentence."""
        found = {spec.version for spec in self._chain.named(name) if spec.installed}
        shown = ", ".join(map(str, sorted(found, reverse=True)[:_SHOWN_VERSIONS]))
        more = " and others" if len(found) > _SHOWN_VERSIONS else ""
        return f" in version{'s' * (len(found) > 1)} {shown}{more}" if found else ""

    def candidates(self, text: str) -> Iterator[tuple[str, str]]:
        """Yield queries that may be meant, the most likely first, and the whole that each is of."""
        yield from ((each, each) for each in self._by_place(text))
        if text.split()[:1] and text.split()[0] not in self._names:
            text = _AFTER_IMPORT.sub("", _COMMAND.sub("", text)).strip(_AROUND)
        yield text, text
        yield from ((each, each) for each in self._by_hash(text))
        spaced = _SPACED.sub(r"\1", text)
        spaced = _VERSION_WORD.sub("@", _EXTRAS.sub("", spaced))
        rewritten = [[*self._pieces(spaced, is_loose)] for is_loose in (False, True)]
        yield from (("".join(pieces), "".join(pieces)) for pieces in rewritten)
        for pieces in rewritten:
            whole = "".join(pieces)
            root = pieces[0] if pieces else ""
            if not spaced.startswith(root):  # dropping the constraints alone is not a correction
                yield root, whole
                yield root.partition(" ")[0], whole
                yield root.partition("@")[0], whole

    # Hashes and paths

    def _by_place(self, text: str) -> Iterator[str]:
        """Yield the spec whose prefix contains the path `text`."""
        path = os.path.normpath(os.path.expanduser(text))  # noqa: PTH111 - not a path, perhaps
        if not path.startswith("/") or "\0" in path:
            return
        places = {path, os.path.realpath(path)}
        owners = [
            spec
            for spec in self._chain
            if spec.prefix
            and spec.installed
            and any(place == spec.prefix or place.startswith(spec.prefix + "/") for place in places)
        ]
        if owners:
            longest = max(len(spec.prefix or "") for spec in owners)
            owners = [spec for spec in owners if len(spec.prefix or "") == longest]
        if len(owners) == 1:
            yield _named(owners[0])

    def _by_hash(self, text: str) -> Iterator[str]:
        found = _HASH_AT_END.search(text.lower().rstrip("/"))
        if found is None:
            return
        # A short word may be a hash by accident; then its spec's name is in the text as well.
        for spec in self._chain.with_hash_prefix(found[1]):
            whole = found[0] == text.lower()
            if spec.installed and (whole or self._names_it(spec, text.lower())):
                yield _named(spec)

    @staticmethod
    def _names_it(spec: Spec, text: str) -> bool:
        return spec.name.removeprefix("py-") in text.replace("_", "-")

    # Names and versions

    def _pieces(self, text: str, is_loose: bool) -> Iterator[str]:
        """Yield `text` in pieces, each name and version rewritten; the first is the root."""
        sigil, root, name = "", True, ""
        for piece in _NODES.split(text):
            if not piece or piece.isspace() or piece[0] in "^%":
                sigil = piece.strip() or sigil
                yield from [piece] if piece else []
            elif piece[0] in "+~-@/" or not (root or sigil):
                yield self._attribute(piece, name, is_loose)
            else:
                yield (node := self._node(piece, is_loose, is_compiler=sigil.startswith("%")))
                name = re.split(r"[@+~%]", node, maxsplit=1)[0]
                sigil, root = "", False

    def _attribute(self, piece: str, package: str, is_loose: bool) -> str:
        """Return a variant as Spack writes it, or a bare hash with its slash."""
        switch = _SWITCH.fullmatch(piece)
        if switch is not None:
            return ("+" if switch[2].lower() in _ON else "~") + switch[1]
        if len(piece) > 4 and piece.isalnum() and self._chain.with_hash_prefix(piece):
            return f"/{piece}"
        pair = re.fullmatch(r"([A-Za-z][\w-]*)=+v?(\d[\w.]*)", piece)
        known = self.packages(pair[1]) if pair is not None else []
        if pair is not None and known and not self._variants(package).get(pair[1].lower()):
            return f"^{known[0]}@{pair[2]}"
        return self._in_case(piece, package, is_loose)

    def _variants(self, package: str) -> dict[str, str]:
        """Return the variants of a package: in lower case → as they are recorded."""
        return {name.lower(): name for s in self._chain.named(package) for name in s.variants}

    def _in_case(self, text: str, package: str, is_loose: bool) -> str:
        """Return `text` with the variants of a package as they are recorded."""
        found = re.findall(r"[+~-]\s*([A-Za-z_][\w-]*)", text)
        names = self._variants(package) if found else {}
        for name in found:
            close = get_close_matches(name.lower(), names, n=1, cutoff=0.7) if is_loose else []
            right = names.get(name.lower()) or (names[close[0]] if close else name)
            text = text.replace(name, right)
        return text

    def _node(self, piece: str, is_loose: bool, *, is_compiler: bool) -> str:
        """Return a name with its version in Spack's form; unchanged if no name is recognized."""
        body, mark, variants = _before_variants(piece)
        newest = _NEWEST.search(body)
        if newest is not None:
            for name in self.packages(body[: newest.start()]):
                versions = [spec.version for spec in self._chain.named(name) if spec.installed]
                if versions:
                    return f"{name}@{max(versions)}{mark}{variants}"
        for end in range(len(body), 0, -1):
            name, rest = body[:end].rstrip("-_/:"), body[end:]
            known = self.packages(name, is_compiler=is_compiler)
            if known:
                version = _version(rest)
                if version is not None:
                    return f"{known[0]}{version}" + self._in_case(
                        mark + variants, known[0], is_loose
                    )
        name = re.split(r"[@=<>!~/]|-\d", body, maxsplit=1)[0].lower().replace("_", "-")
        is_pair = re.search(r"(?<![=<>!~])=(?!=)", body)
        if is_loose and len(name) >= _SHORTEST_SLIP and name not in self._names and not is_pair:
            close = get_close_matches(name, self._names, n=1, cutoff=0.75)
            close = close or get_close_matches(f"py-{name}", self._names, n=1, cutoff=0.8)
            if close:
                version = _version(body[len(name) :])
                return f"{close[0]}{version or ''}{mark}{variants}"
        return piece

    def packages(self, name: str, *, is_compiler: bool = False) -> list[str]:
        """Return recorded packages that `name` may mean, the most likely first."""
        plain = package_form(name)
        names = [name, plain, package_of_import(name), package_of_import(name.lower())]
        names.append(package_of_import(name.partition(".")[0]))
        names += [f"{prefix}-{plain}" for prefix in ("py", "r", "perl", "lua")]
        names += [f"py-{plain.removeprefix('python-')}", f"py-{plain.removeprefix('py')}"]
        if "." in name and not name[-1].isdigit():
            names += [f"py-{plain.partition('-')[0]}"]
        found = [each for each in dict.fromkeys(names) if each in self._names]
        if not found and is_compiler and plain in _COMPILERS:
            found = [plain]
        return found


def _values(spec: Spec, name: str) -> set[str]:
    """Return the values of a variant as text; none for a variant that the spec lacks."""
    value = spec.variants.get(name, ())
    return set(value) if isinstance(value, tuple) else {str(value)}


def _named(spec: Spec) -> str:
    return f"{spec.name}/{spec.hash[:7]}"


def _before_variants(piece: str) -> tuple[str, str, str]:
    """Split ``name@1.2+a~b`` before the first ``+`` or ``~``; the ``~`` of ``~=`` is not one."""
    found = re.search(r"\+|~(?!=)", piece)
    if found is None:
        return piece, "", ""
    return piece[: found.start()], found[0], piece[found.end() :]


def _version(rest: str) -> str | None:
    """Return what follows a name as a version of Spack; None if it is not one.

    Examples
    --------
    >>> _version("==2.2.6"), _version(">=1.20,<2"), _version("/3.11"), _version("@3.11.x")
    ('@2.2.6', '@1.20:1', '@3.11', '@3.11')
    """
    compiler = _BUILT_WITH.search(rest)
    if compiler is not None and compiler.start():
        version = _version(rest[: compiler.start()])
        return None if version is None else f"{version} %{compiler[1]}@{compiler[2]}"
    if not rest:
        return ""
    rest = re.sub(r"^@\s*(?=[<>=~!])", "", rest)
    low = high = exact = ""
    for part in rest.split(","):
        constraint = _CONSTRAINT.fullmatch(part)
        if constraint is None:
            return rest if _SPACK_VERSION.fullmatch(rest) else None
        operator, version = constraint[1], constraint[2].rstrip(".")
        if operator in (">=", ">"):
            low = version
        elif operator == "<=":
            high = version
        elif operator == "<":
            high = _below(version)
        elif operator == "~=":
            low, high = version, version.rpartition(".")[0]
        elif operator != "!=":
            exact = version
    if exact or not (low or high):
        return f"@{exact}" if exact else ""
    return f"@{low}:{high}"


def _below(version: str) -> str:
    """Return the end of a range that excludes `version`: ``1`` for ``2.0``, ``2.2`` for ``2.3``."""
    numbers = [int(part) for part in re.findall(r"\d+", version)]
    while numbers and numbers[-1] == 0:
        numbers.pop()
    if not numbers:
        return ""
    return ".".join(map(str, [*numbers[:-1], numbers[-1] - 1]))
