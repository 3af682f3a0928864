"""The kernels that a store offers for a selection of its specs."""

from __future__ import annotations

import base64
import difflib
import fnmatch
import os
from textwrap import shorten
from typing import TYPE_CHECKING

import msgspec

from spack_kernel.jupyter.kernelspecs.content import (
    ENVIRONMENT_DISPLAY_NAME,
    ENVIRONMENT_NAME,
    LONGEST_DIFFERENCE,
    kernel_content,
    kernel_name,
    store_paths,
)
from spack_kernel.jupyter.kernelspecs.facts import spec_facts
from spack_kernel.jupyter.kernelspecs.names import (
    check_name,
    fields,
    filled,
)
from spack_kernel.kernels.candidates import (
    EnvironmentSurvey,
    ShippedKernel,
    Survey,
    read_logos,
    shipped_kernels,
)
from spack_kernel.kernels.request import KernelRequest
from spack_kernel.spack.environments import EnvironmentNotReady, environment_names
from spack_kernel.spack.errors import ITEM_ERRORS, SpackKernelError, reason_of
from spack_kernel.spack.load import site_inspections
from spack_kernel.spack.query import distinctions
from spack_kernel.spack.system import file_checks

from .models import Offer, OfferFilter, Offers
from .notebook_specs import for_notebooks

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from spack_kernel.kernels.candidates import Candidate
    from spack_kernel.spack.spec import Spec
    from spack_kernel.spack.store import Store

_SHOWN_PROBLEMS = 5


def offers_of(store: Store, chosen: OfferFilter) -> Offers:
    """Return the kernels that a store offers for a selection.

    Reads only the database and a few directories per Python; starts no process.
    """
    return _Gatherer(store, chosen).gather()


