"""A small real Slurm: a controller on this machine, and two nodes in namespaces of their own."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

#: The commands that a cluster consists of, each with the Debian package that has it.
COMMANDS = {
    "munged": "munge",
    "slurmctld": "slurmctld",
    "slurmd": "slurmd",
    "sbatch": "slurm-client",
    "ip": "iproute2",
    "unshare": "util-linux",
}

NODES = ("n1", "n2")

_PORT = 6818

_CONF = """\
ClusterName=t{tag}
SlurmctldHost={host}({address})
SlurmctldPort={port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={directory}/munge.socket
CredType=cred/munge
StateSaveLocation={directory}/state
SlurmdSpoolDir={directory}/spool.%n
SlurmctldPidFile={directory}/slurmctld.pid
SlurmdPidFile={directory}/slurmd.%n.pid
SlurmctldLogFile={directory}/slurmctld.log
SlurmdLogFile={directory}/slurmd.%n.log
MailProg=/bin/true
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
SwitchType=switch/none
MpiDefault=none
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=1,sched_interval=1,bf_interval=1
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
ReturnToService=2
KillWait=5
{nodes}
PartitionName=all Nodes=n1,n2 Default=YES MaxTime=INFINITE State=UP
"""

# The shell stays: it is the init of the namespace, which reaps what the jobs leave.
_NODE = """\
hostname {name}
mount --bind {directory}/hosts /etc/hosts
ip link set lo up
until ip link set eth0 up 2>/dev/null; do sleep 0.02; done
ip addr add {address}/24 dev eth0
slurmd -D -N {name}
:"""


class SlurmCluster:
    """A cluster of two nodes with four CPUs each.

    Attributes
    ----------
    address : str
        The address at which the nodes reach this machine.
    addresses : dict of str to str
        The addresses of the nodes.
    environment : dict of str to str
        What Slurm's commands need.
    """

    def __init__(self) -> None:
        for command, package in COMMANDS.items():
            if shutil.which(command, path=f"{os.environ['PATH']}:/usr/sbin:/sbin") is None:
                pytest.skip(f"missing component: {command} (Debian: apt-get install {package})")
        if os.geteuid() != 0:
            pytest.skip("missing component: root, who can make namespaces and run a Slurm")
        # munged wants parents that others can enter, and a path shorter than that of a socket.
        self.directory = Path(tempfile.mkdtemp(prefix="slurm"))
        self._tag = os.urandom(3).hex()
        self._bridge = f"sb{self._tag}"
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        network = f"198.{random.choice((18, 19))}.{random.randrange(256)}"
        self.address = f"{network}.1"
        self.addresses = {name: f"{network}.{11 + i}" for i, name in enumerate(NODES)}
        self.environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("SLURM", "SBATCH", "SRUN", "SALLOC"))
        }
        self.environment["SLURM_CONF"] = str(self.directory / "slurm.conf")
        self.environment["PATH"] += ":/usr/sbin:/sbin"
        try:
            self._start()
        except BaseException:
            self.stop()
            raise

    def run(self, *command: str, env: Mapping[str, str] | None = None, script: str = "") -> str:
        """Run one of Slurm's commands, and return what it prints."""
        done = subprocess.run(
            command,
            env={**self.environment, **(env or {})},
            input=script,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
        )
        return done.stdout

    def batch(self, script: str, *options: str, timeout: float = 60) -> tuple[str, str]:
        """Run a batch script to its end, and return the state of the job and its output."""
        output = self.directory / f"job{time.monotonic_ns()}.out"
        said = self.run("sbatch", "--parsable", f"--output={output}", *options, script=script)
        job = said.split()[-1]
        deadline = time.monotonic() + timeout
        active = {"PENDING", "CONFIGURING", "RUNNING", "COMPLETING"}
        while (state := self.state(job)) in active:
            assert time.monotonic() < deadline, f"job {job} is {state}"
            time.sleep(0.05)
        return state, output.read_text() if output.exists() else said

    def state(self, job: str) -> str:
        """Return the state of a job, such as RUNNING."""
        return self.run("squeue", "-h", "-t", "all", "-j", job, "-o", "%T").strip()

    def jobs(self) -> list[str]:
        """Return the jobs that are waiting or running."""
        return self.run("squeue", "-h", "-o", "%i %T").splitlines()

    def stop(self) -> None:
        """End all nodes with everything that runs on them, and the controller."""
        for name in (*NODES, "slurmctld", "munged"):
            process = self._processes.pop(name, None)
            if process is None or process.poll() is not None:
                continue
            # All processes of a PID namespace end with its init.
            children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
            for child in children.split() if name in NODES else ():
                os.kill(int(child), signal.SIGKILL)
            if name not in NODES or not children:
                process.terminate()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        with contextlib.suppress(subprocess.CalledProcessError):
            self._ip("link", "del", self._bridge)
        shutil.rmtree(self.directory)

    def logs(self) -> str:
        """Return the ends of all logs."""
        return "\n".join(
            f"== {path.name}\n{path.read_text(errors='replace')[-2000:]}"
            for path in sorted([*self.directory.glob("*.log"), *self.directory.glob("*.out")])
        )

    def _start(self) -> None:
        directory = self.directory
        directory.chmod(0o755)
        for name in ("state", *(f"spool.{node}" for node in NODES)):
            (directory / name).mkdir()
        key = directory / "munge.key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o400)
        with socket.socket() as probe:
            probe.bind(("", 0))
            port = probe.getsockname()[1]
        self._ip("link", "add", self._bridge, "type", "bridge")
        self._ip("addr", "add", f"{self.address}/24", "dev", self._bridge)
        self._ip("link", "set", self._bridge, "up")
        host = socket.gethostname().split(".")[0]
        known = {"localhost": "127.0.0.1", host: self.address, **self.addresses}
        hosts = "".join(f"{address} {name}\n" for name, address in known.items())
        (directory / "hosts").write_text(hosts)
        nodes = "\n".join(
            f"NodeName={name} NodeHostname={name} NodeAddr={address} Port={_PORT} CPUs=4 "
            "State=UNKNOWN"
            for name, address in self.addresses.items()
        )
        conf = _CONF.format(
            tag=self._tag,
            host=host,
            address=self.address,
            port=port,
            directory=directory,
            nodes=nodes,
        )
        (directory / "slurm.conf").write_text(conf)
        munge = directory / "munge.socket"
        files = [f"--pid-file={directory}/munged.pid", f"--seed-file={directory}/munged.seed"]
        self._run_daemon(
            "munged", "-F", f"--key-file={key}", f"--socket={munge}", "--num-threads=2", *files
        )
        self._wait_for(munge.exists)
        self._run_daemon("slurmctld", "-D")
        for name in NODES:
            self._start_node(name)
        self._wait_for(
            lambda: self.run("sinfo", "-h", "-N", "-o", "%t").split() == ["idle"] * len(NODES)
        )

    def _start_node(self, name: str) -> None:
        script = _NODE.format(name=name, directory=self.directory, address=self.addresses[name])
        namespaces = ("--net", "--uts", "--pid", "--mount", "--fork", "--kill-child")
        process = self._run_daemon(
            "unshare", *namespaces, "--mount-proc", "sh", "-ec", script, name=name
        )
        ours = Path("/proc/self/ns/net").readlink()
        self._wait_for(lambda: Path(f"/proc/{process.pid}/ns/net").readlink() != ours)
        # The pair of devices ends with the node's namespace.
        pair = ("peer", "name", "eth0", "netns", str(process.pid))
        self._ip("link", "add", name + self._tag, "type", "veth", *pair)
        self._ip("link", "set", name + self._tag, "master", self._bridge, "up")

    def _run_daemon(self, *command: str, name: str = "") -> subprocess.Popen[bytes]:
        """Start a process that ends with this one, however that ends."""
        name = name or command[0]
        with (self.directory / f"{name}.out").open("wb") as log:
            process = subprocess.Popen(
                ("setpriv", "--pdeathsig", "KILL", *command),
                env=self.environment,
                cwd=self.directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._processes[name] = process
        return process

    def _wait_for(self, condition: Callable[[], bool], seconds: float = 30) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            ended = [name for name, each in self._processes.items() if each.poll() is not None]
            assert not ended, f"these ended: {ended}\n{self.logs()}"
            assert time.monotonic() < deadline, self.logs()
            time.sleep(0.05)

    def _ip(self, *arguments: str) -> None:
        subprocess.run(["ip", *arguments], check=True, env=self.environment)
