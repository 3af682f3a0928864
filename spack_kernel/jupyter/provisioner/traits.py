"""The provisioner's traits: what a kernel.json, or a site's configuration, sets for a kernel."""

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
from spack_kernel.spack.load import InvalidModification, RecipeVariables

if TYPE_CHECKING:
    from spack_kernel.jupyter.notebook import NotebookSpec


class KernelTraits(LocalProvisioner):
    """The traits of `SpackProvisioner`, and the request that is built from them."""

    spec = Unicode(
        "",
        help="A Spack query, as for `spack load`: `py-numpy@2: ^python@3.11`. It must match "
        "exactly one installed spec. With `hash`, it records the query the kernel was created for.",
    ).tag(config=True)
    hash = Unicode(
        "",
        help="The DAG hash that pins the kernel to one installed spec, in full or abbreviated.",
    ).tag(config=True)
    specs = List(
        Unicode(),
        help="Several queries, loaded together in this order; instead of `spec` and `hash`. A "
        "query with a hash, such as `py-numpy/<hash>`, pins the spec.",
    ).tag(config=True)
    from_notebook = Bool(
        False,
        help="Take `spec` and `hash`, or `specs`, from the metadata of the notebook that the "
        "kernel is started for, where `spack-kernel pin` writes them.",
    ).tag(config=True)
    environment = Unicode(
        "",
        help="A Spack environment to load instead of specs: its directory, or its name if `store` "
        "is the root of the Spack instance that manages it. It is read at every start.",
    ).tag(config=True)
    view = Unicode(
        "",
        help="With `environment`: the view to use, by name or directory; `none` for no view, empty "
        "for the default view. Without `environment`: the directory of a view created by `spack "
        "view`.",
    ).tag(config=True)
    modules = List(
        Unicode(),
        help="Modules of the site's module system (Lmod, environment-modules) to load each time "
        "before the kernel starts. If nothing else is set, only these modules are loaded. "
        "MODULEPATH must be set, in the server or in `env`.",
    ).tag(config=True)
    load_modules = Bool(
        True,
        help="Whether to also load the modules that externals name (`modules:` in packages.yaml), "
        "before those in `modules`.",
    ).tag(config=True)
    recipes = Dict(
        help="The environment variables that package recipes set, as `spack-kernel install` "
        "recorded them from Spack: `spack_version`, `specs` (DAG hashes), `replaces` (variables) "
        "and `modifications`, a list of operations on variables. Ignored when it was recorded for "
        "other specs.",
    ).tag(config=True)
    prefix_inspections: Any = Dict(
        key_trait=Unicode(),
        value_trait=List(Unicode()),
        default_value=None,
        allow_none=True,
        help="Which subdirectories of prefixes are added to which environment variables, as in "
        "`modules:prefix_inspections` of the site's Spack configuration; `./` is the prefix "
        "itself. Recorded when the kernel is created and the site differs from Spack's default. "
        "If not set, the configuration of `store` applies, else Spack's default.",
    ).tag(config=True)
    store = Union(
        [Unicode(), List(Unicode())],
        default_value="",
        help="The store: an install tree, or a Spack root whose configuration defines it. In a "
        "list, the first is the local store and the others are its upstreams. If empty, "
        "$SPACK_KERNEL_STORE is used, then $SPACK_ROOT, then the spack on PATH.",
    ).tag(config=True)
    companion = Unicode(
        "auto",
        help="The py-ipykernel to use for a spec without one: `auto` chooses one built for the "
        "same python, `none` disables this, and a query selects one.",
    ).tag(config=True)
    env = Dict(
        key_trait=Unicode(),
        value_trait=Unicode(),
        help="Environment variables to set in the kernel, after all others; `${NAME}` in a value "
        "expands to the value in the load environment. The kernelspec's own `env` does the same.",
    ).tag(config=True)
    keep_env = List(
        Unicode(),
        help="Environment variables to pass from the server to the kernel although they belong to "
        "the server's own Python, such as `PYTHONSTARTUP`. With `PATH`, all its directories are "
        "kept.",
    ).tag(config=True)
    user_site = Bool(
        None,
        allow_none=True,
        help="Whether the kernel sees packages installed with `pip install --user`. If not set, "
        "the server's PYTHONNOUSERSITE decides, as with `spack load`.",
    ).tag(config=True)
    import_index = Bool(
        True,
        help="Whether the kernel finds modules through an index of its PYTHONPATH instead of "
        "searching every directory at every import. Child processes get the plain PYTHONPATH.",
    ).tag(config=True)
    probe_timeout = Float(
        PROBE_TIMEOUT,
        help="Time limit in seconds for the kernel's Python to report its version.",
    ).tag(config=True)
    start_timeout = Float(
        30.0,
        help="A kernel that exits within this many seconds and before it answers counts as failed "
        "to start; its last stderr lines are shown. The start is complete as soon as it answers. "
        "0 disables this check.",
    ).tag(config=True)

    echo_stderr = Bool(
        True,
        help="Whether to also copy a kernel's standard error to the server's, and thus to its log. "
        "The last lines are always stored for the error message of a kernel that fails to start.",
    ).tag(config=True)

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
        known = sorted(type(self).class_trait_names(config=True))
        for name, value in options.items():
            if name not in known:
                close = difflib.get_close_matches(name, known, n=1)
                raise KernelSpecError(
                    f"the kernelspec has an unknown key `{name}` in kernel_provisioner.config",
                    details=["  known keys: " + ", ".join(known)],
                    hint=f"Did you mean `{close[0]}`?" if close else "Remove it.",
                )
            try:
                setattr(self, name, value)
                if name == "recipes" and value:
                    RecipeVariables.from_dict(value)
            except (TraitError, InvalidModification) as error:
                told = str(error).splitlines() if name == "recipes" else [f"  {error}"]
                raise KernelSpecError(
                    f"the kernelspec has an invalid value for `{name}`: {reprlib.repr(value)}",
                    details=told,
                    hint=f"{type(self).class_traits()[name].help}",
                ) from None

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
            if not (isinstance(name, str) and isinstance(value, str) and "\0" not in value)
        ]
        if wrong:
            raise KernelSpecError(
                "the kernelspec has a variable in `env` that is not a string",
                details=wrong,
                hint="Write numbers in quotes.",
            )
        return dict(env)

    def all_env(self) -> dict[str, str]:
        """Return all variables that are set in the kernel: the trait's and the kernelspec's own."""
        return {**self.env, **self.kernelspec_env()}

    def request(self, wanted: NotebookSpec) -> Request:
        """Return the request for the given specs."""
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
