from __future__ import annotations

import sys
from pathlib import Path

import pytest

from spack_kernel.kernels.errors import KernelPackageError, PrefixGoneError
from spack_kernel.kernels.interpreters.interpreter import find_interpreter
from spack_kernel.kernels.interpreters.ipykernel import KernelPackage, find_ipykernel
from tests.records import ARCH
from tests.small_store import SmallStore, python_prefix

VERSION = "{}.{}.{}".format(*sys.version_info[:3])
SERIES = "{}.{}".format(*sys.version_info[:2])


class Site:
    """A store with one working Python and a tool without ipykernel."""

    def __init__(self, tmp_path: Path) -> None:
        self.small = SmallStore(tmp_path / "store")
        self.prefix = python_prefix(tmp_path / "py", sys.executable, SERIES)
        self.python = self.small.add("python", VERSION, prefix=self.prefix, external=True)
        self.tool = self.small.add("py-tool", "1.0", self.python)

    def kernel(self, version: str, python: str | None = None, **options: object) -> str:
        return self.small.add("py-ipykernel", version, python or self.python, **options)  # type: ignore[arg-type]

    def choose(self, root: str | None = None, **options: str) -> KernelPackage:
        store = self.small.open()
        spec = store.by_hash(root or self.tool)
        assert spec is not None
        closure = store.closure(spec)
        return find_ipykernel(store, closure, find_interpreter(closure), **options)

    def refuse(self, **options: str) -> str:
        with pytest.raises(KernelPackageError) as caught:
            self.choose(**options)
        return str(caught.value)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def chosen(package: KernelPackage) -> str | None:
    return package.spec.hash if package.spec else None


def test_the_closures_own_comes_first(site: Site) -> None:
    own = site.kernel("6.0")
    site.kernel("7.0")
    app = site.small.add("py-app", "1.0", site.python, own)
    package = site.choose(app)
    assert (package.source, package.version, chosen(package)) == ("closure", "6.0", own)
    assert package.reason == "it is in the closure"


def test_the_closures_own_is_gone(site: Site) -> None:
    own = site.kernel("6.0", prefix="/nowhere/ipykernel")
    app = site.small.add("py-app", "1.0", site.python, own)
    with pytest.raises(PrefixGoneError, match="the closure's ipykernel, is recorded"):
        site.choose(app)


def test_the_interpreters_own_comes_next(tmp_path: Path) -> None:
    import venv

    venv.create(tmp_path / "conda", symlinks=True)
    packages = tmp_path / "conda" / "lib" / f"python{SERIES}" / "site-packages"
    (packages / "ipykernel").mkdir()
    (packages / "ipykernel" / "__init__.py").touch()
    (packages / "ipykernel-6.29.5.dist-info").mkdir()
    site = Site(tmp_path)
    python = site.small.add(
        "python", VERSION, prefix=tmp_path / "conda", external=True, salt="conda"
    )
    tool = site.small.add("py-tool", "2.0", python)
    site.kernel("7.0", python)
    package = site.choose(tool)
    assert (package.source, package.version, package.spec) == ("interpreter", "6.29.5", None)
    assert f"the interpreter has one in {packages}" in package.reason


def test_a_companion_of_the_same_python_beats_a_newer_one(site: Site, tmp_path: Path) -> None:
    other_prefix = python_prefix(tmp_path / "other", sys.executable, SERIES)
    other = site.small.add("python", f"{SERIES}.99", prefix=other_prefix, external=True)
    site.kernel("9.0", other)
    best = site.kernel("6.0")
    package = site.choose()
    assert (package.source, chosen(package)) == ("companion", best)
    assert package.reason == (
        "the closure and the interpreter have none; "
        f"py-ipykernel@6.0/{best[:7]} is built for the same python"
    )
    assert [text.partition(": ")[2] for text in package.others] == [
        f"built for python@{SERIES}.99/{other[:7]}"
    ]


