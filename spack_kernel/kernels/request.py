"""What a kernel is requested for: one table of options.

The fields of `KernelRequest` are the table. From it come the traits of the provisioner, the keys
of kernel.json, the options of the commands, the arguments of `spack-kernel exec`, and their help.
"""

from __future__ import annotations

import functools
import json
import math
import os
import typing
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import msgspec

from spack_kernel.spack.environments import FrozenEnvironment
from spack_kernel.spack.load import Inspections, RecipeVariables

from .errors import RequestError
from .interpreters import PROBE_TIMEOUT
from .option import GROUPS, Option

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


class KernelRequest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a kernel is requested for: specs, a Spack environment, a view or modules; and options.

    The help of each field's `Option` describes it. In a kernel.json, `stores` is called ``store``
    and may be one path; `kernel` is not an option, but follows from the command to start.
    """

    stores: Annotated[
        tuple[str, ...],
        Option(
            "The store: an install tree, or a Spack root whose configuration names one; a list "
            "chains the others as upstreams of the first. Empty: $SPACK_KERNEL_STORE, then "
            "$SPACK_ROOT, then the spack on PATH.",
            "--store",
            "PATH",
        ),
    ] = ()
    spec: Annotated[
        str,
        Option(
            "A Spack query, as for `spack load`: `py-numpy@2: ^python@3.11`. It must match exactly "
            "one installed spec. If `hash` is set as well, it only records what the kernel was "
            "installed for.",
        ),
    ] = ""
    hash: Annotated[
        str,
        Option(
            "The DAG hash that pins the kernel to one installed spec, complete or abbreviated.",
        ),
    ] = ""
    specs: Annotated[
        tuple[str, ...],
        Option(
            "Several queries to load together in this order, instead of `spec` and `hash`. A query "
            "such as `py-numpy/<hash>` pins its spec.",
        ),
    ] = ()
    from_notebook: Annotated[
        bool,
        Option(
            "Take `spec` and `hash`, or `specs`, from the metadata of the notebook for which the "
            "kernel is started. `spack-kernel pin` writes them there.",
            "--from-notebook",
            group="options used in kernelspecs",
            usage="instead of QUERY: the spec recorded in the notebook that "
            "$SPACK_KERNEL_NOTEBOOK or $JPY_SESSION_NAME names (see `spack-kernel pin`)",
        ),
    ] = False
    environment: Annotated[
        str,
        Option(
            "A Spack environment to load instead of specs: its directory, or its name if `store` "
            "is the root of the Spack instance that manages it. Without `frozen`, it is read at "
            "every start.",
            "--environment",
            "NAME|DIR",
            "what to load",
            "instead of QUERY: a Spack environment, by name or by directory (./science); if it "
            "has a view, the view is used",
        ),
    ] = ""
    view: Annotated[
        str,
        Option(
            "With `environment`: which of its views to use, by name or directory, or `none`; "
            "empty for the default view. Alone: the directory of a view created with `spack view`.",
            "--view",
            "NAME|PATH",
            "what to load",
            "with --environment: which of its views to use, or `none`; instead of QUERY: the "
            "directory of a view created with `spack view`",
        ),
    ] = ""
    frozen: Annotated[
        FrozenEnvironment | None,
        Option(
            "The Spack environment as `spack-kernel install` resolved it: `name`, `path`, `roots`, "
            "`view`, `prefix_inspections` and `variables`. Then its files are not read at a start.",
            "--frozen",
            "JSON",
            "options used in kernelspecs",
            "the Spack environment, as `install` records it in a kernelspec",
        ),
    ] = None
    modules: Annotated[
        tuple[str, ...],
        Option(
            "Modules of the site's module system (Lmod, Environment Modules) to load before each "
            "start of the kernel. If nothing else names what to load, only they are loaded. "
            "MODULEPATH must be set, in the server or in `env`.",
            "--module",
            "MODULE",
            "what to load",
            "a module of the site to load before the kernel starts, repeatable; without QUERY: "
            "only modules that Spack generated",
        ),
    ] = ()
    load_modules: Annotated[
        bool,
        Option(
            "Whether to load the modules that externals name (`modules:` in packages.yaml) as "
            "well, before those of `modules`.",
            "--no-modules",
            group="what to load",
            usage="do not load the modules that externals name",
        ),
    ] = True
    recipes: Annotated[
        RecipeVariables | None,
        Option(
            "The variables that package recipes set, as `spack-kernel install` recorded them from "
            "Spack: `spack_version`, `specs` (DAG hashes), `replaces` (variables) and "
            "`modifications`, a list of operations on variables. Ignored if recorded for other "
            "specs.",
            "--recipes",
            "JSON",
            "options used in kernelspecs",
            "the variables of package recipes, as `install` records them in a kernelspec",
        ),
    ] = None
    prefix_inspections: Annotated[
        Inspections | None,
        Option(
            "Which subdirectories of prefixes to add to which variables, as "
            "`modules:prefix_inspections` of the site's Spack; `./` is the prefix itself. Recorded "
            "when the kernel is installed, if this differs from Spack's default. Not set: the "
            "configuration of `store`, otherwise Spack's default.",
            "--prefix-inspections",
            "JSON",
            "what to load",
            "which subdirectories of prefixes to add to which variables, as recorded in "
            "kernelspecs; replaces the configuration of the store",
        ),
    ] = None
    companion: Annotated[
        str,
        Option(
            "Which py-ipykernel to use for a spec without one: `auto` chooses one built for the "
            "same python, `none` uses none, and a query selects one.",
            "--companion",
            "QUERY",
            "the kernel",
            "which py-ipykernel to use if the spec has none: a query, `none` to use none, or "
            "`auto` for the best installed one (default)",
        ),
    ] = "auto"
    env: Annotated[
        dict[str, str],
        Option(
            "Variables to set in the kernel after all others; `${NAME}` in a value is expanded "
            "from the loaded environment. The kernelspec's own `env` does the same.",
            "--env",
            "NAME=VALUE",
            "the kernel",
            "a variable to set, repeatable; ${NAME} in the value is expanded from the loaded "
            "environment (`--env NAME VALUE` is also accepted)",
        ),
    ] = {}
    keep_env: Annotated[
        tuple[str, ...],
        Option(
            "Variables of the server to pass to the kernel although they belong to the server's "
            "own Python, such as `PYTHONSTARTUP`; `PATH` keeps its directories.",
        ),
    ] = ()
    user_site: Annotated[
        bool | None,
        Option(
            "Whether the kernel can import packages installed with `pip install --user`. Not set: "
            "as PYTHONNOUSERSITE of the server, which is what `spack load` does.",
        ),
    ] = None
    import_index: Annotated[
        bool,
        Option(
            "Whether the kernel finds modules through an index of its PYTHONPATH instead of "
            "searching every directory at every import. Child processes get the plain PYTHONPATH.",
            "--no-import-index",
            group="options used in kernelspecs",
            usage="search every directory of PYTHONPATH at every import",
        ),
    ] = True
    start_image: Annotated[
        bool,
        Option(
            "Whether later starts of the same kernel import its modules from one file.",
            "--no-start-image",
            group="options used in kernelspecs",
            usage="import every module from a file of its own",
        ),
    ] = True
    image_directory: Annotated[
        str,
        Option("Where users have their start images. Empty: `$XDG_RUNTIME_DIR`, else `/tmp`."),
    ] = ""
    image_checks_sources: Annotated[
        bool, Option("Whether a source that was edited in place counts, despite its image.")
    ] = True
    probe_timeout: Annotated[
        float,
        Option("Seconds that the kernel's Python may take to report its version."),
    ] = PROBE_TIMEOUT
    plan_timeout: Annotated[
        float,
        Option(
            "Seconds that reading the store and planning the kernel may take. Then the start fails "
            "with a message, and the process that reads the store is ended.",
        ),
    ] = 60.0
    start_timeout: Annotated[
        float,
        Option(
            "Seconds in which the kernel must listen on its ports. A kernel that exits earlier, or "
            "does not listen in time, counts as failed to start; its last stderr lines are shown. "
            "The start is complete as soon as it answers. 0 disables this check.",
            "--start-timeout",
            "SECONDS",
            "how it is started",
            "a kernel that exits or does not listen within this many seconds counts as failed to "
            "start (default: 60)",
        ),
    ] = 60.0
    echo_stderr: Annotated[
        bool,
        Option(
            "Whether to copy the kernel's standard error to that of the server, and so to its log. "
            "The last lines are always kept for the error message if the kernel dies.",
        ),
    ] = True
    kernel: bool = True

    def __post_init__(self) -> None:
        for name in ("stores", "specs", "modules", "keep_env"):
            if isinstance(getattr(self, name), str):
                raise TypeError(f"{name} must be a tuple of strings, not a string")

    @property
    def named(self) -> tuple[str, ...]:
        """The specs, the environment or the view that it names."""
        named = (self.spec, *self.specs, self.environment, self.view)
        return tuple(each for each in named if each)

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> KernelRequest:
        """Return the request that a kernel.json describes.

        Parameters
        ----------
        config : mapping
            ``metadata.kernel_provisioner.config``, or the values of all traits.

        Raises
        ------
        RequestError
            For an unknown key, and for a value of the wrong type.
        """
        values = dict(config)
        stores = values.pop("store", "")
        stores = [stores] if isinstance(stores, str) else stores
        for name in ("frozen", "recipes"):
            values[name] = values.get(name) or None
        unknown = values.keys() - {field.key for field in fields()}
        if unknown:
            raise RequestError(f"unknown keys in the configuration: {', '.join(sorted(unknown))}")
        try:
            request = msgspec.convert(values, cls)
            for name in ("plan_timeout", "probe_timeout", "start_timeout"):
                seconds = getattr(request, name)
                if not 0 <= seconds < math.inf or (not seconds and name != "start_timeout"):
                    raise TypeError(
                        f"`{name}` is not a number of seconds greater than 0: {seconds}"
                    )
            if request.image_directory[:1] not in ("", "/"):
                raise TypeError("`image_directory` is no absolute path")
            expanded = tuple(os.path.expanduser(path) for path in stores if path)  # noqa: PTH111
            return msgspec.structs.replace(request, stores=expanded)
        except (msgspec.ValidationError, TypeError, UnicodeError) as error:
            raise RequestError(f"the configuration has an invalid value: {error}") from None

    def to_config(self) -> dict[str, Any]:
        """Return what a kernel.json says for this request, without what is at its default.

        Examples
        --------
        >>> KernelRequest(spec="py-numpy", stores=("/sw/tree",), user_site=False).to_config()
        {'store': '/sw/tree', 'spec': 'py-numpy', 'user_site': False}
        """
        config: dict[str, Any] = {}
        for field in fields():
            value = getattr(self, field.name)
            if value != field.default:
                config[field.key] = json.loads(json.dumps(msgspec.to_builtins(value)))
        if "store" in config and len(self.stores) == 1:
            (config["store"],) = self.stores
        return config

    def to_words(self, command: str = "exec") -> list[str]:
        """Return the options of a command that mean the same; they do not name specs.

        Parameters
        ----------
        command : str
            One of `GROUPS`. What the command has no option for is left out.

        Examples
        --------
        >>> KernelRequest(spec="py-numpy", view="/sw/view", load_modules=False).to_words()
        ['--view', '/sw/view', '--no-modules']
        """
        return [
            word
            for field in fields()
            if field.option.flag and field.option.group in ("", *GROUPS[command])
            for word in field.words(getattr(self, field.name))
        ]

    def key(self) -> str:
        """Return text that is equal for equal requests and can be hashed, unlike requests."""
        return json.dumps(msgspec.to_builtins(self), sort_keys=True)


class Field(NamedTuple):
    """One field of `KernelRequest` that can be set.

    Attributes
    ----------
    name : str
        Its name there, and as a destination of the command line's parser.
    key : str
        Its name in a kernel.json, and as a trait.
    type : type
        Its type.
    default : object
        Its default value.
    option : Option
        How it can be set.
    """

    name: str
    key: str
    type: Any
    default: Any
    option: Option

    @property
    def takes_json(self) -> bool:
        """Whether the option takes JSON."""
        return self.option.metavar == "JSON"

    def words(self, value: Any) -> Iterator[str]:
        """Yield the arguments that set the option to a value; none for the default."""
        flag = self.option.flag
        if value == self.default:
            return
        if self.type is bool:
            yield flag
        elif self.takes_json:
            yield from (flag, json.dumps(msgspec.to_builtins(value), separators=(",", ":")))
        elif isinstance(value, dict):
            for name, each in value.items():
                yield from (flag, f"{name}={each}")
        elif isinstance(value, tuple):
            for each in value:
                yield from (flag, each)
        else:
            yield from (flag, f"{value:g}" if isinstance(value, float) else str(value))


@functools.cache
def fields() -> tuple[Field, ...]:
    """Return the fields of `KernelRequest` that can be set, in order."""
    hints = typing.get_type_hints(KernelRequest, include_extras=True)
    empty = KernelRequest()
    found = []
    for name in KernelRequest.__struct_fields__:
        kind, *extras = typing.get_args(hints[name]) or (hints[name],)
        option = next((extra for extra in extras if isinstance(extra, Option)), None)
        if option is not None:
            key = "store" if name == "stores" else name
            found.append(Field(name, key, kind, getattr(empty, name), option))
    return tuple(found)
