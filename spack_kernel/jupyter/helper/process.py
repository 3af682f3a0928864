"""The helper's side: read questions from the server, and answer each in a thread.

A question that waits for a file system waits alone. The process ends with its server, which it
notices by the end of the connection.
"""

from __future__ import annotations

import functools
import json
import os
import signal
import socket
import sys
import threading
import warnings
from typing import TYPE_CHECKING, Any, NoReturn

from spack_kernel.jupyter.helper.frames import framed, take_frame

if TYPE_CHECKING:
    from spack_kernel.jupyter.helper.messages import Answer, Failed

_CHUNK = 1 << 18

_sending = threading.Lock()

#: The level of warnings, as in `logging`, which is not imported for this.
_WARNING, _DEBUG = 30, 10


class _Notes(threading.local):
    """What came up while this thread answers."""

    def __init__(self) -> None:
        self.warned: list[str] = []
        self.log: list[tuple[str, int, str]] = []
        self.level = _WARNING


_notes = _Notes()


@functools.cache
def _collect_log() -> None:
    """Collect what threads log, for the log of the server."""
    import logging  # only for the questions that may log something

    class Collector(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.levelno >= _notes.level:
                _notes.log.append((record.name, record.levelno, record.getMessage()))

    logger = logging.getLogger("spack_kernel")
    logger.addHandler(Collector())
    logger.setLevel(logging.DEBUG)
    logger.propagate = False


def main(descriptor: int) -> None:
    """Answer the questions that arrive on a socket until the server closes it.

    Parameters
    ----------
    descriptor : int
        The file descriptor of the socket.
    """
    # Not a child of the server: nothing that counts its children or waits for them meets it.
    if os.fork():
        os._exit(0)
    from spack_kernel.spack.system import never_suspend

    never_suspend()
    signal.signal(signal.SIGTERM, lambda *_: _end())
    # A store that is read again warns again, and the thread that reads it gets its warnings.
    warnings.simplefilter("always")
    warnings.showwarning = lambda message, *_, **__: _note_warning(str(message))
    connection = socket.socket(fileno=descriptor)
    connection.sendall(_frame(0, {"type": "Hello", "pid": os.getpid()}))
    received = bytearray()
    while True:
        data = connection.recv(_CHUNK)
        if not data:
            _end()
        received += data
        while (frame := take_frame(received)) is not None:
            threading.Thread(target=_serve, args=(connection, frame[0]), daemon=True).start()


def _frame(number: int, body: dict[str, Any]) -> bytes:
    return framed(json.dumps({"number": number, "body": body}).encode())


def _serve(connection: socket.socket, content: Any) -> None:
    """Answer one question."""
    if content["body"]["type"] == "Recheck":
        frame = _recheck(content)
    else:
        _collect_log()
        frame = _answered(content)
    try:
        with _sending:
            connection.sendall(frame)
    except OSError:
        _end()


def _recheck(content: Any) -> bytes:
    """Return the answer to the question whether anything has changed."""
    from spack_kernel.spack.system import file_checks

    checks = [tuple(check) for check in content["body"]["checks"]]
    unchanged = file_checks.unchanged(checks)
    return _frame(content["number"], {"type": "Rechecked", "unchanged": unchanged})


def _answered(content: Any) -> bytes:
    """Return the answer to another question."""
    from spack_kernel.jupyter.helper.messages import Failed, Message, frame_of
    from spack_kernel.spack.errors import SpackKernelError

    data = b""
    body: Answer | Failed
    try:
        body, data = _answer(content)
    except SpackKernelError as error:
        body = Failed(error.as_dict(), log=_notes.log)
    except Exception as error:
        defect = SpackKernelError(
            f"spack-kernel failed: {type(error).__name__}: {error}",
            hint="This is a defect in spack-kernel; the server's log has the details.",
        )
        import traceback

        body = Failed(defect.as_dict(), traceback.format_exc(), _notes.log)
    return frame_of(Message(content["number"], body), data)


def _answer(content: Any) -> tuple[Answer, bytes]:
    from msgspec.structs import replace

    from spack_kernel.jupyter.helper.answers import answer
    from spack_kernel.jupyter.helper.messages import Prepare, Prepared, Question, message_of

    question = message_of(content).body
    assert isinstance(question, Question)
    if isinstance(question, Prepare) and question.debug:
        _notes.level = _DEBUG
    body, data = answer(question, _notes.warned)
    if isinstance(body, Prepared):
        body = replace(body, log=_notes.log)
    return body, data


def _note_warning(text: str) -> None:
    _notes.warned.append(text)
    _notes.log.append((__name__, _WARNING, text))


def _end() -> NoReturn:
    """End at once, with everything that was started, whatever other threads wait for."""
    from spack_kernel.spack.system import kill_running

    kill_running()
    os._exit(0)


if __name__ == "__main__":
    main(int(sys.argv[-1]))
