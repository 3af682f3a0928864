"""SpackProvisioner: starts a kernel in the environment of installed Spack specs."""

from __future__ import annotations

import asyncio
import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from traitlets import TraitError
from traitlets.config import Config

from spack_kernel.jupyter.errors import (
    KernelSpecError,
    PortTakenError,
    ServerStopsError,
)
from spack_kernel.jupyter.helper import Prepare, Prepared, ask
from spack_kernel.jupyter.kernelspecs import kernel_command, starts_ipykernel
from spack_kernel.jupyter.logs import join_log
from spack_kernel.jupyter.pending import leave_pending_kernels
from spack_kernel.kernels.kernel_json import KERNEL_FILE
from spack_kernel.spack.errors import SpackKernelError
from spack_kernel.spack.system import isolated_command

from . import spawn
from .deaths import Death, check_command, explain
from .encryption import encryption_options
from .fallback_kernel import MESSAGE_VARIABLE
from .here import Here
from .iopub import IopubWatch, tell_notebook
from .place import Launch
from .reports import Report
from .resources import KernelResources
from .restarts import Restart

if TYPE_CHECKING:
    from jupyter_client.connect import KernelConnectionInfo

    from spack_kernel.jupyter.errors import KernelDiedError

    from .place import News, Place

#: The arguments that jupyter_client itself passes to a provisioner.
_JUPYTER_ARGUMENTS = frozenset({"kernel_id", "kernel_spec", "parent", "config", "log"})

#: How often a kernel is started if one of its ports was taken before it could use it.
_PORT_ATTEMPTS = 5

#: Seconds in which Jupyter completes a start after the last call of a provisioner.
_COMPLETION = 0.5


