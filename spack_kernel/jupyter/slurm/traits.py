"""The traits of a kernel in a job: what a kernel.json, or a site's configuration, sets."""

from __future__ import annotations

import re
from typing import Any

from traitlets import Dict, Float, Int, List, TraitError, Unicode, Union

from spack_kernel.jupyter.errors import JobRefusedError, KernelSpecError
from spack_kernel.jupyter.provisioner import KernelTraits

from .options import JobOptions, check_limits, checked, job_options

#: Traits that only the site's configuration sets.
OF_SITE = frozenset(
    [
        "slurm_defaults",
        "slurm_limits",
        "slurm_locked",
        "job_directory",
        "node_python",
        "lease",
        "address",
        "ports",
    ]
)


class JobTraits(KernelTraits):
    """The traits of `SpackSlurmProvisioner` beside those of `SpackProvisioner`."""

    slurm = Dict(
        key_trait=Unicode(),
        help="Options of the job, by the names of sbatch's long options: "
        '{"partition": "gpu", "time": "1:00:00", "gres": "gpu:1"}. `true` is an option without a '
        "value, `false` switches a default off.",
    ).tag(config=True)
    job_id = Union(
        [Unicode(), Int()],
        default_value="",
        help="The number of a job of yours that runs already: the kernel is started in it, as a "
        "step, and leaves it as it is.",
    ).tag(config=True)
    queue_timeout = Float(
        0.0,
        min=0.0,
        help="Seconds that the job may wait for its nodes, before it is canceled; 0: no limit.",
    ).tag(config=True)
    start_wait = Float(
        10.0,
        min=0.0,
        help="Seconds that a start waits for the job. A kernel that is there by then has started "
        "or failed as any other; after that, the notebook shows what the job waits for.",
    ).tag(config=True)
    slurm_defaults = Dict(
        key_trait=Unicode(),
        help="Options of jobs for kernels whose kernelspec does not set them.",
    ).tag(config=True)
    slurm_limits = Dict(
        key_trait=Unicode(),
        help="For each option, the largest time, number or size, or a list of the allowed values, "
        'of which the first is the default: {"time": "8:00:00", "partition": ["cpu", "gpu"]}.',
    ).tag(config=True)
    slurm_locked = Dict(
        key_trait=Unicode(),
        help="Options of jobs that no kernelspec can change.",
    ).tag(config=True)
    job_directory = Unicode(
        help="A directory that the nodes share, in which each user can have one; `~` is the user's "
        "home directory. Each job has a directory of its own there while it exists. Empty: "
        "`spack-kernel/jobs` in the user's Jupyter data directory.",
    ).tag(config=True)
    node_python = List(
        Unicode(),
        help="The command of a Python on the nodes that can import spack_kernel, if the one of the "
        "server does not exist there.",
    ).tag(config=True)
    lease = Float(
        20.0,
        min=1.0,
        help="Seconds after which a kernel's job is ended if nothing was heard of the server's "
        "side, and the kernel given up if nothing was heard of the node.",
    ).tag(config=True)
    address = Unicode(
        help="The address or the name of the machine of the server at which the nodes reach it. "
        "Empty: they try all of its addresses.",
    ).tag(config=True)
    ports = Unicode(
        help="The range of ports on the machine of the server to which the nodes can connect, such "
        "as `50000-50200`; each kernel in a job needs one. Empty: any port.",
    ).tag(config=True)

    def configure(self, options: dict[str, Any]) -> None:
        """Set the traits that the kernelspec contains.

        Raises
        ------
        KernelSpecError
            As `KernelTraits.configure`; also for what only the site sets.
        """
        for name in sorted(OF_SITE & options.keys()):
            raise KernelSpecError(
                f"the kernelspec sets `{name}`, which only the site's configuration sets",
                hint="Remove it from the kernel.json; an administrator sets "
                f"c.SpackSlurmProvisioner.{name}.",
            )
        super().configure(options)

    def known_keys(self) -> list[str]:
        """Return the keys that a kernelspec can have."""
        return sorted(set(super().known_keys()) - OF_SITE)

    def set_option(self, name: str, value: Any) -> None:
        """Set a trait to a value from a kernelspec or a configuration file.

        Raises
        ------
        TraitError, RequestError
            When the value is not valid.
        """
        super().set_option(name, value)
        try:
            if name in ("slurm", "slurm_defaults", "slurm_locked"):
                checked(value, f"`{name}`")
            elif name == "slurm_limits":
                check_limits(value)
            elif name == "ports":
                range_of(value)
        except JobRefusedError as error:
            raise TraitError(str(error)) from None
        if name == "job_id" and not re.fullmatch(r"\d*", str(value)):
            raise TraitError("it is not the number of a job")
        if name == "job_directory" and value and not value.startswith(("/", "~")):
            raise TraitError("it is not an absolute path")

    def options(self) -> JobOptions:
        """Return the options of the job.

        Raises
        ------
        JobRefusedError
            When the kernelspec asks for what the site, or a step in a job, cannot have, or the
            site's own configuration is wrong.
        """
        if self.job_directory and not self.job_directory.startswith(("/", "~")):
            raise JobRefusedError(
                f"c.SpackSlurmProvisioner.job_directory is no absolute path: {self.job_directory}",
                hint="Tell the administrators: it must begin with / or ~.",
            )
        own = job_options(
            self.slurm,
            defaults=self.slurm_defaults,
            limits=self.slurm_limits,
            locked=self.slurm_locked,
        )
        if self.job_id:
            own.refuse_for_step(self.slurm)
        return own


def range_of(text: str) -> tuple[int, int]:
    """Return the first and the last of a range of ports; (0, 0) for any.

    Raises
    ------
    JobRefusedError
        When it is not a range.
    """
    first, _, last = text.partition("-")
    if not text.strip():
        return 0, 0
    if first.strip().isdecimal() and (last or first).strip().isdecimal():
        found = int(first), int(last or first)
        if 0 < found[0] <= found[1] < 65536:
            return found
    raise JobRefusedError(
        f"c.SpackSlurmProvisioner.ports is not a range of ports: {text!r}",
        hint="Write the first and the last, such as 50000-50200.",
    )
