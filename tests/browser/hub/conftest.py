"""A JupyterHub with two users, run with the configuration from the documentation."""

from __future__ import annotations

import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from spack_kernel import demo
from spack_kernel.jupyter.kernelspecs.files import install_kernelspec
from spack_kernel.kernels.plan.plan import plan_kernel
from spack_kernel.spack import Store
from tests.accounts import Account, need_accounts, public_directory, remove_account
from tests.browser.conftest import keep_failure, keep_pictures, new_context
from tests.browser.desktop import HIDE_KERNELS, Lab, ask_nothing
from tests.browser.processes import ServerProcess, free_port
from tests.cloned_store import ClonedStore
from tests.demo_versions import OTHER_NUMPY
from tests.places import DOCS

EXAMPLES = DOCS / "examples"

PROXY = "['configurable-http-proxy', '--proxy-timeout=600000']"

#: The group of users with access to licensed software: alice is a member, bob is not.
GROUP = "sk-licensed"


@dataclass
class Site:
    """A site with a hub: its directories and its users."""

    store: Path
    licensed: Path
    url: str
    hub: ServerProcess
    alice: Account
    bob: Account


@pytest.fixture(scope="package", name="public_directory")
def _public_directory() -> Iterator[Path]:
    with public_directory("spack-kernel-hub-") as path:
        yield path


@pytest.fixture(scope="package")
def users(public_directory: Path) -> Iterator[tuple[Account, Account]]:
    """Return alice and bob."""
    need_accounts()
    subprocess.run(["groupadd", "--force", GROUP], check=True)
    homes = public_directory / "home"
    homes.mkdir()
    yield Account("sk-alice", homes, [GROUP]), Account("sk-bob", homes)
    for name in ("sk-alice", "sk-bob"):
        remove_account(name)
    subprocess.run(["groupdel", GROUP], check=True)


@pytest.fixture(scope="package")
def site(
    public_directory: Path, users: tuple[Account, Account], demo_store: demo.DemoStore
) -> Iterator[Site]:
    """Return a site with a running hub; check that the hub leaves no process behind."""
    alice, bob = users
    sw = public_directory / "sw"
    store = ClonedStore(demo_store, sw / "spack" / "opt" / "spack").root
    licensed = ClonedStore(demo_store, sw / "licensed").root
    shutil.chown(licensed, group=GROUP)
    licensed.chmod(0o750)
    install(licensed, "py-numpy", display_name="Licensed tools", prefix=sw / "jupyter")

    # Each has a private kernel: alice from a store in her home, bob with an environment variable.
    ClonedStore(demo_store, alice.home / "store")
    numpy = (f"py-numpy@{OTHER_NUMPY}", "--user", "--display-name")
    alice.spack_kernel("--store", f"{alice.home}/store", "install", *numpy, "Of alice")
    bob.spack_kernel("--store", f"{store}", "install", *numpy, "Of bob", "--env", "OF=bob")

    for account in users:
        settings = account.home / ".jupyter" / "lab" / "user-settings"
        ask_nothing(settings)
        account.own(account.home / ".jupyter")

    etc = sw / "jupyter" / "etc"
    etc.mkdir()
    (etc / "jupyter_server_config.py").write_text(example("jupyter_server_config.py", sw))
    (etc / "jupyter_config.py").write_text(HIDE_KERNELS)
    srv = public_directory / "srv"
    srv.mkdir(mode=0o700)
    (srv / "jupyterhub_config.py").write_text(example("jupyterhub_config.py", sw))
    port, hub_port, proxy_port = free_port(), free_port(), free_port()
    url = f"http://127.0.0.1:{port}/"
    hub = ServerProcess(
        [
            sys.executable,
            "-m",
            "jupyterhub",
            f"--JupyterHub.bind_url={url}",
            f"--JupyterHub.hub_port={hub_port}",
            f"--ConfigurableHTTPProxy.api_url=http://127.0.0.1:{proxy_port}",
            # The pure Python proxy gives up after 20 s by default, and a server start is one
            # long response.
            f"--ConfigurableHTTPProxy.command={PROXY}",
        ],
        env={
            "HOME": str(srv),
            "LANG": "C.UTF-8",
            "PATH": f"{Path(sys.executable).parent}:/usr/sbin:/usr/bin:/sbin:/bin",
            "JUPYTERHUB_CRYPT_KEY": secrets.token_hex(32),
        },
        cwd=srv,
        log=srv / "hub.log",
    )
    try:
        hub.wait_for(f"{url}hub/login")
        yield Site(store, licensed, url, hub, alice, bob)
    finally:
        left = hub.stop()
    assert not left, f"these outlived JupyterHub: {left}"


def example(name: str, sw: Path) -> str:
    """Return an example from the documentation, with the paths of this site."""
    text = (EXAMPLES / name).read_text(encoding="utf-8")
    assert '"/sw/' in text
    return text.replace('"/sw/', f'"{sw}/')


def install(root: Path, name: str, *, display_name: str, prefix: Path) -> None:
    """Install a kernel for all users, as an administrator does."""
    store = Store.open(root)
    spec = max(store.named(name), key=lambda spec: spec.version)
    install_kernelspec(plan_kernel(store, [spec]), display_name=display_name, prefix=prefix)


class Visit:
    """A user in a separate browser."""

    def __init__(self, page: Page, site: Site, account: Account) -> None:
        self.account = account
        self.lab = Lab(page, f"{site.url}user/{account.name}/lab")
        self._site = site

    def log_in(self) -> None:
        """Submit the login form; the hub then starts a server for the user."""
        page = self.lab.page
        page.goto(self._site.url)
        page.get_by_label("Username").fill(self.account.name)
        page.get_by_label("Password").fill(self.account.password)
        page.get_by_role("button", name="Sign in").click()

    def wait_for_lab(self) -> None:
        """Wait until the user's JupyterLab has loaded."""
        self.lab.page.wait_for_url(f"{self._site.url}user/{self.account.name}/lab**")
        expect(self.lab.cards().first).to_be_visible()

    def titles(self) -> list[str]:
        """Return the titles of the kernels that the launcher offers."""
        return [card.get_attribute("title") or "" for card in self.lab.cards().all()]


@dataclass
class Visits:
    """Both users, logged in."""

    alice: Visit
    bob: Visit


@pytest.fixture(scope="package")
def logged_in(site: Site, browser: Browser, request: pytest.FixtureRequest) -> Iterator[Visits]:
    """Return both users in their JupyterLab; logging in is the first test."""
    contexts = [new_context(browser), new_context(browser)]
    visits = Visits(
        *(
            Visit(context.new_page(), site, account)
            for context, account in zip(contexts, (site.alice, site.bob), strict=True)
        )
    )
    try:
        for visit in (visits.alice, visits.bob):
            visit.log_in()
        for visit in (visits.alice, visits.bob):
            visit.wait_for_lab()
    except Exception:
        print(site.hub.text())
        keep_pictures(request, *(context.pages[0] for context in contexts))
        raise
    yield visits
    for context in contexts:
        context.close()


@pytest.fixture
def visits(logged_in: Visits, request: pytest.FixtureRequest) -> Iterator[Visits]:
    """Return both users, each with a new launcher."""
    for visit in (logged_in.alice, logged_in.bob):
        visit.lab.new_launcher()
    yield logged_in
    keep_failure(request, logged_in.alice.lab.page, logged_in.bob.lab.page)
