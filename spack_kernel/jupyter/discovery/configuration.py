"""Jupyter's configuration, read as a server reads it, and the mistakes in it."""

from __future__ import annotations

import difflib
import os
import reprlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jupyter_core.application import JupyterApp
from traitlets import HasTraits, TraitError, default
from traitlets.config import Config
from traitlets.config.loader import JSONFileConfigLoader, LazyConfigValue, PyFileConfigLoader
from traitlets.utils.importstring import import_item

from spack_kernel.jupyter.errors import KernelSpecError
from spack_kernel.jupyter.provisioner import KernelTraits, SpackProvisioner
from spack_kernel.kernels.errors import RequestError

from .manager import SpackKernelSpecManager

#: Our classes that a site configures, each with what checks the values of its options.
_CHECKERS: dict[type[HasTraits], type[HasTraits]] = {
    SpackKernelSpecManager: SpackKernelSpecManager,
    SpackProvisioner: KernelTraits,
}

#: How similar the name of a class must be to ours to be a typing error.
_CUTOFF = 0.8


@dataclass(frozen=True)
class Mistake:
    """One option that is not what its class expects.

    Attributes
    ----------
    option : str
        The option, as ``c.SpackProvisioner.start_timeout``.
    file : str
        The configuration file that sets it; empty if none does.
    reason : str
        What is wrong.
    """

    option: str
    file: str
    reason: str

    def __str__(self) -> str:
        place = f"{self.file}: " if self.file else ""
        return f"{place}{self.option}: {self.reason}"


class _ConfigReader(JupyterApp):
    """Reads Jupyter's configuration as a server does."""

    name = "spack-kernel"

    @property
    def config_file_paths(self) -> list[str]:
        """The directories to search for configuration: Jupyter's, without the working directory."""
        first, *others = super().config_file_paths
        return others if first == str(Path.cwd()) else [first, *others]

    @default("config_file_name")
    def _server_config(self) -> str:
        return "jupyter_server_config"


