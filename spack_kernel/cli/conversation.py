"""Talk to a kernel that is checked, which can die or stop answering."""

from __future__ import annotations

import ast
import json
import time
from queue import Empty
from typing import TYPE_CHECKING, Any

from jupyter_core.utils import run_sync

from spack_kernel.spack.errors import SpackKernelError

if TYPE_CHECKING:
    from jupyter_client.manager import KernelManager

    from spack_kernel.jupyter.errors import KernelDiedError

#: Seconds between two checks of whether a kernel that has not answered is still alive.
_PATIENCE = 0.5

_LONGER = "Increase --timeout; a parallel file system with a cold cache is slow."


class TimeoutExpiredError(SpackKernelError):
    """A kernel that did not answer in time."""

    code = "timeout"


class Conversation:
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


def answer_of(content: dict[str, Any]) -> Any:
    """Return the value of the user expression, which is the repr of a JSON string."""
    text = content["user_expressions"]["ask"]["data"]["text/plain"]
    return json.loads(ast.literal_eval(text))
