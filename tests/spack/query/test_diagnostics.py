"""The messages for a query that matches nothing, matches too much, or does not parse."""

from __future__ import annotations

from difflib import get_close_matches

import pytest

from spack_kernel.spack.errors import Ambiguous, NoMatch, QuerySyntaxError
from spack_kernel.spack.query.parser import parse_queries
from spack_kernel.spack.query.virtuals import NO_PROVIDERS, Providers
from spack_kernel.spack.spec.targets import known_targets
from spack_kernel.spack.store.store import Store
from tests.records import make_store, node, readable_hash

#: Which targets there are depends on the version of archspec.
ZENS = "{}, {} or {}".format(*get_close_matches("zen9", known_targets(), n=3))


def text(store: Store, query: str, **options) -> str:
    with pytest.raises((NoMatch, Ambiguous, QuerySyntaxError)) as caught:
        store.get(query, **options)
    return str(caught.value)


# Ambiguous


def test_candidates_differ_in_variants_and_python(golden_store):
    """The version is one for all, and the last installed comes first."""
    assert text(golden_store("1.3"), "py-libensemble") == (
        "'py-libensemble' matches 8 installed specs\n"
        "They differ in ~deap, +deap; ~mpi, +mpi; +nlopt, ~nlopt; +scipy, ~scipy;"
        " ^python@3.12.13, ^python@3.11.15.\n"
        "  hg67jgc  py-libensemble  ~deap  ~mpi  +nlopt  +scipy  ^python@3.12.13 "
        " ^openblas +consistent_fpcsr\n"
        "  3zh6g4u  py-libensemble  ~deap  +mpi  +nlopt  ~scipy  ^python@3.11.15\n"
        "  zycm76j  py-libensemble  +deap  +mpi  ~nlopt  ~scipy  ^python@3.11.15\n"
        "  ywrxsm4  py-libensemble  ~deap  ~mpi  +nlopt  +scipy  ^python@3.12.13 "
        " ^openblas ~consistent_fpcsr\n"
        "  7567qxd  py-libensemble  ~deap  +mpi  ~nlopt  ~scipy  ^python@3.11.15\n"
        "  zdznbh6  py-libensemble  ~deap  ~mpi  ~nlopt  +scipy  ^python@3.11.15\n"
        "  3zwlq4g  py-libensemble  ~deap  +mpi  ~nlopt  ~scipy  ^python@3.12.13\n"
        "  kqjdh5h  py-libensemble  ~deap  +mpi  +nlopt  +scipy  ^python@3.11.15\n"
        "Name one by its hash, for example py-libensemble/hg67jgc"
    )


def test_candidates_differ_in_version_compiler_and_target(golden_store):
    message = text(golden_store("0.17"), "zlib@1.2.8:%gcc")
    assert "  zlib@1.2.8   ~shared  " in message
    assert "os=ubuntu22.04  target=x86_64_v3       %gcc@9.4.0\n" in message
    assert "optimize" not in message  # all have +optimize


def test_candidates_of_several_repositories(golden_store):
    message = text(golden_store("1.3"), "zlib")
    assert "  i6ur5om  site.zlib@1.3.2 " in message
    assert "  jtbv4rc  builtin.zlib@1.3.2 " in message


def test_the_candidates_are_there_for_programs(golden_store):
    store = golden_store("1.3")
    with pytest.raises(Ambiguous) as caught:
        store.get("py-h5py+mpi")
    candidates = caught.value.candidates
    assert set(candidates) == set(store.find("py-h5py+mpi"))
    newest = sorted(candidates, key=lambda spec: (spec.version, spec.installation_time))
    assert list(candidates) == newest[::-1]


def test_many_candidates_are_cut(golden_store):
    message = text(golden_store("0.23"), "python")
    assert message.count("\n") == 23
    assert "\nThey differ in version: 3.12.5, 3.11.9, 3.11.8, 3.11.5, 3.10.13; " in message
    assert "  ... and 15 older; `spack-kernel list --all python` shows all\n" in message


