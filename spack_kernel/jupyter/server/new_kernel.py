"""What a front end sends to choose a kernel."""

from __future__ import annotations

import msgspec


class NewKernel(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The kernel that a user has chosen.

    Attributes
    ----------
    queries : list of str
        The specs that it loads: ``/`` and a DAG hash, or any query that matches one spec.
    environment, view : str
        A Spack environment or a view instead, as for `spack-kernel install`.
    kernel : str
        Instead: the name of a kernel of the user, which is chosen again.
    from_notebook : bool
        Instead: the kernel whose spec each notebook names.
    keep : bool
        Whether the user keeps it; else it is one of the recent ones.
    name, display_name : str
        Its name, and the name that front ends show; if empty, the usual ones.
    replace : bool
        Whether to replace a kernelspec of that name that is not ours.
    slurm : dict or None
        Options of sbatch, by their long names: then the kernel runs in a job. Empty: a job with the
        defaults of the site.
    store : int
        The store, as a position in the list that ``health`` returns.
    """

    queries: list[str] = []
    environment: str = ""
    view: str = ""
    kernel: str = ""
    from_notebook: bool = False
    keep: bool = False
    name: str = ""
    display_name: str = ""
    replace: bool = False
    slurm: dict[str, str | int | float | bool] | None = None
    store: int = 0
