"""The channel between relay and node runner: who is admitted, and what passes."""

from __future__ import annotations

import asyncio
import threading
import time
from pathlib import Path

import msgspec
import pytest
import zmq
import zmq.asyncio

from spack_kernel.jupyter.errors import JobEndedError, JobRefusedError
from spack_kernel.jupyter.slurm.bootstrap import Bootstrap, read_bootstrap, write_bootstrap
from spack_kernel.jupyter.slurm.channel import Hello, RelayEnd, runner_end, tell, told

pytestmark = pytest.mark.kernel


@pytest.fixture
def bootstrap() -> Bootstrap:
    public, secret = (key.decode() for key in zmq.curve_keypair())
    return Bootstrap(
        addresses=["127.0.0.1"],
        port=1,
        relay_key=public,
        public_key=public,
        secret_key=secret,
        lease=5.0,
    )


async def _received(end: RelayEnd, seconds: float) -> list[bytes] | None:
    if not await end.socket.poll(seconds * 1000):
        return None
    frames: list[bytes] = await end.socket.recv_multipart()
    return frames


def test_the_node_runner_is_admitted_and_no_other() -> None:
    async def scenario() -> None:
        end, clients = RelayEnd("127.0.0.1", (0, 0)), zmq.asyncio.Context()
        own = end.bootstrap(5.0)
        stranger = dict(zip(("public_key", "secret_key"), _keys(), strict=True))
        wrong = msgspec.structs.replace(own, **stranger)
        first = runner_end(clients, wrong)
        await first.send_multipart(tell(Hello(node="x")))
        assert await _received(end, 0.7) is None
        plain = clients.socket(zmq.DEALER)
        plain.connect(f"tcp://127.0.0.1:{end.port}")
        await plain.send_multipart(tell(Hello(node="x")))
        assert await _received(end, 0.7) is None
        right = runner_end(clients, own)
        await right.send_multipart(tell(Hello(node="n1")))
        frames = await _received(end, 10)
        assert frames is not None
        assert told(frames[1:]) == Hello(node="n1")
        clients.destroy(linger=0)
        end.close()

    asyncio.run(scenario())


def test_a_server_with_another_key_learns_nothing() -> None:
    async def scenario() -> None:
        end, clients = RelayEnd("127.0.0.1", (0, 0)), zmq.asyncio.Context()
        own = end.bootstrap(5.0)
        wrong = msgspec.structs.replace(own, relay_key=_keys()[0])
        deceived = runner_end(clients, wrong)
        await deceived.send_multipart(tell(Hello(node="n1")))
        assert await _received(end, 0.7) is None
        clients.destroy(linger=0)
        end.close()

    asyncio.run(scenario())


def _keys() -> tuple[str, str]:
    public, secret = zmq.curve_keypair()
    return public.decode(), secret.decode()


def test_a_range_of_ports() -> None:
    async def scenario() -> None:
        first = RelayEnd("127.0.0.1", (0, 0))
        port = first.port
        with pytest.raises(JobRefusedError, match=f"no port from {port} to {port} is free"):
            RelayEnd("127.0.0.1", (port, port))
        first.close()

    asyncio.run(scenario())


def test_an_unreachable_relay_is_told(bootstrap: Bootstrap) -> None:
    with zmq.asyncio.Context() as clients, pytest.raises(JobEndedError) as caught:
        runner_end(clients, bootstrap)
    assert "127.0.0.1:1: Connection refused" in str(caught.value)
    assert "c.SpackSlurmProvisioner.ports" in str(caught.value)


def test_the_file_is_for_its_owner_and_may_come_late(tmp_path: Path, bootstrap: Bootstrap) -> None:
    path = tmp_path / "bootstrap.json"

    def write() -> None:
        time.sleep(0.5)
        write_bootstrap(tmp_path, bootstrap)

    thread = threading.Thread(target=write)
    thread.start()
    assert read_bootstrap(path) == bootstrap
    thread.join()
    assert path.stat().st_mode & 0o777 == 0o600
    assert [each.name for each in tmp_path.iterdir()] == ["bootstrap.json"]
    path.chmod(0o644)
    with pytest.raises(JobEndedError, match="others than you"):
        read_bootstrap(path)


def test_a_file_that_never_comes_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spack_kernel.jupyter.slurm.bootstrap._FILE_TIMEOUT", 0.3)
    with pytest.raises(JobEndedError, match="does not see the file") as caught:
        read_bootstrap(tmp_path / "bootstrap.json")
    assert "c.SpackSlurmProvisioner.job_directory" in str(caught.value)


def test_what_is_not_a_message_is_refused() -> None:
    assert told([b"shell", b"x"]) is None
    for frames in ([b"tell"], [b"tell", b"{}"], [b"tell", b"no json"]):
        with pytest.raises(ValueError, match=r"channel|Expecting"):
            told(frames)
