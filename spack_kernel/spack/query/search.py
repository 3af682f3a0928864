"""Find the specs of a store that satisfy a query, and choose the intended one."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from spack_kernel._log import debugger
from spack_kernel.spack.errors import QuerySyntaxError
from spack_kernel.spack.spec.version_ranges import ANY_VERSION

from .abstract_spec import AbstractSpec
from .parser import parse_queries, parse_query

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from spack_kernel.spack.database.chain import Chain
    from spack_kernel.spack.errors import NoMatch
    from spack_kernel.spack.spec.spec import Spec

    from .matcher import Matcher
    from .store_index import Answer, Selection, StoreIndex
    from .virtuals import Providers


_debug = debugger(__name__)


def select(
    index: StoreIndex,
    text: str,
    *,
    installed: bool | None = True,
    providers: Providers | None = None,
) -> list[Selection]:
    """Return the specs that satisfy each query in `text`.

    Parameters
    ----------
    index : StoreIndex
        The store to search.
    text : str
        Any number of queries.
    installed : bool or None
        Whether the specs must be installed, or must not be; None for both.
    providers : Providers, optional
        What is known about virtual packages apart from the database; by default those of
        `index`.

    Raises
    ------
    QuerySyntaxError
        When `text` does not parse.
    """
    with _suggesting(index, text):
        queries = parse_queries(text, index.dialect)
        _refuse_pip_version(index, text, queries)
    return _selections(index, text, queries, installed, providers)


def _refuse_pip_version(index: StoreIndex, text: str, queries: Sequence[AbstractSpec]) -> None:
    """Raise an error for ``name==1.2``: to Spack a variant, which matches every spec."""
    if "==" not in text:
        return
    from . import suggestions

    word = suggestions.pip_version(queries, index.chain)
    if word:
        position = max(text.find(word), 0)
        raise QuerySyntaxError(
            "a version is written with @, not with ==", text, position, len(word)
        )


@contextlib.contextmanager
def _suggesting(index: StoreIndex, text: str) -> Iterator[None]:
    """Give a syntax error the query that was probably meant as its hint, if there is one."""
    try:
        yield
    except QuerySyntaxError as error:
        error.hint = suggested(index, text) or error.hint
        raise


def suggested(index: StoreIndex, text: str, providers: Providers | None = None) -> str:
    """Return a hint with the query that `text` may mean; empty if nothing installed is close."""
    from . import suggestions  # for errors only

    return suggestions.suggestion(index.chain, text, _matching(index, providers))


def meant(index: StoreIndex, text: str) -> str:
    """Return the query that `text` may mean; empty if nothing installed is close."""
    from . import suggestions

    return suggestions.meant(index.chain, text, _matching(index, None))[0]


def _matching(index: StoreIndex, providers: Providers | None) -> Callable[[str], bool]:
    """Return a function that returns whether something installed matches each query in a text."""
    from . import suggestions

    known = index.providers if providers is None else providers

    def matches(query: str) -> bool:
        queries = parse_queries(query, index.dialect)
        if not queries or suggestions.pip_version(queries, index.chain):
            return False
        return all(_select(index, each, True, known).nodes for each in queries)

    return matches


def _selections(
    index: StoreIndex,
    text: str,
    queries: Sequence[AbstractSpec],
    installed: bool | None,
    providers: Providers | None,
) -> list[Selection]:
    """Return the specs that satisfy each of `queries`, parsed from `text`; all specs for none."""
    answers = index.answered(text, installed) if providers is None else None
    if answers is None:
        known = index.providers if providers is None else providers
        if queries:
            answers = [_select(index, query, installed, known) for query in queries]
        else:
            answers = [index.answer(None, index.chain.all_nodes(installed))]
        if providers is None:
            index.keep(text, installed, answers)
        for answer in answers:
            _debug("the query %r matches %d specs", text, len(answer.nodes))
    return [index.selection(answer) for answer in answers]


def find_specs(
    index: StoreIndex,
    text: str,
    *,
    installed: bool | None = True,
    providers: Providers | None = None,
) -> list[Spec]:
    """Return the specs that satisfy any of the queries in `text`, each once.

    Parameters and errors are those of `select`.
    """
    found: dict[str, Spec] = {}
    for selection in select(index, text, installed=installed, providers=providers):
        for spec in selection.specs:
            found.setdefault(spec.hash, spec)
    return list(found.values())


def get_specs(index: StoreIndex, text: str, *, providers: Providers | None = None) -> list[Spec]:
    """Return the one installed spec that each query in `text` selects, as `spack load` does.

    Raises
    ------
    QuerySyntaxError
        When `text` does not parse.
    NoMatch
        When no installed spec satisfies a query.
    Ambiguous
        When more than one does.
    """
    selections = select(index, text, providers=providers)
    for selection in selections:  # a word that matches nothing explains one that matches too much
        if not selection.specs:
            raise no_match(index, selection, providers)
    return [_the_one(index, each, providers) for each in selections]


def get_spec(index: StoreIndex, text: str, *, providers: Providers | None = None) -> Spec:
    """Return the one installed spec that the query `text` selects, as `spack load` does.

    Errors are those of `get_specs`. If there is no query or several, this is a QuerySyntaxError.
    """
    with _suggesting(index, text):
        query = parse_query(text, index.dialect)
        _refuse_pip_version(index, text, [query])
    (selection,) = _selections(index, text, [query], True, providers)
    return _the_one(index, selection, providers)


def _the_one(index: StoreIndex, selection: Selection, providers: Providers | None) -> Spec:
    if len(selection.specs) == 1:
        return selection.specs[0]
    if selection.specs:
        # Imported for an error only: it brings the processors that archspec knows along.
        from . import diagnostics

        raise diagnostics.ambiguous(index.chain, selection)
    raise no_match(index, selection, providers)


def no_match(
    index: StoreIndex, selection: Selection, providers: Providers | None = None
) -> NoMatch:
    """Return the error that says why nothing installed satisfies a query.

    Parameters
    ----------
    index : StoreIndex
        Where it was looked for.
    selection : Selection
        The empty answer of `select`.
    providers : Providers, optional
        As for `select`.
    """
    from . import diagnostics

    known = index.providers if providers is None else providers
    query = selection.query
    meant = suggested(index, query.text, known) if query is not None and query.text else ""
    return diagnostics.no_match(index, selection, known, meant)


def _select(
    index: StoreIndex, query: AbstractSpec, installed: bool | None, providers: Providers
) -> Answer:
    chain, name = index.chain, query.name
    if query.hash is not None and query == AbstractSpec(hash=query.hash):
        return index.answer(query, _in_state(chain, _read_hash(chain, query.hash), installed))
    if name is not None and query == AbstractSpec(name=name):
        found = _in_state(chain, chain.nodes_named(name), installed)
        if found:
            return index.answer(query, found)
    from .matcher import Matcher  # these are not needed for a hash or a name alone
    from .whole_store import everywhere

    matcher = Matcher(chain, query.dialect, providers)
    if query.hash is not None:
        pool = _in_state(chain, _read_hash(chain, query.hash), installed)
        test = matcher.test(query)
        found = [node for node in pool if test(node)]
    elif name is not None:
        test = matcher.test(query, named=False)
        found = [n for n in _in_state(chain, chain.nodes_named(name), installed) if test(n)]
    else:
        found = everywhere(matcher, query, installed)
    if not found and name is not None:
        found = _providing(chain, query, installed, providers, matcher)
    unknown = tuple(
        f"which versions of {virtual} its providers provide"
        for virtual in sorted(matcher.unknown_versions)
    )
    return index.answer(query, found, unknown)


def _read_hash(chain: Chain, prefix: str) -> list[int]:
    """Return the nodes whose hash begins with a prefix; a single one that is malformed raises."""
    nodes = chain.nodes_with_prefix(prefix)
    if len(nodes) == 1:
        chain.spec(nodes[0])
    return nodes


def _in_state(chain: Chain, nodes: Iterable[int], installed: bool | None) -> list[int]:
    """Return those nodes that are valid, and installed as wanted."""
    valid = filter(chain.is_valid, nodes)
    if installed is None:
        return list(valid)
    return [node for node in valid if chain.is_installed(node) is installed]


def _providing(
    chain: Chain,
    query: AbstractSpec,
    installed: bool | None,
    providers: Providers,
    matcher: Matcher,
) -> list[int]:
    """Return the providers of the virtual package `query`; empty if it is not virtual.

    As in Spack, only the version of the virtual package and the dependencies are checked.
    """
    virtual = query.name
    assert virtual is not None
    packages = chain.virtuals.get(virtual, frozenset()) | providers.listed(virtual)
    candidates: list[int] = []
    if virtual in providers:
        provides = matcher.provider_test(query)
        named = {provision.provider.name or "" for provision in providers.of(virtual)}
        pool = [node for name in named for node in chain.nodes_named(name)]
        candidates = [node for node in _in_state(chain, pool, installed) if provides(node)]
        packages = frozenset(p for p in packages if not providers.knows(p))
    if packages and query.versions != ANY_VERSION:
        matcher.unknown_versions.add(virtual)
    else:
        pool = [node for package in packages for node in chain.nodes_named(package)]
        candidates += _in_state(chain, pool, installed)
    rest = matcher.test(AbstractSpec(dependencies=query.dependencies, dialect=query.dialect))
    return [node for node in dict.fromkeys(candidates) if rest(node)]
