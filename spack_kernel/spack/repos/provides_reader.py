"""What a recipe (``package.py``) provides, read without running it.

A recipe is Python code. Its ``provides`` directives are statements in the body of a class, with
strings as arguments. This module reads the following with `safe_eval`: string literals, f-strings,
concatenated strings, names bound to literals, loops over literals, ``with when(…)`` around them,
and base classes in the same file or imported from another recipe. If an ``if`` does not test the
platform, both branches are read. Anything else is left out.
"""

from __future__ import annotations

import ast
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from spack_kernel.spack.system.safe_eval import evaluate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping


class Provides(NamedTuple):
    """One virtual package that a recipe provides, as text: ``mpi@:3.1`` when ``@3:+x``."""

    virtual: str
    when: str = ""


@dataclass
class Recipe:
    """A parsed recipe.

    Attributes
    ----------
    classes : mapping of str to ast.ClassDef
        Its top-level classes.
    imports : mapping of str to (str, str)
        Name → the last part of the package module it is imported from, and its name there
        (``from ..boost.package import Boost as B`` gives ``{"B": ("boost", "Boost")}``).
    names : mapping of str to object
        Top-level names bound to literals.
    """

    classes: dict[str, ast.ClassDef] = field(default_factory=dict)
    imports: dict[str, tuple[str, str]] = field(default_factory=dict)
    names: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def parse(cls, source: str | bytes) -> Recipe:
        """Parse the text of a recipe.

        Raises
        ------
        ValueError
            When it is not Python.
        """
        try:
            tree = ast.parse(source)
        except (SyntaxError, RecursionError, MemoryError) as error:
            raise ValueError(str(error)) from error
        recipe = cls()
        for statement in tree.body:
            if isinstance(statement, ast.ClassDef):
                recipe.classes[statement.name] = statement
            elif isinstance(statement, ast.ImportFrom):
                package = _package_of(statement.module or "")
                for alias in statement.names if package else ():
                    recipe.imports[alias.asname or alias.name] = (package, alias.name)
            elif isinstance(statement, ast.Assign):
                _bind(statement, recipe.names)
        return recipe

    def provides(
        self, class_name: str, imported: Callable[[str], Recipe | None], *, _depth: int = 0
    ) -> Iterator[Provides]:
        """Yield what a class and its base classes provide.

        Parameters
        ----------
        class_name : str
            Its name; a class whose name differs only in case is also found.
        imported : callable
            Returns the recipe of a package by the name of its module, or None.
        """
        definition = self.classes.get(class_name) or next(
            (d for name, d in self.classes.items() if name.lower() == class_name.lower()), None
        )
        if definition is None or _depth > 10:
            return
        for base in definition.bases:
            if isinstance(base, ast.Name):
                if base.id in self.classes:
                    yield from self.provides(base.id, imported, _depth=_depth + 1)
                elif base.id in self.imports:
                    package, name = self.imports[base.id]
                    other = imported(package)
                    if other is not None:
                        yield from other.provides(name, imported, _depth=_depth + 1)
        yield from _directives(definition.body, {**self.names}, ())


def _package_of(module: str) -> str:
    """Return the package that a recipe module belongs to; empty for any other module."""
    parts = module.split(".")
    if parts[-1] == "package" and len(parts) > 1:  # spack_repo.builtin.packages.boost.package
        return parts[-2]
    if parts[:2] == ["spack", "pkg"] and len(parts) == 4:  # spack.pkg.builtin.boost, up to 0.23
        return parts[3]
    return ""


def _bind(statement: ast.Assign, names: dict[str, Any]) -> None:
    try:
        value = evaluate(statement.value, names)
    except ValueError:
        return
    for target in statement.targets:
        if isinstance(target, ast.Name):
            names[target.id] = value


def _directives(
    body: list[ast.stmt], names: dict[str, Any], conditions: tuple[str, ...]
) -> Iterator[Provides]:
    for statement in body:
        match statement:
            case ast.Assign():
                _bind(statement, names)
            case ast.Expr(value=ast.Call(func=ast.Name(id="provides")) as call):
                yield from _provides(call, names, conditions)
            case ast.With(items=items, body=inner):
                added = _conditions(items, names)
                if added is not None:
                    yield from _directives(inner, names, conditions + added)
            case ast.If(test=test, body=inner, orelse=other):
                known = _platform_test(test)
                if known is not False:
                    yield from _directives(inner, names, conditions)
                if known is not True:
                    yield from _directives(other, names, conditions)
            case ast.For(target=target, iter=iterated, body=inner):
                yield from _loop(target, iterated, inner, names, conditions)


def _provides(
    call: ast.Call, names: Mapping[str, Any], conditions: tuple[str, ...]
) -> Iterator[Provides]:
    try:
        virtuals = [evaluate(argument, names) for argument in call.args]
        when = next((evaluate(k.value, names) for k in call.keywords if k.arg == "when"), True)
    except ValueError:
        return
    if when is False:
        return
    if isinstance(when, str):
        conditions = (*conditions, when)
    for virtual in virtuals:
        if isinstance(virtual, str) and virtual:
            yield Provides(virtual, " ".join(filter(None, conditions)))


def _conditions(items: list[ast.withitem], names: Mapping[str, Any]) -> tuple[str, ...] | None:
    """Return the conditions of ``with when(…)`` or ``default_args(when=…)``; None if unknown."""
    added: list[str] = []
    for item in items:
        call = item.context_expr
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name):
            return None
        texts = [k.value for k in call.keywords if k.arg == "when"]
        if call.func.id == "when":
            texts += call.args
        elif call.func.id != "default_args":
            return None
        try:
            values = [evaluate(text, names) for text in texts]
        except ValueError:
            return None
        if False in values:
            return None
        added += [value for value in values if isinstance(value, str)]
    return tuple(added)


def _loop(
    target: ast.expr,
    iterated: ast.expr,
    body: list[ast.stmt],
    names: dict[str, Any],
    conditions: tuple[str, ...],
) -> Iterator[Provides]:
    try:
        values = list(evaluate(iterated, names))
    except (ValueError, TypeError):
        return
    for value in values[:1000]:
        if isinstance(target, ast.Name):
            bound = {target.id: value}
        elif isinstance(target, ast.Tuple) and isinstance(value, (tuple, list)):
            bound = {
                name.id: part
                for name, part in zip(target.elts, value, strict=False)
                if isinstance(name, ast.Name)
            }
        else:
            return
        yield from _directives(body, {**names, **bound}, conditions)


def _platform_test(test: ast.expr) -> bool | None:
    """Return the result of a ``sys.platform`` test on this machine; None for any other test."""
    try:
        return bool(evaluate(test, {"sys.platform": sys.platform}))
    except ValueError:
        return None
