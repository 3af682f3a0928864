"""Tell the admin: one line in the log, and one event, for each start, refusal and death."""

from __future__ import annotations

import contextlib
import getpass
import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spack_kernel.jupyter.errors import ServerStopsError

from .kernel_history import history

if TYPE_CHECKING:
    from spack_kernel.jupyter.helper import Prepared
    from spack_kernel.kernels.request import KernelRequest
    from spack_kernel.spack.errors import SpackKernelError

#: The schema of our events, for `jupyter_events`.
SCHEMA = Path(__file__).parent / "events" / "kernel.yaml"

#: Its identifier, under which handlers and configuration name it.
SCHEMA_ID = "https://events.spack-kernel.dev/kernel/v1"


class Report:
    """Reports what becomes of one kernel.

    Parameters
    ----------
    log : Logger
        Gets the lines.
    manager : KernelManager or None
        The kernel's manager; a server's has the logger of events.
    kernel_id : str
        Jupyter's identifier of the kernel.

    Attributes
    ----------
    node : str
        The machine on which the kernel runs.
    """

    def __init__(self, log: Any, manager: Any, kernel_id: str) -> None:
        self._log, self._manager, self._kernel_id = log, manager, kernel_id
        self.node = os.uname().nodename
        self._began = time.monotonic()
        self._request: KernelRequest | None = None
        self._prepared: Prepared | None = None

    def begin(self) -> None:
        """Note that a start begins."""
        self.node = os.uname().nodename
        self._began = time.monotonic()
        self._prepared = None
        history.begin(self._kernel_id)

    def requested(self, request: KernelRequest) -> None:
        """Note what is requested."""
        self._request = request
        history.begin(self._kernel_id, " ".join(request.named))

    def planned(self, prepared: Prepared) -> None:
        """Note what is going to be started."""
        self._prepared = prepared
        history.planned(self._kernel_id, prepared.name)

    def gave_up(self) -> None:
        """Note that nobody wants the start any more."""
        history.over(self._kernel_id)

    def started(self, *, again: bool) -> None:
        """Report a kernel that answers."""
        self._tell("restart" if again else "start")

    def waits(self, text: str, *, starts: bool) -> None:
        """Note what the kernel waits for; `starts`: it has its node, and starts there."""
        name = self._prepared.name if self._prepared is not None else ""
        history.waiting(self._kernel_id, name, text, starts=starts)

    def refused(self, error: SpackKernelError) -> None:
        """Report a kernel that could not be started."""
        self._tell("refuse", error=error)

    def died(self, status: int | None, error: SpackKernelError) -> None:
        """Report a kernel that ended although nobody asked for it."""
        self._tell("die", error=error, status=status)

    def _tell(
        self, action: str, *, error: SpackKernelError | None = None, status: int | None = None
    ) -> None:
        history.over(self._kernel_id)
        facts = self._facts(action)
        if status is not None and status < 0:
            with contextlib.suppress(ValueError):
                facts["signal"] = signal.Signals(-status).name
        if status is not None:
            facts["exit_status"] = status
        line = " ".join(f"{name}={_word(value)}" for name, value in facts.items())
        if error is None:
            self._log.info("spack-kernel: %s", line)
        else:
            facts["reason"] = str(error)
            if not isinstance(error, ServerStopsError):  # which is what somebody wanted
                history.ended(facts, error.as_dict())
            self._log.error("spack-kernel: %s\n%s", line, error)
        self._emit(facts)

    def _facts(self, action: str) -> dict[str, Any]:
        prepared, request = self._prepared, self._request
        facts: dict[str, Any] = {"action": action, "user": _user(), "spec": [], "hash": []}
        facts["store"] = ""
        if prepared is not None:
            facts["spec"] = [label for label, _ in prepared.specs]
            facts["hash"] = [dag_hash for _, dag_hash in prepared.specs]
            facts["store"] = prepared.stores[0]
        elif request is not None:
            facts["spec"] = list(request.named)
            facts["hash"] = [request.hash] if request.hash else []
            facts["store"] = request.stores[0] if request.stores else ""
        facts["node"] = self.node
        facts["seconds"] = round(time.monotonic() - self._began, 3)
        facts["kernel_id"] = self._kernel_id
        return facts

    def _emit(self, facts: dict[str, Any]) -> None:
        """Emit an event, if the server has a logger of events."""
        logger = getattr(self._manager, "event_logger", None)
        if logger is None:
            return
        try:
            if SCHEMA_ID not in logger.schemas:
                logger.register_event_schema(SCHEMA)
            logger.emit(schema_id=SCHEMA_ID, data=facts)
        except Exception:  # a handler of the site; the kernel must not depend on it
            self._log.warning("spack-kernel: no event was emitted", exc_info=True)


def _user() -> str:
    with contextlib.suppress(KeyError, OSError):  # a user without a name
        return os.environ.get("JUPYTERHUB_USER") or getpass.getuser()
    return str(os.getuid())


def _word(value: object) -> str:
    text = ",".join(value) if isinstance(value, list) else str(value)
    return repr(text) if not text or any(c.isspace() for c in text) else text
