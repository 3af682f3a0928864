"""Evaluate a small, safe subset of Python's expressions. Nothing is executed.

Recipes, includes and module systems contain Python that Spack or the shell would run. The subset
has literals, names, f-strings, ``+`` of strings and of lists, comparisons, ``in``, ``not``,
``and``, ``or``, subscripts of mappings, and the calls in `_METHODS` and those that the caller
allows.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

#: The largest string or list that an expression may have; repeated doubling would fill the memory.
MAX_LENGTH = 100_000

_COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.In: lambda left, right: left in right,
    ast.NotIn: lambda left, right: left not in right,
    ast.Is: operator.is_,
    ast.IsNot: operator.is_not,
}

_METHODS: dict[type, dict[str, Callable[..., Any]]] = {
    str: {"startswith": str.startswith, "endswith": str.endswith},
    Mapping: {
        "get": lambda mapping, *key_and_default: mapping.get(*key_and_default),
        "items": lambda mapping: [list(item) for item in mapping.items()],
        "keys": lambda mapping: list(mapping),
    },
}


def evaluate(
    expression: str | ast.expr,
    names: Mapping[str, Any] | None = None,
    functions: Mapping[str, Callable[..., Any]] | None = None,
) -> Any:
    """Return the value of an expression.

    Parameters
    ----------
    expression : str or ast.expr
        The expression; lists, tuples and sets in it become lists.
    names : mapping of str to object, optional
        The names it may use, which may be dotted (``sys.platform``), and their values.
    functions : mapping of str to callable, optional
        The functions it may call by their names, which may be dotted (``re.search``).

    Raises
    ------
    ValueError
        When it is not an expression, contains anything beyond the subset, or cannot be evaluated.

    Examples
    --------
    >>> evaluate("os in ('linux', 'darwin') and 'CI' not in env", {"os": "linux", "env": {}})
    True
    """
    try:
        if isinstance(expression, str):
            expression = ast.parse(expression.strip(), mode="eval").body
        return _Evaluation(names or {}, functions or {}).value(expression)
    except ValueError:
        raise
    except Exception as error:  # what an operation or an allowed function raises
        raise ValueError(f"{type(error).__name__}: {error}") from error


class _Evaluation:
    def __init__(
        self, names: Mapping[str, Any], functions: Mapping[str, Callable[..., Any]]
    ) -> None:
        self._names = names
        self._functions = functions

    def value(self, node: ast.expr) -> Any:
        match node:
            case ast.Constant(value=value):
                return value
            case ast.Name() | ast.Attribute():
                return self._named(node)
            case ast.List(elts=elements) | ast.Tuple(elts=elements) | ast.Set(elts=elements):
                return [self.value(element) for element in elements]
            case ast.Dict(keys=keys, values=values) if None not in keys:
                pairs = zip(keys, values, strict=True)
                return {self.value(key): self.value(each) for key, each in pairs if key}
            case ast.JoinedStr(values=parts):
                return "".join(map(self._part, parts))
            case ast.BinOp(left=left, op=ast.Add(), right=right):
                return self._sum(self.value(left), self.value(right))
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return not self.value(operand)
            case ast.BoolOp(op=kind, values=[*first, last]):
                for each in first:
                    value = self.value(each)
                    if bool(value) is isinstance(kind, ast.Or):
                        return value
                return self.value(last)
            case ast.Compare(left=left, ops=operators, comparators=comparators):
                return self._compare(self.value(left), operators, comparators)
            case ast.Subscript(value=owner, slice=key):
                mapping = self.value(owner)
                if isinstance(mapping, Mapping):
                    return mapping[self.value(key)]
            case ast.Call(func=function, args=arguments, keywords=[]):
                return self._call(function, [self.value(argument) for argument in arguments])
        raise ValueError(f"{ast.unparse(node)[:60]} cannot be evaluated without running it")

    def _named(self, node: ast.expr) -> Any:
        name = ast.unparse(node)
        if name not in self._names:
            raise ValueError(f"{name[:60]} is not a supported name")
        return self._names[name]

    def _part(self, part: ast.expr) -> str:
        if isinstance(part, ast.FormattedValue):
            if part.conversion != -1 or part.format_spec is not None:
                raise ValueError("a formatted value is not supported")
            return str(self.value(part.value))
        return str(self.value(part))

    def _sum(self, first: Any, second: Any) -> Any:
        if type(first) is not type(second) or not isinstance(first, (str, list)):
            raise ValueError("only additions of strings and of lists are supported")
        if len(first) + len(second) > MAX_LENGTH:
            raise ValueError("the result of an addition is too long")
        return first + second

    def _compare(self, left: Any, operators: list[ast.cmpop], comparators: list[ast.expr]) -> bool:
        for kind, comparator in zip(operators, comparators, strict=True):
            compare = _COMPARE.get(type(kind))
            if compare is None:
                raise ValueError(f"the comparison {type(kind).__name__} is not supported")
            right = self.value(comparator)
            if not compare(left, right):
                return False
            left = right
        return True

    def _call(self, function: ast.expr, arguments: list[Any]) -> Any:
        name = ast.unparse(function)
        if name in self._functions:
            return self._functions[name](*arguments)
        if isinstance(function, ast.Attribute):
            owner = self.value(function.value)
            for kind, methods in _METHODS.items():
                if isinstance(owner, kind) and function.attr in methods:
                    return methods[function.attr](owner, *arguments)
        raise ValueError(f"the call of {name[:60]} cannot be evaluated without running it")
