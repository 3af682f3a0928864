"""The distinct values of a column: each text is decoded once, and has a code."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

from spack_kernel.spack.spec.records import arch_of, compiler_of, kind_of, parameters_of
from spack_kernel.spack.spec.versions import Version

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

T = TypeVar("T")

#: A value that has not been decoded yet; that of a compiler can be None.
_UNKNOWN: Any = object()


class Values(Generic[T]):
    """The distinct values of a column. A code is a position, starting at 1.

    Parameters
    ----------
    decode : callable
        Returns the value of a text.
    texts : sequence of bytes
        The texts of all codes, of which the first, for the code 0, has no meaning.
    """

    def __init__(self, decode: Callable[[bytes], T], texts: Sequence[bytes] = (b"",)) -> None:
        self._decode = decode
        self.texts = texts
        self._values: list[Any] = [_UNKNOWN] * len(texts)
        self._codes: dict[bytes, int] = {}

    def __len__(self) -> int:
        return len(self.texts)

    def __getitem__(self, code: int) -> T:
        value: T = self._values[code]
        if value is _UNKNOWN:
            value = self._values[code] = self._decode(self.texts[code])
        return value

    def code(self, text: bytes) -> int:
        """Return the code of a text, a new one if necessary.

        Raises
        ------
        ValueError
            When the text is malformed.
        """
        code = self._codes.get(text)
        if code is None:
            value = self._decode(text)
            if not isinstance(self.texts, list):
                self.texts = list(self.texts)
            self.texts.append(text)
            self._values.append(value)
            code = self._codes[text] = len(self.texts) - 1
        return code

    def find(self, text: bytes) -> int:
        """Return the code of a text; 0 if there is none."""
        if not self._codes and len(self.texts) > 1:
            self._codes = {each: code for code, each in enumerate(self.texts) if code}
        return self._codes.get(text, 0)


def _str(text: bytes) -> str:
    return str(text, "utf-8")


def _version(text: bytes) -> Version:
    return Version(_str(text))


def new_values(texts: Mapping[str, Sequence[bytes]] | None = None) -> dict[str, Values[Any]]:
    """Return the values of all columns, and of the kinds of edges.

    Parameters
    ----------
    texts : mapping of str to sequence of bytes, optional
        Their texts by column.
    """
    decoders: dict[str, Callable[[bytes], Any]] = {
        "name": _str,
        "namespace": _str,
        "version": _version,
        "parameters": parameters_of,
        "compiler": compiler_of,
        "arch": arch_of,
        "kind": kind_of,
    }
    if texts is None:
        return {name: Values(decode) for name, decode in decoders.items()}
    return {name: Values(decode, texts[name]) for name, decode in decoders.items()}
