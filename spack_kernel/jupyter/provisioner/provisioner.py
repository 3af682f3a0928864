"""SpackProvisioner: starts a kernel in the environment of installed Spack specs."""

from __future__ import annotations

import asyncio
import os
import shlex
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from jupyter_client.launcher import launch_kernel
from traitlets import TraitError

from spack_kernel.jupyter.errors import KernelDiedError, KernelSpecError
from spack_kernel.jupyter.kernelspecs.content import (
    kernel_command,
    starts_ipykernel,
    store_paths,
)
from spack_kernel.jupyter.notebook import notebook_error, notebook_path, read_notebook_spec
from spack_kernel.kernels.exits import describe_exit
from spack_kernel.kernels.import_index import through_launcher
from spack_kernel.kernels.isolated import isolated_command
from spack_kernel.kernels.kernel_json import KERNEL_FILE
from spack_kernel.kernels.plan import (
    diagnose,
    ipython_directory,
    is_too_long,
    length_cause,
    too_long,
)
from spack_kernel.kernels.planner import Planner, refuse_contradiction
from spack_kernel.kernels.request import KernelRequest
from spack_kernel.kernels.sockets import SocketDirectory, fits
from spack_kernel.kernels.sources import SETTINGS
from spack_kernel.spack.errors import SpackKernelError

from .encryption import encryption_options
from .fallback_kernel import MESSAGE_VARIABLE
from .startup import FirstReply, StderrTail, is_listening
from .traits import KernelTraits

if TYPE_CHECKING:
    from collections.abc import Callable

    from jupyter_client.connect import KernelConnectionInfo

    from spack_kernel.kernels.plan import KernelPlan

_T = TypeVar("_T")

#: The arguments that jupyter_client itself passes to a provisioner.
_JUPYTER_ARGUMENTS = frozenset({"kernel_id", "kernel_spec", "parent", "config", "log"})

#: How many lines of a failed kernel's standard error are shown.
_SHOWN_LINES = 15

#: Seconds between two checks of a starting kernel.
_WATCH_INTERVAL = 0.025

_planner = Planner()
# Our own, so that a store on a hanging file system does not block the server's other work.
_threads = ThreadPoolExecutor(max_workers=8, thread_name_prefix="spack-kernel")


