"""``spack-kernel pin``: record in a notebook the spec that it needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .options import (
    add_companion_option,
    add_json_option,
    add_location_options,
    add_store_option,
    get_specs,
    given_stores,
    open_store,
    query_text,
)

if TYPE_CHECKING:
    import argparse

    from spack_kernel.jupyter.notebook import NotebookSpec

    from .console import Console

_DESCRIPTION = """\
Record in a notebook the spec that it needs: the query and the DAG hash that it finds now, under
`metadata.spack`. The kernel "Spack (chosen by the notebook)" starts the recorded spec, so every
user who opens the notebook at the same site gets the same environment. Only the metadata changes,
and the file is replaced as a whole.

Without QUERY, `pin` prints what the notebook needs. --check also checks whether a kernel for it
can be started here, and fails if not."""

_EPILOG = """\
examples:
  spack-kernel pin analysis.ipynb py-libensemble/j4zmggq
  spack-kernel pin analysis.ipynb                print what it needs
  spack-kernel pin --check analysis.ipynb        is it available? exit status 0 or 1
  spack-kernel pin --remove analysis.ipynb
  spack-kernel pin --install-kernel --user       install its kernel, if no server offers it
  SPACK_KERNEL_NOTEBOOK=analysis.ipynb jupyter execute analysis.ipynb"""


def add_parser(subparsers: Any) -> argparse.ArgumentParser:
    """Add the parser of `pin`."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "pin",
        help="record in a notebook the spec that it needs",
        usage="%(prog)s [options] NOTEBOOK [QUERY ...]",
        description=_DESCRIPTION,
        epilog=_EPILOG,
    )
    parser.add_argument("notebook", metavar="NOTEBOOK", nargs="?", help="an .ipynb file")
    parser.add_argument(
        "query", metavar="QUERY", nargs="*", help="the spec it needs, as for `spack load`"
    )
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument(
        "--check", action="store_true", help="check whether a kernel for it can be started here"
    )
    mode.add_argument("--remove", action="store_true", help="remove the recorded spec")
    mode.add_argument(
        "--install-kernel",
        action="store_true",
        help="install the kernel that starts the spec recorded in a notebook",
    )
    parser.add_argument(
        "--no-hash",
        action="store_true",
        help="record only the query, to be resolved at each start; for use at several sites",
    )
    parser.add_argument(
        "--keep-kernel",
        action="store_true",
        help="do not set the kernel of the notebook to the one that starts the recorded spec",
    )
    add_companion_option(parser)
    add_location_options(parser.add_argument_group("for --install-kernel"))
    add_json_option(parser)
    add_store_option(parser)
    return parser


def run(args: argparse.Namespace) -> int:
    """Write, show, check or remove the spec that a notebook needs."""
    from pathlib import Path

    if args.install_kernel:
        return _install_kernel(args)
    if not args.notebook:
        args.parser.error("no notebook given: give the path of a NOTEBOOK")
    if not args.notebook.endswith(".ipynb") and any(q.endswith(".ipynb") for q in args.query):
        args.parser.error("the NOTEBOOK comes first, then the QUERY")
    if args.query and (args.check or args.remove):
        args.parser.error(f"--{'check' if args.check else 'remove'} takes no QUERY")
    path = Path(args.notebook)
    if args.remove:
        from spack_kernel.jupyter.notebook import write_notebook_spec

        write_notebook_spec(path, None)
        if not args.console.json:
            args.console.print(f"{path} no longer records a spec")
        return 0
    if args.query:
        return _pin(args, path)
    return _show(args, path)


def _pin(args: argparse.Namespace, path: Any) -> int:
    from spack_kernel.jupyter.notebook import NotebookSpec, write_notebook_spec
    from spack_kernel.kernels.plan import plan_kernel

    console: Console = args.console
    store = open_store(args)
    specs = get_specs(store, args.query)
    plan_kernel(store, specs, companion=args.companion)
    query = query_text(args.query) if len(specs) == 1 else ""
    spec = NotebookSpec.of(specs, query, pinned=not args.no_hash)
    write_notebook_spec(path, spec, set_kernel=not args.keep_kernel)
    if console.json:
        console.print_json({"notebook": str(path), **spec.as_dict()})
        return 0
    console.print(f"{path} now needs {spec}")
    console.print("If it is open, reload it and restart its kernel.")
    return 0


def _show(args: argparse.Namespace, path: Any) -> int:
    """Print what a notebook needs; with ``--check``, also plan its kernel."""
    from spack_kernel.jupyter.notebook import notebook_error, read_notebook_spec
    from spack_kernel.kernels.plan import plan_kernel
    from spack_kernel.kernels.planner import resolve
    from spack_kernel.spack.errors import SpackKernelError

    console: Console = args.console
    spec = read_notebook_spec(path)
    found: list[str] = []
    if args.check:
        try:
            store = open_store(args)
            specs = resolve(store, spec.request())
            plan_kernel(store, specs, companion=args.companion)
        except SpackKernelError as error:
            raise notebook_error(error, path, spec) from error
        found = [each.label for each in specs]
    if console.json:
        result = {"notebook": str(path), **spec.as_dict()}
        console.print_json({**result, "found": found} if args.check else result)
        return 0
    console.print(f"{path} needs {spec}")
    for label in found:
        console.print(f"  found {label}")
    if not args.check:
        _suggest(spec, console)
    return 0


def _suggest(spec: NotebookSpec, console: Console) -> None:
    console.print(console.style("dim", f"  spack-kernel show {' '.join(spec.queries)}"))


def _install_kernel(args: argparse.Namespace) -> int:
    from spack_kernel.jupyter.kernelspecs import (
        NOTEBOOK_DISPLAY_NAME,
        NOTEBOOK_NAME,
        kernels_directory,
        notebook_content,
        write_kernelspec,
    )

    console: Console = args.console
    if args.notebook:
        args.parser.error("--install-kernel takes no NOTEBOOK")
    kernels = kernels_directory(user=args.user, prefix=args.prefix)
    content = notebook_content(NOTEBOOK_DISPLAY_NAME, given_stores(args))
    directory = write_kernelspec(kernels, NOTEBOOK_NAME, content)
    if console.json:
        console.print_json({"name": NOTEBOOK_NAME, "resource_dir": str(directory)})
    else:
        console.print(f"The kernel {NOTEBOOK_NAME} is installed: {directory}")
    return 0
