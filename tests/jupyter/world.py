"""A site that changes, and the answers of a long-lived or a fresh process about it.

``python -m tests.jupyter.world DIRECTORY`` prints the answers of a fresh process as JSON.
"""

from __future__ import annotations

import json
import logging
import os
import random
import shutil
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from spack_kernel.demo import DemoStore
from spack_kernel.jupyter.discovery.watch import StoreWatcher
from spack_kernel.jupyter.offers.listing import Listing, list_store, look_at
from spack_kernel.jupyter.offers.offers import OfferFilter
from spack_kernel.kernels.plan import KernelPlan, plan_dict
from spack_kernel.kernels.planner import Planner
from spack_kernel.kernels.request import KernelRequest
from spack_kernel.spack import Store
from spack_kernel.spack.errors import SpackKernelError
from tests.cloned_store import ClonedStore
from tests.demo_versions import NUMPY
from tests.made_environment import link_view, make_environment
from tests.places import ROOT
from tests.small_store import SmallStore

_AWAY = ".away"


def requests(root: Path) -> dict[str, KernelRequest]:
    """Return the requests for each step: specs, an environment, a view, by tree and by instance."""
    hashes: dict[str, str] = json.loads((root / "hashes.json").read_text())
    site, own, instance = (str(root / name) for name in ("site", "own", "spack"))
    return {
        "a hash": KernelRequest(hash=hashes["py-libensemble"], stores=(site,)),
        "a query": KernelRequest(spec="py-numpy@2.2:", stores=(site,)),
        "a chain": KernelRequest(spec="py-mine", stores=(own, site)),
        "an instance": KernelRequest(spec="py-mine", stores=(instance,)),
        "a virtual": KernelRequest(spec="py-mine ^python", stores=(instance,)),
        "two specs": KernelRequest(specs=("py-libensemble", "py-matplotlib"), stores=(site,)),
        "an environment": KernelRequest(environment=str(root / "env"), stores=(site,)),
        "its roots": KernelRequest(environment=str(root / "env"), view="none", stores=(site,)),
        "a view": KernelRequest(view=str(root / "view"), stores=(site,)),
    }


def answer(plan: Callable[[], KernelPlan]) -> Any:
    """Return a plan, or the error instead, as JSON types."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            made = plan()
            facts = plan_dict(made)
            facts["start"] = made.environment({"HOME": "/home/me", "PATH": "/usr/bin"})
            facts["runs"] = ran(made, facts["start"])
        except (SpackKernelError, OSError) as error:
            return {"error": str(error)}
    return json.loads(json.dumps(facts))


#: The program that each plan runs: it prints which modules it can import, and from where.
PROGRAM = """
import importlib.util, json, sys
found = {}
for name in ("numpy", "six", "comm", "tornado", "ipykernel", "mine", "libensemble"):
    spec = importlib.util.find_spec(name)
    found[name] = spec.origin if spec else None
print(json.dumps([sys.version_info[:3], sys.prefix, found]))
"""


def ran(plan: KernelPlan, environment: dict[str, str]) -> list[Any]:
    """Run the program as planned and return the result."""
    if plan.interpreter is None:
        return []
    argv = plan.command(["python", "-c", PROGRAM])
    done = subprocess.run(argv, env=environment, cwd="/", capture_output=True, text=True)
    return [done.returncode, done.stdout, done.stderr[-200:]]


def names(listing: Listing | None) -> list[str]:
    offers = listing.offers.offers if listing is not None else ()
    return [json.dumps([offer.name, offer.content], sort_keys=True) for offer in offers]


def fresh(root: Path) -> dict[str, Any]:
    """Return the answers of this process, with nothing cached."""
    answers = {}
    for name, request in requests(root).items():
        answers[name] = answer(lambda request=request: Planner().plan(request))  # type: ignore[misc]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            answers["the list"] = names(list_store([str(root / "spack")], OfferFilter()))
        except (SpackKernelError, OSError):
            answers["the list"] = []
    return answers


class LongLived:
    """A long-lived process: one planner and one watcher for all steps."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._planner = Planner()
        self._watcher = StoreWatcher(
            (str(root / "spack"),),
            OfferFilter(),
            log=logging.getLogger("test-long-life"),
            interval=0.0,
            timeout=60.0,
            reader=lambda paths, selection, checks, _: look_at(paths, selection, checks),
        )

    def answers(self) -> dict[str, Any]:
        said = {
            name: answer(lambda request=request: self._planner.plan(request))  # type: ignore[misc]
            for name, request in requests(self._root).items()
        }
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self._watcher.wait(60, force=True)
        return {**said, "the list": names(self._watcher.listing)}


