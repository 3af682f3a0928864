"""Encrypted connections, connections through Unix sockets, and file permissions."""

from __future__ import annotations

import json
import os
import socket
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from queue import Empty
from typing import Any

import pytest
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager

from spack_kernel.demo import DemoStore
from spack_kernel.jupyter.failure import KernelStartError
from spack_kernel.jupyter.kernelspecs.files import install_kernelspec
from spack_kernel.kernels.candidates.candidates import Survey
from spack_kernel.kernels.plan.plan import plan_kernel
from spack_kernel.kernels.request import KernelRequest
from spack_kernel.kernels.sockets import SocketDirectory
from spack_kernel.spack import Store
from spack_kernel.spack.errors import SpackKernelError
from tests.cloned_store import ClonedStore
from tests.grown_store import from_pypi
from tests.jupyter.conftest import Running, WriteKernel, execute

pytestmark = pytest.mark.usefixtures("jupyter_home")


@pytest.fixture(scope="module")
def able(demo_store: DemoStore, tmp_path_factory: pytest.TempPathFactory) -> ClonedStore:
    """Return the demo store with a second ipykernel, which supports encryption."""
    store = ClonedStore(demo_store, tmp_path_factory.mktemp("able") / "store")
    recorded = store.records[store.hash("py-ipykernel")]["spec"]["dependencies"]
    names = {edge["name"] for edge in recorded} - {"python", "py-jupyter-client"}
    core, others = store.hash("py-jupyter-core"), ["py-pyzmq", "py-tornado", "py-traitlets"]
    client_needs = [core, store.hash("py-python-dateutil"), *map(store.hash, others)]
    client = from_pypi(store, "jupyter_client==8.9.0", *client_needs)
    asyncio = from_pypi(store, "nest_asyncio2==1.7.0")
    needs = [store.hash(name) for name in sorted(names)]
    from_pypi(store, "ipykernel==7.3.0", client, asyncio, *needs)
    store.save()
    return store


def install(root: Path, query: str, companion: str = "auto") -> str:
    """Install a kernelspec for a query and return the name."""
    store = Store.open(root)
    plan = plan_kernel(store, [store.get(query)], companion=companion)
    return install_kernelspec(plan, KernelRequest(companion=companion), user=True).name


def declared(home: Path, name: str) -> Any:
    content = json.loads((home / "data" / "kernels" / name / "kernel.json").read_text())
    return content["metadata"].get("supported_encryption")


class TestWhereItCan:
    def test_a_kernel_that_must_encrypt_does(
        self, able: ClonedStore, jupyter_home: Path, start: Any
    ) -> None:
        name = install(able.root, "py-libensemble")
        assert declared(jupyter_home, name) == ["curve"]
        manager, client = start(name, transport_encryption="required")
        assert execute(client, "import libensemble; print(6 * 7)") == "42"
        connection = json.loads(Path(manager.connection_file).read_text())
        assert {"curve_publickey", "curve_secretkey"} <= set(connection)
        # A client that knows everything except the keys gets no reply.
        plain = BlockingKernelClient()
        known = {key: value for key, value in connection.items() if "curve" not in key}
        plain.load_connection_info(known)
        plain.start_channels(hb=False)
        plain.kernel_info()
        with pytest.raises(Empty):
            plain.get_shell_msg(timeout=3)
        plain.stop_channels()

    def test_it_does_so_after_a_restart(self, able: ClonedStore, start: Any) -> None:
        manager, client = start(install(able.root, "py-libensemble"), transport_encryption="auto")
        manager.restart_kernel(now=True)
        client.wait_for_ready(timeout=60)
        assert execute(client, "print(6 * 7)") == "42"
        assert "curve_publickey" in json.loads(Path(manager.connection_file).read_text())

    def test_what_a_stand_in_says_is_encrypted_too(
        self, able: ClonedStore, demo_store: DemoStore, tmp_path: Path, start: Any
    ) -> None:
        link = tmp_path / "store"
        link.symlink_to(able.root)
        name = install(link, "py-libensemble")
        manager, client = start(name, transport_encryption="required")
        link.unlink()
        manager.restart_kernel(now=True)
        client.wait_for_ready(timeout=60)
        assert "there is no directory" in execute(client, "1")

    def test_a_survey_and_a_plan_agree(self, able: ClonedStore) -> None:
        store = Store.open(able.root)
        survey = Survey(store)
        for query in ("py-libensemble", "py-ipykernel@7.2.0", "py-ipykernel@7.3.0", "py-pyzmq"):
            spec = store.get(query)
            plan = plan_kernel(store, [spec])
            candidate = survey.candidate(spec)
            assert candidate.encryption is not bool(plan.unencrypted)
            assert candidate.debugger is plan.debugger

    def test_an_older_client_of_the_specs_own_cannot(self, able: ClonedStore) -> None:
        store = Store.open(able.root)
        spec = store.get("py-jupyter-client@8.8.0")
        plan = plan_kernel(store, [spec])
        assert plan.ipykernel is not None
        assert plan.ipykernel.version == "7.3.0"
        assert plan.unencrypted == f"{spec.label} cannot encrypt; 8.9 is the first that can"
        assert not Survey(store).candidate(spec).encryption


