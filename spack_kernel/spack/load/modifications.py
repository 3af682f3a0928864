"""Changes to environment variables as in Spack: stored as operations, applied late.

A list of operations contains more information than the resulting variables: it applies to any
environment, and each operation records which spec requires it and why. Each operation has the same
meaning as in ``spack.util.environment``.
"""

from __future__ import annotations

import reprlib
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias, get_args

import msgspec

from spack_kernel.spack.errors import SpackKernelError

if TYPE_CHECKING:
    from collections.abc import Mapping

Operation = Literal[
    "set",
    "unset",
    "prepend",
    "append",
    "remove",
    "remove-first",
    "remove-last",
    "append-flags",
    "remove-flags",
    "system-last",
    "prune",
]
OPERATIONS: tuple[Operation, ...] = get_args(Operation)

# The keys of `environment:` in an external's extra attributes, and of environments' `env_vars:`.
_CONFIGURED: Mapping[str, Operation] = {
    "set": "set",
    "unset": "unset",
    "prepend_path": "prepend",
    "append_path": "append",
    "remove_path": "remove",
    "append_flags": "append-flags",
    "remove_flags": "remove-flags",
}


_Text: TypeAlias = Annotated[str, msgspec.Meta(pattern=r"\A[^\0]*\Z")]


class InvalidModification(SpackKernelError, ValueError):  # noqa: N818 - reads as the other errors do
    """A recorded environment modification that is invalid."""

    code = "modification"


class Modification(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """One change to one environment variable.

    Attributes
    ----------
    operation : str
        One of `OPERATIONS`. ``prepend``, ``append`` and ``remove…`` work on one path of a list;
        ``append-flags`` and ``remove-flags`` on unmodified text; ``system-last`` moves system
        directories to the end and ``prune`` drops duplicates, both without a value.
    variable : str
        The variable's name.
    value : str
        The path, the flag, or the whole value; empty if the operation takes none.
    separator : str
        The separator between the entries of the variable.
    spec : str or None
        DAG hash of the spec the change comes from.
    reason : str
        Why the change is made, for display.
    added_by_us : bool
        True for a change that Spack would not make.
    """

    operation: Operation
    variable: Annotated[str, msgspec.Meta(pattern=r"\A[^=\0]+\Z")]
    value: _Text = ""
    separator: Annotated[str, msgspec.Meta(pattern=r"\A[^\0]+\Z")] = ":"
    spec: _Text | None = None
    reason: _Text = ""
    added_by_us: bool = msgspec.field(default=False, name="ours")

    @classmethod
    def from_dict(cls, recorded: Any) -> Modification:
        """Return the modification that `as_dict` wrote.

        Raises
        ------
        InvalidModification
            When `recorded` is not a modification; the message states what is wrong.
        """
        try:
            return msgspec.convert(recorded, cls)
        except (msgspec.ValidationError, UnicodeError, RecursionError) as error:
            raise InvalidModification(
                f"not a valid environment modification: {reprlib.repr(recorded)}",
                details=[f"  {error}"],
                hint=f"Operations are {', '.join(OPERATIONS)}.",
            ) from None

    def as_dict(self) -> dict[str, Any]:
        """Return the modification as JSON types, without fields that have their default value."""
        fields: dict[str, Any] = msgspec.to_builtins(self)
        return fields


def configured_modifications(
    configured: Mapping[str, Any], spec: str | None, reason: str
) -> list[Modification]:
    """Return the modifications in a Spack configuration.

    Parameters
    ----------
    configured : mapping
        ``{set: {NAME: value}, prepend_path: {NAME: path}, unset: [NAME], …}``. Commands that are
        not in Spack's schema are left out.
    spec : str or None
        DAG hash of the spec they belong to.
    reason : str
        Where they are configured.
    """
    modifications = []
    for command, variables in configured.items():
        operation = _CONFIGURED.get(command)
        if operation is None:
            continue
        separator = " " if operation.endswith("-flags") else ":"
        pairs = variables.items() if isinstance(variables, dict) else ((v, "") for v in variables)
        modifications += [
            Modification(operation, str(name), str(value), separator, spec, reason)
            for name, value in pairs
        ]
    return modifications
