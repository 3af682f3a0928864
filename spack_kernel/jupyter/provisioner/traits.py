"""What a kernel.json, or a site's configuration, says of a kernel: the provisioner's traits."""

from __future__ import annotations

import difflib
import json
import os
import reprlib
from typing import TYPE_CHECKING, Any

from jupyter_client.provisioning.local_provisioner import LocalProvisioner
from traitlets import Bool, Dict, Float, List, TraitError, Unicode, Union

from spack_kernel import STORE_VARIABLE
from spack_kernel.jupyter.errors import KernelSpecError
from spack_kernel.jupyter.kernelspecs.content import kernel_command, starts_ipykernel
from spack_kernel.kernels.interpreters import PROBE_TIMEOUT
from spack_kernel.kernels.planner import Request
from spack_kernel.spack.load import InvalidModification, RecipeEnvironment

if TYPE_CHECKING:
    from spack_kernel.jupyter.notebook import NotebookSpec


class KernelTraits(LocalProvisioner):
    """The traits of `SpackProvisioner`, and the request they make."""

    spec = Unicode(
        "",
        help="A Spack query, as for `spack load`: `py-numpy@2: ^python@3.11`. It must find exactly "
        "one installed spec. Beside `hash` it only tells what the kernel was made for.",
    ).tag(config=True)
    hash = Unicode(
        "",
        help="The DAG hash that pins the kernel to one installed spec, whole or abbreviated.",
    ).tag(config=True)
    specs = List(
        Unicode(),
        help="Several queries, to be loaded together in this order; instead of `spec` and `hash`. "
        "A query such as `py-numpy/<hash>` pins.",
    ).tag(config=True)
    from_notebook = Bool(
        False,
        help="Take `spec` and `hash`, or `specs`, from the metadata of the notebook that the "
        "kernel is started for, where `spack-kernel pin` writes them.",
    ).tag(config=True)
    environment = Unicode(
        "",
        help="A Spack environment instead of specs: its directory, or its name when `store` is the "
        "root of the Spack instance that manages it. It is read at every start.",
    ).tag(config=True)
    view = Unicode(
        "",
        help="With `environment`: which of its views, by name or directory, `none` for none; empty "
        "for the default one. Alone: the directory of a view made by `spack view`.",
    ).tag(config=True)
    modules = List(
        Unicode(),
        help="Modules of the site's module system (Lmod, environment-modules) to load each time "
        "before the kernel starts; alone they are all that is loaded. MODULEPATH must be set, in "
        "the server or in `env`.",
    ).tag(config=True)
    load_modules = Bool(
        True,
        help="Whether modules that externals name (`modules:` in packages.yaml) are loaded, too, "
        "before those of `modules`.",
    ).tag(config=True)
    recipes = Dict(
        help="What package recipes set, as `spack-kernel install` recorded it from Spack: "
        "`spack_version`, `specs` (DAG hashes), `replaces` (variables) and `modifications`, a list "
        "of operations on variables. Left out when it is of other specs.",
    ).tag(config=True)
    prefix_inspections: Any = Dict(
        key_trait=Unicode(),
        value_trait=List(Unicode()),
        default_value=None,
        allow_none=True,
        help="Which subdirectories of prefixes are put on which variables, as `modules:"
        "prefix_inspections` of the site's Spack says, `./` being the prefix itself; recorded when "
        "the kernel is made and this is not what Spack does by default. Not set: as the "
        "configuration of `store` says, else Spack's default.",
    ).tag(config=True)
    store = Union(
        [Unicode(), List(Unicode())],
        default_value="",
        help="The store: an install tree, or a Spack root whose configuration names it; a list "
        "chains the others behind the first. Empty: $SPACK_KERNEL_STORE, then $SPACK_ROOT, then "
        "the spack on PATH.",
    ).tag(config=True)
    companion = Unicode(
        "auto",
        help="Which py-ipykernel to use for a spec that has none: `auto` chooses one built for the "
        "same python, `none` forbids it, and a query selects one.",
    ).tag(config=True)
    env = Dict(
        key_trait=Unicode(),
        value_trait=Unicode(),
        help="Variables to set in the kernel, after all others; `${NAME}` in a value is what the "
        "loaded environment has. The kernelspec's own `env` does the same.",
    ).tag(config=True)
    keep_env = List(
        Unicode(),
        help="Variables of the server that reach the kernel although they belong to the server's "
        "own Python, such as `PYTHONSTARTUP`; `PATH` keeps its directories.",
    ).tag(config=True)
    user_site = Bool(
        None,
        allow_none=True,
        help="Whether the kernel sees packages of `pip install --user`. Not set: as the server's "
        "PYTHONNOUSERSITE says, which is what `spack load` does.",
    ).tag(config=True)
    import_index = Bool(
        True,
        help="Whether the kernel finds modules through a table of its PYTHONPATH instead of asking "
        "every directory at every import. Child processes get the plain PYTHONPATH.",
    ).tag(config=True)
    probe_timeout = Float(
        PROBE_TIMEOUT,
        help="Seconds the kernel's Python may take to say which version it is.",
    ).tag(config=True)
    start_timeout = Float(
        30.0,
        help="A kernel that exits within this many seconds and before it answers counts as failed "
        "to start; its last stderr lines are shown. Starting returns as soon as it answers. 0: do "
        "not watch.",
    ).tag(config=True)

    echo_stderr = Bool(
        True,
        help="Whether what a kernel writes to its standard error also goes to the server's, and so "
        "to its log. The last lines are kept in any case, for the error of a kernel that dies.",
    ).tag(config=True)

    #: What the kernelspec gives, as it gives it.
    given: dict[str, Any]

    def configure(self, options: dict[str, Any]) -> None:
        """Set the traits that the kernelspec gives.

        Raises
        ------
        KernelSpecError
            For a name that is no trait, and a value of the wrong type.
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
                "the kernelspec has a word in `argv` that is no text",
                details=[f"  {self.kernel_spec.argv!r}"],
                hint="Write every word of the command in quotes.",
            )
        known = sorted(type(self).class_trait_names(config=True))
        for name, value in options.items():
            if name not in known:
                close = difflib.get_close_matches(name, known, n=1)
                raise KernelSpecError(
                    f"the kernelspec has an unknown key `{name}` in kernel_provisioner.config",
                    details=["  known are: " + ", ".join(known)],
                    hint=f"Did you mean `{close[0]}`?" if close else "Remove it.",
                )
            try:
                setattr(self, name, value)
                if name == "recipes" and value:
                    RecipeEnvironment.from_dict(value)
            except (TraitError, InvalidModification) as error:
                told = str(error).splitlines() if name == "recipes" else [f"  {error}"]
                raise KernelSpecError(
                    f"the kernelspec gives `{name}` a wrong value: {reprlib.repr(value)}",
                    details=told,
                    hint=f"{type(self).class_traits()[name].help}",
                ) from None

    def kernelspec_env(self) -> dict[str, str]:
        """Return the kernelspec's own ``env``, checked.

        Raises
        ------
        KernelSpecError
            When a name or a value in it is no text.
        """
        env = self.kernel_spec.env
        wrong = [
            f"  {name!r}: {value!r}"
            for name, value in env.items()
            if not (isinstance(name, str) and isinstance(value, str) and "\0" not in value)
        ]
        if wrong:
            raise KernelSpecError(
                "the kernelspec has a variable in `env` that is no text",
                details=wrong,
                hint="Write numbers in quotes.",
            )
        return dict(env)

    def all_env(self) -> dict[str, str]:
        """Return all variables that are set in the kernel: the trait's and the kernelspec's own."""
        return {**self.env, **self.kernelspec_env()}

    def request(self, wanted: NotebookSpec) -> Request:
        """Return what to plan, for the specs that are wanted."""
        stores = [self.store] if isinstance(self.store, str) else list(self.store)
        stores = stores if any(stores) else os.environ.get(STORE_VARIABLE, "").split(os.pathsep)
        command = kernel_command(self.kernel_spec.argv)
        return Request(
            spec=wanted.spec,
            hash=wanted.hash,
            specs=wanted.specs,
            stores=tuple(os.path.expanduser(path) for path in stores if path),  # noqa: PTH111
            environment=self.environment,
            view=self.view,
            modules=tuple(self.modules),
            load_modules=self.load_modules,
            recipes=json.dumps(self.recipes, sort_keys=True) if self.recipes else "",
            prefix_inspections=""
            if self.prefix_inspections is None
            else json.dumps(self.prefix_inspections),
            companion=self.companion,
            kernel=not command or starts_ipykernel(command),
            probe_timeout=self.probe_timeout,
        )
