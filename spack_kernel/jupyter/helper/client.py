"""The server's side: ask a helper, with a deadline, and end the helpers that miss one.

One thread sends the questions, receives the answers and watches the deadlines of all helpers. It
never waits for one of them.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import selectors
import threading
import time
from collections import deque
from concurrent.futures import Future, InvalidStateError
from typing import TYPE_CHECKING

from spack_kernel.jupyter.errors import HelperError, SlowStoreError
from spack_kernel.jupyter.offers import Listing, Look
from spack_kernel.spack.errors import SpackKernelError

from .frames import take_frame
from .handle import HelperProcess
from .messages import (
    Answer,
    Failed,
    Hello,
    Message,
    Prepared,
    Question,
    Recheck,
    Rechecked,
    Survey,
    Surveyed,
    frame_of,
    message_of,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from spack_kernel.jupyter.offers import OfferFilter
    from spack_kernel.spack.system.file_checks import Check

    #: The paths of the store, the role of the helper, and its environment.
    _Key = tuple[tuple[str, ...], str, int]

_log = logging.getLogger(__name__)

_CHUNK = 1 << 18

#: Helpers of one store that were killed and have not ended, because the system waits for their
#: file system. With that many, no other is started.
_MAX_STUCK = 3

#: Seconds between two looks at what has been killed.
_REAP = 0.2

#: The longest wait that the system calls for it accept, in seconds.
_LONGEST_PAUSE = 3600.0

#: How often a question is sent: if a helper ends before it answers, another one gets the question.
_ATTEMPTS = 2


def ask(stores: Sequence[str], question: Question, timeout: float) -> Future[tuple[Answer, bytes]]:
    """Ask the helper of a store; return at once.

    Parameters
    ----------
    stores : sequence of str
        The paths that name the store. One helper answers for each sequence of paths.
    question : Question
        The question.
    timeout : float
        Seconds that the answer may take.

    Returns
    -------
    Future
        The answer and the data that belongs to it. It fails with the error that the helper found,
        with `SlowStoreError` if there is no answer in time, and with `HelperError` if the helper
        fails. Cancelling it means that nobody waits for the answer any more.
    """
    return _Helpers.instance().ask(tuple(stores), question, timeout)


def look_through_helper(
    stores: Sequence[str], selection: OfferFilter, checks: Sequence[Check], timeout: float
) -> Look:
    """Return what `look_at` returns, found by the helper of the store; wait for it.

    Raises
    ------
    SlowStoreError
        When it takes longer than `timeout` seconds.
    HelperError
        When the helper fails.
    """
    if checks:
        same, _ = ask(stores, Recheck(checks=list(checks)), timeout).result()
        assert isinstance(same, Rechecked)
        if same.unchanged:
            return Look(None, None, list(checks))
    question = Survey(stores=list(stores), selection=selection, checks=list(checks))
    answer, packages = ask(stores, question, timeout).result()
    assert isinstance(answer, Surveyed)
    if answer.error is not None:
        return Look(None, SpackKernelError.from_dict(answer.error), answer.checks)
    if answer.offers is None:
        return Look(None, None, answer.checks)
    return Look(
        Listing(answer.offers, packages.decode("ascii"), answer.checks), None, answer.checks
    )


def _working_directory() -> str:
    try:
        return os.getcwd()  # noqa: PTH109 - asks no file system
    except FileNotFoundError:
        return ""


def close() -> None:
    """End all helpers; the next question starts another."""
    _Helpers.instance().close()


class _Asked:
    """One question that is waiting for its answer."""

    def __init__(self, number: int, key: _Key, question: Question, timeout: float) -> None:
        self.number, self.key, self.timeout = number, key, timeout
        self.doing, self.keep = question.doing, question.keep
        self.frame = frame_of(Message(number, question))
        self.deadline = time.monotonic() + timeout
        self.attempts = 0
        self.future: Future[tuple[Answer, bytes]] = Future()

    def finish(self, answer: tuple[Answer, bytes] | BaseException) -> None:
        with contextlib.suppress(InvalidStateError):  # cancelled
            if isinstance(answer, BaseException):
                self.future.set_exception(answer)
            else:
                self.future.set_result(answer)


class _Helper:
    """A helper process, its pending questions, and the data in transit."""

    def __init__(self, key: _Key) -> None:
        self.key = key
        self.process = HelperProcess(key[0], key[1])
        self.retired = False
        self.asked: dict[int, _Asked] = {}
        self.received = bytearray()
        self.unsent: deque[memoryview] = deque()
        self.expires = 0.0


class _Helpers:
    """All helpers of this process."""

    _instance: _Helpers | None = None
    _lock = threading.Lock()

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._inbox: deque[_Asked | threading.Event] = deque()
        self._helpers: list[_Helper] = []
        self._killed: list[_Helper] = []
        self._selector = selectors.DefaultSelector()
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_read, False)
        os.set_blocking(self._wake_write, False)
        self._selector.register(self._wake_read, selectors.EVENT_READ)
        threading.Thread(target=self._run, name="spack-kernel-helpers", daemon=True).start()

    @classmethod
    def instance(cls) -> _Helpers:
        with cls._lock:
            if cls._instance is None:
                cls._instance = cls()
            return cls._instance

    @classmethod
    def forget(cls) -> None:
        """Reset the instance in a forked child, which has the sockets but not the thread."""
        helpers, cls._instance, cls._lock = cls._instance, None, threading.Lock()
        if helpers is not None:
            for helper in (*helpers._helpers, *helpers._killed):
                helper.process.connection.close()

    # -- from any thread --

    def ask(
        self, stores: tuple[str, ...], question: Question, timeout: float
    ) -> Future[tuple[Answer, bytes]]:
        # What a helper finds depends on where, and in which environment, it was started.
        role = getattr(question, "role", "helper")
        key = stores, role, hash((frozenset(os.environ.items()), _working_directory()))
        asked = _Asked(next(self._numbers), key, question, timeout)
        self._put(asked)
        return asked.future

    def close(self) -> None:
        done = threading.Event()
        self._put(done)
        done.wait(5)

    def _put(self, item: _Asked | threading.Event) -> None:
        self._inbox.append(item)
        with contextlib.suppress(BlockingIOError):
            os.write(self._wake_write, b".")

    # -- in the thread --

    def _run(self) -> None:
        while True:
            try:
                self._step()
            except Exception:  # noqa: PERF203 - or nothing would be answered any more
                with contextlib.suppress(Exception):  # a handler that fails
                    _log.exception("spack-kernel: the thread that asks helpers failed")
                time.sleep(0.1)

    def _step(self) -> None:
        for key, events in self._selector.select(self._pause()):
            helper: _Helper | None = key.data
            if helper is None:
                with contextlib.suppress(BlockingIOError):
                    os.read(self._wake_read, _CHUNK)
            elif helper in self._helpers:
                if events & selectors.EVENT_READ:
                    self._receive(helper)
                if events & selectors.EVENT_WRITE and helper in self._helpers:
                    self._send(helper)
        while self._inbox:
            item = self._inbox.popleft()
            if isinstance(item, _Asked):
                try:
                    self._dispatch(item)
                except BaseException as error:
                    item.finish(HelperError(f"the store could not be asked: {error!r}"))
                    raise
            else:
                for helper in list(self._helpers):
                    self._end(helper)
                item.set()
        self._check_time()

    def _pause(self) -> float | None:
        times = [asked.deadline for helper in self._helpers for asked in helper.asked.values()]
        times += [helper.expires for helper in self._helpers if not helper.asked]
        pause = min(max(0.0, min(times) - time.monotonic()), _LONGEST_PAUSE) if times else None
        if self._killed:
            return _REAP if pause is None else min(pause, _REAP)
        return pause

    def _dispatch(self, asked: _Asked) -> None:
        helper = next((h for h in self._helpers if h.key == asked.key and not h.retired), None)
        if helper is None:
            stuck = [h for h in self._killed if h.key == asked.key and h.process.is_there()]
            if len(stuck) >= _MAX_STUCK:
                asked.finish(_too_late(asked, "the file system still does not answer"))
                return
            try:
                helper = _Helper(asked.key)
            except (OSError, ValueError) as error:
                reason = getattr(error, "strerror", None) or str(error)
                asked.finish(
                    HelperError(
                        f"the process that reads the store cannot be started: {reason}",
                        hint="The limits of this account may be reached: `ulimit -u` and "
                        "`ulimit -n` show those of processes and files.",
                    )
                )
                return
            self._helpers.append(helper)
            self._selector.register(helper.process.connection, selectors.EVENT_READ, helper)
            _log.debug("spack-kernel: started a helper for %s", " > ".join(asked.key[0]))
        asked.attempts += 1
        helper.asked[asked.number] = asked
        helper.unsent.append(memoryview(asked.frame))
        self._send(helper)

    def _send(self, helper: _Helper) -> None:
        try:
            while helper.unsent:
                sent = helper.process.connection.send(helper.unsent[0])
                rest = helper.unsent.popleft()[sent:]
                if rest:
                    helper.unsent.appendleft(rest)
        except BlockingIOError:
            pass
        except OSError:
            self._lost(helper)
            return
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if helper.unsent else 0)
        self._selector.modify(helper.process.connection, events, helper)

    def _receive(self, helper: _Helper) -> None:
        try:
            data = helper.process.connection.recv(_CHUNK)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._lost(helper)
            return
        helper.received += data
        try:
            while (frame := take_frame(helper.received)) is not None:
                self._take(helper, message_of(frame[0]), frame[1])
        except ValueError as error:
            _log.warning("spack-kernel: a helper sent what is not an answer: %s", error)
            helper.process.kill()
            self._lost(helper)

    def _take(self, helper: _Helper, message: Message, data: bytes) -> None:
        body = message.body
        if isinstance(body, Hello):
            helper.process.said_hello(body.pid)
            return
        asked = helper.asked.pop(message.number, None)
        if asked is None:
            return  # it came too late
        helper.expires = max(helper.expires, time.monotonic() + asked.keep)
        if isinstance(body, Prepared | Failed):
            for logger, level, text in body.log:
                logging.getLogger(logger).log(level, "%s", text)
        if isinstance(body, Failed):
            if body.traceback:
                _log.error("spack-kernel failed while %s\n%s", asked.doing, body.traceback)
            asked.finish(SpackKernelError.from_dict(body.error))
        elif isinstance(body, Answer):
            asked.finish((body, data))
        if helper.retired and not helper.asked:
            self._end(helper)

    def _lost(self, helper: _Helper) -> None:
        """Send the pending questions of a helper that has ended to another one."""
        waiting = list(helper.asked.values())
        helper.asked.clear()
        self._end(helper)
        for asked in waiting:
            if asked.attempts < _ATTEMPTS:
                self._dispatch(asked)
                continue
            asked.finish(
                HelperError(
                    f"the process that reads the store ended while {asked.doing}",
                    details=_named(asked),
                    hint="It may have been killed, often by a memory limit of the machine or the "
                    "batch system.\nThe server's log may have its last words.",
                )
            )

    def _check_time(self) -> None:
        now = time.monotonic()
        for helper in list(self._helpers):
            late = [asked for asked in helper.asked.values() if asked.deadline <= now]
            for asked in late:
                del helper.asked[asked.number]
                asked.finish(_too_late(asked))
            # It may still answer its other questions, but gets no new ones.
            helper.retired |= bool(late)
            if not helper.asked and (helper.retired or helper.expires <= now):
                self._end(helper)
        self._killed = [h for h in self._killed if h.process.is_there()]

    def _end(self, helper: _Helper) -> None:
        """End a helper, and forget it."""
        if helper not in self._helpers:
            return
        self._helpers.remove(helper)
        self._selector.unregister(helper.process.connection)
        helper.process.kill()
        helper.process.connection.close()
        self._killed.append(helper)


def _named(asked: _Asked) -> list[str]:
    stores = asked.key[0]
    if not stores:
        return ["  the store of $SPACK_KERNEL_STORE, $SPACK_ROOT or the spack on PATH"]
    return ["  store: " + " > ".join(stores)]


def _too_late(asked: _Asked, reason: str = "") -> SlowStoreError:
    tried = " or ".join(f"`ls {place}`" for place in asked.key[0]) or "`ls` of its directory"
    return SlowStoreError(
        f"{asked.doing} timed out after {asked.timeout:g} s" + (f": {reason}" if reason else ""),
        details=_named(asked),
        hint=f"A file system may hang. If {tried} in a terminal does not answer either,\nask the "
        "administrators whether that file system is available on this machine.",
    )


os.register_at_fork(after_in_child=_Helpers.forget)
