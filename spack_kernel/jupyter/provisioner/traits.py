"""The provisioner's traits: what a kernel.json, or a site's configuration, sets for a kernel."""

from __future__ import annotations

import difflib
import os
import reprlib
from typing import TYPE_CHECKING, Any

import msgspec
from jupyter_client.provisioning.local_provisioner import LocalProvisioner
from traitlets import Bool, Dict, Float, List, TraitError, Unicode, Union

from spack_kernel.jupyter.errors import KernelSpecError
from spack_kernel.jupyter.kernelspecs.content import kernel_command, starts_ipykernel
from spack_kernel.kernels.errors import RequestError
from spack_kernel.kernels.request import Field, KernelRequest, fields
from spack_kernel.spack.load import Inspections


def _trait(field: Field) -> Any:
    """Return the trait for a field of `KernelRequest`."""
    default, text = field.default, field.option.help
    if field.key == "store":
        return Union([Unicode(), List(Unicode())], default_value="", help=text)
    if field.type == dict[str, str]:
        return Dict(key_trait=Unicode(), value_trait=Unicode(), help=text)
    if field.type == Inspections | None:
        mapping: Any = Dict  # whose stubs do not know `allow_none` together with traits of values
        return mapping(
            value_trait=List(Unicode()),
            key_trait=Unicode(),
            default_value=None,
            allow_none=True,
            help=text,
        )
    if field.type == tuple[str, ...]:
        return List(Unicode(), help=text)
    if field.type == bool | None:
        return Bool(None, allow_none=True, help=text)
    if field.type is float:
        return Float(default, min=0.0, help=text)
    simple = {bool: Bool, str: Unicode}.get(field.type)
    return simple(default, help=text) if simple else Dict(help=text)


def _is_word(value: object) -> bool:
    """Return whether a value can be in the environment of a process."""
    if not isinstance(value, str) or "\0" in value:
        return False
    try:
        os.fsencode(value)
    except UnicodeEncodeError:
        return False
    return True


_TRAITS = {field.key: _trait(field).tag(config=True) for field in fields()}

if TYPE_CHECKING:
    _Configured = LocalProvisioner
else:
    _Configured = type(LocalProvisioner)("_Configured", (LocalProvisioner,), _TRAITS)


class KernelTraits(_Configured):
    """The options of `KernelRequest` as traits of `SpackProvisioner`, and the request they make."""

    #: The options of the kernelspec, unchanged.
    given: dict[str, Any]

    def configure(self, options: dict[str, Any]) -> None:
        """Set the traits that the kernelspec contains.

        Raises
        ------
        KernelSpecError
            For a name that is not a trait, and a value of the wrong type.
        """
        self.given = dict(options)
        if not self.kernel_spec.argv:
            raise KernelSpecError(
                "the kernelspec has no command: its `argv` is empty",
                hint='Write the command that starts the kernel into `argv`: "python", "-m", '
                '"ipykernel_launcher", "-f", "{connection_file}".',
            )
        if not all(isinstance(word, str) for word in self.kernel_spec.argv):
            raise KernelSpecError(
                "the kernelspec has a value in `argv` that is not a string",
                details=[f"  {self.kernel_spec.argv!r}"],
                hint="Write every argument of the command in quotes.",
            )
        if not kernel_command(self.kernel_spec.argv):
            raise KernelSpecError(
                "the kernelspec has no command after the two dashes in `argv`",
                details=[f"  {' '.join(self.kernel_spec.argv)}"],
                hint="Write the command that starts the kernel after them.",
            )
        known = self.known_keys()
        for name, value in options.items():
            if name not in known:
                close = difflib.get_close_matches(name, known, n=1)
                raise KernelSpecError(
                    f"the kernelspec has an unknown key `{name}` in kernel_provisioner.config",
                    details=["  known keys: " + ", ".join(known)],
                    hint=f"Did you mean `{close[0]}`?" if close else "Remove it.",
                )
            try:
                self.set_option(name, value)
            except (TraitError, RequestError) as error:
                raise KernelSpecError(
                    f"the kernelspec has an invalid value for `{name}`: {reprlib.repr(value)}",
                    details=[f"  {error}"],
                    hint=f"{type(self).class_traits()[name].help}",
                ) from None

    def known_keys(self) -> list[str]:
        """Return the keys that a kernelspec can have."""
        return sorted(type(self).class_trait_names(config=True))

    def set_option(self, name: str, value: Any) -> None:
        """Set a trait to a value from a kernelspec or a configuration file.

        Raises
        ------
        TraitError, RequestError
            When the value is not valid.
        """
        setattr(self, name, value)
        if name in _TRAITS:
            KernelRequest.from_config({name: value})

    def kernelspec_env(self) -> dict[str, str]:
        """Return the kernelspec's own ``env``, validated.

        Raises
        ------
        KernelSpecError
            When a name or a value in it is not a string.
        """
        env = self.kernel_spec.env
        wrong = [
            f"  {name!r}: {value!r}"
            for name, value in env.items()
            if not (_is_word(name) and _is_word(value) and name and "=" not in name)
        ]
        if wrong:
            raise KernelSpecError(
                "the kernelspec has a variable in `env` that no process can have",
                details=wrong,
                hint="Names and values are strings without NUL characters; write numbers in "
                "quotes. A name is not empty and has no `=`.",
            )
        return dict(env)

    def all_env(self) -> dict[str, str]:
        """Return all variables that are set in the kernel: the trait's and the kernelspec's own."""
        env: dict[str, str] = self.trait_values()["env"]
        return {**env, **self.kernelspec_env()}

    def request(self) -> KernelRequest:
        """Return what the traits, and the kernelspec's own ``env`` and ``argv``, ask for.

        Raises
        ------
        KernelSpecError
            When the kernelspec's ``env`` is not valid.
        """
        values = {name: getattr(self, name) for name in _TRAITS}
        command = kernel_command(self.kernel_spec.argv)
        return msgspec.structs.replace(
            KernelRequest.from_config(values),
            env=self.all_env(),
            kernel=not command or starts_ipykernel(command),
        )
