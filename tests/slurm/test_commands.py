"""The commands for kernels in jobs, as a user types them where Slurm is."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from spack_kernel.demo import DemoStore
from tests.accounts import Account
from tests.cloned_store import ClonedStore

from .cluster import SlurmCluster

pytestmark = pytest.mark.timeout(300)


class Shell:
    """A user's shell with a home directory of its own."""

    def __init__(self, cluster: SlurmCluster, home: Path) -> None:
        self.config = home / "config"
        self.config.mkdir()
        keep = ("PATH", "SLURM_CONF")
        self._environment = {
            **{name: cluster.environment[name] for name in keep},
            "HOME": str(home),
            "LANG": "C.UTF-8",
            "JUPYTER_DATA_DIR": str(home / "data"),
            "JUPYTER_CONFIG_DIR": str(self.config),
            "JUPYTER_RUNTIME_DIR": str(home / "runtime"),
            "SPACK_KERNEL_CACHE": "",
        }

    def run(self, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "spack_kernel", *words]
        environment = {**self._environment, **variables}
        return subprocess.run(
            command, env=environment, cwd=os.sep, capture_output=True, text=True, timeout=120
        )


@pytest.fixture
def shell(cluster: SlurmCluster, demo_store: DemoStore, tmp_path: Path) -> Shell:
    shell = Shell(cluster, tmp_path)
    where = ("--user", "--name", "job", "--store", str(demo_store.root))
    done = shell.run("install", *where, "--slurm", "time=10", "py-libensemble")
    assert done.returncode == 0, done.stderr
    return shell


def test_check_starts_the_kernel_in_a_job(shell: Shell, cluster: SlurmCluster) -> None:
    done = shell.run("check", "job")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "The kernel works: 1 module imported" in done.stdout
    assert not cluster.jobs()


def test_check_says_what_a_job_waits_for(shell: Shell, cluster: SlurmCluster) -> None:
    full = cluster.fill()
    try:
        done = shell.run("check", "--timeout", "3", "job")
        assert done.returncode == 1
        assert "the kernel is not there after 3 s" in done.stderr
        assert "pending (Resources)" in done.stderr
        assert cluster.jobs() == [f"{full} RUNNING"]
    finally:
        cluster.run("scancel", full)


def test_check_ends_in_time_if_sbatch_hangs(shell: Shell, tmp_path: Path) -> None:
    hangs = tmp_path / "bin" / "sbatch"
    hangs.parent.mkdir()
    hangs.write_text("#!/bin/sh\nexec sleep 100\n")
    hangs.chmod(0o755)
    began = time.monotonic()
    path = f"{hangs.parent}:{os.environ['PATH']}"
    done = shell.run("check", "--timeout", "2", "job", PATH=path)
    assert done.returncode == 1
    assert "the kernel is not there after 2 s" in done.stderr
    assert "is being submitted" in done.stderr
    assert time.monotonic() < began + 20


def test_check_site_notices_defaults_over_the_limits(shell: Shell) -> None:
    file = shell.config / "jupyter_server_config.py"
    file.write_text(
        "c.SpackSlurmProvisioner.slurm_defaults = {'cpus-per-task': '64'}\n"
        "c.SpackSlurmProvisioner.slurm_limits = {'cpus-per-task': 32}\n"
    )
    done = shell.run("check", "--site")
    assert done.returncode == 1
    assert f"{file}: c.SpackSlurmProvisioner.slurm_defaults: its own limits refuse" in done.stderr
    assert "asked for: 64" in done.stderr


def test_check_site_uses_the_options_of_the_site(shell: Shell, cluster: SlurmCluster) -> None:
    file = shell.config / "jupyter_server_config.py"
    options = {"address": cluster.address, "slurm_limits": {"time": "5"}}
    lines = [f"c.SpackSlurmProvisioner.{name} = {value!r}\n" for name, value in options.items()]
    file.write_text("".join(lines))
    done = shell.run("check", "--site", "job")
    assert done.returncode == 1
    assert "the site allows a kernel's job at most 5 as `time`" in done.stderr
    file.write_text(lines[0])
    done = shell.run("check", "--site", "job")
    assert done.returncode == 0, done.stdout + done.stderr
    file.write_text("c.SpackSlurmProvisioner.adress = 'x'\n")
    done = shell.run("check", "--site", "job")
    assert done.returncode == 1
    assert "did you mean `address`?" in done.stderr


def test_show_says_where_the_kernel_runs(shell: Shell) -> None:
    done = shell.run("show", "job")
    assert "  runs in      Slurm: time=10" in done.stdout.splitlines()


def test_an_ordinary_user_starts_kernels_in_jobs(
    cluster: SlurmCluster, account: Account, public_directory: Path, demo_store: DemoStore
) -> None:
    store = ClonedStore(demo_store, public_directory / "store-of-jobs").root
    settings = [f"{name}={cluster.environment[name]}" for name in ("SLURM_CONF", "PATH")]
    command = ("env", *settings, sys.executable, "-m", "spack_kernel")
    where = ("--user", "--name", "job", "--store", str(store))
    account.run(*command, "install", *where, "--slurm", "time=10", "py-libensemble")
    said = account.run(*command, "check", "job")
    assert "The kernel works: 1 module imported" in said
    jobs = account.home / ".local" / "share" / "jupyter" / "spack-kernel" / "jobs"
    assert stat.S_IMODE(jobs.stat().st_mode) == 0o700
    assert not cluster.jobs()
