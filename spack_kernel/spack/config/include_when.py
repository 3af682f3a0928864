"""Evaluate the ``when:`` of an include: Python for Spack, a small safe subset of it here.

Spack runs the text as Python. This module parses it with `ast` and supports the names that Spack
defines for it (``platform``, ``os``, ``target``, ``arch_str``, ``hostname``, ``env``, ``re``),
comparisons, ``in``, ``and``, ``or``, ``not``, ``env["X"]``, ``env.get("X")``, ``str.startswith``
and ``endswith``, and ``re.search``, ``re.match`` and ``re.fullmatch``. Nothing is executed.
"""

from __future__ import annotations

import ast
import operator
import re
import socket
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .path_variables import Substitution

_COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.In: lambda left, right: left in right,
    ast.NotIn: lambda left, right: left not in right,
    ast.Is: operator.is_,
    ast.IsNot: operator.is_not,
}


def holds(condition: str, substitution: Substitution) -> bool:
    """Return whether `condition` is true on this machine and in this environment.

    Raises
    ------
    ValueError
        When it contains anything beyond the subset above.
    """
    try:
        return bool(_value(ast.parse(condition.strip(), mode="eval").body, substitution))
    except (SyntaxError, TypeError, KeyError, RecursionError, re.error) as error:
        raise ValueError(f"{type(error).__name__}: {error}") from error


def _value(node: ast.expr, known: Substitution) -> Any:
    match node:
        case ast.Constant(value=value):
            return value
        case ast.Name(id=name):
            return _named(name, known)
        case ast.List(elts=elements) | ast.Tuple(elts=elements) | ast.Set(elts=elements):
            return [_value(element, known) for element in elements]
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return not _value(operand, known)
        case ast.BoolOp(op=ast.And(), values=values):
            return all(_value(value, known) for value in values)
        case ast.BoolOp(op=ast.Or(), values=values):
            return any(_value(value, known) for value in values)
        case ast.Compare(left=left, ops=ops, comparators=comparators):
            return _compare(_value(left, known), ops, comparators, known)
        case ast.Subscript(value=ast.Name(id="env"), slice=key):
            return known.environ[_value(key, known)]
        case ast.Call(func=ast.Attribute(value=owner, attr=method), args=arguments, keywords=[]):
            values = [_value(argument, known) for argument in arguments]
            return _call(owner, method, values, known)
    raise ValueError(f"{ast.unparse(node)} cannot be evaluated without running it")


def _named(name: str, known: Substitution) -> str | Mapping[str, str]:
    if name == "env":
        return known.environ
    if name in ("platform", "os", "target"):
        return known.host[name]
    if name == "arch_str":
        return "platform={platform} os={os} target={target}".format(**known.host)
    if name == "hostname":
        return socket.gethostname()
    raise ValueError(f"{name} is not a supported name")


def _compare(
    left: Any, operators: list[ast.cmpop], comparators: list[ast.expr], known: Substitution
) -> bool:
    for op, comparator in zip(operators, comparators, strict=True):
        compare = _COMPARE.get(type(op))
        if compare is None:
            raise ValueError(f"the comparison {type(op).__name__} is not supported")
        right = _value(comparator, known)
        if not compare(left, right):
            return False
        left = right
    return True


def _call(owner: ast.expr, method: str, arguments: list[Any], known: Substitution) -> Any:
    if isinstance(owner, ast.Name) and owner.id == "re":
        if method in ("search", "match", "fullmatch") and len(arguments) == 2:
            return getattr(re, method)(*arguments) is not None
    elif isinstance(owner, ast.Name) and owner.id == "env":
        if method == "get" and len(arguments) in (1, 2):
            return known.environ.get(*arguments)
    elif method in ("startswith", "endswith") and len(arguments) == 1:
        value = _value(owner, known)
        if isinstance(value, str):
            return getattr(value, method)(arguments[0])
    raise ValueError(f"the call of {method} cannot be evaluated without running it")