def test_then_the_same_architecture_then_the_newest_then_the_lowest_hash(site: Site) -> None:
    site.kernel("9.0", arch={**ARCH, "target": "zen4"})
    site.kernel("6.9")
    twins = sorted([site.kernel("6.10", salt="a"), site.kernel("6.10", salt="b")])
    package = site.choose()
    assert chosen(package) == twins[0]
    reasons = [text.partition(": ")[2] for text in package.others]
    assert reasons == [
        "the same version; the lower hash was chosen",
        "older",
        "built for linux-debian12-zen4",
    ]


def test_a_python_of_the_same_series_will_do(site: Site, tmp_path: Path) -> None:
    prefix = python_prefix(tmp_path / "other", sys.executable, SERIES)
    other = site.small.add("python", f"{SERIES}.99", prefix=prefix, external=True)
    kernel = site.kernel("6.0", other)
    package = site.choose()
    assert chosen(package) == kernel
    assert f"built for python@{SERIES}.99/{other[:7]}, which is also Python {SERIES}" in (
        package.reason
    )


@pytest.mark.parametrize(
    ("python", "kernel", "reason"),
    [
        ({"version": "2.7.18"}, {}, "built for python@2.7.18/"),
        ({"variants": {"debug": True}}, {}, "which differs in `debug`"),
        ({"variants": {"freethreading": True}}, {}, "which differs in `freethreading`"),
        ({}, {"arch": {**ARCH, "platform_os": "rhel8"}}, "built for linux-rhel8-x86_64_v3"),
        ({}, {"installed": False}, "not installed"),
        ({}, {"prefix": "/nowhere/k"}, "its prefix does not exist (/nowhere/k)"),
    ],
)
def test_what_is_no_companion_and_why(
    site: Site, python: dict[str, object], kernel: dict[str, object], reason: str
) -> None:
    version = str(python.pop("version", f"{SERIES}.98"))
    other = site.small.add("python", version, **python)  # type: ignore[arg-type]
    site.kernel("6.0", other, **kernel)
    text = site.refuse()
    assert reason in text
    assert text.splitlines()[0] == (
        f"py-tool@1.0/{site.tool[:7]} has no ipykernel, and none is installed "
        f"for its Python {VERSION}"
    )


def test_without_any_the_error_says_what_to_install(site: Site) -> None:
    assert site.refuse().endswith(
        f"Install one for the same python:\n  spack install py-ipykernel ^/{site.python[:7]}"
    )


def test_a_kernel_whose_record_names_no_python(site: Site) -> None:
    site.small.add("py-ipykernel", "6.0")
    assert "its record does not name the python it is built for" in site.refuse()


def test_companions_can_be_switched_off(site: Site) -> None:
    site.kernel("6.0")
    assert "companions are switched off" in site.refuse(companion="none")


def test_companions_come_from_upstreams_too(site: Site, tmp_path: Path) -> None:
    kernel = site.kernel("6.0")
    upstream = site.small
    upstream_store = upstream.open()
    python = upstream_store.by_hash(site.python)
    assert python is not None
    site.small = SmallStore(tmp_path / "local", upstreams=[upstream.root])
    tool = site.small.add("py-local", "1.0", python)
    assert chosen(site.choose(tool)) == kernel


def test_a_query_selects_the_companion(site: Site) -> None:
    site.kernel("7.0")
    older = site.kernel("6.0")
    package = site.choose(companion="py-ipykernel@6.0")
    assert chosen(package) == older
    assert package.reason == "requested with `py-ipykernel@6.0`"


def test_a_query_for_something_else(site: Site) -> None:
    assert "which is not py-ipykernel" in site.refuse(companion="py-tool")


def test_a_query_for_one_that_does_not_fit(site: Site) -> None:
    other = site.small.add("python", "2.7.18")
    site.kernel("4.10", other)
    text = site.refuse(companion="py-ipykernel@4.10")
    assert f"does not fit Python {VERSION}: built for python@2.7.18/" in text
