"""A small real Slurm: a controller on this machine, and two nodes in namespaces of their own."""

from __future__ import annotations

import contextlib
import os
import random
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from tests.places import ROOT

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
PreemptType=preempt/partition_prio
PreemptMode=CANCEL
PartitionName=all Nodes=n1,n2 Default=YES MaxTime=INFINITE State=UP PriorityTier=1
PartitionName=urgent Nodes=n1,n2 MaxTime=INFINITE State=UP PriorityTier=10 PreemptMode=OFF
"""

# The shell stays: it is the init of the namespace, which reaps what the jobs leave.
# A FUSE mount of another test would go on in the namespace, and keep that test waiting.
_NODE = """\
hostname {name}
grep ' fuse' /proc/self/mounts | cut -d' ' -f2 | while read -r place; do
    umount --lazy "$place"
done
mkdir {directory}/tmp.{name}
for shared in {shared}; do
    mkdir -p {directory}/tmp.{name}$shared
    mount --bind $shared {directory}/tmp.{name}$shared
done
mount --rbind {directory}/tmp.{name}/tmp /tmp && chmod 1777 /tmp
test ! -d /run/user || mount -t tmpfs none /run/user
mount --bind {directory}/hosts /etc/hosts
# Each job starts a login shell for the user's variables. What a developer has in these files can be
# slow, or hold a lock that a job that is killed leaves behind.
for file in .profile .bash_profile .bash_login .bashrc; do
    test ! -f ~/$file || mount --bind /dev/null ~/$file