class _Gatherer:
    """Gathers the offers of one store; see `offers_of`."""

    def __init__(self, store: Store, chosen: OfferFilter) -> None:
        self._store = store
        self._selection = chosen
        self._request = KernelRequest(
            stores=tuple(store_paths(store)),
            prefix_inspections=site_inspections(store),
            companion=chosen.companion,
        )
        self._survey = Survey(store, chosen.kernel_packages, chosen.companion)
        self._shipped: dict[str, list[ShippedKernel]] = {}
        # The picker leaves what nobody has chosen out of the launcher.
        self._origin = {} if chosen.queries else {"spack_discovered": True}
        self._problems: list[str] = []
        self._complete = True
        self._differences: dict[str, str] = {}
        moved = store.moved_from()
        if moved is not None:
            self._problems.append(
                f"the store was moved: its records name {moved}, not {store.root}"
            )

    def gather(self) -> Offers:
        chosen, left_out = self._chosen()
        chosen = [candidate for candidate in chosen if self._is_there(candidate.spec)]
        self._differences = distinctions([c.spec for c in chosen], self._store.by_hash)
        named: dict[str, list[tuple[Spec, Offer]]] = {}
        for candidate in chosen:
            for offer in self._checked_offers(candidate):
                named.setdefault(offer.name, []).append((candidate.spec, offer))
        offers = [offer for same in named.values() for offer in _told_apart(same)]
        for gone in self._survey.gone:
            self._problems.append(
                f"kernels that need {gone.label} are left out: it is recorded, but its prefix does "
                f"not exist: {gone.prefix}"
            )
            self._complete = False
        self._check_companion()
        taken = {offer.name for offer in offers}
        offers += [o for o in self._environments() if o.name not in taken]
        return Offers(
            offers=tuple(sorted(offers, key=lambda offer: offer.name)),
            request=self._request,
            problems=tuple(self._problems),
            left_out=left_out,
            complete=self._complete,
        )

    def _check_companion(self) -> None:
        """Report a named companion that is not installed: kernels that need it cannot start."""
        query = self._selection.companion
        if query in ("auto", "none"):
            return
        try:
            found = self._store.find(query)
        except SpackKernelError as error:
            self._problems.append(f"the companion `{query}`: {error.summary}")
            self._complete = False
            return
        if len(found) != 1:
            what = f"{len(found)} installed specs" if found else f"nothing{self._nearest(query)}"
            self._problems.append(f"the companion query `{query}` matches {what}")
            self._complete = False

    def _is_there(self, spec: Spec) -> bool:
        """Return whether the prefix of a spec exists; a missing prefix may come back later."""
        if spec.external or (spec.prefix and file_checks.is_dir(spec.prefix)):
            return True
        self._problems.append(
            f"{spec.label} is left out: it is recorded, but its prefix does not exist: "
            f"{spec.prefix}"
        )
        self._complete = False
        return False

    # -- specs --

    def _chosen(self) -> tuple[list[Candidate], int]:
        """Return the candidates to offer, and how many there are beyond the limit."""
        if self._selection.queries:
            found = self._of_queries()
        else:
            explicit = self._candidates(self._store.explicit())
            found = [c for c in explicit if for_notebooks(c) or self._kernels(c)]
        newest: dict[str, Spec] = {}
        for each in found:
            name = each.spec.name
            if name not in newest or newest[name].version < each.spec.version:
                newest[name] = each.spec
        found.sort(
            key=lambda c: (newest[c.spec.name] != c.spec, -c.spec.installation_time, c.spec.hash)
        )
        kept = found[: max(0, self._selection.limit)]
        known = {candidate.spec.hash for candidate in kept}
        also = [self._store.by_hash(key) for key in self._selection.also if key not in known]
        besides = self._candidates(spec for spec in also if spec is not None and spec.installed)
        return kept + besides, len(found) - len(kept)

    def _of_queries(self) -> list[Candidate]:
        specs: dict[str, Spec] = {}
        for query in self._selection.queries:
            try:
                found = self._store.find(query)
            except SpackKernelError as error:
                self._problems.append(f"the query `{query}` is left out: {error.summary}")
                self._complete = False
                continue
            if not found:
                self._problems.append(f"the query `{query}` matches nothing{self._nearest(query)}")
            specs.update((spec.hash, spec) for spec in found)
        able: list[Candidate] = []
        unable: list[Candidate] = []
        for candidate in self._candidates(specs.values()):
            is_able = not candidate.why_not or self._kernels(candidate)
            (able if is_able else unable).append(candidate)
        for candidate in unable[:_SHOWN_PROBLEMS]:
            self._problems.append(f"{candidate.spec.label} is left out: {candidate.why_not}")
        if len(unable) > _SHOWN_PROBLEMS:
            self._problems.append(f"{len(unable) - _SHOWN_PROBLEMS} more specs cannot be kernels")
        return able

    def _nearest(self, query: str) -> str:
        """Return a suggestion for a query that matches nothing."""
        (selected, *_) = self._store.select(query)
        hint = self._store.no_match(selected).hint
        return f": {hint}" if hint.startswith("Did you mean") else ""

    def _candidates(self, specs: Iterable[Spec]) -> list[Candidate]:
        found = []
        for spec in specs:
            try:
                found.append(self._survey.candidate(spec))
            except ITEM_ERRORS as error:  # noqa: PERF203
                self._problems.append(f"{spec.label} is left out: {reason_of(error)}")
        return found

    def _kernels(self, candidate: Candidate) -> list[ShippedKernel]:
        """Return the kernels that packages in a candidate's closure ship."""
        kernels: dict[str, ShippedKernel] = {}
        # Kernels that the root ships take precedence over those of its dependencies.
        for spec in sorted(candidate.shippers, key=lambda spec: spec != candidate.spec):
            if spec.hash not in self._shipped:
                self._shipped[spec.hash], problems = shipped_kernels([spec])
                self._problems += problems
            for kernel in self._shipped[spec.hash]:
                kernels.setdefault(kernel.name, kernel)
        return list(kernels.values())

    def _checked_offers(self, candidate: Candidate) -> list[Offer]:
        """Return the kernels of a candidate; an error does not affect other candidates."""
        offers = []
        try:
            for offer in self._offers(candidate):
                check_name(offer.name)
                offers.append(offer)
        except ITEM_ERRORS as error:
            self._problems.append(f"{candidate.spec.label} is left out: {reason_of(error)}")
        return offers

    def _offers(self, candidate: Candidate) -> Iterator[Offer]:
        kernels = self._kernels(candidate)
        # A package that is a kernel is offered as that kernel, not as the Python it is written in.
        itself = any(kernel.spec == candidate.spec for kernel in kernels)
        if not candidate.why_not and not itself:
            yield self._offer(candidate, None)
        for kernel in kernels:
            yield self._offer(candidate, kernel)

    def _offer(self, candidate: Candidate, shipped: ShippedKernel | None) -> Offer:
        spec, chosen = candidate.spec, self._selection
        difference = shorten(
            self._differences.get(spec.hash, ""), LONGEST_DIFFERENCE, placeholder=" …"
        )
        values = {**fields(spec, candidate.python), "difference": difference}
        name = kernel_name(filled(chosen.name_template, values))
        display_name = filled(chosen.display_name_template, values)
        if shipped is not None:
            name = f"{name}.{shipped.name}"
            display_name = f"{shipped.display_name} in {display_name}"
        content = kernel_content(
            self._request,
            [spec],
            display_name=display_name,
            debugger=candidate.debugger,
            encryption=candidate.encryption,
            shipped=shipped,
            facts={**spec_facts(spec, self._store, candidate.python), **self._origin},
            ipykernel=candidate.ipykernel_version,
        )
        if shipped is None:
            return Offer(name, content)
        logos, found = read_logos(shipped.spec.prefix or "", shipped.directory)
        self._problems += found
        texts = {name: base64.b64encode(logo).decode() for name, logo in logos.items()}
        return Offer(name, content, shipped.name, texts)

    def _environments(self) -> Iterator[Offer]:
        survey = EnvironmentSurvey(self._store, self._survey, self._selection.kernel_packages)
        for wanted in self._environment_names():
            found = survey.candidate(wanted)
            frozen, able = found.frozen, found.able
            if found.error is not None:
                self._leave_out(wanted, found.error)
            if not (frozen and found.store and able):
                continue
            name = os.path.basename(frozen.name)  # noqa: PTH119 - also for names
            content = kernel_content(
                msgspec.structs.replace(
                    self._request,
                    stores=tuple(store_paths(found.store)),
                    environment=frozen.path,
                    frozen=frozen,
                    prefix_inspections=None,
                ),
                found.specs,
                pin=False,
                display_name=ENVIRONMENT_DISPLAY_NAME.format(name=name),
                debugger=any(each.debugger for each in able),
                encryption=all(each.encryption for each in able),
                facts=self._origin,
                ipykernel=able[0].ipykernel_version,
            )
            yield Offer(kernel_name(ENVIRONMENT_NAME.format(name=name)), content)

    def _leave_out(self, name: str, error: SpackKernelError | OSError) -> None:
        self._problems.append(f"the environment {name} is left out: {reason_of(error)}")
        self._complete &= isinstance(error, EnvironmentNotReady)

    def _environment_names(self) -> list[str]:
        """Return the names and directories of the selected environments."""
        wanted = self._selection.environments
        directories = [each for each in wanted if "/" in each and each[:1] in "/~"]
        patterns = [each for each in wanted if each not in directories]
        if self._store.config is None or not patterns:
            self._problems += [
                f"no Spack environment is named {pattern}: names can be used only when the store "
                "is the root of a Spack instance"
                for pattern in patterns
                if pattern != "*"
            ]
            return directories
        try:
            names = environment_names(self._store.config)
        except ITEM_ERRORS as error:
            self._problems.append(f"environments are left out: {reason_of(error)}")
            self._complete = False
            return directories
        for pattern in patterns:
            if not any(fnmatch.fnmatchcase(name, pattern) for name in names) and pattern != "*":
                close = difflib.get_close_matches(pattern, names, n=1)
                hint = f"; did you mean {close[0]}?" if close else ""
                self._problems.append(f"no Spack environment is named {pattern}{hint}")
        return directories + [
            name for name in names if any(fnmatch.fnmatchcase(name, p) for p in patterns)
        ]


def _told_apart(same: Sequence[tuple[Spec, Offer]]) -> Iterator[Offer]:
    """Yield offers that share a name under distinct names; a single offer keeps its name."""
    if len(same) == 1:
        yield same[0][1]
        return
    seven = {spec.hash[:7] for spec, _ in same}
    length = 7 if len(seven) == len(same) else 32
    for spec, offer in same:
        name = f"{offer.name}-{spec.hash[:length]}"
        content = dict(offer.content)
        if spec.hash[:7] not in content["display_name"]:
            content["display_name"] += f" /{spec.hash[:length]}"
        yield msgspec.structs.replace(offer, name=name, content=content)
