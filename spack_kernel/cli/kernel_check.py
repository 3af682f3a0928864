"""Test a kernel: start it, import its packages and shut it down, leaving nothing behind.

jupyter_client starts the kernel from a kernelspec, as any front end does, and talks to it over its
sockets. The kernel then imports the packages that it should provide.
"""

from __future__ import annotations

import ast
import contextlib
import json
import logging
import os
import re
import shlex
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty
from typing import TYPE_CHECKING, Any

from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import KernelManager
from jupyter_core.utils import run_sync
from traitlets.config import Config

from spack_kernel.jupyter.errors import KernelDiedError
from spack_kernel.jupyter.kernelspecs import (
    kernel_command,
    kernel_dict,
    starts_ipykernel,
    store_paths,
    write_kernelspec,
)
from spack_kernel.kernels.plan import diagnose
from spack_kernel.spack.errors import SpackKernelError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from spack_kernel.kernels.plan import KernelPlan
    from spack_kernel.spack.spec import Spec

#: Seconds between two checks of whether a kernel that has not answered is still alive.
_PATIENCE = 0.5

_LONGER = "Increase --timeout; a parallel file system with a cold cache is slow."

#: Modules that a package should not have installed; imported only if it has no others.
_BYSTANDERS = frozenset({"test", "tests", "testing", "doc", "docs", "example", "examples"})

_ASK_PYTHON = (
    "__import__('json').dumps([__import__('sys').executable, "
    "'%d.%d.%d' % __import__('sys').version_info[:3], __import__('ipykernel').__version__])"
)


class ImportFailedError(SpackKernelError):
    """A module that cannot be imported in the kernel, or that is not the spec's own.

    Attributes
    ----------
    optional : bool
        Whether another module is missing, which can be an optional dependency.
    """

    code = "import"
    optional = False


class TimeoutExpiredError(SpackKernelError):
    """A kernel that did not answer in time."""

    code = "timeout"


