from __future__ import annotations

import sys

import pytest

from spack_kernel.kernels.interpreters.environment_filter import (
    DATA_PATHS,
    REMOVED_NAMES,
    clean_environment,
)

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("name", [name for name in REMOVED_NAMES if "*" not in name])
def test_every_listed_name_is_removed_with_its_reason(name: str) -> None:
    cleaned, removed = clean_environment({name: "/somewhere", "HOME": "/home/me"})
    assert cleaned == {"HOME": "/home/me"}
    assert [(item.name, item.value) for item in removed] == [(name, "/somewhere")]
    assert removed[0].reason


@pytest.mark.parametrize(
    "name",
    [
        "CONDA_PREFIX",
        "CONDA_DEFAULT_ENV",
        "_CE_M",
        "_CONDA_PYTHON_SYSCONFIGDATA_NAME_USED",
        "_PYTHON_SYSCONFIGDATA_NAME",
        "_OLD_VIRTUAL_PATH",
    ],
)
def test_patterns(name: str) -> None:
    assert clean_environment({name: "x"})[0] == {}


@pytest.mark.parametrize(
    "name",
    [
        "PATH_TO_CONDA",
        "PYTHONDONTWRITEBYTECODE",
        "PYTHONNOUSERSITE",
        "PYTHONUSERBASE",
        "PYTHONSAFEPATH",
        "JPY_PARENT_PID",
        "JPY_SESSION_NAME",
        "JUPYTER_PATH",
        "SPACK_ROOT",
        "LD_PRELOAD",
    ],
)
def test_everything_else_passes(name: str) -> None:
    assert clean_environment({name: "x"}) == ({name: "x"}, [])


def test_directories_of_the_servers_environments_leave_path_lists() -> None:
    base = {
        "VIRTUAL_ENV": "/home/me/venv",
        "CONDA_PREFIX": "/conda/envs/lab/",
        "CONDA_SHLVL": "2",
        "CONDA_PREFIX_1": "/conda",
        "SPACK_ENV": "/envs/work",
        "PATH": f"/home/me/venv/bin:{sys.prefix}/bin:/conda/envs/lab/bin:/conda/condabin:"
        "/envs/work/.spack-env/view/bin:/home/me/venvs/bin:/usr/bin::/sw/a/bin",
        "LD_LIBRARY_PATH": "/conda/envs/lab/lib",
        "MANPATH": "/envs/work/.spack-env/view/share/man:/usr/share/man:",
    }
    cleaned, removed = clean_environment(base, loaded=["/sw/a"])
    assert cleaned == {"PATH": "/home/me/venvs/bin:/usr/bin:", "MANPATH": "/usr/share/man:"}
    reasons = {item.value: item.reason for item in removed}
    assert reasons["/home/me/venv/bin"] == "is in the virtual environment that VIRTUAL_ENV names"
    assert reasons["/sw/a/bin"] == "is in a spec that `spack load` loaded for the server"
    assert reasons[f"{sys.prefix}/bin"] == "is in the server's own Python"


def test_a_system_prefix_is_never_an_environment() -> None:
    base = {"VIRTUAL_ENV": "/usr", "CONDA_PREFIX": "/", "PATH": "/usr/bin:/bin"}
    assert clean_environment(base)[0] == {"PATH": "/usr/bin:/bin"}


@pytest.mark.parametrize("name", DATA_PATHS)
def test_data_of_an_environment_goes_and_that_of_others_stays(name: str) -> None:
    cleaned, _ = clean_environment({"CONDA_PREFIX": "/conda", name: "/conda/share/data"})
    assert cleaned == {}
    other = {name: "/usr/share/data"}
    assert clean_environment({"CONDA_PREFIX": "/conda", **other})[0] == other


def test_the_matplotlib_backend_of_another_kernel_goes() -> None:
    inline = {"MPLBACKEND": "module://matplotlib_inline.backend_inline"}
    assert clean_environment(inline)[0] == {}
    assert clean_environment({"MPLBACKEND": "agg"})[0] == {"MPLBACKEND": "agg"}


def test_what_is_to_be_kept_is_kept_whole() -> None:
    base = {"VIRTUAL_ENV": "/venv", "PATH": "/venv/bin:/bin", "PYTHONSTARTUP": "/me/start.py"}
    cleaned, removed = clean_environment(base, keep=["PATH", "PYTHONSTARTUP"])
    assert cleaned == {"PATH": "/venv/bin:/bin", "PYTHONSTARTUP": "/me/start.py"}
    assert [item.name for item in removed] == ["VIRTUAL_ENV"]
