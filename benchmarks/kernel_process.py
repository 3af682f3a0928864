"""Start a kernel from a command line: time, CPU and file-system calls to its first reply."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.connect import write_connection_file

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

#: Maximum seconds that a kernel may take to its first reply, on a very slow file system.
_TIMEOUT = 300


class FirstReply(NamedTuple):
    """What a kernel needed until it had evaluated ``1 + 1``.

    Attributes
    ----------
    wall, cpu : float
        Seconds; `cpu` is that of the kernel's process.
    calls : int
        File-system calls if they were counted, otherwise 0.
    below : int
        How many of these were for a certain directory.
    """

    wall: float
    cpu: float
    calls: int
    below: int = 0


def first_reply(
    argv: Sequence[str],
    env: Mapping[str, str],
    *,
    count_calls: bool = False,
    code: str = "1 + 1",
    below: Path | None = None,
) -> FirstReply:
    """Start a kernel with `argv`, wait for its first reply and shut it down.

    Parameters
    ----------
    argv : sequence of str
        The command, with ``{connection_file}`` in place of the path of that file.
    env : mapping of str to str
        The whole environment.
    count_calls : bool
        Whether to run under ``strace``, which counts the calls but distorts the times.
    code : str
        What the kernel executes.
    below : Path, optional
        The directory whose calls are counted as well.
    """
    with tempfile.TemporaryDirectory() as directory:
        file, _ = write_connection_file(str(Path(directory, "connection.json")))
        command = [word.replace("{connection_file}", file) for word in argv]
        trace = Path(directory, "trace")
        if count_calls:
            what = "trace=%file,fstat,getdents64"
            options = ["-f", "--seccomp-bpf", "-qq", "-y", "-e", what, "-o", str(trace)]
            command = [_strace(), *options, *command]
        started = time.perf_counter()
        process = subprocess.Popen(
            command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        client = BlockingKernelClient(connection_file=file)
        try:
            client.load_connection_file()
            client.start_channels(hb=False)
            client.kernel_info()
            client.get_shell_msg(timeout=_TIMEOUT)
            client.execute(code)
            reply = client.get_shell_msg(timeout=_TIMEOUT)
            if reply["content"]["status"] != "ok":
                raise RuntimeError(f"the kernel cannot run {code!r}: {reply['content']}")
            wall = time.perf_counter() - started
            cpu = 0.0 if count_calls else _cpu_seconds(process.pid)
            client.shutdown()
            process.wait(30)
        finally:
            client.stop_channels()
            if process.poll() is None:
                process.kill()
                process.wait()
        calls = _calls(trace) if count_calls else []
        own = [line for line in calls if below is not None and f"{below}/" in line]
        return FirstReply(wall, cpu, len(calls), len(own))


def can_count_calls() -> bool:
    """Return whether ``strace`` is installed and can trace."""
    strace = shutil.which("strace")
    return (
        strace is not None
        and not subprocess.run(
            [strace, "-o", os.devnull, "true"], capture_output=True, check=False
        ).returncode
    )


def _strace() -> str:
    found = shutil.which("strace")
    if found is None:
        raise FileNotFoundError("strace")
    return found


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    ticks = int(fields[11]) + int(fields[12])  # utime and stime, proc(5)
    return ticks / os.sysconf("SC_CLK_TCK")


def _calls(trace: Path) -> list[str]:
    """Return the calls in strace's output; one that was interrupted by another counts once."""
    lines = trace.read_text(errors="replace").splitlines()
    return [line for line in lines if "(" in line and "resumed>" not in line]