@dataclass
class Step:
    """One step of a check.

    Attributes
    ----------
    name : str
        ``resolve``, ``start``, ``answer``, ``python``, ``import MODULE`` or ``shutdown``.
    ok : bool
        Whether it succeeded.
    seconds : float
        How long it took.
    detail : str
        What was found.
    """

    name: str
    ok: bool = False
    seconds: float = 0.0
    detail: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return the step as JSON types."""
        return {
            "name": self.name,
            "ok": self.ok,
            "seconds": round(self.seconds, 4),
            "detail": self.detail,
        }


@dataclass
class KernelCheck:
    """The steps completed so far.

    Parameters
    ----------
    timeout : float
        The time limit of each step, in seconds.
    report : callable
        Called with each step when it ends.
    """

    timeout: float
    report: Callable[[Step], None]
    steps: list[Step] = field(default_factory=list)

    @contextlib.contextmanager
    def step(self, name: str) -> Iterator[Step]:
        """Time the code inside and report it as a step; its exceptions propagate."""
        step = Step(name)
        started = time.perf_counter()
        try:
            yield step
            step.ok = True
        finally:
            step.seconds = time.perf_counter() - started
            self.steps.append(step)
            self.report(step)


class _CheckManager(KernelManager):
    """A manager whose provisioner does not suggest running `check`."""

    is_check = True


def check_kernel(check: KernelCheck, plan: KernelPlan, name: str | None, **made: Any) -> None:
    """Start a kernel, import its packages if it runs Python, and shut it down.

    Parameters
    ----------
    check : KernelCheck
        Records the steps.
    plan : KernelPlan
        The plan of the kernel.
    name : str or None
        The name of an installed kernelspec; None writes a temporary one from the plan.
    **made
        For a temporary one, the arguments of `kernel_dict`.

    Raises
    ------
    SpackKernelError
        When a step fails, with the reason.
    """
    with tempfile.TemporaryDirectory(prefix="spack-kernel-check-") as scratch:
        manager = _CheckManager(
            kernel_name=name or "check",
            # The error includes the kernel's output; the logger would show our own tracebacks.
            config=Config(
                {"SpackProvisioner": {"echo_stderr": False, "start_timeout": check.timeout}}
            ),
            log=_silent_logger(),
        )
        # In this directory, so that it is also removed when the kernel hangs.
        manager.connection_file = os.path.join(scratch, "connection.json")  # noqa: PTH118
        if name is None:
            kernels = Path(scratch, "kernels")
            write_kernelspec(kernels, "check", kernel_dict(plan, **made))
            manager.kernel_spec_manager = KernelSpecManager(
                kernel_dirs=[str(kernels)], ensure_native_kernel=False
            )
        with check.step("start"):
            manager.start_kernel(cwd=scratch)
        talk = _Talk(manager, check.timeout)
        try:
            with check.step("answer") as step:
                step.detail = talk.begin()
            command = kernel_command(manager.kernel_spec.argv)  # type: ignore[union-attr]
            if starts_ipykernel(command):
                with check.step("python") as step:
                    step.detail = _ask_python(talk, plan)
            if talk.language == "python":
                for spec in plan.specs:
                    _import_all(check, talk, plan, spec)
            with check.step("shutdown"):
                talk.end()
                manager.shutdown_kernel()
        finally:
            talk.end()
            manager.shutdown_kernel(now=True)
            manager.context.destroy(linger=0)


def _silent_logger() -> logging.Logger:
    logger = logging.getLogger(f"{__name__}.jupyter")
    logger.addHandler(logging.NullHandler())
    logger.propagate = False
    return logger


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


class _Talk:
    """A conversation with a kernel, which can die or stop answering.

    Parameters
    ----------
    manager : KernelManager
        The manager of a started kernel.
    timeout : float
        The time limit for each answer, in seconds.
    """

    def __init__(self, manager: KernelManager, timeout: float) -> None:
        self._manager = manager
        self._client = manager.client()
        self._timeout = timeout
        self.language = ""

    def begin(self) -> str:
        """Wait until the kernel answers, and return its language and version."""
        self._client.start_channels()
        try:
            self._client.wait_for_ready(timeout=self._timeout)
        except RuntimeError as error:
            if not self._manager.is_alive():
                raise self._died("before it answered") from error
            raise TimeoutExpiredError(
                f"the kernel is running, but did not answer within {self._timeout:g} s",
                hint=_LONGER,
            ) from error
        reply = self._reply(self._client.kernel_info(), "processed the kernel info request")
        info = reply["language_info"]
        self.language = str(info["name"]).lower()
        return f"{info['name']} {info.get('version', '')}".strip()

    def execute(self, code: str, ask: str) -> dict[str, Any]:
        """Run `code` and return the reply, with the value of `ask` as a user expression."""
        request = self._client.execute(code, store_history=False, user_expressions={"ask": ask})
        return self._reply(request, f"ran `{code}`" if code else "looked up its Python version")

    def end(self) -> None:
        """Close the connection; it is safe to call this more than once."""
        self._client.stop_channels()

    def _reply(self, request: str, doing: str) -> dict[str, Any]:
        deadline = time.monotonic() + self._timeout
        while time.monotonic() < deadline:
            try:
                reply = self._client.get_shell_msg(timeout=_PATIENCE)
            except Empty:
                if not self._manager.is_alive():
                    raise self._died(f"while it {doing}") from None
                continue
            if reply["parent_header"].get("msg_id") == request:
                content: dict[str, Any] = reply["content"]
                return content
        raise TimeoutExpiredError(
            f"the kernel {doing}, but did not finish within {self._timeout:g} s", hint=_LONGER
        )

    def _died(self, when: str) -> KernelDiedError:
        return run_sync(self._manager.provisioner.died)(when)  # type: ignore[union-attr,no-any-return]


def _answer(content: dict[str, Any]) -> Any:
    """Return the value of the user expression, which is the repr of a JSON string."""
    text = content["user_expressions"]["ask"]["data"]["text/plain"]
    return json.loads(ast.literal_eval(text))


def _ask_python(talk: _Talk, plan: KernelPlan) -> str:
    executable, version, ipykernel = _answer(talk.execute("", _ASK_PYTHON))
    expected = plan.interpreter.path if plan.interpreter else ""
    if os.path.realpath(executable) != os.path.realpath(expected):
        raise KernelDiedError(
            "the kernel does not run in the planned Python",
            details=[f"planned {expected}", f"runs    {executable}"],
            hint="Install the kernel again with `spack-kernel install`.",
        )
    return f"Python {version}, ipykernel {ipykernel}, {executable}"


def _import_all(check: KernelCheck, talk: _Talk, plan: KernelPlan, spec: Spec) -> None:
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


def _import(talk: _Talk, plan: KernelPlan, spec: Spec, module: str) -> str:
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
    where = _answer(content)
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


def _plain_traceback(content: dict[str, Any]) -> list[str]:
    text = "\n".join(content.get("traceback", ()))
    return re.sub(r"\x1b\[[0-9;]*m", "", text).splitlines()
