"""What to type here instead of options that users know from `spack find` and `spack load`."""

from __future__ import annotations

from typing import Final

_RECURSIVE: Final = "Leave it out: the dependencies are always loaded as well."
_SHELL: Final = (
    "spack-kernel changes no shell: `spack-kernel exec QUERY -- COMMAND` runs a command in the "
    "environment,\nand `spack-kernel show --variables QUERY` prints it."
)

#: Options of `spack find`, for `list`.
OF_FIND: Final = {
    "-c": "`spack-kernel show --tree --environment NAME` shows what is concretized.",
    "-r": "`spack-kernel list --environments` lists Spack environments, with their roots.",
    "-t": "Let Spack select by tag: spack-kernel list --all $(spack find -H -t TAG)",
    "-u": "`spack find --unknown` shows them; it needs the recipes of Spack.",
    "--specfile-format": "`spack find --specfile-format` shows it.",
    "--show-configured-externals": "`spack find --show-configured-externals` shows them.",
    "--show-full-compiler": "Leave it out: compilers are always shown with their versions.",
}
OF_FIND["--show-concretized"] = OF_FIND["-c"]
OF_FIND["--only-roots"] = OF_FIND["-r"]
OF_FIND["--tag"] = OF_FIND["--tags"] = OF_FIND["-t"]
OF_FIND["--unknown"] = OF_FIND["-u"]

#: Options of `spack load`, for the commands that load specs.
OF_LOAD: Final = {
    "--first": "spack-kernel does not choose among several specs: give the hash of one, /HASH.\n"
    "`spack-kernel list QUERY` shows them, with what they differ in.",
    "--only": _RECURSIVE,
    "--only-dependencies": _RECURSIVE,
    "-r": _RECURSIVE,
    "--dependencies": _RECURSIVE,
    "--list": "`spack-kernel list --loaded` shows what is loaded in this shell.",
    **dict.fromkeys(("--sh", "--csh", "--fish", "--bat", "--pwsh"), _SHELL),
}


def hint_for(option: str, command: str) -> str:
    """Return what to type instead of an option of Spack; empty if it is not one.

    Parameters
    ----------
    option : str
        The option, without a value.
    command : str
        The subcommand that was given it.
    """
    return (OF_FIND if command == "list" else OF_LOAD).get(option, "")
