"""The command ``workers``: let the workers of a notebook run in its environment, in Slurm jobs."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .options import add_query_argument, add_request_options, add_store_option, open_store
from .sources import (
    check_source,
    find_installed,
    get_source,
    instead_of_query,
    refuse_options,
    request_of,
)

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping, Sequence

_DESCRIPTION = """\
Print the configuration with which dask-jobqueue or ipyparallel starts workers in jobs of Slurm that
have the environment of a spec, or of an installed kernel: that of the notebook. The package itself,
and what the workers need, must be in that environment.

  dask         for ~/.config/dask/spack.yaml; then, in the notebook:
                 from dask_jobqueue import SLURMCluster
                 cluster = SLURMCluster(cores=4, memory="8GB"); cluster.scale(2)
  ipyparallel  for ~/.ipython/profile_default/ipcluster_config.py; then, in the notebook:
                 import ipyparallel
                 client = ipyparallel.Cluster(n=4).start_and_connect_sync()"""

_EPILOG = """\
examples:
  spack-kernel workers dask spack-py-numpy-2.2.6-abc1234-slurm
  spack-kernel workers dask --output ~/.config/dask/spack.yaml py-dask-jobqueue/abc1234
  spack-kernel workers dask --slurm partition=cpu --slurm time=30 py-dask-jobqueue/abc1234
  spack-kernel workers ipyparallel py-ipyparallel/abc1234"""


#: The size of a job: that of the kernel is not that of a worker.
_SIZES = (
    *("cpus-per-task", "mem", "mem-per-cpu", "mem-per-gpu", "nodes", "ntasks", "ntasks-per-node"),
    "job-name",
)


def add_parser(subparsers: Any) -> argparse.ArgumentParser:
    """Add the parser of `workers`."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "workers",
        help="print the configuration for workers in Slurm jobs",
        description=_DESCRIPTION,
        epilog=_EPILOG,
    )
    parser.add_argument("package", choices=tuple(_FORMATS), help="what starts the workers")
    add_query_argument(parser, "*")
    add_request_options(parser, "workers")
    parser.add_argument(
        "--slurm",
        metavar="OPTION=VALUE",
        action="append",
        default=[],
        help="an option of sbatch for the jobs of the workers, repeatable (default: those of the "
        "installed kernel)",
    )
    parser.add_argument("--output", metavar="FILE", help="write to FILE instead of printing")
    parser.add_argument("--replace", action="store_true", help="replace FILE if it exists")
    parser.set_defaults(env=[])
    add_store_option(parser)
    return parser


def run(args: argparse.Namespace) -> int:
    """Print the configuration, or write it."""
    from spack_kernel.jupyter.slurm import job_options, option_of
    from spack_kernel.kernels.errors import RequestError

    check_source(args)
    words, own = _command(args)
    given = dict(option_of(text) for text in args.slurm)
    options = job_options(given or _without_sizes(own)).words()
    if args.package == "ipyparallel" and "ntasks" in given:
        raise RequestError(
            "the number of engines is not an option of the job",
            hint="Leave out --slurm ntasks, and set it in the notebook: ipyparallel.Cluster(n=4).",
        )
    text = _FORMATS[args.package](words, options)
    if args.output is None:
        args.console.print(text.rstrip("\n"))
        return 0
    path = Path(args.output)
    if path.exists() and not args.replace and path.read_bytes() != text.encode():
        raise RequestError(
            f"{path} exists already, with other content",
            hint="Replace it with --replace, or leave out --output and copy what you need.",
        )
    _write(path, text)
    args.console.print(f"The workers' configuration is in {args.output}.")
    return 0


def _without_sizes(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of a kernel's job without those that a cluster sets for its workers."""
    return {name: value for name, value in options.items() if name not in _SIZES}


def _command(args: argparse.Namespace) -> tuple[list[str], Mapping[str, Any]]:
    """Return the command that runs the environment's Python, and the options of its kernel's job.

    Raises
    ------
    SpackKernelError
        When the arguments name neither one environment nor one kernel.
    """
    from spack_kernel.jupyter.kernelspecs import kernel_dict, read_kernel_json
    from spack_kernel.kernels.planner import plan_of
    from spack_kernel.spack.errors import SpackKernelError

    try:
        request = request_of(args)
        source = get_source(args, open_store(args), request)
    except SpackKernelError as error:
        installed = find_installed(args)
        if installed is None:
            raise instead_of_query(args, error) from None
        refuse_options(args, installed, ["--store"] if args.store else [])
        content = read_kernel_json(Path(installed.resource_dir))
        own = (installed.job or {}).get("slurm") or {}
    else:
        content, own = kernel_dict(plan_of(source, request), request), {}
    argv: list[str] = content["argv"]
    # Our kernelspecs run `exec … -- python -m ipykernel_launcher …`.
    return [*argv[: argv.index("--") + 1], "python"], own


def _dask(words: Sequence[str], options: Sequence[str]) -> str:
    import yaml

    slurm: dict[str, Any] = {"python": shlex.join(words)}
    if options:
        slurm["job-extra-directives"] = [shlex.quote(each) for each in options]
    return str(yaml.safe_dump({"jobqueue": {"slurm": slurm}}, width=10**6))


def _ipyparallel(words: Sequence[str], options: Sequence[str]) -> str:
    lines = ["--job-name=ipengine-{cluster_id}", "--ntasks={n}"]
    lines += [shlex.quote(each).replace("{", "{{").replace("}", "}}") for each in options]
    directives = "".join(f"#SBATCH {line}\n" for line in lines)
    template = f"#!/bin/sh\n{directives}srun {{program_and_args}}\n"
    return (
        "c = get_config()  # noqa\n"
        "# The engines are on other machines than the controller.\n"
        'c.Cluster.controller_ip = "*"\n'
        'c.Cluster.engine_launcher_class = "slurm"\n'
        f"c.SlurmEngineSetLauncher.engine_cmd = {[*words, '-m', 'ipyparallel.engine']!r}\n"
        f"c.SlurmEngineSetLauncher.batch_template = {template!r}\n"
    )


_FORMATS = {"dask": _dask, "ipyparallel": _ipyparallel}


def _write(path: Path, text: str) -> None:
    """Write a file, completely or not at all.

    Raises
    ------
    SpackKernelError
        When that is not possible.
    """
    from spack_kernel.jupyter.errors import UnreadableError
    from spack_kernel.spack.system import replace_file

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, text.encode(), 0o644)
    except OSError as error:
        raise UnreadableError(
            f"{path} cannot be written: {error.strerror or error}",
            hint="Name another file with --output, or leave the option out.",
        ) from error