def test_hashes_are_as_long_as_it_takes(tmp_path):
    first, second = (
        node("tool", hash="abcdefgh" + "a" * 24),
        node("tool", hash="abcdefgi" + "a" * 24),
    )
    assert text(make_store(tmp_path, first, second), "tool") == (
        "'tool' matches 2 installed specs\n"
        "  abcdefgh  tool\n"
        "  abcdefgi  tool\n"
        "Name one by its hash, for example tool/abcdefgh"
    )


def test_several_queries_each_choose(golden_store):
    store = golden_store("1.3")
    assert [s.hash[:7] for s in store.get_each("/i2ik4im /5fzza6t")] == ["i2ik4im", "5fzza6t"]
    with pytest.raises(Ambiguous, match="'zlib' matches 16"):
        store.get_each("/i2ik4im zlib")


# No match: names


def test_a_name_that_lacks_its_prefix(golden_store):
    assert text(golden_store("1.3"), "numpy@2: ^python") == (
        "no installed spec matches 'numpy@2: ^python'\n"
        "  numpy@2: ^python\n"
        "  ^^^^^\n"
        "No recorded package is named numpy.\n"
        "Did you mean py-numpy@2: ^python?"
    )


def test_the_name_of_a_dependency(golden_store):
    message = text(golden_store("1.3"), "py-numpy ^opnblas")
    assert message.startswith(
        "no installed spec matches 'py-numpy ^opnblas'\n"
        "  py-numpy ^opnblas\n"
        "            ^^^^^^^\n"
        "No recorded package is named opnblas.\n"
        "The nearest installed specs:\n"
    )
    assert message.endswith("\nDid you mean py-numpy ^openblas?")


def test_a_virtual_package_of_an_old_database(golden_store):
    message = text(golden_store("0.17"), "mpi", providers=NO_PROVIDERS)
    assert "If mpi is a virtual package, this database does not record its providers." in message


def test_a_virtual_package_in_a_version_nobody_recorded(golden_store):
    store = golden_store("1.3")
    message = text(store, "mpi@3:", providers=NO_PROVIDERS)
    assert "mpi is a virtual package, provided by mpich or openmpi.\n" in message
    assert "The database does not record which versions of mpi its providers provide." in message
    (selection,) = store.select("hdf5 ^mpi@3:", providers=NO_PROVIDERS)
    assert selection.unknown == ("which versions of mpi its providers provide",)


def test_providers_fill_in(golden_store):
    store = golden_store("0.17")
    providers = Providers.parse({"mpi@:3.1": ["openmpi@2:"], "mpi@:4": ["mpich"]})
    assert {spec.name for spec in store.find("mpi", providers=providers)} == {
        "openmpi",
        "mpich",
    }
    assert {spec.name for spec in store.find("mpi@3.5:", providers=providers)} == {"mpich"}
    assert store.find("py-h5py ^mpi", providers=providers)


# No match: constraints on a node


@pytest.mark.parametrize(
    ("query", "line"),
    [
        ("hdf5@2:", "No installed hdf5 satisfies @2:; available: 1.14.6, 1.12.3."),
        ("hdf5+cx", "No installed hdf5 satisfies +cx: it has no variant cx; did you mean cxx?"),
        ("hdf5 api=v9", "No installed hdf5 satisfies api=v9; available: default."),
        (
            "zlib os=rhel8",
            "No installed zlib satisfies os=rhel8; available: debian12, ubuntu22.04.",
        ),
        ("zlib platform=darwin", "No installed zlib satisfies platform=darwin; available: linux."),
        ("other.zlib", "No installed zlib satisfies namespace=other; available: builtin, site."),
        (
            "zlib target=zen9:",
            "No installed zlib satisfies target=zen9:: no target is named zen9; "
            f"did you mean {ZENS}?",
        ),
        (
            "py-numpy ^python@3.9",
            "No installed py-numpy satisfies ^python@3.9; "
            "available: python@3.12.13, python@3.11.15, python@3.10.13.",
        ),
        (
            "zlib ^openmpi",
            "No installed zlib satisfies ^openmpi: none has openmpi among its dependencies.",
        ),
        ("^python@2", "No installed spec satisfies ^python@2."),
        (
            "hdf5~mpi ^openmpi",
            "Each part of the query matches an installed spec, but no spec matches all.",
        ),
    ],
)
def test_what_was_found_instead(golden_store, query, line):
    assert line in text(golden_store("1.3"), query).splitlines()


