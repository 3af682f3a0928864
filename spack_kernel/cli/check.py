"""``spack-kernel check``: test whether a kernel starts and can import its package."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .options import (
    add_json_option,
    add_request_options,
    add_store_option,
    add_timeout_option,
    open_store,
    refuse_timeout,
)
from .sources import (
    check_source,
    find_installed,
    get_source,
    installed_plan,
    instead_of_query,
    refuse_options,
    request_of,
    request_options,
    warn_if_changed,
)

if TYPE_CHECKING:
    import argparse

    from spack_kernel.kernels.plan import KernelPlan
    from spack_kernel.kernels.request import KernelRequest

    from .console import Console
    from .steps import KernelCheck, Step

_DESCRIPTION = """\
Start a kernel, check which Python it runs, import the package's modules in it, and shut it down.
Each step is printed, with the time that it took. Give the name of an installed kernel, or a query
to test a temporary kernel for a spec. Kernels for other languages are started and must answer.
Nothing is left behind.

If a step fails, `check` prints the reason and exits with status 1.

With --site, check what a user's server does: read Jupyter's configuration files as a server does,
check all options of the provisioner and of discovery, read each store, look for py-ipykernel, and
start one kernel: NAME, else the first that is offered. All that has to be mended is printed."""

_EPILOG = """\
examples:
  spack-kernel check spack-py-libensemble-1.5.0-j4zmggq     an installed kernel
  spack-kernel check py-libensemble/j4zmggq                 before installing a kernel
  spack-kernel check --site                                 all that a server needs
  sudo spack-kernel check --site --as-user alice            as alice's server would find it
  spack-kernel check --timeout 300 py-tensorflow            on a slow file system
  spack-kernel check --json py-scipy | jq '.steps[] | {name, seconds}'"""


def add_parser(subparsers: Any) -> argparse.ArgumentParser:
    """Add the parser of `check`."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "check",
        help="start a kernel and import its package",
        description=_DESCRIPTION,
        epilog=_EPILOG,
    )
    parser.add_argument(
        "query",
        metavar="NAME|QUERY",
        nargs="*",
        help="the name of an installed kernel, or a spec, as for `spack load`",
    )
    add_timeout_option(parser)
    parser.add_argument(
        "--site", action="store_true", help="check the configuration and the stores of a server"
    )
    parser.add_argument(
        "--as-user", metavar="USER", help="for --site, as root: check what this user's server finds"
    )
    parser.add_argument(
        "--kernel", metavar="NAME", help="for a QUERY: which kernel to start, as for `install`"
    )
    add_request_options(parser, "check")
    add_json_option(parser)
    add_store_option(parser)
    return parser


def run(args: argparse.Namespace) -> int:
    """Test the kernel and print each step."""
    from spack_kernel.spack.errors import SpackKernelError

    from .kernel_check import check_kernel, refuse_root
    from .steps import KernelCheck

    console: Console = args.console
    refuse_timeout(args)
    if args.site:
        return _check_site(args)
    if args.as_user is not None:
        args.parser.error("--as-user is only for --site")
    check_source(args)
    request = request_of(args)
    report = _Report(console)
    check = KernelCheck(args.timeout, report)
    failure: SpackKernelError | None = None
    facts: dict[str, Any] = {"kernel": None, "specs": []}
    try:
        with check.step("resolve") as step:
            name, plan, made = _plan(args, request)
            facts["kernel"] = name
            facts["specs"] = [{"spec": s.label, "hash": s.hash} for s in plan.specs]
            step.detail = plan.source.describe()
            refuse_root(plan, "`sudo -u '#{uid}' spack-kernel check ...`")
            facts["encryption"] = {"curve": not plan.unencrypted, "reason": plan.unencrypted}
        check_kernel(check, plan, name, **made)
    except SpackKernelError as error:
        failure = error
    if console.json:
        facts = {"ok": failure is None, **facts, "steps": [s.as_dict() for s in check.steps]}
        console.print_json(facts if failure is None else {**facts, "error": failure.as_dict()})
    if failure is not None:
        console.error(failure, json=False)
        return 1
    if not console.json:
        _print_end(check, plan, console)
    return 0