class TestWhereItCannot:
    def test_it_is_not_declared_and_jupyter_refuses(
        self, demo_store: DemoStore, jupyter_home: Path
    ) -> None:
        name = install(demo_store.root, "py-libensemble")
        assert declared(jupyter_home, name) is None
        manager = KernelManager(kernel_name=name, transport_encryption="required")
        with pytest.raises(RuntimeError, match="does not declare"):
            manager.start_kernel()

    def test_where_it_is_declared_nevertheless_the_refusal_is_ours(
        self, demo_store: DemoStore, write_kernel: WriteKernel
    ) -> None:
        key = demo_store.hash("py-libensemble")
        path = write_kernel("claims", hash=key, store=str(demo_store.root))
        self.claim(path)
        manager = KernelManager(kernel_name="claims", transport_encryption="required")
        with pytest.raises(KernelStartError) as told:
            manager.start_kernel()
        python = Store.open(demo_store.root).get("python").hash[:7]
        assert str(told.value) == (
            f"the connection to the kernel of py-libensemble@1.5.0/{key[:7]} cannot be encrypted: "
            "ipykernel 7.2.0 cannot encrypt; 7.3 is the first that can\n"
            "  but `transport_encryption` is set to `required`\n"
            f"  requested by {path}\n"
            "Install an ipykernel that supports encryption, for the same python:\n"
            f"  spack install py-ipykernel@7.3: ^/{python}"
        )

    def test_where_it_is_only_wished_for_the_kernel_starts_without(
        self, demo_store: DemoStore, write_kernel: WriteKernel, start: Any
    ) -> None:
        key = demo_store.hash("py-libensemble")
        self.claim(write_kernel("claims", hash=key, store=str(demo_store.root)))
        manager, client = start("claims", transport_encryption="auto")
        assert execute(client, "print(6 * 7)") == "42"
        assert "curve_publickey" not in json.loads(Path(manager.connection_file).read_text())

    def claim(self, path: Path) -> None:
        content = json.loads(path.read_text())
        content["metadata"]["supported_encryption"] = "curve"
        path.write_text(json.dumps(content))


@pytest.mark.parametrize("encryption", ["disabled", "required"])
def test_a_kernel_talks_through_sockets_in_the_file_system(
    able: ClonedStore, start: Any, jupyter_home: Path, encryption: str
) -> None:
    name = install(able.root, "py-libensemble")
    with tempfile.TemporaryDirectory(dir="/tmp") as short:
        ip = f"{short}/s"
        running: Running = start(name, transport="ipc", ip=ip, transport_encryption=encryption)
        assert execute(running[1], "print(6 * 7)") == "42"
        sockets = [path for path in Path(short).iterdir() if path.is_socket()]
        assert len(sockets) == 5
        running[0].shutdown_kernel(now=True)
        assert not [*Path(short).iterdir()]


