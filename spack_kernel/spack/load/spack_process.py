"""Run a short script in the site's own ``spack``, which writes only to a temporary directory."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spack_kernel.spack.config.path_variables import Substitution
from spack_kernel.spack.errors import SpackKernelError
from spack_kernel.spack.system.ownership import run_as
from spack_kernel.spack.system.processes import run

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from spack_kernel.spack.store.store import Store
    from spack_kernel.spack.system.processes import Output

#: Timeout for Spack in seconds; on slow parallel file systems it takes minutes to start.
DEFAULT_TIMEOUT = 300.0

#: The variables that are passed to Spack: the identity of the user and Spack's configuration.
PASSED_VARIABLES = (
    "HOME",
    "LOGNAME",
    "SPACK_DISABLE_LOCAL_CONFIG",
    "SPACK_PYTHON",
    "SPACK_SYSTEM_CONFIG_PATH",
    "SPACK_USER_CONFIG_PATH",
    "TMPDIR",
    "USER",
)

#: How many lines of an error of Spack are shown.
_MOST_LINES = 20

#: The last line of a traceback.
_EXCEPTION = re.compile(r"[A-Za-z_][\w.]*(Error|Exception|Warning)?: ")

_SYSTEM_PATH = "/usr/local/bin:/usr/bin:/bin"
_MARK = "spack-kernel-answer:"

#: What is copied of Spack's cache, so that it need not read all recipes again, and its limit.
_COPIED_CACHES = ("indices", "patches", "providers", "tags")
_LARGEST_CACHE = 64 * 1024 * 1024


class SpackCommandError(SpackKernelError):
    """The site's ``spack`` could not be run, or printed unexpected output."""

    code = "spack-command"


def find_spack(store: Store) -> Path | None:
    """Return the ``spack`` of the instance the store was opened through, else that on PATH.

    Relative entries of PATH are skipped: using them would mean trusting the working directory.
    """
    if store.config is not None:
        own = store.config.spack_root / "bin" / "spack"
        if os.access(own, os.X_OK):
            return own
    entries = [entry for entry in os.environ.get("PATH", "").split(os.pathsep) if entry[:1] == "/"]
    found = shutil.which("spack", path=os.pathsep.join(entries)) if entries else None
    return Path(found) if found else None


def user_cache_path() -> Path:
    """Return the directory in which Spack caches what it fetches for this user."""
    return Substitution(Path("/"), os.environ, has_root=False).user_cache_path


def run_script(
    spack: Path,
    script: str,
    values: Mapping[str, Any],
    trees: Sequence[str],
    *,
    timeout: float,
    what: str,
    hint: str,
    copied_cache: Path | None = None,
) -> Any:
    """Run a script in Spack's own process, and return what it passes to ``answer(…)``.

    Spack runs in ``/`` and without a shell. Of the caller's environment, it gets only
    `PASSED_VARIABLES`. The install trees are passed to it, because its own configuration may name
    them by variables that it does not get. It writes only to a temporary directory.

    Parameters
    ----------
    spack : Path
        The ``spack`` executable.
    script : str
        Python code for whichever Python Spack uses.
    values : mapping of str to JSON types
        Variables of the script.
    trees : sequence of str
        The install trees: the local one, then its upstreams.
    timeout : float
        Seconds to wait.
    what : str
        Completes "SPACK could not …" in the error.
    hint : str
        What to type if it fails.
    copied_cache : Path, optional
        Spack's ``misc_cache``, whose indices are copied.

    Raises
    ------
    SpackCommandError
        When it cannot be run, fails, times out, or prints unexpected output.
    """
    # `spack python -c` accepts only one statement.
    script = f"exec({_ANSWER + script!r}, {{'MARK': {_MARK!r}, **{dict(values)!r}}})"
    environment = {name: os.environ[name] for name in PASSED_VARIABLES if name in os.environ}
    environment |= {"PATH": _SYSTEM_PATH, "LC_ALL": "C.UTF-8"}
    try:
        user = run_as(spack, spack.parent.parent / "lib" / "spack")
        with tempfile.TemporaryDirectory(prefix="spack-kernel-ask-") as scratch:
            scope, cache = Path(scratch, "scope"), Path(scratch, "cache")
            cache.mkdir()
            _write_scope(scope, cache, trees)
            # The clones of package repositories; without them, Spack would clone them again.
            clones = user_cache_path() / "package_repos"
            if clones.is_dir():
                (cache / "package_repos").symlink_to(clones)
            if copied_cache is not None:
                _copy_cache(copied_cache, cache / "misc")
            if user is not None:
                os.chmod(scratch, 0o755)  # noqa: S103, PTH101 - nothing in it is secret
                for place, _, names in os.walk(cache):
                    for each in (place, *(os.path.join(place, name) for name in names)):  # noqa: PTH118
                        os.chown(each, user.uid, user.gid)
            environment["SPACK_USER_CACHE_PATH"] = str(cache)
            argv = [os.fspath(spack), "--config-scope", str(scope), "--color", "never"]
            output = run([*argv, "python", "-c", script], environment, timeout, user=user)
    except OSError as error:
        raise SpackCommandError(
            f"cannot run {spack}: {error.strerror}", hint="Name another one with --spack."
        ) from error
    except subprocess.TimeoutExpired as error:
        raise SpackCommandError(
            f"{spack} did not answer within {timeout:g} seconds", hint=hint
        ) from error
    for line in reversed(output.stdout.splitlines()):
        if line.startswith(_MARK):
            with contextlib.suppress(ValueError):
                return json.loads(line.removeprefix(_MARK))
            break
    raise SpackCommandError(
        f"{spack} could not {what}" + (f" (exit status {output.status})" if output.status else ""),
        details=_told(output) or [f"  {line}" for line in output.stdout.splitlines()[-3:]],
        hint=hint,
    )


