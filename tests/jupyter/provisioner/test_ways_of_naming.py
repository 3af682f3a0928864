"""The stores of the provisioner and of discovery, specified in every way their traits document."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import KernelManager

from spack_kernel.demo import DemoStore
from spack_kernel.jupyter.discovery.manager import SpackKernelSpecManager
from spack_kernel.jupyter.failure import KernelStartError
from spack_kernel.jupyter.helper import Prepared
from spack_kernel.jupyter.provisioner.provisioner import SpackProvisioner
from tests.jupyter.conftest import WriteKernel
from tests.spack_instance import make_instance

Patch = pytest.MonkeyPatch


@pytest.fixture
def instance(tmp_path: Path, demo_store: DemoStore) -> Path:
    """Return a Spack instance that installs into the demo store."""
    return make_instance(tmp_path / "spack", demo_store.root)


def no_variable(_: Path, __: Path, ___: Patch) -> None:
    pass


def variable(tree: Path, _: Path, patch: Patch) -> None:
    patch.setenv("SPACK_KERNEL_STORE", str(tree))


def several_in_the_variable(tree: Path, _: Path, patch: Patch) -> None:
    patch.setenv("SPACK_KERNEL_STORE", f"{tree}::{tree}/")


def spack_root(_: Path, instance: Path, patch: Patch) -> None:
    patch.setenv("SPACK_ROOT", str(instance))


def on_path(_: Path, instance: Path, patch: Patch) -> None:
    patch.setenv("PATH", f"{instance / 'bin'}:{os.environ['PATH']}")


#: A function from tree and instance to the trait's value (None: unset), and one that sets up the
#: environment.
Way = tuple[Callable[[Path, Path], Any], Callable[[Path, Path, Patch], None]]
WAYS: dict[str, Way] = {
    "a tree": (lambda tree, _: str(tree), no_variable),
    "a list of one": (lambda tree, _: [str(tree)], no_variable),
    "a list of two": (lambda tree, _: [str(tree), f"{tree}/"], no_variable),
    "an instance": (lambda _, instance: str(instance), no_variable),
    "the trait before the variable": (lambda tree, _: str(tree), spack_root),
    "a variable": (lambda _, __: None, variable),
    "an empty trait": (lambda _, __: "", variable),
    "several in a variable": (lambda _, __: None, several_in_the_variable),
    "SPACK_ROOT": (lambda _, __: None, spack_root),
    "spack on PATH": (lambda _, __: None, on_path),
}


def prepared(config: dict[str, Any]) -> Prepared:
    provisioner = SpackProvisioner(kernel_spec=KernelSpec(argv=["python"]), **config)
    return asyncio.run(provisioner._prepare(dict(os.environ), False, {}))


@pytest.mark.parametrize("optional", [False, True], ids=["alone", "with other traits"])
@pytest.mark.parametrize("way", WAYS)
def test_the_provisioner(
    way: str,
    optional: bool,
    demo_store: DemoStore,
    instance: Path,
    jupyter_home: Path,
    monkeypatch: Patch,
) -> None:
    given = {"spec": "py-libensemble", "store": str(demo_store.root)}
    plain = prepared(given)
    trait, around = WAYS[way]
    value = trait(demo_store.root, instance)
    config: dict[str, Any] = {"spec": "py-libensemble"}
    if value is not None:
        config["store"] = value
    if optional:
        config |= {"hash": demo_store.hash("py-libensemble"), "companion": "py-ipykernel"}
        config |= {"env": {"A": "1"}, "user_site": False, "load_modules": False, "modules": []}
    with pytest.MonkeyPatch.context() as patch:
        around(demo_store.root, instance, patch)
        found = prepared(config)
    assert [dag_hash for _, dag_hash in found.specs] == [demo_store.hash("py-libensemble")]
    assert found.environment["PYTHONPATH"].startswith(f"{demo_store.root}/")
    assert found.environment.get("A") == ("1" if optional else None)
    assert found.environment["PYTHONPATH"] == plain.environment["PYTHONPATH"]


def test_a_kernel_of_no_store_says_where_it_looked(
    write_kernel: WriteKernel, monkeypatch: Patch
) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    write_kernel("nowhere", spec="py-libensemble")
    with pytest.raises(KernelStartError) as caught:
        KernelManager(kernel_name="nowhere").start_kernel()
    for line in ("SPACK_KERNEL_STORE is not set", "SPACK_ROOT is not set", "no spack on PATH"):
        assert line in str(caught.value)


@pytest.mark.parametrize("optional", [False, True], ids=["alone", "with other traits"])
@pytest.mark.parametrize("way", WAYS)
def test_discovery(
    way: str,
    optional: bool,
    demo_store: DemoStore,
    instance: Path,
    jupyter_home: Path,
    monkeypatch: Patch,
) -> None:
    trait, around = WAYS[way]
    value = trait(demo_store.root, instance)
    traits: dict[str, Any] = {}
    if value:
        first, *others = [value] if isinstance(value, str) else value
        traits = {"stores": [first], "upstreams": others}
    if optional:
        traits |= {"queries": ["py-numpy", "py-libensemble"], "limit": 7, "environments": []}
        traits |= {"notebook_kernel": False, "companion": "auto", "refresh_interval": 0.0}
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    with pytest.MonkeyPatch.context() as patch:
        around(demo_store.root, instance, patch)
        manager = SpackKernelSpecManager(**traits)
        names = set(manager.get_all_specs())
    name = f"spack-py-libensemble-1.5.0-{demo_store.hash('py-libensemble')[:7]}"
    assert name in names
    assert ("spack-notebook" in names) is not optional
    assert len([each for each in names if each.startswith("spack-py-")]) == (3 if optional else 5)