class SpackProvisioner(KernelTraits):
    """Starts a kernel in the environment of installed Spack specs.

    The traits are set in a kernel.json, under ``metadata.kernel_provisioner.config``, and for a
    whole site as ``c.SpackProvisioner.…`` in a Jupyter configuration file; the kernel.json takes
    precedence.
    """

    def __init__(self, **kwargs: Any) -> None:
        options = {name: kwargs.pop(name) for name in set(kwargs) - _JUPYTER_ARGUMENTS}
        try:
            super().__init__(**kwargs)
        except TraitError as error:
            raise self._start_error(
                KernelSpecError(
                    "this server's configuration has a value of the wrong type",
                    details=[f"  {error}"],
                    hint="Correct it in the configuration file, whose path `jupyter server "
                    "--show-config` shows.",
                )
            ) from None
        self._request = KernelRequest()
        self._plan: KernelPlan | None = None
        self._started = False
        self._environment: dict[str, str] = {}
        self._is_fallback = False
        self._tail: StderrTail | None = None
        self._sockets: SocketDirectory | None = None
        try:
            self.configure(options)
        except SpackKernelError as error:
            raise self._start_error(error) from None

    @property
    def _kernel_file(self) -> str:
        directory = getattr(self.kernel_spec, "resource_dir", "")
        # A discovered kernel has no kernel.json; the directory of its logos would not help.
        file = Path(directory, KERNEL_FILE)
        return str(file) if directory and file.exists() else ""

    # -- starting --

    async def pre_launch(self, **kwargs: Any) -> dict[str, Any]:
        """Plan the kernel, write the connection file, and return the arguments for the launch.

        Raises
        ------
        KernelStartError
            When a first start fails; on a restart, the fallback kernel is launched instead.
        """
        told = kwargs.pop("env", None)
        base = told or dict(os.environ)
        directory = kwargs.get("cwd")
        self._is_fallback = False
        try:
            plan, environment = await _in_thread(
                lambda: self._prepare(base, told=bool(told), directory=directory)
            )
            # jupyter_client encrypts since 8.9. We know only of ipykernel whether it can.
            policy = getattr(self.parent, "transport_encryption", "disabled")
            own = starts_ipykernel(kernel_command(self.kernel_spec.argv))
            encryption = encryption_options(plan, policy) if own else {}
            if getattr(self.parent, "transport", "tcp") == "ipc":
                await self._place_sockets()
        except SpackKernelError as error:
            if not self._started:
                raise self._start_error(error) from None
            return await self._pre_launch_fallback(error, env=base, **kwargs)
        self._plan, self._environment = plan, environment
        for note in plan.notes:
            self.log.debug("spack kernel: %s: %s", note.topic, note.text)
        try:
            kwargs = await super().pre_launch(env=environment, **encryption, **kwargs)
            # The base class has set the kernelspec's variables again, without merging PYTHONPATH.
            kwargs["env"] = environment
            command = plan.command(kernel_command(kwargs["cmd"]))
            if plan.interpreter is not None:
                facts, environment = plan.interpreter.info, kwargs["env"]
                command, kwargs["env"] = await _in_thread(
                    lambda: through_launcher(
                        command, environment, facts, index=self._request.import_index
                    )
                )
            kwargs["cmd"] = command
        except Exception:
            if not self._started:
                await self._leave_nothing()
            raise
        return kwargs

    def _prepare(
        self, base: dict[str, str], *, told: bool, directory: str | None
    ) -> tuple[KernelPlan, dict[str, str]]:
        """Return the plan and the environment to start with. Runs in a thread."""
        request = self._request = self.request()
        settings = request.env
        base = {**base, **{name: settings[name] for name in SETTINGS if name in settings}}
        try:
            if request.from_notebook:
                refuse_contradiction(request)
                notebook = notebook_path(base, told=told, directory=directory)
                plan = self._plan_of(notebook)
            else:
                plan = _planner.plan(request, base)
            environment = plan.environment(
                base,
                env=settings,
                keep=request.keep_env,
                user_site=request.user_site,
            )
        except SpackKernelError:
            raise
        except Exception as error:
            raise self._defect(error, "plan") from error
        return plan, environment

    def _defect(self, error: Exception, doing: str) -> SpackKernelError:
        """Return an unexpected exception as a SpackKernelError, and log its traceback."""
        if isinstance(error, SpackKernelError):
            return error
        self.log.error("spack-kernel failed to %s a kernel", doing, exc_info=error)
        return SpackKernelError(
            f"spack-kernel failed: {type(error).__name__}: {error}",
            hint="This is a defect in spack-kernel; the server's log has the details.",
        )

    def _plan_of(self, notebook: Path) -> KernelPlan:
        """Return the plan for the specs that a notebook needs."""
        wanted = read_notebook_spec(notebook)
        try:
            return _planner.plan(wanted.request(self._request))
        except SpackKernelError as error:
            raise notebook_error(error, notebook, wanted) from error

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> KernelConnectionInfo:
        """Start the process, and wait until the kernel answers.

        Raises
        ------
        KernelStartError
            When it cannot be executed or ends before it answers; on a restart, the fallback
            kernel is launched instead.
        """
        environment = dict(kwargs["env"])
        try:
            await self._launch(cmd, kwargs)
            if not self._is_fallback:
                await self._watch(cmd)
        except Exception as caught:
            error = self._defect(caught, "start")
            if not self._started or self._is_fallback:
                await self._leave_nothing()
                raise self._start_error(error) from None
            kwargs["env"] = self._fallback_environment(error, environment)
            await self._launch(self._fallback_command(), kwargs)
        self._started = True
        return self.connection_info

    async def _launch(self, cmd: list[str], kwargs: dict[str, Any]) -> None:
        options = self._scrub_kwargs(kwargs)
        self._tail = None
        if options.get("stderr") is None and not options.get("independent"):
            self._tail = StderrTail(echo=self._request.echo_stderr)
            options["stderr"] = self._tail.write_end
        try:
            # In a thread: execve(2) returns only after reading the executable, which may be slow.
            self.process = await _in_thread(lambda: launch_kernel(cmd, **options))
        except ValueError as error:
            raise KernelSpecError(
                f"the kernel cannot be started: {error}",
                details=[f"  {cmd[0]}"],
                hint="Check the kernelspec's `argv` and `env`: no value can contain a NUL "
                "character, and no variable name a `=`.",
            ) from error
        except OSError as error:
            long = too_long(kwargs["env"]) if is_too_long(error) else None
            cause = length_cause(*long) if long else None
            raise KernelDiedError(
                f"the kernel cannot be started: {error.strerror}",
                details=[
                    f"  {cmd[0]}",
                    *([f"  in {error.filename}"] if error.filename else []),
                    *(cause.details if cause else ()),
                ],
                hint=cause.hint if cause else "",
            ) from error
        finally:
            if self._tail is not None:
                self._tail.opened()
        self.pid = self.process.pid
        # launch_kernel makes the process the leader of a session, hence of a group.
        self.pgid = self.process.pid
        self.cwd = kwargs.get("cwd") or Path.cwd()

    async def _watch(self, cmd: list[str]) -> None:
        """Return when the kernel answers or `start_timeout` expires; raise if it ends earlier."""
        connection = {"transport": getattr(self.parent, "transport", "tcp"), **self.connection_info}
        deadline = time.monotonic() + self._request.start_timeout
        reply: FirstReply | None = None
        try:
            while time.monotonic() < deadline:
                if reply is not None and reply.came():
                    return
                status = await self.poll()
                if status is not None:
                    lines = await self.last_words()
                    await self.wait()
                    raise self._died(cmd, status, lines, listened=reply is not None)
                if reply is None and self.parent is not None and await is_listening(connection):
                    reply = FirstReply(self.parent.context, connection)
                await asyncio.sleep(_WATCH_INTERVAL)
        finally:
            if reply is not None:
                reply.close()

    def _died(
        self,
        cmd: list[str],
        status: int,
        lines: list[str],
        *,
        listened: bool = False,
        when: str = "during startup",
    ) -> KernelDiedError:
        """Return the error for a kernel whose process ended."""
        plan = self._plan
        assert plan is not None
        while lines and not lines[-1].strip():
            lines.pop()
        # `check` already does that.
        again = "" if getattr(self.parent, "is_check", False) else self._check_command(plan)
        hint = f"`{again}` starts it step by step." if again else ""
        details = [f"  {' '.join(cmd[:3])} …"] if cmd else []
        details += [f"  | {line}" for line in lines[-_SHOWN_LINES:]]
        cause = diagnose(plan, status, lines, self._environment)
        if cause is not None:
            details += cause.details
            hint = f"{cause.hint}\n{hint}".strip()
        if listened and (cause is None or not cause.details):
            directory = f"{ipython_directory(self._environment)}/profile_default"
            details.append(
                "  it was already listening: IPython then runs its startup files and extensions"
            )
            hint = f"Check the files in {directory}/startup, or move it away.\n{hint}".strip()
        return KernelDiedError(
            f"the kernel of {plan.source.name} ended {when}: {describe_exit(status)}",
            details=details,
            hint=hint,
        )

    def _check_command(self, plan: KernelPlan) -> str:
        """Return the command that starts this kernel again, with the same settings."""
        file = self._kernel_file
        if file:
            return f"spack-kernel check {shlex.quote(Path(file).parent.name)}"
        if self._request.from_notebook:
            words = [word for path in store_paths(plan.store) for word in ("--store", path)]
        else:
            words = KernelRequest.from_config(self.given).to_words("check")
        queries = (
            []
            if self._request.environment or self._request.view
            else [f"/{s.hash[:7]}" for s in plan.specs]
        )
        return shlex.join(["spack-kernel", "check", *words, *queries])

    async def died(self, when: str) -> KernelDiedError:
        """Return the error for a kernel whose process has ended, with the cause if it is known.

        Parameters
        ----------
        when : str
            When it ended, such as "before it answered".
        """
        status = await self.poll()
        lines = await self.last_words()
        return self._died([], status or 0, lines, when=when)

    async def last_words(self) -> list[str]:
        """Return the last lines of the kernel's standard error, if we captured it."""
        tail = self._tail
        return await _in_thread(lambda: tail.lines(wait=0.5)) if tail else []

    # -- failing --

    def _start_error(self, error: SpackKernelError) -> Exception:
        # Imported late: tornado is slow to import, and only a server has it loaded already.
        from spack_kernel.jupyter.failure import KernelStartError

        # jupyter_client keeps a failed start in its pending kernels, and a server that is then
        # stopped fails on it and never exits.
        pending = getattr(getattr(self.parent, "parent", None), "_pending_kernels", {})
        if not getattr(self, "_started", False):
            pending.pop(getattr(self.parent, "kernel_id", None), None)
        is_check = getattr(self.parent, "is_check", False)
        return KernelStartError(error, "" if is_check else self._kernel_file)

    async def _place_sockets(self) -> None:
        """Place the sockets in a directory where their paths are short enough."""
        manager = self.parent
        if manager is not None and not fits(manager.ip):
            self._sockets = await _in_thread(lambda: SocketDirectory(os.environ))
            self._former_ip, manager.ip = manager.ip, self._sockets.ip
            self.log.debug("spack kernel: its sockets are in %s", self._sockets.path)

    async def cleanup(self, restart: bool = False) -> None:
        """Release the ports and the sockets' directory, unless the kernel restarts."""
        await super().cleanup(restart=restart)
        if self._sockets is not None and self.parent is not None and not restart:
            self._sockets.remove()
            self._sockets, self.parent.ip = None, self._former_ip

    async def _leave_nothing(self) -> None:
        """Release everything that a failed start has acquired."""
        if self.parent is not None:
            self.parent.cleanup_connection_file()
            self.parent.cleanup_ipc_files()
        if self.process is not None:
            await self.kill()
            await self.wait()
        await self.cleanup(restart=False)
        self.ports_cached = False

    async def _pre_launch_fallback(
        self, error: SpackKernelError, env: dict[str, str], **kwargs: Any
    ) -> dict[str, Any]:
        self._is_fallback = True
        self.log.error("spack kernel cannot restart: %s", error)
        kwargs = await super().pre_launch(env=self._fallback_environment(error, env), **kwargs)
        kwargs["cmd"] = self._fallback_command()
        return kwargs

    def _fallback_command(self) -> list[str]:
        assert self.parent is not None
        command = isolated_command("spack_kernel.jupyter.provisioner.fallback_kernel")
        return [*command, os.path.realpath(self.parent.connection_file)]

    def _fallback_environment(self, error: SpackKernelError, env: dict[str, str]) -> dict[str, str]:
        return {**env, MESSAGE_VARIABLE: str(self._start_error(error))}

    # -- persistence --

    async def get_provisioner_info(self) -> dict[str, Any]:
        """Return what another process needs to take over: the base class's data and our hashes."""
        info = await super().get_provisioner_info()
        info["spack_hashes"] = [spec.hash for spec in self._plan.specs] if self._plan else []
        return info


async def _in_thread(function: Callable[[], _T]) -> _T:
    return await asyncio.get_running_loop().run_in_executor(_threads, function)