class SpackProvisioner(KernelResources):
    """Starts a kernel in the environment of installed Spack specs.

    The traits are set in a kernel.json, under ``metadata.kernel_provisioner.config``, and for a
    whole site as ``c.SpackProvisioner.…`` in a Jupyter configuration file; the kernel.json takes
    precedence.
    """

    def __init__(self, **kwargs: Any) -> None:
        options = {name: kwargs.pop(name) for name in set(kwargs) - _JUPYTER_ARGUMENTS}
        #: What is wrong with the options. Raised by `pre_launch`: only then does a manager, and the
        #: log, take it for a start that has failed.
        self._mistake: SpackKernelError | None = None
        try:
            super().__init__(**kwargs)
        except TraitError as error:
            self._mistake = KernelSpecError(
                "this server's configuration has a value of the wrong type",
                details=[f"  {error}"],
                hint="Correct it in the configuration file: `spack-kernel check --site` names it.",
            )
            super().__init__(**{**kwargs, "config": Config()})
        join_log(self.log)
        self._prepared: Prepared | None = None
        self._question: Prepare | None = None
        self._arguments: dict[str, Any] = {}
        self._report = Report(self.log, self.parent, str(self.kernel_id or ""))
        #: Whether the kernel was started, and nobody has asked for its end.
        self._is_up = False
        self._is_announced = self._is_again = False
        #: What the kernel waits for, as the log has it.
        self._waits_for = ""
        try:
            self.configure(options)
        except SpackKernelError as error:
            self._mistake = self._mistake or error

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
        self._report.begin()
        self._is_fallback = self._is_up = False
        if self._restart is not None and not self._restart.is_complete():
            self._restart.begin_phase()
        else:
            self._restart = Restart(self.parent) if self._started else None
        if not self._started:
            managers = getattr(self.parent, "parent", None)
            leave_pending_kernels(managers, getattr(self.parent, "kernel_id", None))
        spawn.unfinished(self, self._abandon)
        try:
            return await self._pre_launch(kwargs)
        except BaseException:
            self._report.gave_up()
            self._start_over()
            self._abandon()
            raise

    async def _pre_launch(self, kwargs: dict[str, Any]) -> dict[str, Any]:
        told = kwargs.pop("env", None)
        base = told or dict(os.environ)
        try:
            if self._mistake is not None:
                raise self._mistake
            prepared = await self._prepare(base, bool(told), kwargs)
            # jupyter_client encrypts since 8.9. We know only of ipykernel whether it can.
            policy = getattr(self.parent, "transport_encryption", "disabled")
            own = starts_ipykernel(kernel_command(self.kernel_spec.argv))
            encryption = encryption_options(prepared, policy) if own else {}
            if getattr(self.parent, "transport", "tcp") == "ipc":
                await self._place_sockets()
        except SpackKernelError as error:
            self._report.refused(error)
            if not self._started or isinstance(error, ServerStopsError):
                raise self._start_error(error) from None
            return await self._pre_launch_fallback(error, env=base, **kwargs)
        self._prepared = prepared
        self._report.planned(prepared)
        for topic, text in prepared.notes:
            self.log.debug("spack kernel: %s: %s", topic, text)
        self._arguments = {"env": prepared.environment, **encryption, **kwargs}
        kwargs = await super().pre_launch(**self._arguments)
        # The base class has set the kernelspec's variables again, without merging PYTHONPATH.
        kwargs["env"] = prepared.environment
        command = kernel_command(kwargs["cmd"])
        kwargs["cmd"] = [*prepared.head, *command[prepared.replaced :]]
        return kwargs

    async def _prepare(self, base: dict[str, str], told: bool, kwargs: dict[str, Any]) -> Prepared:
        """Return what is needed for the start."""
        task = asyncio.current_task()
        by_user = not self._started or task in self._restarting
        # A client's task may restart the kernel many times, so each request counts once.
        self._restarting = {each for each in self._restarting if each is not task}
        request = self._request = self.request()
        self._report.requested(request)
        argv = [*self.kernel_spec.argv, *kwargs.get("extra_arguments", ())]
        self._question = Prepare(
            request=request,
            base=base,
            told=told,
            directory=os.fspath(kwargs.get("cwd") or ""),
            command=kernel_command(argv),
            debug=logging.getLogger("spack_kernel").isEnabledFor(logging.DEBUG),
        )
        return await self._place.plan(self._question, self._ask, by_user=by_user)

    async def _ask(self) -> Prepared:
        """Return what the helper of the store answers."""
        request, question = self._request, self._question
        assert question is not None
        answer = asyncio.wrap_future(ask(request.stores, question, request.plan_timeout))
        prepared, _ = await spawn.unless_given_up(answer, self._is_given_up)
        assert isinstance(prepared, Prepared)
        return prepared

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> KernelConnectionInfo:
        """Start the process, and wait until the kernel answers.

        Raises
        ------
        KernelStartError
            When it cannot be executed, ends before it answers, or does not listen in time; on a
            restart, the fallback kernel is launched instead.
        """
        environment = dict(kwargs["env"])
        try:
            answers = await spawn.unless_given_up(self._launch(cmd, kwargs), self._is_given_up)
        except Exception as caught:
            error = self._defect(caught)
            self._report.refused(error)
            await self._end_process()
            if not self._started or self._is_fallback or isinstance(error, ServerStopsError):
                self._start_over()
                self._abandon()
                raise self._start_error(error) from None
            self._is_fallback = True
            kwargs["env"] = self._fallback_environment(error, environment)
            answers = await self._launch(self._fallback_command(), kwargs)
        except BaseException:
            self._report.gave_up()
            self._start_over()
            self._abandon()
            raise
        self._is_up = not self._is_fallback
        self._is_again, self._is_announced = self._started, self._is_fallback
        if answers:
            self._announce()
        self._started = True
        return self.connection_info

    def _announce(self) -> None:
        """Report, once for each start, that the kernel answers."""
        if not self._is_announced:
            self._is_announced = True
            self._report.started(again=self._is_again)

    async def _launch(self, cmd: list[str], kwargs: dict[str, Any]) -> bool:
        """Start the process; return when it answers, or whether it may do so later.

        If a port is taken, others are tried.
        """
        place: Place = Here() if self._is_fallback else self._place
        attempt = 1
        while True:
            launch = self._launch_of(cmd, kwargs)
            self.process = await place.start(launch)
            self.pid = self.process.pid
            self.pgid = self.pid if place.leads_group else None
            self.cwd = launch.directory
            try:
                return self._is_fallback or await place.answered(launch)
            except PortTakenError as error:
                await self._end_process()
                may_change = not self._started and attempt < _PORT_ATTEMPTS
                if not may_change or not await self._change_ports(self._arguments):
                    raise
                self.log.warning("spack-kernel: %s; trying others", error.summary)
                attempt += 1

    def _launch_of(self, command: list[str], kwargs: dict[str, Any]) -> Launch:
        options = self._scrub_kwargs(kwargs)
        self._capture(options)
        assert self._question is not None
        return Launch(
            name=self._name,
            command=command,
            options=options,
            directory=kwargs.get("cwd") or Path.cwd(),
            extra_arguments=self._arguments.get("extra_arguments", []),
            question=self._question,
            connection=self._connection(),
            manager=self.parent,
            tail=self._tail,
            poll=self.poll,
            died=lambda death: self._died_starting(death, command),
        )

    async def _died_starting(self, death: Death, command: list[str]) -> KernelDiedError:
        await self.wait()
        return await self._died(death, "during startup", command)

    def _connection(self) -> dict[str, Any]:
        return {"transport": getattr(self.parent, "transport", "tcp"), **self.connection_info}

    async def post_launch(self, **kwargs: Any) -> None:
        """Make sure that a start that is cancelled from now on leaves no kernel."""
        await super().post_launch(**kwargs)
        self._start_over()
        if self._is_up and self.parent is not None:
            self._iopub = IopubWatch(self._connection())
        loop, task, process = asyncio.get_running_loop(), asyncio.current_task(), self.process
        if task is not None:
            task.add_done_callback(lambda task: self._abandon(process) if task.cancelled() else 0)
        # After a last pause, jupyter_client's managers note that the kernel is ready.
        ready = getattr(self.parent, "_ready", None)

        def look(*, again: bool) -> None:
            if ready is None or ready.done():
                spawn.finished(self)
            elif again:
                loop.call_later(_COMPLETION, lambda: look(again=False))
            else:
                self._abandon(process)

        loop.call_later(_COMPLETION, lambda: look(again=True))

    # -- dying --

    async def poll(self) -> int | None:
        """Return the exit status, None while the kernel runs; report an end nobody asked for."""
        status = await super().poll()
        if self._is_up and self._iopub is not None:
            self._iopub.running()
        if self.process is not None and not self._is_fallback:
            await self._hear(self._place.news(), status)
        if status is not None and self._is_up and self.process is not None:
            self._is_up = False
            if not getattr(self.parent, "shutting_down", False):
                await self._report_death(status)
        return status

    async def _hear(self, news: News | None, status: int | None) -> None:
        """Report what a place says of the kernel, whose process has ended with `status`, if any."""
        if news is None:
            return
        self._report.node = news.node or self._report.node
        if news.waits_for:
            if news.waits_for != self._waits_for:
                self._waits_for = news.waits_for
                self.log.info("spack-kernel: the kernel of %s: %s", self._name, news.waits_for)
            self._report.waits(news.waits_for, starts=bool(news.node))
        elif news.answers and self._is_up:
            self._announce()
        # While it is started, `answered` raises the error.
        if news.end is not None and self._is_up:
            self._is_up = False
            self._report.died(None, news.end)
            if status is not None and self._iopub is not None:
                await tell_notebook(self._iopub, str(news.end))
            if status is not None:
                self._close_iopub()

    async def send_signal(self, signum: int) -> None:
        """Send a signal to the kernel's process group."""
        self._is_up &= signum not in spawn.ENDING
        await super().send_signal(signum)

    async def cleanup(self, restart: bool = False) -> None:
        """Release what the kernel has, unless it restarts."""
        if not restart:
            self._report.gave_up()
        await super().cleanup(restart=restart)

    async def shutdown_requested(self, restart: bool = False) -> None:
        """Note that a shutdown of the kernel was requested, and whether a start follows."""
        self._is_up = False
        self._restarting = {task for task in self._restarting if not task.done()}
        if restart and (task := asyncio.current_task()) is not None:
            self._restarting.add(task)
        if self._restart is not None:
            await self._restart.give_up()
        if restart:
            self._restart = Restart(self.parent)
        await super().shutdown_requested(restart=restart)

    async def _report_death(self, status: int) -> None:
        death = Death(status, await self.last_words())
        error = await self._died(death, "while it was running")
        self._report.died(status, error)
        if status and self._iopub is not None:
            await tell_notebook(self._iopub, str(error))
        self._close_iopub()

    async def died(self, when: str) -> KernelDiedError:
        """Return the error for a kernel whose process has ended, with the cause if it is known.

        Parameters
        ----------
        when : str
            When it ended, such as "before it answered".
        """
        return await self._died(Death(await self.poll() or 0, await self.last_words()), when)

    async def _died(
        self, death: Death, when: str, command: list[str] | None = None
    ) -> KernelDiedError:
        assert self._question is not None
        assert self._prepared is not None
        # `check` already does that.
        is_check = getattr(self.parent, "is_check", False)
        again = (self._kernel_file, self._request, self.given, self._prepared)
        return await explain(
            death,
            when,
            self._question,
            self._prepared,
            command=command or (),
            again="" if is_check else check_command(*again),
        )

    # -- failing --

    @property
    def _name(self) -> str:
        return self._prepared.name if self._prepared is not None else "the spec"

    def _defect(self, error: Exception) -> SpackKernelError:
        """Return an unexpected exception as a SpackKernelError, and log its traceback."""
        if isinstance(error, SpackKernelError):
            return error
        self.log.error("spack-kernel failed to start a kernel", exc_info=error)
        return SpackKernelError(
            f"spack-kernel failed: {type(error).__name__}: {error}",
            hint="This is a defect in spack-kernel; the server's log has the details.",
        )

    def _start_error(self, error: SpackKernelError) -> Exception:
        # Imported late: tornado is slow to import, and only a server has it loaded already.
        from spack_kernel.jupyter.failure import KernelStartError

        is_check = getattr(self.parent, "is_check", False)
        return KernelStartError(error, "" if is_check else self._kernel_file)

    async def _pre_launch_fallback(
        self, error: SpackKernelError, env: dict[str, str], **kwargs: Any
    ) -> dict[str, Any]:
        self._is_fallback = True
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
        info["spack_hashes"] = [h for _, h in self._prepared.specs] if self._prepared else []
        info.update(self._place.info())
        return info
