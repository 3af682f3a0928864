"""Import the modules of a spec in a running kernel, and see that they are its own."""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spack_kernel.jupyter.kernelspecs import store_paths
from spack_kernel.kernels.plan import diagnose
from spack_kernel.spack.errors import SpackKernelError

from .conversation import answer_of

if TYPE_CHECKING:
    from spack_kernel.kernels.plan import KernelPlan
    from spack_kernel.spack.spec import Spec

    from .conversation import Conversation
    from .steps import KernelCheck

#: Modules that a package should not have installed; imported only if it has no others.
_BYSTANDERS = frozenset({"test", "tests", "testing", "doc", "docs", "example", "examples"})


class ImportFailedError(SpackKernelError):
    """A module that cannot be imported in the kernel, or that is not the spec's own.

    Attributes
    ----------
    optional : bool
        Whether another module is missing, which can be an optional dependency.
    """

    code = "import"
    optional = False


def modules_of(plan: KernelPlan, spec: Spec) -> list[str]:
    """Return the top-level modules of `spec` in its directories on PYTHONPATH, sorted."""
    names: set[str] = set()
    for entry in plan.pythonpath:
        directory = entry.path
        if plan.source.view and directory.startswith(f"{plan.source.view}/"):
            # A directory of a view has the modules of all specs; the prefix has only its own.
            directory = f"{spec.prefix}{directory[len(plan.source.view) :]}"
        elif entry.spec != spec:
            continue
        if os.path.isdir(directory):  # noqa: PTH112
            names |= _modules_in(Path(directory))
    public = {name for name in names if not name.startswith("_")} or names
    return sorted(public - _BYSTANDERS or public)


def _modules_in(directory: Path) -> set[str]:
    found = set()
    for item in directory.iterdir():
        name, _, suffix = item.name.partition(".")
        if not name.isidentifier() or name == "__pycache__":
            continue
        if (not suffix and item.is_dir() and _is_package(item)) or (
            item.is_file() and (suffix == "py" or suffix.endswith("so"))
        ):
            found.add(name)
    return found


def _is_package(directory: Path) -> bool:
    """Return whether a directory can be imported; a namespace package has no ``__init__.py``."""
    if (directory / "__init__.py").is_file():
        return True
    return any(
        item.suffix in (".py", ".so") or (item.is_dir() and (item / "__init__.py").is_file())
        for item in directory.iterdir()
    )


def import_all(check: KernelCheck, talk: Conversation, plan: KernelPlan, spec: Spec) -> None:
    """Import the modules of a spec, starting with the one that has its name.

    Packages have modules that use optional dependencies (a test runner, another library). If such
    an import fails, it is reported, but the check passes if the main module works.
    """
    modules = modules_of(plan, spec)
    named = spec.name.removeprefix("py-").replace("-", "_").lower()
    modules.sort(key=lambda module: module.lower() != named)
    works = False
    failure: ImportFailedError | None = None
    for module in modules:
        with check.step(f"import {module}") as step:
            try:
                step.detail = _import(talk, plan, spec, module)
                works = True
            except ImportFailedError as error:
                if not error.optional or module.lower() == named or len(modules) == 1:
                    raise
                failure = failure or error
                step.detail = f"not needed: {error.summary}"
    if failure is not None and not works:
        raise failure


def _import(talk: Conversation, plan: KernelPlan, spec: Spec, module: str) -> str:
    ask = (
        "__import__('json').dumps((lambda m: getattr(m, '__file__', None) or "
        f"list(getattr(m, '__path__', [])))({module}))"
    )
    content = talk.execute(f"import {module}", ask)
    words = [word for path in store_paths(plan.store) for word in ("--store", path)]
    if content["status"] != "ok":
        lines = _plain_traceback(content)
        cause = diagnose(plan, None, lines, os.environ)
        python = ["python", "-c", f"import {module}"]
        again = shlex.join(["spack-kernel", "exec", *words, f"/{spec.hash[:7]}", "--", *python])
        error = ImportFailedError(
            f"`import {module}` fails: {content.get('ename')}: {content.get('evalue')}",
            details=[f"  | {line}" for line in lines[-12:]] + [*(cause.details if cause else ())],
            hint=cause.hint
            if cause
            else f"{spec.label} itself does not work in this Python; `{again}` also fails.",
        )
        missing = str(content.get("evalue"))
        error.optional = content.get("ename") == "ModuleNotFoundError" and cause is None
        error.optional &= f"'{module}" not in missing
        raise error
    where = answer_of(content)
    places = [where] if isinstance(where, str) else list(where)
    prefix = os.path.realpath(spec.prefix or "")
    inside = [p for p in places if os.path.realpath(p).startswith(prefix + os.sep)]
    if not inside:
        found = places[0] if places else "a module built into the interpreter"
        queries = [f"/{each.hash[:7]}" for each in plan.specs]
        shown = shlex.join(["spack-kernel", "show", *words, "--paths", *queries])
        raise ImportFailedError(
            f"`import {module}` does not find the {module} of {spec.label}",
            details=[f"found: {found}", f"expected in: {spec.prefix}"],
            hint=f"A module of the same name is found first; `{shown}` shows the order of "
            "PYTHONPATH.",
        )
    return inside[0]


def import_module(talk: Conversation, module: str) -> None:
    """Import a module that need not belong to a spec.

    Raises
    ------
    ImportFailedError
        When it cannot be imported.
    """
    content = talk.execute(f"import {module}", "0")
    if content["status"] != "ok":
        raise ImportFailedError(
            f"`import {module}` fails: {content.get('ename')}: {content.get('evalue')}",
            details=[f"  | {line}" for line in _plain_traceback(content)[-12:]],
            hint="Name modules of the specs, or of what they depend on.",
        )


def _plain_traceback(content: dict[str, Any]) -> list[str]:
    text = "\n".join(content.get("traceback", ()))
    return re.sub(r"\x1b\[[0-9;]*m", "", text).splitlines()
