"""Two JupyterHub users log in, pick a kernel and compute; each sees only their own kernels."""

from __future__ import annotations

import json
from collections.abc import Callable

from playwright.sync_api import Page, expect

from tests.browser.picker.panel import Picker
from tests.demo_versions import MATPLOTLIB, OTHER_NUMPY

from .conftest import EXAMPLES, GROUP, Site, Visits

#: The installed specs that the site's configuration selects.
SELECTED = ("py-libensemble 1.5.0", f"py-matplotlib {MATPLOTLIB}")

WHO = "import getpass, os; print(getpass.getuser(), os.getuid() == os.stat(os.getcwd()).st_uid)"


def test_the_page_for_admins_shows_the_configuration_that_is_run():
    page = (EXAMPLES.parent / "jupyterhub.md").read_text(encoding="utf-8")
    for path in EXAMPLES.glob("*.py"):
        assert f"```python\n{path.read_text(encoding='utf-8')}```\n" in page


def test_each_user_sees_the_sites_kernels_and_their_own(
    visits: Visits, picture: Callable[[Page, str], None]
):
    for visit in (visits.alice, visits.bob):
        for name in SELECTED:
            expect(visit.lab.cards().filter(has_text=name)).to_have_count(1)
        # Installed, but not selected.
        assert not [title for title in visit.titles() if "py-ipykernel" in title]
    expect(visits.alice.lab.card("Of alice")).to_be_visible()
    expect(visits.bob.lab.card("Of bob")).to_be_visible()
    assert "Of bob" not in visits.alice.titles()
    assert "Of alice" not in visits.bob.titles()
    picture(visits.alice.lab.page, "hub")


def test_both_compute_with_a_kernel_of_the_site(site: Site, visits: Visits):
    (shared,) = [name for name in visits.alice.titles() if name.startswith("py-libensemble")]
    for visit in (visits.alice, visits.bob):
        visit.lab.open_notebook(shared)
        assert visit.lab.compute(WHO) == f"{visit.account.name} True"
        origin = visit.lab.compute("import libensemble; print(libensemble.__file__)")
        assert origin.startswith(f"{site.store}/")


def test_each_computes_with_a_kernel_of_their_own(site: Site, visits: Visits):
    visits.alice.lab.open_notebook("Of alice")
    origin = visits.alice.lab.compute("import numpy; print(numpy.__version__, numpy.__file__)")
    assert origin.startswith(f"{OTHER_NUMPY} {site.alice.home}/store/")
    visits.bob.lab.open_notebook("Of bob")
    code = "import numpy, os; print(numpy.__version__, os.environ['OF'])"
    assert visits.bob.lab.compute(code) == f"{OTHER_NUMPY} bob"


def test_a_store_for_a_group(site: Site, visits: Visits):
    visits.alice.lab.open_notebook("Licensed tools")
    origin = visits.alice.lab.compute("import numpy; print(numpy.__file__)")
    assert origin.startswith(f"{site.licensed}/")
    visits.bob.lab.start("Licensed tools")
    text = visits.bob.lab.error_dialog("Error Starting Kernel")
    assert [line.strip() for line in text.splitlines() if "requested by" not in line] == [
        f"you cannot access the store {site.licensed}: permission denied",
        f"{site.licensed} belongs to root and the group {GROUP}, with the mode drwxr-x---",
        "Ask the owner, or an administrator, for access.",
    ]
    visits.bob.lab.answer_dialog("Error Starting Kernel", "Ok")
    visits.bob.lab.answer_dialog("Select Kernel", "No Kernel")


def test_nobody_reads_what_connects_another(site: Site, visits: Visits):
    visits.alice.lab.open_notebook("Of alice")
    path = visits.alice.lab.compute("import ipykernel; print(ipykernel.get_connection_file())")
    assert path.startswith(str(site.alice.home))
    assert site.alice.run("stat", "--format=%a %U", path) == "600 sk-alice\n"
    visits.bob.lab.open_notebook("Of bob")
    assert "PermissionError" in visits.bob.lab.compute(f"open({path!r})")


def test_nobody_reads_what_another_computes(site: Site, visits: Visits):
    visits.alice.lab.open_notebook("Of alice")
    code = "import ipykernel; print(ipykernel.get_connection_info())"
    connection = json.loads(visits.alice.lab.compute(code))
    assert connection["transport"] == "ipc"
    socket = f"{connection['ip']}-{connection['iopub_port']}"
    assert site.alice.run("stat", "--format=%F", socket) == "socket\n"
    visits.bob.lab.open_notebook("Of bob")
    code = f"import socket; socket.socket(socket.AF_UNIX).connect({socket!r})"
    assert "PermissionError" in visits.bob.lab.compute(code)


def test_each_picks_a_spec_of_the_site(
    site: Site, visits: Visits, picture: Callable[[Page, str], None]
):
    for visit in (visits.alice, visits.bob):
        picker = Picker(visit.lab.page)
        picker.open()
        # Their own kernels, and nobody else's.
        kept = "Of alice" if visit is visits.alice else "Of bob"
        other = "Of bob" if visit is visits.alice else "Of alice"
        expect(picker.item(kept)).to_be_visible()
        expect(picker.item(other)).to_have_count(0)
        picker.search(f"py-numpy@{OTHER_NUMPY}")
        picker.choose(OTHER_NUMPY)
        picture(visit.lab.page, "picker-hub")
        picker.act("Start a notebook")
        visit.lab.wait_for_kernel()
        assert visit.lab.compute(WHO) == f"{visit.account.name} True"
        origin = visit.lab.compute("import numpy; print(numpy.__file__)")
        assert origin.startswith(f"{site.store}/")
        recent = f"{visit.account.home}/.local/share/jupyter/spack-kernel/kernels"
        owners = visit.account.run("find", recent, "-name", "kernel.json", "-printf", "%u %m\n")
        assert set(owners.splitlines()) == {f"{visit.account.name} 644"}
