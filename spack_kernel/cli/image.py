"""The command ``image``: make the start image of a kernel, for this user or for everybody."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .directories import create_public, warn_of_others
from .options import (
    add_json_option,
    add_request_options,
    add_store_option,
    add_timeout_option,
    open_store,
    refuse_timeout,
)
from .sources import check_source, get_source, request_of

if TYPE_CHECKING:
    import argparse

    from spack_kernel.kernels.image import Image
    from spack_kernel.kernels.plan import KernelPlan
    from spack_kernel.kernels.request import KernelRequest

    from .steps import KernelCheck

_DESCRIPTION = """\
Start a kernel once, import the packages of its specs, and keep the modules that it has imported in
one file: the start image. Later starts of the same kernel import them from there, which spares the
file system most of its work.

Everyone's images are made without this command, by the first start of each kernel, on a file
system of the node. An administrator makes one for all users with --output, and sets
SPACK_KERNEL_IMAGES to that directory for them. Others must not be able to write in the directory
or above it."""

_EPILOG = """\
examples:
  spack-kernel image py-libensemble/j4zmggq
  spack-kernel image py-libensemble/j4zmggq --import matplotlib.pyplot --import scipy.sparse
  spack-kernel image py-libensemble/j4zmggq --output /opt/spack-kernel/images
  export SPACK_KERNEL_IMAGES=/opt/spack-kernel/images"""


def add_parser(subparsers: Any) -> argparse.ArgumentParser:
    """Add the parser of `image`."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "image",
        help="make the start image of a kernel",
        description=_DESCRIPTION,
        epilog=_EPILOG,
    )
    parser.add_argument("query", metavar="QUERY", nargs="*", help="a spec, as for `spack load`")
    parser.add_argument(
        "--output",
        metavar="DIR",
        help="a directory that all users can read (default: this user's images)",
    )
    parser.add_argument(
        "--import",
        dest="imports",
        metavar="NAME",
        action="append",
        default=[],
        help="another module to import, repeatable",
    )
    add_timeout_option(parser)
    add_request_options(parser, "image")
    add_json_option(parser)
    add_store_option(parser)
    return parser


def run(args: argparse.Namespace) -> int:
    """Make the image."""
    import msgspec

    from spack_kernel.kernels.image_choice import image_of
    from spack_kernel.kernels.planner import plan_of
    from spack_kernel.spack.errors import SpackKernelError

    from .kernel_check import refuse_root
    from .steps import KernelCheck

    check_source(args)
    refuse_timeout(args)
    if args.output == "":
        args.parser.error("argument --output: it is empty")
    for module in args.imports:
        if not all(part.isidentifier() for part in module.split(".")):
            args.parser.error(f"argument --import: {module!r} is not the name of a module")
    request = request_of(args)
    plan = plan_of(get_source(args, open_store(args), request), request)
    refuse_root(plan, "`sudo -u '#{uid}' spack-kernel image ...`")
    check = KernelCheck(args.timeout, lambda step: _show(args, step.name, step.seconds))
    output = _writable(Path(args.output).absolute()) if args.output else None
    with tempfile.TemporaryDirectory(prefix="spack-kernel-image-") as scratch:
        # Not the user's own, nor a site's: this one is made anew.
        there = msgspec.structs.replace(request, image_directory=scratch)
        made = image_of(plan, there, use_site=False)
        kept = made if output is not None else image_of(plan, request, use_site=False)
        if isinstance(made, str) or isinstance(kept, str):
            raise SpackKernelError(
                f"{plan.source.describe()} can have no start image",
                details=[f"  {made if isinstance(made, str) else kept}"],
                hint="Name a directory: spack-kernel image --output DIR ...",
            )
        if output is None and kept.exists:
            # Its modules stay in it.
            Path(made.path).parent.mkdir(mode=0o700)
            shutil.copy2(kept.path, made.path)
        _start(check, plan, there, args.imports)
        with check.step("image"):
            count = _wait_for(made, check.timeout)
        path = (output or Path(kept.path).parent) / Path(kept.path).name
        _move(Path(made.path), path, mode=0o600 if output is None else 0o644)
    size = path.stat().st_size
    facts = {"path": str(path), "modules": count, "size": size}
    if args.json:
        args.console.print_json(facts)
    else:
        args.console.print(f"{path}: {count:,} modules, {size / 1e6:.1f} MB")
    if output is not None:
        owner = os.stat(made.fixed[0]).st_uid  # noqa: PTH116
        warn_of_others(args.console, path, owner)
    return 0


def _show(args: argparse.Namespace, name: str, seconds: float) -> None:
    if not args.json:
        args.console.print(f"{name:<28} {seconds:6.2f} s")


def _start(
    check: KernelCheck, plan: KernelPlan, request: KernelRequest, modules: list[str]
) -> None:
    """Start a kernel that records what it imports, and let it import the packages."""
    from jupyter_client.kernelspec import KernelSpecManager
    from traitlets.config import Config

    from spack_kernel.jupyter.kernelspecs import kernel_dict, write_kernelspec

    from .import_check import import_all, import_module
    from .kernel_check import running_kernel

    limits = {"plan_timeout": check.timeout, "start_timeout": check.timeout}
    with tempfile.TemporaryDirectory(prefix="spack-kernel-image-") as scratch:
        kernels = Path(scratch, "kernels")
        write_kernelspec(kernels, "image", kernel_dict(plan, request=request))
        specs = KernelSpecManager(kernel_dirs=[str(kernels)], ensure_native_kernel=False)
        with running_kernel(
            check,
            "image",
            Path(scratch),
            config=Config({"SpackProvisioner": limits}),
            kernel_spec_manager=specs,
        ) as (_, talk):
            for spec in plan.specs:
                import_all(check, talk, plan, spec)
            for module in modules:
                with check.step(f"import {module}"):
                    import_module(talk, module)


def _wait_for(image: Image, timeout: float) -> int:
    """Return the number of modules of an image, when the process that makes it has ended."""
    from spack_kernel.kernels.image import count_modules
    from spack_kernel.spack.errors import SpackKernelError

    claim = f"{image.path}.claim"
    deadline = time.monotonic() + timeout
    settled = 0
    while settled < 5 or not image.exists:
        if time.monotonic() > deadline:
            raise SpackKernelError(
                f"the kernel has ended, but its start image was not made within {timeout:g} s",
                hint="What was installed within the last seconds is in no image: run this again. "
                "If that\ndoes not help, increase --timeout.",
            )
        time.sleep(0.1)
        settled = 0 if os.path.lexists(claim) else settled + 1
    return count_modules(image.path)


def _writable(output: Path) -> Path:
    """Return a directory for all users, which is created if necessary.

    Raises
    ------
    SpackKernelError
        When nothing can be written there.
    """
    from spack_kernel.spack.errors import SpackKernelError

    create_public(output)
    if not output.is_dir() or not os.access(output, os.W_OK | os.X_OK):
        what = "is not a directory" if not output.is_dir() else "cannot be written to"
        raise SpackKernelError(f"{output} {what}", hint="Name another directory: --output DIR")
    return output


def _move(source: Path, path: Path, *, mode: int) -> None:
    """Move an image to where it is used; whoever starts meanwhile sees it whole or not at all."""
    from spack_kernel.spack.errors import SpackKernelError

    scratch = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(mode=0o700, exist_ok=True)
        shutil.copyfile(source, scratch)
        scratch.chmod(mode)
        scratch.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            scratch.unlink()
        raise SpackKernelError(
            f"{path} cannot be written: {error.strerror}",
            hint="Check the directory and its free space, or name another one: --output DIR",
        ) from error
