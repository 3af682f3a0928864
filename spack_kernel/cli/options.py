"""Arguments that several subcommands share, and their evaluation."""

from __future__ import annotations

import argparse
import contextlib
import math
import os
import re
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spack_kernel import STORE_VARIABLE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from spack_kernel.kernels.request import Field
    from spack_kernel.spack.spec import Spec
    from spack_kernel.spack.store import Store

    from .console import Console

    #: A parser or a group of its arguments.
    Adder = argparse._ActionsContainer

_VARIABLE = re.compile(r"[^\W\d]\w*")


def add_output_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of all subcommands: ``--color`` and ``--verbose``."""
    parser.add_argument(
        "--color",
        choices=("auto", "always", "never"),
        default=argparse.SUPPRESS,
        help="colour the output (default: auto, which obeys NO_COLOR)",
    )
    parser.add_argument(
        "--verbose",
        action="store_true",
        default=argparse.SUPPRESS,
        help="print more on standard error",
    )


def add_store_option(parser: Adder) -> None:
    """Add ``--store``."""
    parser.add_argument(
        "--store",
        metavar="PATH",
        action="append",
        default=argparse.SUPPRESS,
        help="an install tree, or a Spack root whose configuration names one; repeatable: the "
        f"others are upstreams of the first (default: ${STORE_VARIABLE}, then $SPACK_ROOT, then "
        "the spack on PATH)",
    )


def add_json_option(parser: Adder) -> None:
    """Add ``--json``."""
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def add_location_options(group: argparse._ArgumentGroup) -> None:
    """Add ``--user``, ``--sys-prefix`` and ``--prefix``, the directories of kernelspecs."""
    where = group.add_mutually_exclusive_group()
    where.add_argument("--user", action="store_true", help="for the current user only")
    where.add_argument(
        "--sys-prefix",
        action="store_const",
        const=sys.prefix,
        dest="prefix",
        help=f"for the Python environment that runs this command ({sys.prefix})",
    )
    where.add_argument("--prefix", metavar="PATH", help="in PATH/share/jupyter/kernels")


def add_query_argument(parser: argparse.ArgumentParser, nargs: str = "+") -> None:
    """Add the positional QUERY."""
    parser.add_argument("query", metavar="QUERY", nargs=nargs, help="a spec, as for `spack load`")


def add_request_options(
    parser: argparse.ArgumentParser, command: str
) -> dict[str, argparse._ArgumentGroup]:
    """Add the options of a request that a command takes, and return their groups by name.

    Parameters
    ----------
    parser : ArgumentParser
        The parser of the command.
    command : str
        One of `spack_kernel.kernels.option.GROUPS`.
    """
    from spack_kernel.kernels.option import GROUPS
    from spack_kernel.kernels.request import fields

    groups = {name: parser.add_argument_group(name) for name in GROUPS[command]}
    for field in fields():
        if field.option.group in groups:
            _add_option(groups[field.option.group], field)
    return groups


def add_companion_option(parser: Adder) -> None:
    """Add ``--companion`` to a command that takes no other option of a request."""
    from spack_kernel.kernels.request import fields

    _add_option(parser, next(field for field in fields() if field.name == "companion"))


def _add_option(parser: Adder, field: Field) -> None:
    """Add the option that sets a field of a request."""
    option = field.option
    shared: dict[str, Any] = {"dest": field.name, "help": option.usage}
    if field.type is bool:
        action = "store_false" if option.flag.startswith("--no-") else "store_true"
        parser.add_argument(option.flag, action=action, **shared)
        return
    shared["metavar"] = option.metavar
    if field.takes_json:
        parser.add_argument(option.flag, default="", **shared)
    elif isinstance(field.default, str):
        parser.add_argument(option.flag, default=field.default, **shared)
    elif isinstance(field.default, float):
        parser.add_argument(option.flag, type=seconds, default=field.default, **shared)
    else:
        parser.add_argument(option.flag, action="append", default=[], **shared)


def add_timeout_option(parser: Adder) -> None:
    """Add ``--timeout``, the time limit of each step of a command; see `refuse_timeout`."""
    parser.add_argument(
        "--timeout",
        metavar="SECONDS",
        type=float,
        default=60.0,
        help="the time limit for each step (default: 60)",
    )


def refuse_timeout(args: argparse.Namespace) -> None:
    """End the command if its time limit is none."""
    if not 0 < args.timeout < math.inf:
        args.parser.error("argument --timeout: it must be a number of seconds greater than 0")


def seconds(text: str) -> float:
    """Return an option's number of seconds.

    Raises
    ------
    ArgumentTypeError
        When it is not a number from 0 upwards.
    """
    with contextlib.suppress(ValueError):
        if 0 <= float(text) < math.inf:
            return float(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds from 0 upwards")


def join_env_pairs(argv: Sequence[str]) -> list[str]:
    """Return `argv` with each ``--env NAME VALUE``, as in ipykernel, joined into one argument.

    A name cannot contain ``=``, so the two forms cannot be confused.
    """
    joined: list[str] = []
    words = iter(argv)
    for word in words:
        option, is_joined, name = word.partition("=")
        if option == "--env":
            if not is_joined:
                name = next(words, "")
            if name and "=" not in name:
                value = next(words, None)
                name = name if value is None else f"{name}={value}"
            joined += ["--env", name] if name else ["--env"]
        else:
            joined.append(word)
    return joined


def variables(args: argparse.Namespace) -> dict[str, str]:
    """Return the variables that ``--env`` sets; exit with a usage error if a value is invalid."""
    chosen: dict[str, str] = {}
    for word in args.env:
        name, is_pair, value = word.partition("=")
        if not is_pair or not name:
            args.parser.error(f"argument --env: {word!r} is not NAME=VALUE")
        if not _VARIABLE.fullmatch(name):
            args.parser.error(f"argument --env: {name!r} is not a valid variable name")
        chosen[name] = value
    return chosen


def given_stores(args: argparse.Namespace) -> list[str]:
    """Return the stores named with ``--store``, or else by the environment variable."""
    stores: list[str] = list(getattr(args, "store", ()))
    return stores or [p for p in os.environ.get(STORE_VARIABLE, "").split(os.pathsep) if p]


def query_text(words: Sequence[str]) -> str:
    """Return the query that command line arguments form."""
    from spack_kernel.spack.query import join_words

    return join_words(words)


def open_store(args: argparse.Namespace, *, keep: bool = True) -> Store:
    """Return the store that ``--store`` or the environment names.

    With `keep`, its columns are going to be kept if they are not.

    Raises
    ------
    StoreNotFound, DatabaseError, ConfigError
        When there is no store, or it cannot be read.
    """
    from spack_kernel.spack import Store
    from spack_kernel.spack.errors import StoreNotFound
    from spack_kernel.spack.store import keep_in_background

    given = given_stores(args)
    try:
        store = Store.open_all(given) if given else Store.discover()
    except StoreNotFound as error:
        if getattr(args, "store", ()) or not given:
            raise
        named = f"  it is named by {STORE_VARIABLE}"
        raise StoreNotFound(
            error.summary, details=[*error.details, named], hint=error.hint
        ) from None
    if keep:
        keep_in_background(store)
    return store


def get_specs(store: Store, words: Sequence[str]) -> list[Spec]:
    """Return the specs that command line arguments select, one for each query.

    Raises
    ------
    QuerySyntaxError, NoMatch, Ambiguous
        When a query does not parse, or does not match exactly one installed spec.
    """
    with hinting_at_other_meanings(words):
        return store.get_each(query_text(words))


@contextlib.contextmanager
def hinting_at_other_meanings(words: Sequence[str]) -> Iterator[None]:
    """Give an error of a query the hint that a word is a directory or a kernel, if one is."""
    from spack_kernel.spack.errors import NoMatch, QuerySyntaxError

    try:
        yield
    except (NoMatch, QuerySyntaxError) as error:
        error.hint = _other_meaning(words) or error.hint
        raise


def _other_meaning(words: Sequence[str]) -> str:
    """Return a hint if one of the words of a query is a directory or the name of a kernel."""
    for word in words:
        if word[:1] in "./~" or "/" in word:
            hint = _place(word)
            if hint:
                return hint
    names = [word for word in words if re.fullmatch(r"[\w.-]+", word)]
    if names:
        from spack_kernel.jupyter.kernelspecs import list_kernelspecs

        known = {spec.name for spec in list_kernelspecs()}
        for name in names:
            if name.lower() in known:
                return (
                    f"{name} is an installed kernel: `show`, `check` and `remove` take its name, "
                    "alone.\nOther commands need its spec, which `spack-kernel show "
                    f"{name}` shows."
                )
    return ""


def _place(word: str) -> str:
    """Return a hint for a path that is not that of a prefix; empty if nothing is known of it."""
    path = Path(os.path.expanduser(word))  # noqa: PTH111 - pathlib refuses an unknown user
    quoted = shlex.quote(word)
    try:
        if (path / "spack.yaml").is_file():
            option = quoted if word[:1] in "./~" else f"./{quoted}"
            return f"{word} is a Spack environment: name it with --environment {option}"
        if (path / ".spack-db").is_dir():
            return f"{word} is an install tree: name it with --store {quoted}"
        if word.startswith(("./", "../")) or word in (".", ".."):
            return (
                "A query is not a path. --environment names a Spack environment by its directory."
            )
    except OSError:
        pass
    return ""


def typed_command() -> str:
    """Return this command as a user would type it in the shell that started it."""
    program = Path(sys.argv[0])
    if program.name == "__main__.py":
        return f"{_from_here(Path(sys.executable))} -m spack_kernel"
    if not program.is_file():  # `python -c` and the like
        return "spack-kernel"
    import shutil

    if shutil.which(program.name) == str(program.absolute()):
        return program.name
    return _from_here(program.absolute())


def _from_here(path: Path) -> str:
    """Return a path as a user would type it in the working directory."""
    try:
        path = path.relative_to(Path.cwd())
    except (ValueError, OSError):
        return shlex.quote(str(path))
    return shlex.quote(str(path) if "/" in str(path) else f"./{path}")


def warn_if_closed(resource_dir: Path, console: Console) -> None:
    """Warn when other users cannot read a kernelspec that is meant for them."""
    from spack_kernel.jupyter.kernelspecs import closed_to_others

    closed = closed_to_others(resource_dir)
    if closed is not None:
        top = shlex.quote(str(closed))
        console.warn(
            f"other users cannot read {closed}, so they cannot use this kernel (because of the "
            f"umask when it was created); run `chmod -R go+rX {top}` to let them"
        )