class SiteConfiguration:
    """What the configuration files set.

    Parameters
    ----------
    config_file : str, optional
        A configuration file instead of those that Jupyter finds.
    use_config : bool
        Whether to read the configuration files that Jupyter finds.

    Attributes
    ----------
    config : Config
        All options.
    files : list of str
        The files they were read from; a later one takes precedence.

    Raises
    ------
    KernelSpecError
        When a configuration file cannot be read.
    """

    def __init__(self, config_file: str | None = None, *, use_config: bool = True) -> None:
        reader = _ConfigReader(raise_config_file_errors=True)
        if config_file is not None:
            path = Path(config_file).absolute()
            if not path.is_file():
                raise KernelSpecError(f"there is no configuration file {path}")
            reader.config_file = str(path)
        try:
            if use_config or config_file is not None:
                reader.load_config_file(suppress_errors=False)
        except Exception as error:
            if isinstance(error, RuntimeError) and "home directory" in str(error):
                raise  # the configuration files are not the cause
            # A configuration file is a program, so it can raise any exception.
            raise KernelSpecError(
                f"Jupyter's configuration cannot be read: {type(error).__name__}: {error}",
                details=_place(error),
                hint="`jupyter --paths` shows its location; --no-config ignores it.",
            ) from error
        self.config: Config = reader.config
        self.files: list[str] = [os.fspath(file) for file in reader.loaded_config_files]
        #: The directories in which Jupyter looks for them.
        self.searched: list[str] = reader.config_file_paths
        self._log = reader.log

    def manager(self, **traits: Any) -> SpackKernelSpecManager:
        """Return a manager with the traits that a server of this user on this machine would set.

        Parameters
        ----------
        **traits
            Traits that override the configuration.

        Raises
        ------
        KernelSpecError
            When a trait has an invalid value.
        """
        try:
            return SpackKernelSpecManager(config=self.config, log=self._log, **traits)
        except TraitError as error:
            raise KernelSpecError(
                f"a trait of SpackKernelSpecManager has an invalid value: {error}"
            ) from error

    def offers_specs(self) -> bool:
        """Return whether a server with this configuration offers the specs of stores.

        Raises
        ------
        KernelSpecError
            When the class of its kernelspec manager cannot be imported.
        """
        chosen = self.config.get("ServerApp", {}).get("kernel_spec_manager_class")
        if not isinstance(chosen, str):
            return isinstance(chosen, type) and issubclass(chosen, SpackKernelSpecManager)
        try:
            return issubclass(import_item(chosen), SpackKernelSpecManager)
        except Exception as error:
            raise KernelSpecError(
                f"c.ServerApp.kernel_spec_manager_class cannot be imported: {error}",
                details=[f"  {chosen!r}"],
                hint=f"Write {manager_path()!r}.",
            ) from error

    def selects_specs(self) -> bool:
        """Return whether the configuration sets options of discovery."""
        return bool(self.config.get(SpackKernelSpecManager.__name__))

    def mistakes(self) -> list[Mistake]:
        """Return the options of our classes that have an unknown name or a wrong value."""
        origins = self._origins()
        known = {cls.__name__ for ours in _CHECKERS for cls in ours.__mro__}
        found = []
        for section, options in self.config.items():
            if not isinstance(options, Config):
                continue
            if section not in known:
                names = [ours.__name__ for ours in _CHECKERS]
                close = difflib.get_close_matches(section, names, n=1, cutoff=_CUTOFF)
                if close:
                    file = next((f for (s, _), f in origins.items() if s == section), "")
                    reason = f"there is no such class; did you mean `{close[0]}`?"
                    found.append(Mistake(f"c.{section}", file, reason))
                continue
            for ours, checker in _CHECKERS.items():
                is_own = section == ours.__name__
                if not is_own and section not in {cls.__name__ for cls in ours.__mro__}:
                    continue
                for name, value in options.items():
                    reason = _mistake(ours, checker, name, value, is_own)
                    if reason:
                        origin = origins.get((section, name), "")
                        found.append(Mistake(f"c.{section}.{name}", origin, reason))
        return list(dict.fromkeys(found))

    def _origins(self) -> dict[tuple[str, str], str]:
        """Return the file that sets each option, by section and name."""
        origins: dict[tuple[str, str], str] = {}
        for file in self.files:
            directory, name = os.path.split(file)
            loader = JSONFileConfigLoader if name.endswith(".json") else PyFileConfigLoader
            for section, options in loader(name, path=directory).load_config().items():
                if isinstance(options, Config):
                    origins |= {(section, option): file for option in options}
        return origins


def manager_path() -> str:
    """Return the value of ``ServerApp.kernel_spec_manager_class`` that turns discovery on."""
    return f"spack_kernel.jupyter.discovery.{SpackKernelSpecManager.__name__}"


def _mistake(
    ours: type[HasTraits], checker: type[HasTraits], name: str, value: Any, is_own: bool
) -> str:
    """Return what is wrong with an option; empty if nothing is."""
    known = sorted(ours.class_traits(config=True))
    if name not in known:
        if not is_own:
            return ""  # an option of a class that is not ours
        close = difflib.get_close_matches(name, known, n=1)
        return f"there is no such option; {_suggestion(close, known)}"
    checked = checker()
    try:
        if isinstance(value, LazyConfigValue):
            value = value.get_value(getattr(checked, name))
        if isinstance(checked, KernelTraits):
            checked.set_option(name, value)
        else:
            setattr(checked, name, value)
    except (TraitError, RequestError) as error:
        text = str(error).replace(checker.__name__, ours.__name__)
        return f"{reprlib.repr(value)} is not valid: {text}"
    return ""


def _suggestion(close: list[str], known: list[str]) -> str:
    return f"did you mean `{close[0]}`?" if close else f"the options are {', '.join(known)}"


def _place(error: BaseException) -> list[str]:
    """Return the file and line in which an exception was raised last, as a detail."""
    if isinstance(error, SyntaxError) and error.filename:
        return [f"  {error.filename}, line {error.lineno}"]
    place = error.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    if place is None:
        return []
    return [f"  {place.tb_frame.f_code.co_filename}, line {place.tb_lineno}"]