done
ip link set lo up
until ip link set eth0 up 2>/dev/null; do sleep 0.02; done
ip addr add {address}/24 dev eth0
slurmd -D -N {name}
:"""


class SlurmCluster:
    """A cluster of two nodes with twelve CPUs each.

    The nodes share all files with this machine, apart from `/tmp` and `/run/user`: there they have
    directories of their own.

    Parameters
    ----------
    shared : sequence of Path
        Directories under `/tmp` that the nodes share nevertheless.

    Attributes
    ----------
    address : str
        The address at which the nodes reach this machine.
    addresses : dict of str to str
        The addresses of the nodes.
    environment : dict of str to str
        What Slurm's commands need.
    """

    def __init__(self, shared: Sequence[Path] = ()) -> None:
        for command, package in COMMANDS.items():
            if shutil.which(command, path=f"{os.environ['PATH']}:/usr/sbin:/sbin") is None:
                pytest.skip(f"missing component: {command} (Debian: apt-get install {package})")
        if os.geteuid() != 0:
            pytest.skip("missing component: root, who can make namespaces and run a Slurm")
        # munged wants parents that others can enter, and a path shorter than that of a socket.
        self.directory = Path(tempfile.mkdtemp(prefix="slurm"))
        # The repository, its Python and its demo store may be there.
        own = {ROOT, Path(sys.prefix), Path(sys.base_prefix), *shared, self.directory}
        under = [path.resolve() for path in own if path.resolve().is_relative_to("/tmp")]
        self._shared = " ".join(shlex.quote(str(path)) for path in under)
        self._tag = os.urandom(3).hex()
        self._bridge = f"sb{self._tag}"
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self.environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("SLURM", "SBATCH", "SRUN", "SALLOC"))
        }
        self.environment["SLURM_CONF"] = str(self.directory / "slurm.conf")
        self.environment["PATH"] += ":/usr/sbin:/sbin"
        network = self._free_network()
        self.address = f"{network}.1"
        self.addresses = {name: f"{network}.{11 + i}" for i, name in enumerate(NODES)}
        try:
            self._start()
        except BaseException:
            self.stop()
            raise

    def _free_network(self) -> str:
        """Return the first three numbers of a network that nothing on this machine uses."""
        used = subprocess.run(
            ["ip", "-4", "-brief", "address"], env=self.environment, capture_output=True, text=True
        ).stdout
        networks = [f"198.{second}.{third}" for second in (18, 19) for third in range(256)]
        return random.choice([each for each in networks if f" {each}." not in used])

    def use(self, patch: pytest.MonkeyPatch) -> None:
        """Let this process and its children use the cluster."""
        for name in ("SLURM_CONF", "PATH"):
            patch.setenv(name, self.environment[name])

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

    def connect(self, node: str, *, connected: bool) -> None:
        """Connect a node to the network, or cut it off."""
        self._ip("link", "set", node + self._tag, "up" if connected else "down")

    def fill(self, partition: str = "all") -> str:
        """Start a job that has all nodes, and return it."""
        options = (f"--partition={partition}", "-N2", "--exclusive", "--output=/dev/null")
        job = self.run("sbatch", "--parsable", *options, "--wrap=sleep 600").strip()
        self._wait_for(lambda: self.state(job) == "RUNNING")
        return job

    def state(self, job: str) -> str:
        """Return the state of a job, such as RUNNING."""
        return self.run("squeue", "-h", "-t", "all", "-j", job, "-o", "%T").strip()

    def jobs(self) -> list[str]:
        """Return the jobs that are waiting or running."""
        return self.run("squeue", "-h", "-o", "%i %T").splitlines()

    def start_controller(self) -> None:
        """Start the controller; `stop_one` has stopped it."""
        self._run_daemon("slurmctld", "-D")
        self._wait_for(lambda: "UP" in self.run("scontrol", "ping"))

    def start_node(self, name: str) -> None:
        """Start a node that `stop_one` has stopped, and wait until it can have jobs."""
        self._start_node(name)
        self._wait_for(
            lambda: (
                self.run("sinfo", "-h", "-p", "all", "-n", name, "-o", "%t").strip()
                in ("idle", "mix")
            )
        )

    def pids(self, node: str, pattern: str) -> list[int]:
        """Return the processes on a node of which the command line contains a text."""
        wanted = Path(f"/proc/{self._init(node)}/ns/pid").readlink()
        found = []
        for directory in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                line = (directory / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                if pattern in line and (directory / "ns/pid").readlink() == wanted:
                    found.append(int(directory.name))
        return found

    def signal(self, node: str, pid: int, number: int) -> None:
        """Send a signal to a process by the number that it has on its node."""
        subprocess.run(
            [
                "nsenter",
                f"--target={self._init(node)}",
                "--pid",
                "--mount",
                "kill",
                f"-{number}",
                str(pid),
            ],
            check=False,
            capture_output=True,
        )

    def _init(self, node: str) -> int:
        pid = self._processes[node].pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text()
        return int(children.split()[0])

    def stop(self) -> None:
        """End all nodes with everything that runs on them, and the controller."""
        for name in (*NODES, "slurmctld", "munged"):
            self.stop_one(name)
        with contextlib.suppress(subprocess.CalledProcessError):
            self._ip("link", "del", self._bridge)
        shutil.rmtree(self.directory)

    def stop_one(self, *names: str) -> None:
        """End a node with everything that runs on it, or the controller."""
        for name in names:
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
            f"NodeName={name} NodeHostname={name} NodeAddr={address} Port={_PORT} CPUs=12 "
            "RealMemory=4000 State=UNKNOWN"
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
        # A slurmd that finds no controller tries again only after a long time.
        self.start_controller()
        for name in NODES:
            self._start_node(name)
        self._wait_for(
            lambda: (
                self.run("sinfo", "-h", "-N", "-p", "all", "-o", "%t").split()
                == ["idle"] * len(NODES)
            )
        )

    def _start_node(self, name: str) -> None:
        script = _NODE.format(
            name=name,
            directory=self.directory,
            address=self.addresses[name],
            shared=self._shared,
        )
        shutil.rmtree(self.directory / f"tmp.{name}", ignore_errors=True)
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


def main() -> None:
    """Run a cluster until Ctrl+C, and print what a shell needs to use it."""
    # Also when a shell has started it in the background, where SIGINT would be ignored.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: sys.exit())
    cluster = SlurmCluster()
    print(f"export SLURM_CONF={cluster.environment['SLURM_CONF']} PATH=$PATH:/usr/sbin:/sbin")
    print(f"# {cluster.address} is this machine; the nodes: {cluster.addresses}", flush=True)
    try:
        while True:
            signal.pause()
    finally:
        cluster.stop()


if __name__ == "__main__":
    main()
