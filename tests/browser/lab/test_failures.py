"""What a scientist sees when a kernel cannot start, cannot restart, or dies."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from spack_kernel.jupyter.kernelspecs.installed import InstalledKernelSpec
from tests.browser.desktop import Lab
from tests.browser.lab_server import LabServer
from tests.cloned_store import ClonedStore
from tests.demo_versions import NUMPY, OTHER_NUMPY

Install = Callable[..., InstalledKernelSpec]
Picture = Callable[[Page, str], None]

DIALOG = "Error Starting Kernel"


def gone(clone: ClonedStore, kernel: InstalledKernelSpec) -> list[str]:
    """Return the message expected after a kernel's py-numpy was uninstalled."""
    other = clone.hash("py-numpy")[:7]
    return [
        f"py-numpy/{kernel.config['hash'][:7]}, which this kernel is pinned to, "
        "is no longer installed",
        "`py-numpy` currently matches:",
        f"py-numpy@{OTHER_NUMPY}/{other}",
        f"requested by {kernel.resource_dir}/kernel.json",
        "Recreate the kernel for one of them:",
        f"spack-kernel install --user --store {clone.root} py-numpy/{other}",
    ]


def stripped_lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


def test_a_spec_that_was_uninstalled_is_told_in_the_dialog(
    lab: Lab, clone: ClonedStore, install: Install, picture: Picture
):
    kernel = install(clone.root, "py-numpy", query="py-numpy")
    clone.uninstall("py-numpy")
    lab.open()
    lab.start(kernel.display_name)
    text = lab.error_dialog(DIALOG)
    assert stripped_lines(text) == gone(clone, kernel)
    picture(lab.page, "error-dialog")


def test_a_spec_that_was_uninstalled_under_a_notebook_is_told_after_the_restart(
    lab: Lab, clone: ClonedStore, install: Install, picture: Picture
):
    kernel = install(clone.root, "py-numpy", query="py-numpy")
    lab.open()
    lab.open_notebook(kernel.display_name)
    assert lab.compute("import numpy; print(numpy.__version__)") == NUMPY
    clone.uninstall("py-numpy")
    lab.restart()
    lab.wait_for_status(kernel.display_name, "Idle")
    assert stripped_lines(lab.compute("numpy.arange(10)")) == gone(clone, kernel)
    picture(lab.page, "stand-in")


def test_why_a_kernel_died_is_told_under_its_cell(
    lab: Lab, clone: ClonedStore, install: Install, picture: Picture
):
    kernel = install(clone.root, "py-numpy", query="py-numpy")
    lab.open()
    lab.open_notebook(kernel.display_name)
    assert lab.compute("6 * 7") == "42"
    cell = lab.run(
        "import os, signal, time\n"
        "os.write(2, b'slurmstepd: error: Detected 1 oom_kill event\\n')\n"
        # A kernel that dies within milliseconds has not said which cell it runs.
        "time.sleep(1)\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    assert "appears to have died" in lab.error_dialog("Kernel Restarting")
    lab.answer_dialog("Kernel Restarting", "Ok")
    expect(cell.locator(".jp-OutputArea-output").last).to_contain_text("killed by SIGKILL")
    text = lab.output(cell)
    assert "py-numpy" in text
    assert lab.compute("1 + 1") == "2"
    picture(lab.page, "death")


def test_a_kernel_that_dies_and_cannot_start_again_is_told_in_the_notebook(
    lab: Lab, clone: ClonedStore, install: Install
):
    kernel = install(clone.root, "py-numpy", query="py-numpy")
    lab.open()
    lab.open_notebook(kernel.display_name)
    clone.uninstall("py-numpy")
    lab.run("import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    # JupyterLab's own message: the kernel died and is being restarted.
    assert "appears to have died" in lab.error_dialog("Kernel Restarting")
    lab.answer_dialog("Kernel Restarting", "Ok")
    assert stripped_lines(lab.compute("1 + 1")) == gone(clone, kernel)


def lose_a_library(clone: ClonedStore) -> tuple[Path, Path]:
    """Move a library that py-pyzmq links to; return its old and its new path."""
    (library,) = clone.site_packages("py-pyzmq").glob("pyzmq.libs/libzmq-*")
    return library, library.rename(clone.root / library.name)


def belong_to_another_python(clone: ClonedStore) -> None:
    (module,) = clone.site_packages("py-pyzmq").glob("zmq/backend/cython/_zmq*.so")
    module.rename(module.with_name("_zmq.cpython-36m-x86_64-linux-gnu.so"))


def be_killed_for_memory(clone: ClonedStore) -> None:
    # Like the Linux out-of-memory killer, after the kernel has printed something.
    clone.rewrite(
        "py-ipykernel",
        "ipykernel_launcher.py",
        "import os, signal, sys\n"
        "print('allocating 64 GiB', file=sys.stderr, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n",
    )


def run_out_of_memory(clone: ClonedStore) -> None:
    clone.rewrite(
        "py-ipykernel",
        "ipykernel_launcher.py",
        "import resource\n"
        "resource.setrlimit(resource.RLIMIT_AS, (64 << 20, 64 << 20))\n"
        "bytearray(1 << 30)\n",
    )


CHECK = "`spack-kernel check {name}` starts it step by step."

DEATHS = {
    "broken import": (lose_a_library, ["exit status 1", "| ImportError: libzmq-", CHECK]),
    "wrong Python": (
        belong_to_another_python,
        ["exit status 1", "| ImportError: ", "Cython backend, which has not been compiled", CHECK],
    ),
    "out of memory": (run_out_of_memory, ["exit status 1", "| MemoryError", CHECK]),
    "killed": (
        be_killed_for_memory,
        ["killed by SIGKILL", "| allocating 64 GiB", "a memory limit of the machine"],
    ),
}


@pytest.mark.parametrize(("damage", "words"), DEATHS.values(), ids=DEATHS)
def test_a_kernel_that_dies_while_it_starts_is_told_in_the_dialog(
    damage: Callable[[ClonedStore], object],
    words: list[str],
    lab: Lab,
    lab_server: LabServer,
    clone: ClonedStore,
    install: Install,
):
    kernel = install(clone.root, "py-ipykernel")
    damage(clone)
    lab.open()
    lab.start(kernel.display_name)
    text = lab.error_dialog(DIALOG)
    assert text.startswith("the kernel of py-ipykernel@7.2.0/")
    for word in words:
        assert word.format(name=kernel.name) in text
    assert lab_server.request(lab.page, "api/kernels") == []


def test_a_kernel_that_dies_while_it_restarts_is_told_in_the_notebook(
    lab: Lab, clone: ClonedStore, install: Install
):
    kernel = install(clone.root, "py-ipykernel")
    lab.open()
    lab.open_notebook(kernel.display_name)
    library, kept = lose_a_library(clone)
    lab.restart()
    lab.wait_for_status(kernel.display_name, "Idle")
    text = lab.compute("1 + 1")
    assert text.startswith("the kernel of py-ipykernel@7.2.0/")
    assert "ImportError: libzmq-" in text
    # After the site is repaired, the same notebook works again.
    kept.rename(library)
    lab.restart()
    lab.wait_for_status(kernel.display_name, "Idle")
    assert lab.compute("1 + 1") == "2"
