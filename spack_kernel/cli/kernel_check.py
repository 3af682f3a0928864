"""Test a kernel: start it, import its packages and shut it down, leaving nothing behind.

jupyter_client starts the kernel from a kernelspec, as any front end does, and talks to it over its
sockets. The kernel then imports the packages that it should provide.
"""

from __future__ import annotations

import contextlib
import logging
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import KernelManager
from traitlets.config import Config

from spack_kernel.jupyter.errors import KernelDiedError
from spack_kernel.jupyter.kernelspecs import (
    kernel_command,
    kernel_dict,
    starts_ipykernel,
    write_kernelspec,
)
from spack_kernel.kernels.errors import InterpreterError
from spack_kernel.spack.system import run_as

from .conversation import Conversation, answer_of
from .import_check import import_all

if TYPE_CHECKING:
    from collections.abc import Iterator

    from spack_kernel.kernels.plan import KernelPlan

    from .steps import KernelCheck

_ASK_PYTHON = (
    "__import__('json').dumps([__import__('sys').executable, "
    "'%d.%d.%d' % __import__('sys').version_info[:3], __import__('ipykernel').__version__])"
)


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
        specs = None
        if name is None:
            kernels = Path(scratch, "kernels")
            write_kernelspec(kernels, "check", kernel_dict(plan, **made))
            specs = KernelSpecManager(kernel_dirs=[str(kernels)], ensure_native_kernel=False)
        # Who waits for a check decides how long.
        limits = {"plan_timeout": check.timeout, "start_timeout": check.timeout}
        config = Config({"SpackProvisioner": limits})
        with running_kernel(
            check, name or "check", Path(scratch), config=config, kernel_spec_manager=specs
        ) as (manager, talk):
            command = kernel_command(manager.kernel_spec.argv)  # type: ignore[union-attr]
            if starts_ipykernel(command):
                with check.step("python") as step:
                    step.detail = _ask_python(talk, plan)
            if talk.language == "python":
                for spec in plan.specs:
                    import_all(check, talk, plan, spec)


@contextlib.contextmanager
def running_kernel(
    check: KernelCheck,
    name: str,
    scratch: Path,
    *,
    config: Config,
    kernel_spec_manager: KernelSpecManager | None = None,
) -> Iterator[tuple[KernelManager, Conversation]]:
    """Start a kernel, and shut it down when the code inside has ended.

    Parameters
    ----------
    check : KernelCheck
        Records the steps ``start``, ``answer`` and ``shutdown``.
    name : str
        The kernel's name.
    scratch : Path
        A directory for its connection file, and its working directory.
    config : Config
        The configuration of Jupyter's classes.
    kernel_spec_manager : KernelSpecManager, optional
        What knows the kernel; by default, the kernelspecs that Jupyter finds.

    Raises
    ------
    SpackKernelError
        When a step fails, with the reason.
    """
    # The error includes the kernel's output; the logger would show our own tracebacks.
    quiet = Config({"SpackProvisioner": {"echo_stderr": False}})
    quiet.SpackSlurmProvisioner.start_wait = check.timeout
    quiet.merge(config)
    manager = _CheckManager(kernel_name=name, config=quiet, log=_silent_logger())
    # In this directory, so that it is also removed when the kernel hangs.
    manager.connection_file = str(scratch / "connection.json")
    if kernel_spec_manager is not None:
        manager.kernel_spec_manager = kernel_spec_manager
    with check.step("start"):
        manager.start_kernel(cwd=str(scratch))
    talk = Conversation(manager, check.timeout)
    try:
        with check.step("answer") as step:
            step.detail = talk.begin()
        yield manager, talk
        with check.step("shutdown"):
            talk.end()
            manager.shutdown_kernel()
    finally:
        talk.end()
        manager.shutdown_kernel(now=True)
        manager.context.destroy(linger=0)


def refuse_root(plan: KernelPlan, instead: str) -> None:
    """Refuse to run, as root, a Python that another user can change.

    Parameters
    ----------
    plan : KernelPlan
        The plan of the kernel.
    instead : str
        The command to suggest.

    Raises
    ------
    InterpreterError
        When this process runs as root, and another user can change the Python.
    """
    user = run_as(plan.interpreter.path) if plan.interpreter is not None else None
    if user is not None:
        raise InterpreterError(
            f"root must not start the Python of {plan.specs[0].label}: other users can change it",
            details=[f"  {plan.interpreter.path}" if plan.interpreter else ""],
            hint=f"Run it as another user: {instead.format(uid=user.uid)}.",
        )


def _silent_logger() -> logging.Logger:
    logger = logging.getLogger(f"{__name__}.jupyter")
    logger.addHandler(logging.NullHandler())
    logger.propagate = False
    return logger


def _ask_python(talk: Conversation, plan: KernelPlan) -> str:
    executable, version, ipykernel = answer_of(talk.execute("", _ASK_PYTHON))
    expected = plan.interpreter.path if plan.interpreter else ""
    if os.path.realpath(executable) != os.path.realpath(expected):
        raise KernelDiedError(
            "the kernel does not run in the planned Python",
            details=[f"planned {expected}", f"runs    {executable}"],
            hint="Install the kernel again with `spack-kernel install`.",
        )
    return f"Python {version}, ipykernel {ipykernel}, {executable}"
