"""The options of the picker, set as ``c.SpackPicker.…`` in Jupyter's configuration."""

from __future__ import annotations

import os
import shutil
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyter_core.paths import jupyter_data_dir
from traitlets import Bool, Float, List, Unicode
from traitlets.config import Configurable

from spack_kernel.jupyter.errors import JobRefusedError
from spack_kernel.jupyter.kernelspecs import Place
from spack_kernel.jupyter.offers import store_lists
from spack_kernel.jupyter.slurm import job_form, job_options

if TYPE_CHECKING:
    from collections.abc import Mapping

    from spack_kernel.jupyter.slurm import JobField


class SpackPicker(Configurable):
    """The picker of JupyterLab: which stores it searches, and what it offers."""

    enabled = Bool(
        True,
        help="Whether the picker is offered. If not, its REST interface answers 403, except for "
        "`health`, `deaths` and `starts`.",
    ).tag(config=True)
    stores = List(
        Unicode(),
        help="The stores, as for SpackKernelSpecManager. If empty, those of "
        "SpackKernelSpecManager are used, then $SPACK_KERNEL_STORE, then $SPACK_ROOT, then the "
        "spack on PATH.",
    ).tag(config=True)
    upstreams = List(
        Unicode(),
        help="Install trees to use as upstreams of each store. Their specs are found too.",
    ).tag(config=True)
    favourites = List(
        Unicode(),
        help="Queries for the specs that the picker shows first to every user, before anything is "
        "typed.",
    ).tag(config=True)
    timeout = Float(
        20.0,
        min=0.1,
        help="Time limit in seconds for each answer; after it, the picker says that the store is "
        "slow.",
    ).tag(config=True)

    #: Whether Slurm's commands are there.
    has_slurm = False
    #: What is wrong with its configuration; then the picker is off.
    mistake = ""

    def store_lists(self) -> list[tuple[str, ...]]:
        """Return the stores, each followed by its upstreams; an empty tuple is to be discovered."""
        stores, upstreams = list(self.stores), list(self.upstreams)
        if not stores:
            stores, theirs = self._of_discovery()
            upstreams = upstreams or theirs
        return store_lists(stores, upstreams)

    @property
    def _manager(self) -> Any:
        return getattr(self.parent, "kernel_spec_manager", None)

    def _of_discovery(self) -> tuple[list[str], list[str]]:
        """Return the stores and upstreams of `SpackKernelSpecManager`, even if it is not used."""
        if hasattr(self._manager, "store_lists"):
            return list(self._manager.stores), list(self._manager.upstreams)
        section = self.config.get("SpackKernelSpecManager", {})
        return list(section.get("stores", ())), list(section.get("upstreams", ()))

    def place(self) -> Place:
        """Return where the kernels of this user are."""
        data = jupyter_data_dir()
        kept = getattr(self._manager, "user_kernel_dir", "") or str(Path(data, "kernels"))
        recent = str(Path(data, "spack-kernel", "kernels"))
        searched = [str(each) for each in getattr(self._manager, "kernel_dirs", ())]
        others = [each for each in searched if each not in (kept, recent)]
        return Place(kept=kept, recent=recent, others=others)

    def look_for_slurm(self) -> None:
        """Look for Slurm's commands in a thread: a directory of PATH can hang."""

        def look() -> None:
            self.has_slurm = all(shutil.which(name) for name in ("sbatch", "scontrol", "scancel"))

        threading.Thread(target=look, name="spack-kernel-slurm", daemon=True).start()

    def job_form(self) -> list[JobField] | None:
        """Return the fields of the job form; None if Slurm is not available."""
        return job_form(*self._job_options()) if self.has_slurm else None

    def job(self, slurm: Mapping[str, Any] | None) -> dict[str, Any] | None:
        """Return the traits for a kernel in a job; None for one that runs here.

        Raises
        ------
        JobRefusedError
            When the site does not allow it.
        """
        if slurm is None:
            return None
        if not self.has_slurm:
            raise JobRefusedError(
                f"there is no Slurm on {os.uname().nodename}: `sbatch` is not on PATH",
                hint="Start the kernel here.",
            )
        defaults, limits, locked = self._job_options()
        job_options(slurm, defaults=defaults, limits=limits, locked=locked)
        return {"slurm": dict(slurm)}

    def _job_options(self) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        section = self.config.get("SpackSlurmProvisioner", {})
        names = ("slurm_defaults", "slurm_limits", "slurm_locked")
        defaults, limits, locked = (dict(section.get(name, {})) for name in names)
        return defaults, limits, locked

    def why_not(self) -> str:
        """Return why the picker cannot be used in this server; empty if it can."""
        if self.mistake:
            return f"its configuration is not valid: {self.mistake}"
        if not self.enabled:
            return "the administrators have switched the Spack picker off"
        if type(self._manager).__module__.startswith("jupyter_server.gateway"):
            return "the kernels of this server run on a gateway, which has its own stores"
        if getattr(self._manager, "allowed_kernelspecs", None):
            return "the administrators allow only the kernels that are listed"
        return ""