def test_the_compiler_of_an_old_database(golden_store):
    message = text(golden_store("0.23"), "petsc%clang")
    assert "No installed petsc satisfies %clang; available: %gcc@12.2.0.\n" in message


def test_the_nearest(golden_store):
    lines = text(golden_store("1.3"), "py-h5py+mpi@99").splitlines()
    assert lines[2:] == [
        "The nearest installed specs:",
        "  3yq23t6  py-h5py@3.16.0  ^python@3.11.15  ^hdf5 +threadsafe",
        "  v7jdidc  py-h5py@3.16.0  ^python@3.12.13",
        "  n77a53v  py-h5py@3.16.0  ^python@3.11.15  ^hdf5 ~threadsafe",
        "To use one of these, name it: py-h5py/3yq23t6",
    ]


# No match: hashes, and specs that are no longer installed


def test_unknown_hashes(golden_store):
    store = golden_store("1.3")
    known = store.named("zlib")[0]
    wrong = known.hash[:6] + "0"
    assert text(store, f"/{wrong}") == (
        f"no installed spec matches '/{wrong}'\n"
        f"No recorded hash begins with {wrong}.\n"
        f"Did you mean {known.label}?"
    )
    upper = known.hash[:7].upper()
    assert f"Hashes are written in lower case: /{known.hash[:7]}" in text(store, f"/{upper}")


def test_deprecated_and_uninstalled(golden_store):
    store = golden_store("0.17")
    assert text(store, "zlib/dqposnd") == (
        "no installed spec matches 'zlib/dqposnd'\n"
        "zlib@1.2.3/dqposnd was deprecated in favour of zlib@1.2.11/hydrfdd.\n"
        "Use zlib/hydrfdd"
    )
    assert "hdf5@1.10.7/brlvia2 is no longer installed." in text(store, "/brlvia2")
    assert [spec.hash[:7] for spec in store.find("/brlv", installed=None)] == ["brlvia2"]
    assert store.find("/brlv") == []
    assert {spec.installed for spec in store.find("", installed=False)} == {False}


def test_an_empty_store(tmp_path):
    store = make_store(tmp_path)
    assert store.find("") == []
    assert "No recorded package is named zlib." in text(store, "zlib")
    with pytest.raises(NoMatch, match="nothing is installed in") as caught:
        store.get_each(" ")
    assert "`spack install SPEC`" in caught.value.hint


# No match: for any query, what is available instead and what to type


HOPELESS = [
    "zzz-nothing",
    "zzz-nothing@2+x ^zlib",
    "builtin.nothing",
    "^zzz-nothing",
    "%zzz-nothing",
    "py-numpy ^zzz-nothing",
    "zlib %zzz-nothing",
    "zlib cflags=-O9",
    "zlib/zzzzzzz",
    "/zzzzzz",
    "@99",
    "+zzz",
    "zzz=1",
    "os=zzz",
    "platform=darwin",
    "target=zzz",
    "cflags=-O9",
    "namespace=zzz",
    "^zlib@99",
    "hdf5 ^openmpi@99",
]


