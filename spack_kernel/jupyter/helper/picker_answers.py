"""How a helper answers the picker: each answer is the JSON that the browser gets."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from spack_kernel.jupyter.errors import UnreadableError
from spack_kernel.jupyter.kernelspecs import user_kernels
from spack_kernel.kernels.candidates import environments_of
from spack_kernel.kernels.picker import Picker, complete, preview
from spack_kernel.spack.errors import StoreNotFound

from .messages import (
    AddKernel,
    Complete,
    ListEnvironments,
    ListKernels,
    Search,
    ShowKernel,
    as_json,
)
from .priority import make_way

if TYPE_CHECKING:
    from spack_kernel.kernels.planner import Planner
    from spack_kernel.kernels.request import KernelRequest
    from spack_kernel.spack.store import Store

    from .messages import RemoveKernel

_lock = threading.Lock()
_pickers: dict[str, Picker] = {}


def answer(
    question: Search
    | Complete
    | ShowKernel
    | ListEnvironments
    | AddKernel
    | ListKernels
    | RemoveKernel,
    planner: Planner,
) -> bytes:
    """Return the answer to a question of the picker, as JSON.

    Raises
    ------
    SpackKernelError
        When there is none.
    """
    try:
        return as_json(_answer(question, planner))
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        raise UnreadableError(
            f"{place}{error.strerror or error}",
            hint="Check the path, and whether you may read it.",
        ) from error


def _answer(question: object, planner: Planner) -> Any:
    if isinstance(question, Search | Complete):
        make_way()
    if isinstance(question, Search):
        picker = _picker(_store(planner, tuple(question.stores)))
        results = picker.search(
            question.text,
            cursor=question.cursor,
            limit=question.limit,
            favourites=question.favourites,
            explain=question.explain,
        )
        if not question.text.strip():
            threading.Thread(target=picker.warm_up, daemon=True).start()
        return results
    if isinstance(question, Complete):
        return complete(_store(planner, tuple(question.stores)), question.text, question.position)
    if isinstance(question, ShowKernel):
        request = _requested(question)
        return preview(_store(planner, request.stores), request)
    if isinstance(question, ListEnvironments):
        store = _store(planner, tuple(question.stores))
        if store.config is None:
            return []  # an install tree, which has no environments
        root, found = environments_of(store)
        return [each.as_dict(str(root / name)) for name, each in found.items()]
    if isinstance(question, ListKernels):
        return user_kernels.list_kernels(question.place)
    if isinstance(question, AddKernel):
        request, job = _requested(question), question.job
        if question.kernel:
            job = user_kernels.job_of(question.place, question.kernel)
        return user_kernels.add_kernel(
            _store(planner, request.stores),
            request,
            question.place,
            kept=question.kept,
            name=question.name,
            display_name=question.display_name,
            replace=question.replace,
            job=job,
        )
    return user_kernels.remove_kernel(question.place, question.name)  # type: ignore[attr-defined]


def _requested(question: ShowKernel | AddKernel) -> KernelRequest:
    """Return the request of a question, or that of the kernel that it names instead."""
    if question.kernel:
        return user_kernels.request_of(question.place, question.kernel)
    return question.request


def _store(planner: Planner, paths: tuple[str, ...]) -> Store:
    """Return a store; the error for one that is not there is for users of the picker."""
    try:
        return planner.store(paths)
    except StoreNotFound as error:
        hint = (
            error.hint
            if not paths
            else (
                "It may be unavailable for a while: the picker asks again every few seconds. "
                "c.SpackPicker.stores in the server's configuration names the stores."
            )
        )
        raise StoreNotFound(error.summary, details=error.details, hint=hint) from error


def _picker(store: Store) -> Picker:
    """Return the picker of a store in its current state; a helper has few stores."""
    with _lock:
        picker = _pickers.get(store.root)
        if picker is None or picker.store is not store:
            picker = _pickers[store.root] = Picker(store)
        return picker