def answers_of_a_fresh_process(root: Path) -> dict[str, Any]:
    """Return the answers of a new process without a cache on disk."""
    environment = {**os.environ, "SPACK_KERNEL_CACHE": ""}
    done = subprocess.run(
        [sys.executable, "-m", __name__, str(root)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    answers: dict[str, Any] = json.loads(done.stdout)
    return answers


class World:
    """A site: an environment, views, and a Spack instance whose tree is chained to the site's.

    Parameters
    ----------
    root : Path
        The directory in which it is created.
    demo : DemoStore
        The store that the site's tree is copied from.
    seed : int
        Determines the sequence of changes.
    """

    def __init__(self, root: Path, demo: DemoStore, seed: int) -> None:
        self.root = root
        self._random = random.Random(seed)
        self.site = ClonedStore(demo, root / "site")
        self._venv_apart()
        store = Store.open(self.site.root)
        needed = [store.get(name) for name in (f"py-numpy@{NUMPY}", "python-venv", "python")]
        self.own = SmallStore(root / "own", upstreams=[self.site.root])
        mine = self.own.add("py-mine", "1.0", *needed)
        self.own.package(mine, "mine", python=_series(store))
        self.own.add("py-other", "2.0", *needed)
        self.own.write()
        self._instance()
        roots = [store.get("py-libensemble"), store.get("py-matplotlib")]
        for name in ("a", "b"):
            link_view(root / "views" / name, store, roots[: 1 if name == "a" else 2])
        (root / "view").symlink_to("views/a")
        make_environment(root / "env", roots, view=str(root / "view"))
        hashes = {name: self.site.hash(name) for name in ("py-libensemble", "py-numpy")}
        (root / "hashes.json").write_text(json.dumps(hashes))
        packages = ("py-numpy", "py-six", "py-comm", "py-traitlets", "py-ipykernel", "py-tornado")
        self._prefixes = [Path(self.site.records[self.site.hash(n)]["path"]) for n in packages]
        self._prefixes.append(Path(self.own.records[mine]["path"]))
        self.changes = [
            getattr(self, name) for name in sorted(dir(self)) if name.startswith("change_")
        ]

    def _venv_apart(self) -> None:
        """Give python-venv its own files: hard links share the demo's."""
        prefix = Path(self.site.records[self.site.hash("python-venv")]["path"])
        copy = prefix.with_name("copy")
        shutil.copytree(prefix, copy, symlinks=True)
        shutil.rmtree(prefix)
        copy.rename(prefix)
        self._venv = prefix

    def _instance(self) -> None:
        instance = self.root / "spack"
        (instance / "etc" / "spack" / "defaults").mkdir(parents=True)
        (instance / "bin").mkdir()
        (instance / "bin" / "spack").write_text("#!/bin/sh\n")
        self._etc = instance / "etc" / "spack"
        self._configure("config", {"install_tree": {"root": str(self.own.root)}})
        self._configure("upstreams", {"site": {"install_tree": str(self.site.root)}})

    def _configure(self, section: str, content: Any) -> None:
        (self._etc / f"{section}.yaml").write_text(json.dumps({section: content}))

    def step(self) -> str:
        """Make one change and return its description."""
        # Within one clock tick, two changes of a file can look like one.
        time.sleep(0.02)
        change = self._random.choice(self.changes)
        told = change()
        return f"{change.__name__.removeprefix('change_')}: {told}"

    def _toggle(self, path: Path) -> str:
        away = path.with_name(path.name + _AWAY)
        if os.path.lexists(away):
            if os.path.lexists(path):
                return f"{path} stays"
            away.rename(path)
            return f"{path} is back"
        if os.path.lexists(path):
            path.rename(away)
            return f"{path} is away"
        return f"{path} is nowhere"

    # -- directories --

    def change_a_prefix(self) -> str:
        return self._toggle(self._random.choice(self._prefixes))

    def change_a_library(self) -> str:
        return self._toggle(self._random.choice(self._prefixes) / "lib")

    def change_packages(self) -> str:
        found = sorted(self._random.choice(self._prefixes).glob("lib/python3*/site-packages*"))
        return self._toggle(Path(str(found[0]).removesuffix(_AWAY))) if found else "none there"

    def change_permissions(self) -> str:
        prefix = self._random.choice(self._prefixes)
        if not prefix.is_dir():
            return "none there"
        mode = self._random.choice((0o755, 0o700, 0o000))
        prefix.chmod(mode)
        return f"{prefix} {mode:o}"

    def change_a_new_directory(self) -> str:
        """Create or remove a directory that prefix inspections look for."""
        prefix = self._random.choice(self._prefixes)
        directory = prefix / self._random.choice(("bin", "lib64", "share/man", "lib/pkgconfig"))
        if not prefix.is_dir():
            return "none there"
        if directory.is_dir():
            shutil.rmtree(directory, ignore_errors=True)
            return f"{directory} is gone"
        directory.mkdir(parents=True)
        return f"{directory} is made"

    # -- the interpreter --

    def change_the_interpreter(self) -> str:
        """Replace the executable with an equivalent, a broken, or a different one."""
        series = next((self._venv / "lib").glob("python3*")).name
        path = self._venv / "bin" / series
        real = os.path.realpath(sys.executable)
        kind = self._random.choice(("link", "wrapper", "broken", "other"))
        path.unlink()
        if kind == "link":
            path.symlink_to(real)
        else:
            text = {
                "wrapper": f'#!/bin/sh\nexec "{real}" "$@"\n',
                "broken": "#!/bin/sh\nexit 3\n",
                "other": "#!/bin/sh\necho; echo 'spack-kernel-probe:{}'\n",
            }[kind]
            path.write_text(text)
            path.chmod(0o755)
        return kind

    def change_what_the_interpreter_offers(self) -> str:
        (packages,) = (self._venv / "lib").glob("python3*/site-packages")
        kernel = packages / "ipykernel"
        if kernel.is_dir():
            shutil.rmtree(kernel)
            (packages / "ipykernel-7.9.9.dist-info").rmdir()
            return "ipykernel is gone"
        kernel.mkdir()
        (kernel / "__init__.py").touch()
        (packages / "ipykernel-7.9.9.dist-info").mkdir()
        return "ipykernel 7.9.9"

    # -- views and environments --

    def change_the_view(self) -> str:
        target = self._random.choice(("views/a", "views/b", "views/none"))
        new = self.root / "view.new"
        new.symlink_to(target)
        new.replace(self.root / "view")
        return target

    def change_the_lock_file(self) -> str:
        path = self.root / "env" / "spack.lock"
        lock = json.loads(path.read_text())
        kind = self._random.choice(("fewer", "reversed", "all"))
        specs = lock["concrete_specs"]
        roots = [{"hash": key, "spec": node["name"]} for key, node in specs.items()]
        chosen = {"fewer": roots[:1], "reversed": roots[::-1], "all": roots}[kind]
        path.write_text(json.dumps({**lock, "roots": chosen}))
        return kind

    def change_the_manifest(self) -> str:
        path = self.root / "env" / "spack.yaml"
        manifest = json.loads(path.read_text())
        manifest["spack"]["view"] = self._random.choice((True, False, str(self.root / "view")))
        path.write_text(json.dumps(manifest))
        return str(manifest["spack"]["view"])

    # -- configuration --

    def change_the_install_tree(self) -> str:
        tree = self._random.choice((self.own.root, self.site.root, self.own.root))
        self._configure("config", {"install_tree": {"root": str(tree)}})
        return str(tree)

    def change_inspections(self) -> str:
        chosen = self._random.choice(
            (None, {"./lib": ["LD_LIBRARY_PATH"], "./bin": ["PATH"]}, {"./": ["CMAKE_PREFIX_PATH"]})
        )
        if chosen is None:
            (self._etc / "modules.yaml").unlink(missing_ok=True)
        else:
            self._configure("modules", {"prefix_inspections": chosen})
        return str(chosen)

    def change_upstreams(self) -> str:
        if self._random.random() < 0.3:
            self._configure("upstreams", {})
            return "none"
        self._configure("upstreams", {"site": {"install_tree": str(self.site.root)}})
        return "the site"

    def change_an_upstream(self) -> str:
        return self._toggle(self.site.root / ".spack-db")

    # -- databases --

    def change_the_database(self) -> str:
        """Install or uninstall a spec, writing the database by rename as Spack does."""
        if not (self.own.root / ".spack-db").is_dir():
            return "none there"
        other = next(key for key, r in self.own.records.items() if r["spec"]["name"] == "py-other")
        record = self.own.records[other]
        record["installed"] = not record["installed"]
        self.own.write()
        return f"py-other is installed: {record['installed']}"

    def change_the_database_in_place(self) -> str:
        """Edit a record without changing the file's inode, size or modification time."""
        path = self.own.root / ".spack-db" / "index.json"
        status = path.stat()
        text = path.read_text()
        one, two = '"name": "py-mine"', '"name": "py-xine"'
        text = text.replace(one, two) if one in text else text.replace(two, one)
        with path.open("r+") as file:
            file.write(text)
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
        after = path.stat()
        assert (after.st_ino, after.st_size, after.st_mtime_ns) == (
            *(status.st_ino, status.st_size, status.st_mtime_ns),
        )
        return "py-mine" if one in text else "py-xine"


def _series(store: Store) -> str:
    return ".".join(str(store.get("python").version).split(".")[:2])


if __name__ == "__main__":
    print(json.dumps(fresh(Path(sys.argv[1]))))
