"""Kernelspecs of kernels that run in jobs: what they have beside those that run here."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

#: The name under which `SpackSlurmProvisioner` is registered.
SLURM_PROVISIONER_NAME = "spack-slurm-provisioner"

#: What distinguishes the name of a kernel in a job from that of the same kernel here.
JOB_SUFFIX = "-slurm"

#: The keys of a kernelspec's configuration that are about the job, and not about the environment.
JOB_KEYS = ("slurm", "job_id", "queue_timeout", "start_wait")

#: The maximum length of the job options in a display name, in characters.
_LONGEST = 40


def split_config(config: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a kernelspec's configuration in two parts: the request's, and the job's."""
    request = {name: value for name, value in config.items() if name not in JOB_KEYS}
    return request, {name: value for name, value in config.items() if name in JOB_KEYS}


def in_job(
    content: Mapping[str, Any], job: Mapping[str, Any], *, label: bool = True
) -> dict[str, Any]:
    """Return the content of a kernel.json for the same kernel in a job.

    Parameters
    ----------
    content : mapping
        The content for a kernel that runs here.
    job : mapping
        Traits of `SpackSlurmProvisioner`, by `JOB_KEYS`.
    label : bool
        Whether to append the job options to the display name.
    """
    changed = copy.deepcopy(dict(content))
    stanza = changed["metadata"]["kernel_provisioner"]
    stanza["provisioner_name"] = SLURM_PROVISIONER_NAME
    stanza["config"] |= job
    if label:
        changed["display_name"] = f"{changed['display_name']} [{job_label(job)}]"
    return changed


def job_label(job: Mapping[str, Any]) -> str:
    """Return a short description of the job options.

    Examples
    --------
    >>> job_label({"slurm": {"partition": "gpu", "exclusive": True}})
    'Slurm: partition=gpu exclusive'
    >>> job_label({"job_id": "12"})
    'Slurm job 12'
    """
    if job.get("job_id"):
        return f"Slurm job {job['job_id']}"
    options = job.get("slurm") or {}
    words = [name if value is True else f"{name}={value}" for name, value in options.items()]
    text = " ".join(words)
    if len(text) > _LONGEST:
        text = f"{text[: _LONGEST - 1]}…"
    return f"Slurm: {text}" if text else "Slurm"