@pytest.mark.parametrize("query", HOPELESS)
@pytest.mark.parametrize("version", ["0.17", "0.23", "1.3"])
def test_whatever_matches_nothing_says_what_there_is_and_what_to_type(golden_store, version, query):
    store = golden_store(version)
    with pytest.raises(NoMatch) as caught:
        store.get(query)
    error = caught.value
    assert error.details
    near = any(line.startswith(("Installed:", "The nearest")) for line in error.details)
    assert near or error.details[-1] == (
        f"Searched all recorded specs: {len(store.databases[0]):,} in {store.root}."
    )
    typed = (
        "To use one of these, name it: ",
        "Install it with `spack install",
        "Choose from `spack-k",
        "Search for the package with `spack list ",
    )
    assert error.hint.startswith(typed)


def test_a_name_that_is_like_no_other(golden_store):
    store = golden_store("1.3")
    assert text(store, "zzz-nothing@2:") == (
        "no installed spec matches 'zzz-nothing@2:'\n"
        "  zzz-nothing@2:\n"
        "  ^^^^^^^^^^^\n"
        "No recorded package is named zzz-nothing.\n"
        "If zzz-nothing is a virtual package, no recorded spec depends on a provider of it.\n"
        f"Searched all recorded specs: {len(store.databases[0]):,} in {store.root}.\n"
        "Search for the package with `spack list zzz-nothing`, "
        "choose from `spack-kernel list --all`,\n"
        "or name another store (--store)."
    )


def test_a_dependency_that_is_like_no_other(golden_store):
    """The package itself is installed, so its specs are the closest matches."""
    lines = text(golden_store("1.3"), "py-libensemble ^zzz-nothing").splitlines()
    assert lines[3] == "No recorded package is named zzz-nothing."
    assert lines[5] == "The nearest installed specs:"
    assert "py-libensemble" in lines[6]
    assert lines[-1].startswith("To use one of these, name it: py-libensemble/")


@pytest.mark.parametrize(
    ("query", "line"),
    [
        ("os=rhel8", "No installed spec satisfies os=rhel8; available: debian12, ubuntu22.04."),
        ("platform=darwin", "No installed spec satisfies platform=darwin; available: linux."),
        ("namespace=x", "No installed spec satisfies namespace=x; available: builtin, site."),
        (
            "+shraed",
            "No installed spec satisfies +shraed: none has a variant shraed; "
            "did you mean shared, thread or shadow?",
        ),
    ],
)
def test_what_there_is_of_what_any_spec_may_have(golden_store, query, line):
    assert line in text(golden_store("1.3"), query).splitlines()


def test_a_chain_says_where_it_looked(golden_store):
    chain = Store([*golden_store("1.3").databases, *golden_store("0.23").databases])
    (line,) = [line for line in text(chain, "/zzzzzz").splitlines() if line.startswith("Searched")]
    sizes = [f"{len(each):,} in {each.root}" for each in chain.databases]
    assert line == f"Searched all recorded specs: {', '.join(sizes)}."


def test_what_was_there_and_is_not_any_more(tmp_path):
    gone = {**node("zlib", version="1.2"), "installed": False}
    store = make_store(tmp_path, gone, node("hdf5"))
    lines = text(store, "zlib@1.3").splitlines()
    assert lines[1] == "Nothing of that name is installed any more; previously: zlib@1.2/zlibaaa."
    assert lines[-2].startswith("Install it with `spack install zlib@1.3`, ")


# Invalid queries


def test_one_query_is_wanted(golden_store):
    store = golden_store("1.3")
    assert text(store, " ") == (
        "the query is empty\n   \n  ^\nType a package name, or * for any spec."
    )
    assert text(store, "zlib +shared hdf5") == (
        "expected one spec, but the query contains 2\n"
        "  zlib +shared hdf5\n"
        "               ^^^^\n"
        "Remove the space before it if it belongs to the preceding spec."
    )


