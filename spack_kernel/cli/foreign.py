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
    "-t": "Let Spack select by tag: spack find -H -t TAG | xargs -r spack-kernel list --all",
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


#: Options of `spack spec`, for `show`.
OF_SPEC: Final = dict.fromkeys(
    ("-I", "-l", "-L", "--install-status", "--long", "--very-long"),
    "Leave it out: `spack-kernel show --tree` always shows the hashes and the install status.",
) | dict.fromkeys(("-d", "--deps"), "`spack-kernel show --tree QUERY` shows the dependencies.")

#: Options of `ipykernel install` and `jupyter kernelspec`, for `install` and `remove`.
OF_JUPYTER: Final = {
    **dict.fromkeys(("-y", "--yes"), "Leave it out: spack-kernel asks no questions."),
    **dict.fromkeys(
        ("-f", "--force", "--overwrite"),
        "`--replace` replaces a kernel of that name that spack-kernel did not write; its own are "
        "always replaced.",
    ),
    "--profile": "Set it with --env IPYTHONDIR=DIRECTORY.",
}

#: What users of Spack and of Jupyter call the commands.
COMMANDS: Final = {
    "uninstall": "remove",
    "find": "list",
    "location": "show",
    "spec": "show --tree",
    "env": "list --environments",
    "load": "exec",
    "run": "exec",
    "create": "install",
    "delete": "remove",
    "activate": "install --environment",
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
    known = dict(OF_LOAD)
    if command == "list":
        known |= OF_FIND
    elif command == "show":
        known |= OF_SPEC
    elif command in ("install", "remove"):
        known |= OF_JUPYTER
    if option in known:
        return known[option]
    letters = [f"-{letter}" for letter in option[1:]] if option[:2] != "--" else []
    return known[letters[0]] if letters and all(each in known for each in letters) else ""
