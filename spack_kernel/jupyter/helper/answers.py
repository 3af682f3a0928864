"""How a helper answers: it plans kernels, diagnoses their ends and lists its store."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from spack_kernel.jupyter.kernelspecs import store_paths
from spack_kernel.jupyter.notebook import notebook_error, notebook_path, read_notebook_spec
from spack_kernel.jupyter.offers import look_at
from spack_kernel.kernels.image_choice import usable_image
from spack_kernel.kernels.import_index import through_launcher
from spack_kernel.kernels.plan import diagnose
from spack_kernel.kernels.planner import Planner, refuse_contradiction
from spack_kernel.kernels.sources import SETTINGS
from spack_kernel.spack.errors import SpackKernelError

from .messages import Diagnose, Diagnosis, Prepare, Prepared, Recheck, Survey, Surveyed, Told
from .priority import make_way

if TYPE_CHECKING:
    from collections.abc import Sequence

    from spack_kernel.kernels.plan import KernelPlan

    from .messages import Answer, Question

_planner = Planner()


def answer(question: Question, warned: Sequence[str]) -> tuple[Answer, bytes]:
    """Return the answer to a question, and the data that belongs to it.

    Parameters
    ----------
    question : Question
        The question.
    warned : sequence of str
        The warnings of this thread, which grow while it answers.

    Raises
    ------
    SpackKernelError
        When there is no answer, with the reason.
    """
    if isinstance(question, Survey):
        return _survey(question, warned)
    if isinstance(question, Diagnose):
        return _diagnose(question), b""
    if isinstance(question, Prepare):
        return prepare(question), b""
    assert not isinstance(question, Recheck)  # the process answers that itself
    from . import picker_answers  # it brings jupyter_client along

    return Told(), picker_answers.answer(question, _planner)


def prepare(question: Prepare) -> Prepared:
    """Return what a kernel's process needs.

    Raises
    ------
    SpackKernelError
        When anything is wrong with the request, the store, the query or the plan.
    """
    request = question.request
    plan = _plan(question)
    environment = plan.environment(
        _base(question), env=request.env, keep=request.keep_env, user_site=request.user_site
    )
    words = plan.command(question.command)
    python = None
    if plan.interpreter is not None:
        python = plan.interpreter.python or plan.interpreter.spec
        facts, image = plan.interpreter.info, usable_image(plan, request)
        words, environment = through_launcher(
            words, environment, facts, index=request.import_index, image=image
        )
        # Reading it here means that executing it in the server does not wait for a file system.
        with open(plan.interpreter.path, "rb", buffering=0) as file:
            file.read(1)
    same = 0
    while (
        same < min(len(words), len(question.command))
        and words[-1 - same] == (question.command[-1 - same])
    ):
        same += 1
    return Prepared(
        head=words[: len(words) - same],
        replaced=len(question.command) - same,
        environment=environment,
        name=plan.source.name,
        specs=[(spec.label, spec.hash) for spec in plan.specs],
        stores=store_paths(plan.store),
        unencrypted=plan.unencrypted,
        python_hash=python.hash if python is not None else "",
        notes=[(note.topic, note.text) for note in plan.notes],
    )


def _base(question: Prepare) -> dict[str, str]:
    settings = question.request.env
    return {**question.base, **{name: settings[name] for name in SETTINGS if name in settings}}


def _plan(question: Prepare) -> KernelPlan:
    request = question.request
    if not request.from_notebook:
        return _planner.plan(request, _base(question))
    refuse_contradiction(request)
    notebook = notebook_path(
        question.base, told=question.told, directory=question.directory or None
    )
    wanted = read_notebook_spec(notebook)
    try:
        return _planner.plan(wanted.request(request), _base(question))
    except SpackKernelError as error:
        raise notebook_error(error, notebook, wanted) from error


def _diagnose(question: Diagnose) -> Diagnosis:
    plan = _plan(question.prepare)
    cause = diagnose(plan, question.status, question.lines, question.environment)
    return Diagnosis(list(cause.details), cause.hint) if cause is not None else Diagnosis()


def _survey(question: Survey, warned: Sequence[str]) -> tuple[Surveyed, bytes]:
    make_way()
    checks = [tuple(check) for check in question.checks]
    look = look_at(question.stores, question.selection, checks)
    if look.error is not None:
        return Surveyed(error=look.error.as_dict(), checks=look.checks), b""
    if look.listing is None:
        return Surveyed(checks=look.checks), b""
    offers = look.listing.offers
    problems = (*dict.fromkeys(warned), *offers.problems)
    offers = msgspec.structs.replace(offers, problems=problems)
    packages = look.listing.packages.encode("ascii", "replace")
    return Surveyed(offers=offers, checks=look.checks), packages
