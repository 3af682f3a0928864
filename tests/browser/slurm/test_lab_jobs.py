"""A notebook in a job: it waits, computes, loses its job, and asks for another."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.browser.desktop import Lab
from tests.browser.lab_server import LabServer
from tests.browser.picker.panel import Picker
from tests.browser.processes import wait_until
from tests.slurm.cluster import SlurmCluster

from .conftest import NAME

Picture = Callable[[Page, str], None]


@pytest.fixture
def full(cluster: SlurmCluster) -> Iterator[str]:
    """Return a job that has all nodes."""
    job = cluster.fill()
    yield job
    cluster.run("scancel", job)


def test_a_notebook_waits_computes_and_is_told_the_end_of_its_job(
    lab_server: LabServer, cluster: SlurmCluster, page: Page, full: str, picture: Picture
) -> None:
    lab = Lab(page, lab_server.new_workspace())
    lab.open()
    lab.start(NAME)
    expect(lab.status(NAME, "Idle")).to_be_visible()
    cell = lab.run("import os, numpy; print(os.uname().nodename, numpy.__name__)")
    expect(cell).to_contain_text(re.compile(r"Job \d+: pending \(Resources\)"))
    toast = page.locator(".Toastify__toast").filter(has_text="Starting py-numpy")
    expect(toast).to_contain_text(re.compile(r"Job \d+: pending"))
    picture(page, "slurm-waiting")
    page.locator(".jp-SideBar .lm-TabBar-tab[data-id=spack-kernel-picker]").click()
    expect(Picker(page).status).to_contain_text(re.compile(r"Job \d+: pending \(Resources\)"))
    assert re.search(r"Job \d+: pending \(Resources\)", lab_server.process.text())
    cluster.run("scancel", full)
    lab.wait_for_end(cell)
    assert re.fullmatch(r"n[12] numpy", lab.output(cell))
    expect(toast).to_have_count(0)

    (job,) = cluster.jobs()
    number = job.split()[0]
    cell = lab.run("import time; time.sleep(1000)")
    expect(lab.status(NAME, "Busy")).to_be_visible()
    cluster.run("scancel", number)
    lab_ended = page.locator(".Toastify__toast").filter(has_text=f"job {number} was canceled")
    expect(lab_ended).to_be_visible()
    expect(cell).to_contain_text(f"job {number} was canceled")
    expect(cell).to_contain_text("Restart the kernel to ask for another job.")
    picture(page, "slurm-ended")
    expect(lab.status(NAME, "Idle")).to_be_visible()
    assert not cluster.jobs()

    lab.restart()
    assert lab.compute("print('again')") == "again"
    assert cluster.jobs()
    lab_server.shut_down_kernels(page)
    wait_until(lambda: not cluster.jobs(), "the end of the job", 10)


def test_the_picker_starts_a_spec_in_a_job(
    lab_server: LabServer, cluster: SlurmCluster, page: Page, picture: Picture
) -> None:
    lab = Lab(page, lab_server.new_workspace())
    lab.open()
    picker = Picker(page)
    picker.open()
    picker.search("py-libensemble")
    picker.choose("1.5")
    form = picker.preview.locator(".spack-kernel-place-form")
    place = form.get_by_role("combobox", name="Where it runs")
    expect(place).to_have_value("here")
    place.select_option("slurm")
    expect(form.get_by_role("textbox", name="comment")).to_be_disabled()
    expect(form.get_by_role("textbox", name="time")).to_have_attribute("placeholder", "30:00")
    expect(picker.preview.get_by_role("button", name="Pin to")).to_have_count(0)
    form.get_by_role("textbox", name="time").fill("20:00")
    form.get_by_role("combobox", name="partition").select_option("urgent")
    picture(page, "picker-slurm")
    form.get_by_role("textbox", name="time").fill("2:00:00")
    picker.act("Start a notebook")
    refused = picker.notification("the site allows a kernel's job at most 30:00 as `time`")
    expect(refused).to_be_visible()
    form.get_by_role("textbox", name="time").fill("20:00")
    picker.act("Start a notebook")
    lab.wait_for_kernel()
    assert re.fullmatch("n[12]", lab.compute("import os; print(os.uname().nodename)"))
    (job,) = cluster.jobs()
    facts = cluster.run("scontrol", "show", "job", job.split()[0])
    assert "Partition=urgent" in facts
    assert "TimeLimit=00:20:00" in facts
    assert "Comment=jupyter" in facts
    expect(picker.item("[Slurm: time=20:00 partition=urgent]")).to_be_visible()
    lab_server.shut_down_kernels(page)
    wait_until(lambda: not cluster.jobs(), "the end of the job", 10)


def test_a_killed_server_leaves_no_job(
    lab_server: LabServer, cluster: SlurmCluster, page: Page
) -> None:
    lab = Lab(page, lab_server.new_workspace())
    lab.open()
    lab.open_notebook(NAME)
    assert lab.compute("print('here')") == "here"
    lab_server.process.kill()
    began = time.monotonic()
    wait_until(lambda: not cluster.jobs(), "the end of the job", 15)
    assert time.monotonic() < began + 10
