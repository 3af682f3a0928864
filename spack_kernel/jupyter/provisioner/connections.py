"""What a socket needs to take part in a kernel's connection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jupyter_client.session import Session

if TYPE_CHECKING:
    from collections.abc import Mapping

    import zmq


def address_of(connection: Mapping[str, Any], port: str) -> str:
    """Return the address of one of a kernel's channels.

    Parameters
    ----------
    connection : mapping
        The connection information, with ``transport``.
    port : str
        The key of the channel, such as ``shell_port``.
    """
    separator = "-" if connection["transport"] == "ipc" else ":"
    return f"{connection['transport']}://{connection['ip']}{separator}{connection[port]}"


def session_of(connection: Mapping[str, Any]) -> Session:
    """Return a session that signs messages as those of a connection are signed."""
    return Session(
        key=_bytes(connection.get("key", b"")),
        signature_scheme=connection.get("signature_scheme") or "hmac-sha256",
    )


def encrypt(
    socket: zmq.Socket[bytes], connection: Mapping[str, Any], *, serves: bool = False
) -> None:
    """Encrypt a socket if the connection is encrypted.

    Parameters
    ----------
    socket : zmq.Socket
        A socket that is not connected yet.
    connection : mapping
        The connection information.
    serves : bool
        Whether others connect to it.
    """
    public, secret = connection.get("curve_publickey"), connection.get("curve_secretkey")
    if not public or not secret:
        return
    # As in jupyter_client: both ends use the key pair of the connection.
    socket.curve_publickey, socket.curve_secretkey = _bytes(public), _bytes(secret)
    if serves:
        socket.curve_server = True
    else:
        socket.curve_serverkey = _bytes(public)


def _bytes(value: str | bytes) -> bytes:
    return value.encode() if isinstance(value, str) else value
