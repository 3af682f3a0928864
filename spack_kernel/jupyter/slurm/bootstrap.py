"""The bootstrap file: what the node runner needs to call back, which only its owner can read."""

from __future__ import annotations

import os
import socket
import time
from typing import TYPE_CHECKING

import msgspec

from spack_kernel.jupyter.errors import JobEndedError
from spack_kernel.spack.system import replace_file

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

#: Seconds that the node waits for the bootstrap file: a shared file system can show it late.
_FILE_TIMEOUT = 60.0

#: Seconds in which one address of the relay must accept a connection.
_CONNECT_TIMEOUT = 3.0


class Bootstrap(msgspec.Struct, frozen=True, kw_only=True):
    """What the node runner needs to call back. It is secret: a file that only its owner reads.

    Attributes
    ----------
    addresses : list of str
        The addresses of the relay's machine, to be tried in turn.
    port : int
        The relay's port.
    relay_key : str
        The relay's public key.
    public_key, secret_key : str
        The key pair of the node runner.
    lease : float
        Seconds after which either gives up a silent other.
    """

    addresses: list[str]
    port: int
    relay_key: str
    public_key: str
    secret_key: str
    lease: float


def write_bootstrap(directory: Path, bootstrap: Bootstrap) -> Path:
    """Write the bootstrap file so that only its owner can read it, complete or not at all.

    Raises
    ------
    OSError
        When it cannot be written.
    """
    path = directory / "bootstrap.json"
    replace_file(path, msgspec.json.encode(bootstrap), 0o600)
    return path


def read_bootstrap(path: Path) -> Bootstrap:
    """Read the bootstrap file; wait for a file system that shows it late.

    Raises
    ------
    JobEndedError
        When it does not appear, or others can read it.
    """
    deadline = time.monotonic() + _FILE_TIMEOUT
    while (data := _read(path)) is None:
        if time.monotonic() > deadline:
            raise JobEndedError(
                f"{os.uname().nodename} does not see the file {path}",
                details=[f"  although it has waited for {_FILE_TIMEOUT:g} s"],
                hint="It must be in a file system that the nodes share: set\n"
                "c.SpackSlurmProvisioner.job_directory.",
            )
        time.sleep(0.2)
    return msgspec.json.decode(data, type=Bootstrap)


def _read(path: Path) -> bytes | None:
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return None
    with file:
        status = os.fstat(file.fileno())
        if status.st_uid != os.getuid() or status.st_mode & 0o077:
            raise JobEndedError(f"others than you can read or replace {path}")
        return file.read()


def addresses_of_host() -> list[str]:
    """Return the addresses at which other machines may reach this one: by its name, then others."""
    from jupyter_client.localinterfaces import public_ips

    found = [*_addresses_of(socket.getfqdn()), *_addresses_of(os.uname().nodename), *public_ips()]
    return [each for each in dict.fromkeys(found) if not each.startswith("127.")] or ["127.0.0.1"]


def _addresses_of(name: str) -> list[str]:
    try:
        return [str(each[4][0]) for each in socket.getaddrinfo(name, None, socket.AF_INET)]
    except OSError:
        return []


def reachable(addresses: Iterable[str], port: int) -> str:
    """Return the first of the relay's addresses that accepts a connection.

    Raises
    ------
    JobEndedError
        When none does.
    """
    tried = []
    for address in addresses:
        error = _connection_error(address, port)
        if error is None:
            return address
        tried.append(f"  {address}:{port}: {error.strerror or error}")
    raise JobEndedError(
        f"{os.uname().nodename} reaches no address of the machine on which Jupyter runs",
        details=tried,
        hint="A firewall may be between them. Ask the administrators to open a range of ports and\n"
        "to set c.SpackSlurmProvisioner.ports to it, and .address to the right interface.",
    )


def _connection_error(address: str, port: int) -> OSError | None:
    try:
        socket.create_connection((address, port), _CONNECT_TIMEOUT).close()
    except OSError as error:
        return error
    return None