def _check_site(args: argparse.Namespace) -> int:
    """Check what a server does; return 1 if something has to be mended."""
    given = request_options(args)
    given += ["--store"] if args.store else ["--kernel"] if args.kernel else []
    if given or len(args.query) > 1:
        args.parser.error(
            "--site takes everything from Jupyter's configuration; it can be given only with the "
            "NAME of one kernel, --timeout and --json"
        )
    if args.as_user is not None:
        from .as_user import run_as_user

        words = [word for word in args.arguments if word != f"--as-user={args.as_user}"]
        if "--as-user" in words:
            at = words.index("--as-user")
            del words[at : at + 2]
        return run_as_user(args.as_user, words)
    from .site_check import SiteCheck
    from .steps import KernelCheck

    console: Console = args.console
    check = KernelCheck(args.timeout, _Report(console, width=9))
    site = SiteCheck(check)
    site.run(*args.query)
    if console.json:
        steps = [step.as_dict() for step in check.steps]
        errors = [error.as_dict() for error in site.errors]
        console.print_json(
            {"ok": not errors, "kernel": site.kernel, "steps": steps, "errors": errors}
        )
    for error in site.errors:
        console.error(error, json=False)
    if not site.errors and not console.json:
        console.print("Users' servers can start kernels.")
    return 1 if site.errors else 0


def _plan(
    args: argparse.Namespace, request: KernelRequest
) -> tuple[str | None, KernelPlan, dict[str, Any]]:
    """Return the name of an installed kernel, the plan, and the arguments for a new kernelspec.

    The name is None for a query. An installed kernel has a kernelspec, so it has no arguments.
    """
    import msgspec

    from spack_kernel.kernels.candidates import choose_shipped
    from spack_kernel.kernels.planner import plan_of
    from spack_kernel.spack.errors import SpackKernelError

    installed = find_installed(args)
    if installed is not None:
        also = ["--store"] if args.store else ["--kernel"] if args.kernel else []
        refuse_options(args, installed, also)
        plan = installed_plan(installed)
        warn_if_changed(plan, args.console)
        return installed.name, plan, {}
    try:
        source = get_source(args, open_store(args), request)
    except SpackKernelError as error:
        raise instead_of_query(args, error) from None
    shipped = choose_shipped(source.load.closure, args.kernel or source.default_kernel)
    request = msgspec.structs.replace(request, kernel=shipped is None)
    return None, plan_of(source, request), {"request": request, "shipped": shipped}


class _Report:
    """Prints each step when it ends."""

    def __init__(self, console: Console, width: int = 8) -> None:
        self._console = console
        self._width = width
        encoding = (console.out.encoding or "ascii").lower()
        self._marks = ("✓", "✗") if encoding.startswith("utf") else ("ok", "FAILED")

    def __call__(self, step: Step) -> None:
        console = self._console
        if console.json:
            return
        good, bad = self._marks
        mark = console.style("green", good) if step.ok else console.style("red", bad)
        name, _, module = step.name.partition(" ")
        detail = f"{module}  {step.detail}" if module else step.detail
        console.print(f"{mark} {_duration(step.seconds)}  {name:<{self._width}}  {detail}".rstrip())
        console.out.flush()


def _print_end(check: KernelCheck, plan: KernelPlan, console: Console) -> None:
    imports = [step for step in check.steps if step.name.startswith("import ")]
    seconds = sum(step.seconds for step in check.steps)
    what = f"{len(imports)} modules imported" if len(imports) != 1 else "1 module imported"
    console.print(f"The kernel works: {what}, {seconds:.2f} s in total.")
    if plan.unencrypted:
        console.print(f"Its connection cannot be encrypted: {plan.unencrypted}.")
        advice = 'KernelManager.transport = "ipc"'
    else:
        console.print("Its connection can be encrypted if the server requests it.")
        advice = 'KernelManager.transport_encryption = "required"'
    console.print(
        "Without encryption, every user of this machine can read its cells and outputs over TCP.\n"
        f"To prevent this, set `c.{advice}` in jupyter_server_config.py."
    )


def _duration(seconds: float) -> str:
    return f"{seconds * 1000:6.0f} ms" if seconds < 10 else f"{seconds:7.1f} s"
