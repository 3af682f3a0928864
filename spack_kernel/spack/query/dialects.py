"""How the Spack that wrote a database interprets a query.

The query language grew with Spack, and parts of it changed their meaning. A query uses the dialect
of the Spack that wrote the store's database, so that users get the results they are used to. Syntax
that only newer versions accept is accepted in every dialect.
"""

from __future__ import annotations

import msgspec


class Dialect(msgspec.Struct, frozen=True):
    """The rules that differ between Spack versions.

    Attributes
    ----------
    name : str
        The Spack versions, for messages.
    compiler_nodes : bool
        Whether ``%gcc`` names a direct dependency (Spack 1.0 and newer), whose attributes can
        follow, and values can contain ``%`` and ``^``. Otherwise it names the compiler of a node,
        what follows belongs to the node, and ``%`` and ``^`` end a value.
    all_edges : bool
        Whether ``^`` follows edges of every type; otherwise, below the direct dependencies, it
        follows only those to link and run dependencies.
    edge_types : bool
        Whether ``^[deptypes=...]`` restricts the types of the edge; older versions ignore it.
    edge_virtuals : bool
        Whether edges record the virtual packages that they provide.
    prereleases : bool
        Whether ``2.0rc1`` sorts before ``2.0``; otherwise the version ``2.0`` includes it.
    propagation : bool
        Whether ``name==value`` propagates; otherwise the value begins with ``=``.
    weak_propagation : bool
        Whether a propagated variant (``++mpi``) is required only where a package has it; otherwise
        it is required like any other variant.
    partial_flags : bool
        Whether a spec can have more compiler flags than the query names.
    ordered_flags : bool
        Whether the flags must be in the order in which the query names them.
    partial_patches : bool
        Whether the checksums of patches can be abbreviated.
    any_target : bool
        Whether ``target=*`` matches any target.
    namespace_key : bool
        Whether ``namespace=builtin`` restricts the namespace; otherwise it is read as a variant.
    blank_ranges : bool
        Whether a blank is allowed before the colon of a range.
    nameless_pairs : bool
        Whether ``=value`` is accepted (it never matches).
    loose_words : bool
        Whether a value extends to the next blank outside quotes, and quotes around a name, a blank
        after the slash of a hash, and dots at the end of a version or namespace are accepted.
    """

    name: str
    compiler_nodes: bool = True
    all_edges: bool = False
    edge_types: bool = True
    edge_virtuals: bool = True
    prereleases: bool = True
    propagation: bool = True
    weak_propagation: bool = True
    partial_flags: bool = True
    ordered_flags: bool = False
    partial_patches: bool = True
    any_target: bool = True
    namespace_key: bool = True
    blank_ranges: bool = False
    nameless_pairs: bool = False
    loose_words: bool = False


#: Database format 8.
SPACK_1 = Dialect("Spack 1.0 and newer")

#: Database format 7.
SPACK_0_21 = msgspec.structs.replace(
    SPACK_1,
    name="Spack 0.21 to 0.23",
    compiler_nodes=False,
    all_edges=True,
    edge_types=False,
    any_target=False,
)

#: Database format 6, with build systems recorded as variants.
SPACK_0_19 = msgspec.structs.replace(
    SPACK_0_21,
    name="Spack 0.19 and 0.20",
    partial_flags=False,
    ordered_flags=True,
    edge_virtuals=False,
    prereleases=False,
    weak_propagation=False,
    namespace_key=False,
    blank_ranges=True,
    nameless_pairs=True,
)

#: Database format 5, and 6 without build systems.
SPACK_0_16 = msgspec.structs.replace(
    SPACK_0_19,
    name="Spack 0.18 and older",
    propagation=False,
    ordered_flags=False,
    partial_patches=False,
    blank_ranges=False,
    loose_words=True,
)


def dialect_of(database_format: str, *, build_systems: bool) -> Dialect:
    """Return the dialect of the Spack that wrote a database.

    Parameters
    ----------
    database_format : str
        The format recorded in its file: ``"5"`` to ``"8"``.
    build_systems : bool
        Whether its specs have the variant ``build_system``, as all do since Spack 0.19. This
        determines which version wrote a database of format 6.
    """
    number = database_format.partition(".")[0]
    if not number.isdecimal() or int(number) >= 8:
        return SPACK_1
    if int(number) == 7:
        return SPACK_0_21
    return SPACK_0_19 if int(number) == 6 and build_systems else SPACK_0_16
