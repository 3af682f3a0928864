"""Ask the site's own ``spack`` what it would install for a query."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from spack_kernel.spack.spec.records import spec_from_node

from .spack_process import SpackCommandError, run_script, user_cache_path

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from spack_kernel.spack.config.config import Config
    from spack_kernel.spack.spec.spec import Spec

#: Timeout in seconds: solving for a large package takes minutes.
CONCRETIZE_TIMEOUT = 1800.0

# Runs inside Spack 0.16 to 1.x. An installed concretizer (clingo-bootstrap) is in the user's cache,
# which Spack does not see here.
_SCRIPT = """
import glob
import spack, spack.cmd, spack.hash_types
for root in BOOTSTRAP:
    for place in ("store/*", "store/*/*"):
        sys.path.extend(glob.glob("%s/%s/clingo-bootstrap-*/lib*/python%d.%d/site-packages" % (
            glob.escape(root), place, sys.version_info[0], sys.version_info[1])))
specs = spack.cmd.parse_specs([TEXT], concretize=True)
nodes = {}
for spec in specs:
    for node in spec.traverse():
        nodes[node.dag_hash()] = node.to_node_dict(hash=spack.hash_types.dag_hash)
version = getattr(spack, "spack_version", None) or spack.__version__
answer([str(version), [spec.dag_hash() for spec in specs], nodes])
"""


@dataclass(frozen=True)
class Concretized:
    """What Spack would install.

    Attributes
    ----------
    roots : tuple of Spec
        One spec for each query.
    specs : mapping of str to Spec
        DAG hash → spec, for the roots and everything that they depend on. Their install records
        are unknown.
    spack_version : str
        The Spack that said so.
    """

    roots: tuple[Spec, ...]
    specs: Mapping[str, Spec]
    spack_version: str


def concretize(
    spack: Path,
    query: str,
    trees: Sequence[str],
    config: Config | None = None,
    *,
    timeout: float = CONCRETIZE_TIMEOUT,
) -> Concretized:
    """Run `spack` to concretize a query, with the specs of the install trees for reuse.

    Parameters
    ----------
    spack : Path
        The ``spack`` executable.
    query : str
        One or more queries.
    trees : sequence of str
        The install trees: the local one, then its upstreams.
    config : Config, optional
        The configuration of this Spack, which names its caches.
    timeout : float
        Seconds to wait.

    Raises
    ------
    SpackCommandError
        When it cannot be run, finds no solution, times out, or prints unexpected output.
    """
    user_cache = user_cache_path()
    misc_cache, bootstrap = user_cache / "cache", [user_cache / "bootstrap"]
    if config is not None:
        misc_cache = config.path(config.get("config:misc_cache", str(misc_cache)), "misc_cache")
        root = config.get("bootstrap:root")
        bootstrap += [config.path(root, "bootstrap:root")] if root else []
    answer = run_script(
        spack,
        _SCRIPT,
        {"TEXT": query, "BOOTSTRAP": [str(path) for path in bootstrap]},
        trees,
        timeout=timeout,
        what=f"concretize `{query}`",
        hint=f"`spack spec {query}` shows what Spack itself says. If it has no concretizer yet,\n"
        "`spack bootstrap now` installs one.",
        copied_cache=misc_cache,
    )
    try:
        version, roots, nodes = answer
        specs = {h: spec_from_node(h, node, installed=False) for h, node in nodes.items()}
        return Concretized(tuple(specs[h] for h in roots), specs, str(version))
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise SpackCommandError(
            f"{spack} printed an answer that cannot be understood: {error}",
        ) from error