REFUSED = [
    ("zlib@", 4, "unexpected character @ in the query"),
    ("zlib@1 @2", 7, "only one version constraint is allowed, and this is the second"),
    ("zlib@2.1:1.9", 4, "the range of versions '2.1:1.9' is empty"),
    ("zlib@1:=2", 4, "'=2' cannot end a range of versions"),
    ("zlib+a~a", 6, "the variant a is given twice"),
    ("zlib a=x,*", 5, "the value * means any value, and must be the only one"),
    ("zlib a='x y\\'", 5, "a value in quotes cannot end in a backslash"),
    ("zlib os=a os=b", 10, "os is given twice"),
    ("zlib arch=a-b-c os=d", 16, "a spec has one architecture, and this is the second"),
    ("zlib+arch", 4, "arch needs a value"),
    ("zlib+cflags", 4, "cflags needs a value"),
    ("zlib os==a", 5, "os cannot be propagated to dependencies"),
    ("zlib]", 4, "unmatched closing bracket"),
    ("zlib ^[", 7, "expected a dependency attribute or ] here"),
    ("zlib ^[x=y] a", 7, "a dependency has no attribute x"),
    ("zlib ^[deptypes=all] a", 7, "there is no dependency type 'all'"),
    ("zlib ^[when='@'] a", 7, "the condition does not parse: unexpected character @ in the query"),
    ("zlib ^a@1 ^a@2", 12, "no spec can be both this a and the one before it"),
    (
        "zlib ^[deptypes=link] a ^[deptypes=run] a",
        40,
        "a is named twice with dependency types that exclude each other",
    ),
    ("./spec.json", 0, "a file is not a query"),
    ("zlib é", 5, "unexpected character é in the query"),
]


@pytest.mark.parametrize(("query", "position", "summary"), REFUSED, ids=[q for q, _, _ in REFUSED])
def test_refused_queries_point_at_the_place(query, position, summary):
    with pytest.raises(QuerySyntaxError) as caught:
        parse_queries(query)
    assert caught.value.summary == summary
    assert caught.value.position == position
    shown, pointer = caught.value.details
    assert shown == f"  {query}"
    assert pointer.index("^") == position + 2


def test_a_compiler_of_an_old_store_needs_a_name(golden_store):
    message = text(golden_store("0.23"), "zlib % +shared")
    assert message.splitlines()[:3] == [
        "the name of a compiler is missing",
        "  zlib % +shared",
        "         ^^^^^^^",
    ]
    assert "a spec has one compiler" in text(golden_store("0.23"), "zlib %gcc %clang")


def test_long_and_odd_queries_are_shown_in_part():
    with pytest.raises(QuerySyntaxError) as caught:
        parse_queries("zlib" + "".join(f"+a{n}" for n in range(50)) + "!" + "b" * 100)
    shown, pointer = caught.value.details
    assert shown.startswith("  ... ")
    assert shown.endswith("b ...")
    assert shown[pointer.index("^")] == "!"
    with pytest.raises(QuerySyntaxError) as caught:
        parse_queries("a\nb\x1b!\U0001f600")
    assert caught.value.details == ("  a b?!?", "     ^")


def test_namespaces_and_the_host(golden_store, monkeypatch):
    """Names such as default_os are valid only for the machine's own platform."""
    with pytest.raises(QuerySyntaxError, match="refers to this machine, but"):
        parse_queries("zlib platform=darwin os=default_os")


def test_a_chain_prefers_its_own(tmp_path):
    """A hash in both stores counts once."""
    upstream = make_store(tmp_path / "up", node("lib"), node("tool"))
    local = make_store(tmp_path / "down", node("tool"), node("mine", ("lib", "link")))
    store = Store([*local.databases, *upstream.databases])
    assert [spec.name for spec in store.find("*")] == ["lib", "mine", "tool"]
    assert store.get("tool").prefix.startswith(str(tmp_path / "down"))
    assert store.get("^lib").hash == readable_hash("mine")