def _told(output: Output) -> list[str]:
    """Return what Spack printed as an error, as details; without it, its last lines."""
    lines = output.stderr.strip().splitlines()
    errors = [n for n, line in enumerate(lines) if line.startswith("==> Error")]
    if errors:
        return [f"  {line}" for line in lines[errors[0] :][:_MOST_LINES]]
    named = [n for n, line in enumerate(lines) if _EXCEPTION.match(line)]
    return [f"  {line}" for line in lines[named[-1] :][:_MOST_LINES]] if named else output.tail()


# Spack 1.x writes the compilers that it detects into the user's configuration; here it only keeps
# them in memory.
_ANSWER = """
import json, sys
def answer(value):
    sys.stdout.write("\\n" + MARK + json.dumps(value) + "\\n")
try:
    import spack.config
    for kind in list(vars(spack.config).values()):
        if isinstance(kind, type) and hasattr(kind, "_write_section"):
            kind._write_section = lambda self, section: None
except ImportError:
    pass
"""


def _write_scope(scope: Path, cache: Path, trees: Sequence[str]) -> None:
    """Write a configuration scope that names the install trees and where to cache.

    All of them are upstreams of an empty tree: Spack neither writes to upstreams nor locks them.
    It must not download a concretizer either.
    """
    scope.mkdir()
    quoted = [json.dumps(str(tree)) for tree in trees]
    (scope / "config.yaml").write_text(
        f"config:\n  install_tree::\n    root: {json.dumps(str(cache / 'tree'))}\n"
        f"  misc_cache: {json.dumps(str(cache / 'misc'))}\n",
        encoding="utf-8",
    )
    (scope / "bootstrap.yaml").write_text("bootstrap:\n  enable: false\n", encoding="utf-8")
    (scope / "upstreams.yaml").write_text(
        "upstreams::\n"
        + "".join(f"  tree{n}:\n    install_tree: {tree}\n" for n, tree in enumerate(quoted)),
        encoding="utf-8",
    )


def _copy_cache(source: Path, target: Path) -> None:
    """Copy the indices of Spack's cache, as far as they are plain files of moderate size."""
    left = _LARGEST_CACHE
    for name in _COPIED_CACHES:
        with contextlib.suppress(OSError):
            for path in sorted((source / name).iterdir()):
                size = path.lstat().st_size
                if path.is_file() and not path.is_symlink() and size <= left:
                    (target / name).mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(path, target / name / path.name)
                    left -= size
