"""The kernels that a store offers: small stores laid out by the tests; nothing is started."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from spack_kernel.jupyter.errors import SlowStoreError
from spack_kernel.jupyter.helper import look_through_helper
from spack_kernel.jupyter.offers.listing import list_store
from spack_kernel.jupyter.offers.offers import OfferFilter, Offers, offers_of
from spack_kernel.spack import Store
from spack_kernel.spack.errors import StoreNotFound
from spack_kernel.spack.system import file_checks
from tests.small_store import SmallStore


def site(root: Path, version: str = "3.11.4") -> tuple[SmallStore, str, str]:
    """Return a store with an implicitly installed Python and ipykernel, and their hashes."""
    store = SmallStore(root)
    python = store.add("python", version)
    kernel = store.add("py-ipykernel", "7.3.0", python)
    for key in (python, kernel):
        implicit(store, key)
    return store, python, kernel


def implicit(store: SmallStore, key: str) -> str:
    store.records[key]["explicit"] = False
    return key


def names(offers: Offers) -> list[str]:
    """Return the names of the packages offered."""
    configs = [o.content["metadata"]["kernel_provisioner"]["config"] for o in offers.offers]
    return [config["spec"].partition("@")[0] for config in configs]


def test_offered_is_what_somebody_installed_for_python(tmp_path: Path) -> None:
    store, python, _ = site(tmp_path)
    numpy = implicit(store, store.add("py-numpy", "2.2.6", python))
    store.add("py-scipy", "1.15.0", python, numpy)
    store.add("my-bundle", "1.0", numpy)
    store.add("gdb", "16.2", python)
    store.add("zlib", "1.3.1")
    store.add("py-gone", "1.0", python, installed=False)
    assert names(offers_of(store.open(), OfferFilter())) == ["my-bundle", "py-scipy"]


def test_nothing_is_offered_where_no_ipykernel_fits(tmp_path: Path) -> None:
    store, _, _ = site(tmp_path)
    older = implicit(store, store.add("python", "3.9.1"))
    store.add("py-numpy", "1.2.0", older)
    offers = offers_of(store.open(), OfferFilter())
    assert offers.offers == ()
    assert offers.problems == ()


def test_two_builds_of_a_version_are_told_apart(tmp_path: Path) -> None:
    store, python, _ = site(tmp_path)
    for blas in (True, False):
        store.add("py-numpy", "2.2.6", python, salt=str(blas), variants={"blas": blas})
    store.add("py-scipy", "1.15.0", python)
    shown = [each.content["display_name"] for each in offers_of(store.open(), OfferFilter()).offers]
    assert sorted(name.partition(" (")[0] for name in shown) == [
        "py-numpy 2.2.6 +blas",
        "py-numpy 2.2.6 ~blas",
        "py-scipy 1.15.0",
    ]


def test_what_a_kernel_json_of_an_offer_says(tmp_path: Path) -> None:
    store, python, _ = site(tmp_path)
    debugpy = implicit(store, store.add("py-debugpy", "1.8", python))
    numpy = store.add("py-numpy", "2.2.6", python, debugpy)
    (offer,) = offers_of(store.open(), OfferFilter()).offers
    assert offer.name == f"spack-py-numpy-2.2.6-{numpy[:7]}"
    assert offer.content["display_name"] == f"py-numpy 2.2.6 (Spack /{numpy[:7]})"
    assert offer.content["metadata"] == {
        "debugger": True,
        "supported_encryption": ["curve"],
        "spack_package": "py-numpy",
        "spack_version": "2.2.6",
        "spack_hash": numpy,
        "spack_target": "x86_64_v3",
        "spack_python": "3.11.4",
        "spack_store": str(tmp_path),
        "spack_discovered": True,
        "kernel_provisioner": {
            "provisioner_name": "spack-provisioner",
            "config": {"spec": "py-numpy@2.2.6", "hash": numpy, "store": str(tmp_path)},
        },
    }


@pytest.mark.parametrize(
    ("version", "libsodium", "expected"),
    [("7.3.0", None, True), ("7.2.0", None, False), ("7.3.0", True, True), ("7.3.0", False, False)],
)
def test_encryption_is_declared_only_where_it_is_true(
    tmp_path: Path, version: str, libsodium: bool | None, expected: bool
) -> None:
    store = SmallStore(tmp_path)
    python = implicit(store, store.add("python", "3.11.4"))
    needs = [python]
    if libsodium is not None:
        zmq = store.add("libzmq", "4.3.5", variants={"libsodium": libsodium})
        needs.append(implicit(store, zmq))
    implicit(store, store.add("py-ipykernel", version, *needs))
    store.add("py-numpy", "2.2.6", python)
    (offer,) = offers_of(store.open(), OfferFilter()).offers
    assert ("supported_encryption" in offer.content["metadata"]) is expected
    assert offer.content["metadata"]["debugger"] is False


def test_the_limit_keeps_the_newest_of_each_and_then_the_last_installed(tmp_path: Path) -> None:
    store, python, _ = site(tmp_path)
    made = {
        label: store.add(label.split("@")[0], label.split("@")[1], python)
        for label in ("py-a@1.0", "py-a@1.10", "py-a@1.9", "py-b@1.0", "py-b@2.0")
    }
    for when, key in enumerate(made.values()):
        store.records[key]["installation_time"] = float(when)

    def offered(limit: int) -> set[str]:
        offers = offers_of(store.open(), OfferFilter(limit=limit))
        assert offers.left_out == max(0, len(made) - limit)
        configs = [o.content["metadata"]["kernel_provisioner"]["config"] for o in offers.offers]
        return {config["spec"] for config in configs}

    assert offered(2) == {"py-a@1.10", "py-b@2.0"}
    assert offered(3) == {"py-a@1.10", "py-b@2.0", "py-b@1.0"}
    assert offered(99) == set(made)
    assert offered(0) == set()


def test_queries_choose_among_all_that_is_installed(tmp_path: Path) -> None:
    store, python, _ = site(tmp_path)
    implicit(store, store.add("py-numpy", "2.2.6", python))
    implicit(store, store.add("py-numpy", "1.26.4", python))
    store.add("py-scipy", "1.15.0", python)
    store.add("zlib", "1.3.1")
    offers = offers_of(
        store.open(), OfferFilter(queries=("py-numpy@2:", "zlib", "py-nothing", "py-numpy@@"))
    )
    assert names(offers) == ["py-numpy"]
    assert not offers.complete
    assert [problem.partition(":")[0] for problem in offers.problems] == [
        "the query `py-nothing` matches nothing",
        "the query `py-numpy@@` is left out",
        offers.problems[2].partition(":")[0],
    ]
    assert offers.problems[2].startswith("zlib@1.3.1/")
    assert offers.problems[2].endswith("is left out: no python in its closure")


def test_names_by_template_are_told_apart_where_they_are_equal(tmp_path: Path) -> None:
    store, python, _ = site(tmp_path)
    one = store.add("py-numpy", "2.2.6", python)
    two = store.add("py-numpy", "2.2.6", python, salt="other")
    three = store.add("py-scipy", "1.15.0", python)
    selection = OfferFilter(
        name_template="{name}-{version}", display_name_template="{name} on Python {python}"
    )
    offers = offers_of(store.open(), selection).offers
    assert {offer.name: offer.content["display_name"] for offer in offers} == {
        f"py-numpy-2.2.6-{one[:7]}": f"py-numpy on Python 3.11.4 /{one[:7]}",
        f"py-numpy-2.2.6-{two[:7]}": f"py-numpy on Python 3.11.4 /{two[:7]}",
        "py-scipy-1.15.0": "py-scipy on Python 3.11.4",
    }
    assert three


def test_specs_of_upstreams_are_offered_and_both_trees_named(tmp_path: Path) -> None:
    upstream, python, _ = site(tmp_path / "upstream")
    upstream.add("py-numpy", "2.2.6", python)
    python_there = Store.open(upstream.write()).by_hash(python)
    assert python_there is not None
    local = SmallStore(tmp_path / "local", upstreams=[tmp_path / "upstream"])
    local.add("py-mine", "1.0", python_there)
    offers = offers_of(local.open(), OfferFilter())
    assert names(offers) == ["py-mine", "py-numpy"]
    config = offers.offers[0].content["metadata"]["kernel_provisioner"]["config"]
    assert config["store"] == [str(tmp_path / "local"), str(tmp_path / "upstream")]
    checks = list_store([str(tmp_path / "local"), str(tmp_path / "upstream")], OfferFilter())
    stamped = {path for kind, path, _ in checks.checks if kind == "stamp"}
    assert {str(tmp_path / t / ".spack-db/index.json") for t in ("local", "upstream")} <= stamped


def test_a_malformed_record_costs_only_what_needs_it(tmp_path: Path) -> None:
    store, python, _ = site(tmp_path)
    bad = implicit(store, store.add("py-bad", "1.0", python))
    store.add("py-needs-bad", "1.0", python, bad)
    store.add("py-good", "1.0", python)
    store.records[bad]["spec"]["dependencies"] = 7
    offers = offers_of(store.open(), OfferFilter())
    assert names(offers) == ["py-good"]
    (problem,) = offers.problems
    assert problem.startswith("py-needs-bad@1.0/")
    assert "malformed" in problem


class TestEnvironments:
    def environment(self, directory: Path, *roots: tuple[str, str]) -> Path:
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "spack.yaml").write_text("spack:\n  specs: []\n  view: false\n")
        lock = {
            "_meta": {"file-type": "spack-lockfile", "lockfile-version": 6},
            "roots": [{"hash": key, "spec": name} for name, key in roots],
            "concrete_specs": {
                key: {"name": name, "version": "1", "hash": key} for name, key in roots
            },
        }
        (directory / "spack.lock").write_text(json.dumps(lock))
        return directory

    def test_one_becomes_a_kernel_of_its_roots(self, tmp_path: Path) -> None:
        store, python, _ = site(tmp_path / "store")
        numpy = implicit(store, store.add("py-numpy", "2.2.6", python))
        scipy = implicit(store, store.add("py-scipy", "1.15.0", python))
        place = self.environment(tmp_path / "fem", ("py-numpy", numpy), ("py-scipy", scipy))
        offers = offers_of(store.open(), OfferFilter(environments=(str(place),)))
        (offer,) = offers.offers
        assert offer.name == "spack-env-fem"
        assert offer.content["display_name"] == "fem (Spack environment)"
        config = offer.content["metadata"]["kernel_provisioner"]["config"]
        assert config["environment"] == str(place)
        assert "specs" not in config, "its lock file says at each start which they are"
        selection = OfferFilter(environments=(str(place),))
        asked = {path for _, path, _ in list_store([str(tmp_path / "store")], selection).checks}
        assert {str(place / "spack.lock"), str(place / "spack.yaml")} <= asked

    def test_one_that_is_not_installed_is_left_out_and_told(self, tmp_path: Path) -> None:
        store, python, _ = site(tmp_path / "store")
        numpy = store.add("py-numpy", "2.2.6", python, installed=False)
        place = self.environment(tmp_path / "fem", ("py-numpy", numpy))
        offers = offers_of(store.open(), OfferFilter(environments=(str(place),)))
        assert offers.offers == ()
        assert offers.complete
        (problem,) = offers.problems
        assert problem.startswith(f"the environment {place} is left out: 1 of the 1 roots")

    def test_one_that_cannot_be_understood_makes_the_offers_incomplete(
        self, tmp_path: Path
    ) -> None:
        store, _, _ = site(tmp_path / "store")
        place = self.environment(tmp_path / "fem")
        (place / "spack.lock").write_text("{")
        offers = offers_of(store.open(), OfferFilter(environments=(str(place),)))
        assert not offers.complete


class TestApart:
    def test_a_process_of_its_own_says_the_same(self, tmp_path: Path) -> None:
        store, python, _ = site(tmp_path)
        key = store.add("py-numpy", "2.2.6", python)
        store.write()
        selection = OfferFilter(queries=("py-numpy", "py-nothing"), also=(python,))
        here = list_store([str(tmp_path)], selection)
        look = look_through_helper([str(tmp_path)], selection, [], 60)
        apart = look.listing
        assert apart is not None
        assert (apart.offers, apart.packages) == (here.offers, here.packages)
        assert [tuple(question) for question in apart.checks] == here.checks
        assert file_checks.unchanged(apart.checks)
        assert here.find(key[:7]) == [(key, "py-numpy")]
        assert here.find("=") == []
        assert here.find(key) == [(key, "py-numpy")]

    def test_hashes_that_begin_alike_are_all_found(self, tmp_path: Path) -> None:
        store, _, _ = site(tmp_path)
        listing = list_store([str(store.write())], OfferFilter())
        assert sorted(key for key, _ in listing.find("")) == sorted(store.records)

    def test_an_error_has_the_words_of_the_store(self, tmp_path: Path) -> None:
        look = look_through_helper([str(tmp_path / "none")], OfferFilter(), [], 60)
        assert isinstance(look.error, StoreNotFound)
        assert "there is no directory" in look.error.summary
        assert "install tree" in look.error.hint

    def test_one_that_takes_too_long_is_ended(self, tmp_path: Path) -> None:
        with pytest.raises(SlowStoreError, match=r"reading the store timed out after 0\.01 s"):
            look_through_helper([str(tmp_path)], OfferFilter(), [], 0.01)
