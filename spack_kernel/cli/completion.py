"""Tab completion of the command, including the specs in the store and the installed kernels.

argcomplete does the work: it runs this command each time the user presses Tab, so completions
reflect what is installed at that moment. It is not imported otherwise.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .options import given_stores

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

_DESCRIPTION = """\
Print shell code that completes this command: its options, the names, versions and hashes of
installed specs, and the names of kernels. This requires the Python package argcomplete."""

_EPILOG = """\
examples:
  eval "$(spack-kernel completion bash)"                    in ~/.bashrc
  eval "$(spack-kernel completion zsh)"                     in ~/.zshrc, after compinit
  spack-kernel completion fish > ~/.config/fish/completions/spack-kernel.fish"""

_SIGILS = ("^", "%")

# Additions to argcomplete's code. bash treats an @ as the start of the word that it completes, but
# argcomplete treats it as the end of the previous word. By default, zsh drops completions that do
# not begin with the typed word.
_BESIDE = {
    "bash": """\
_spack_kernel_complete() {
    _python_argcomplete "$@"
    local word="${COMP_LINE:0:COMP_POINT}"
    word="${word##*[[:space:]]}"
    local breaks="${word//[^@:=]/}"
    if [[ "$COMP_WORDBREAKS" == *@* && "$breaks" == *@ ]]; then
        COMPREPLY=("${COMPREPLY[@]/#/@}")
    fi
}
complete -o nospace -o default -o bashdefault -F _spack_kernel_complete spack-kernel
""",
    "zsh": """\
zstyle ':completion:*:*:spack-kernel:*:*' matcher 'l:|=* l:?|=**'
""",
}


def add_parser(subparsers: Any) -> argparse.ArgumentParser:
    """Add the parser of `completion`."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "completion",
        help="print shell code that completes this command",
        description=_DESCRIPTION,
        epilog=_EPILOG,
    )
    parser.add_argument("shell", choices=("bash", "zsh", "fish"), help="the shell")
    return parser


def run(args: argparse.Namespace) -> int:
    """Print the shell code."""
    try:
        from argcomplete.shell_integration import shellcode
    except ImportError:
        from spack_kernel.spack.errors import SpackKernelError

        raise SpackKernelError(
            "completion needs the package argcomplete, which is not installed",
            hint="pip install argcomplete",
        ) from None
    # Not through the console, which escapes some characters: a shell evaluates this text.
    args.console.out.write(shellcode(["spack-kernel"], shell=args.shell) + "\n")
    args.console.out.write(_BESIDE.get(args.shell, ""))
    return 0


def complete() -> None:
    """Print completions for a shell and exit; return if argcomplete is not installed."""
    try:
        import argcomplete
    except ImportError:
        return
    from .parser import COMMANDS, build_parser

    parser, subparsers = build_parser(COMMANDS)
    for subparser in subparsers.values():
        for action in subparser._actions:
            completer = _COMPLETERS.get(str(action.metavar))
            if completer is not None:
                action.completer = completer  # type: ignore[attr-defined]
    argcomplete.autocomplete(parser, exclude=["--help", "-h"], validator=_fits)


def complete_query(prefix: str, parsed_args: argparse.Namespace, **_: Any) -> list[str]:
    """Return the queries that complete `prefix`: names, versions, variants, values or hashes."""
    from spack_kernel.kernels.picker import complete as complete_text
    from spack_kernel.spack import Store
    from spack_kernel.spack.store import keep_in_background

    given = given_stores(parsed_args)
    # The user is still typing the line, so there is no place to show an error.
    try:
        store = Store.open_all(given) if given else Store.discover()
        keep_in_background(store)
        found = complete_text(store, prefix)
    except Exception:
        return []
    words = [prefix[: found.start] + item.text for item in found.items]
    exact = [word for word in words if word.startswith(prefix)]
    # Users know Python packages by their names in Python.
    return sorted(exact or [word for word in words if _fits(word, prefix)])


def _fits(completion: str, prefix: str) -> bool:
    """Return whether `completion` can be offered for the typed `prefix`."""
    sigil = prefix[:1] if prefix.startswith(_SIGILS) else ""
    return completion.startswith((prefix, f"{sigil}py-{prefix[len(sigil) :]}"))


def complete_kernel(prefix: str, **_: Any) -> list[str]:
    """Return the names of kernels installed by spack-kernel that begin with `prefix`."""
    from spack_kernel.jupyter.kernelspecs import list_kernelspecs

    return [spec.name for spec in list_kernelspecs() if spec.name.startswith(prefix)]


def complete_kernel_or_query(prefix: str, parsed_args: argparse.Namespace, **_: Any) -> list[str]:
    """Return the completions for `check`: kernel names, then queries."""
    return [*complete_kernel(prefix), *complete_query(prefix, parsed_args)]


_COMPLETERS: dict[str, Callable[..., list[str]]] = {
    "QUERY": complete_query,
    "SPEC": complete_query,
    "NAME": complete_kernel,
    "NAME|QUERY": complete_kernel_or_query,
}