@pytest.fixture
def far(jupyter_home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give Jupyter a runtime directory whose path is too long for a socket."""
    directory = jupyter_home / "home" / ("x" * 100) / "runtime"
    directory.mkdir(parents=True, mode=0o700)
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(directory))
    return directory


class TestBelowALongHome:
    def test_the_sockets_lie_where_only_the_owner_can_go(
        self, demo_store: DemoStore, start: Any, far: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        name = install(demo_store.root, "py-libensemble")
        # As on a server: a path in its runtime directory.
        ip = str(far / "kernel-ipc")
        with tempfile.TemporaryDirectory(dir="/tmp") as short:
            monkeypatch.setenv("XDG_RUNTIME_DIR", short)
            manager, client = start(name, transport="ipc", ip=ip)
            assert execute(client, "print(6 * 7)") == "42"
            (directory,) = Path(short).iterdir()
            assert stat.S_IMODE(directory.stat().st_mode) == 0o700
            assert len([path for path in directory.iterdir() if path.is_socket()]) == 5
            manager.restart_kernel(now=True)
            client.wait_for_ready(timeout=60)
            assert execute(client, "print(6 * 7)") == "42"
            assert [*Path(short).iterdir()] == [directory]
            manager.shutdown_kernel(now=True)
            assert not [*Path(short).iterdir()]
            assert manager.ip == ip

    def test_a_kernel_that_dies_leaves_nothing(
        self,
        demo_store: DemoStore,
        far: Path,
        monkeypatch: pytest.MonkeyPatch,
        write_kernel: WriteKernel,
    ) -> None:
        store = str(demo_store.root)
        write_kernel("dies", ["python", "-c", "exit(3)"], spec="py-libensemble", store=store)
        with tempfile.TemporaryDirectory(dir="/tmp") as short:
            monkeypatch.setenv("XDG_RUNTIME_DIR", short)
            with pytest.raises(KernelStartError):
                KernelManager(kernel_name="dies", transport="ipc").start_kernel()
            assert not [*Path(short).iterdir()]
        assert not [*far.iterdir()]

    def test_what_a_killed_server_leaves_is_removed(self, tmp_path: Path) -> None:
        with tempfile.TemporaryDirectory(dir="/tmp") as short:
            environ = {"XDG_RUNTIME_DIR": short}
            running = Path(SocketDirectory(environ).path)
            # No process has such a large PID.
            dead, alive, empty = (
                Path(short, f"spack-kernel-ipc-{2**31 - 1}-{name}")
                for name in ("dead", "alive", "empty")
            )
            empty.mkdir()
            for directory in (running, dead, alive):
                directory.mkdir(exist_ok=True)
                listener = socket.socket(socket.AF_UNIX)
                listener.bind(str(directory / "ipc-1"))
                listener.listen()
                if directory != alive:
                    listener.close()
            SocketDirectory(environ).remove()
            assert {*Path(short).iterdir()} == {running, alive}
            listener.close()
            SocketDirectory(environ).remove()
            assert {*Path(short).iterdir()} == {running}

    def test_a_place_that_cannot_be_written_is_passed_over(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / ("x" * 100)))
        sockets = SocketDirectory({"XDG_RUNTIME_DIR": str(tmp_path / "missing")})
        assert Path(sockets.path).parent == Path("/tmp")
        sockets.remove()

    def test_no_place_is_told(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail(**_: str) -> str:
            raise PermissionError("no")

        monkeypatch.setattr(tempfile, "mkdtemp", fail)
        with pytest.raises(SpackKernelError) as caught:
            SocketDirectory({"XDG_RUNTIME_DIR": "/run/user/1"})
        assert "    /run/user/1\n" in str(caught.value)
        assert "Set XDG_RUNTIME_DIR" in str(caught.value)


class TestPrivate:
    @pytest.fixture(autouse=True)
    def careless(self) -> Iterator[None]:
        """Make new files readable and writable for everyone unless the code restricts them."""
        before = os.umask(0)
        yield
        os.umask(before)

    def test_what_a_running_kernel_leaves_is_its_owners_to_read(
        self, demo_store: DemoStore, jupyter_home: Path, start: Any
    ) -> None:
        manager, client = start(install(demo_store.root, "py-libensemble"))
        execute(client, "1")
        connection = Path(manager.connection_file)
        assert stat.S_IMODE(connection.stat().st_mode) == 0o600
        secret = json.loads(connection.read_text())["key"]
        assert secret
        for path in jupyter_home.rglob("*"):
            if path.is_file() and secret.encode() in path.read_bytes():
                assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path
        arguments = Path(f"/proc/{manager.provisioner.pid}/cmdline").read_bytes()
        assert secret.encode() not in arguments
