"""The channel between the relay, beside the server, and the node runner, in the job.

One encrypted connection carries everything: what both tell each other, and the messages of the
kernel's channels. The relay has its port; the node runner connects to it. Each knows the other's
public key, and no other is admitted.
"""

from __future__ import annotations

import errno
import json
import os
from typing import TYPE_CHECKING, Any

import msgspec
import zmq
import zmq.asyncio
import zmq.auth.asyncio

from spack_kernel.jupyter.errors import JobRefusedError
from spack_kernel.jupyter.helper import Prepare

from .bootstrap import Bootstrap, addresses_of_host, reachable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

#: How the node runner is called on the channel; a new connection of it replaces the former.
RUNNER = b"runner"

#: The kernel's channels that pass through; the heartbeat is answered beside the server.
CHANNELS = ("shell", "control", "stdin", "iopub")

#: The identity of the node runner at the kernel's sockets: stdin and shell must have the same.
PEER = b"spack-kernel"

_TELL = b"tell"


# -- what the relay tells --


class StartKernel(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Plan and start the kernel.

    Attributes
    ----------
    start : int
        The number of the start; messages about this kernel repeat it.
    question : Prepare
        What to plan. Its `base` is added to the variables of the job.
    command : list of str
        The kernel's command, with ``{connection_file}`` where the file belongs.
    key, signature_scheme : str
        How its messages are signed.
    transport : {"ipc", "tcp"}
        How it is reached on the node.
    """

    start: int
    question: Prepare
    command: list[str]
    key: str
    signature_scheme: str
    transport: str = "ipc"


class Signal(msgspec.Struct, frozen=True, tag=True):
    """Send a signal to the kernel and its children.

    Attributes
    ----------
    number : int
        Its number.
    """

    number: int


class End(msgspec.Struct, frozen=True, tag=True):
    """End the kernel and the node runner."""


class Beat(msgspec.Struct, frozen=True, tag=True):
    """The sender lives. Each renews the lease of the other with it."""


# -- what the node runner tells --


class Hello(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The node runner runs.

    Attributes
    ----------
    node : str
        Its node.
    """

    node: str


class Planned(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The kernel is planned.

    Attributes
    ----------
    name : str
        What it is loaded from.
    notes : list of (str, str)
        Topic and text of each note of the plan.
    """

    name: str
    notes: list[tuple[str, str]] = []


class Up(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The kernel answers.

    Attributes
    ----------
    start : int
        The number of its start.
    """

    start: int


class Refused(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The kernel could not be started.

    Attributes
    ----------
    start : int
        The number of the start.
    error : dict
        Why; see `SpackKernelError.as_dict`.
    """

    start: int
    error: dict[str, Any]


class KernelEnded(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The kernel's process has ended.

    Attributes
    ----------
    start : int
        The number of its start.
    status : int
        Its exit status; negative: the signal that ended it.
    """

    start: int
    status: int


class Printed(msgspec.Struct, frozen=True, tag=True):
    """The kernel printed something on its standard error.

    Attributes
    ----------
    text : str
        What it printed.
    """

    text: str


class Bye(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The node runner ends.

    Attributes
    ----------
    why : {"asked", "signal", "lease"}
        Because it was told to, because Slurm ends the job, or because the lease has expired.
    """

    why: str


Told = (
    StartKernel | Signal | End | Beat | Hello | Planned | Up | Refused | KernelEnded | Printed | Bye
)


def tell(body: Told) -> list[bytes]:
    """Return the frames that tell something."""
    # JSON as in the frames of the helper: a path may hold bytes that are not UTF-8.
    return [_TELL, json.dumps(msgspec.to_builtins(body)).encode("ascii")]


def told(frames: Sequence[bytes]) -> Told | None:
    """Return what frames tell; None for a message of a kernel's channel.

    Raises
    ------
    ValueError
        When they are neither.
    """
    if not frames or frames[0] != _TELL:
        return None
    try:
        body: Told = msgspec.convert(json.loads(frames[1]), Told)
    except (IndexError, msgspec.ValidationError) as error:
        raise ValueError(f"not a message of the channel: {error}") from error
    return body


# -- the sockets --


class _Admission:
    """Admits one key."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def callback(self, _domain: str, key: bytes) -> bool:
        """Return whether a caller with this public key is admitted."""
        return key == self._key


class RelayEnd:
    """The relay's end of the channel.

    Parameters
    ----------
    address : str
        The address or the name at which the nodes reach this machine; empty to let them try all.
    ports : (int, int)
        The first and the last port that may be used; (0, 0) for any.

    Attributes
    ----------
    socket : zmq.asyncio.Socket
        Receives from the node runner, and sends to `RUNNER`.
    port : int
        Its port.

    Raises
    ------
    JobRefusedError
        When no port is free.
    """

    def __init__(self, address: str, ports: tuple[int, int]) -> None:
        public, secret = zmq.curve_keypair()
        self._address = address
        self._public = public.decode()
        self._runner = zmq.curve_keypair()
        # An authenticator is of a whole context, so others cannot use this one.
        context = self._context = zmq.asyncio.Context()
        self._admission = zmq.auth.asyncio.AsyncioAuthenticator(context)
        self._admission.start()
        # What is documented as a provider of credentials; the stubs want a class of theirs.
        provider: Any = _Admission(self._runner[0])
        self._admission.configure_curve_callback("*", provider)
        self.socket = context.socket(zmq.ROUTER)
        self.socket.linger = 1000
        self.socket.rcvhwm = self.socket.sndhwm = 0
        self.socket.router_handover = True
        self.socket.curve_server = True
        self.socket.curve_publickey, self.socket.curve_secretkey = public, secret
        try:
            self.port = self._bind(ports)
        except BaseException:
            self.close()
            raise

    def _bind(self, ports: tuple[int, int]) -> int:
        # What the nodes call this machine need not be an address that it knows itself.
        first, last = ports
        if not first:
            return int(self.socket.bind_to_random_port("tcp://*"))
        for port in range(first, last + 1):
            if self._bind_to(f"tcp://*:{port}"):
                return port
        raise JobRefusedError(
            f"no port from {first} to {last} is free on {os.uname().nodename}",
            hint="Shut down kernels that are not used, or ask the administrators to set\n"
            "c.SpackSlurmProvisioner.ports to a larger range.",
        )

    def _bind_to(self, address: str) -> bool:
        try:
            self.socket.bind(address)
        except zmq.ZMQError as error:
            if error.errno == errno.EADDRINUSE:
                return False
            raise
        return True

    def bootstrap(self, lease: float) -> Bootstrap:
        """Return what the node runner needs to connect."""
        addresses = [self._address] if self._address else addresses_of_host()
        public, secret = (key.decode() for key in self._runner)
        return Bootstrap(
            addresses=addresses,
            port=self.port,
            relay_key=self._public,
            public_key=public,
            secret_key=secret,
            lease=lease,
        )

    async def losses(self) -> AsyncIterator[None]:
        """Yield each time that a connection is lost."""
        monitor: Any = self.socket.get_monitor_socket(zmq.EVENT_DISCONNECTED)
        while True:
            await monitor.recv_multipart()
            yield

    def close(self) -> None:
        """Close the socket, after what was sent has left."""
        self.socket.disable_monitor()
        self._admission.stop()
        self._context.destroy(linger=1000)


def runner_end(context: zmq.asyncio.Context, bootstrap: Bootstrap) -> zmq.asyncio.Socket:
    """Return the node runner's end of the channel.

    Raises
    ------
    JobEndedError
        When no address of the relay answers.
    """
    address = reachable(bootstrap.addresses, bootstrap.port)
    end = context.socket(zmq.DEALER)
    end.linger = 2000
    end.rcvhwm = end.sndhwm = 0
    end.identity = RUNNER
    end.curve_serverkey = bootstrap.relay_key.encode()
    end.curve_publickey = bootstrap.public_key.encode()
    end.curve_secretkey = bootstrap.secret_key.encode()
    end.connect(f"tcp://{address}:{bootstrap.port}")
    return end
