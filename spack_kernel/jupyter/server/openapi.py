"""The description of the REST interface: ``openapi.json`` in this directory.

``python -m spack_kernel.jupyter.server.openapi`` writes it from the types of questions and answers.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec

from spack_kernel.jupyter.slurm import JobField

_FILE = Path(__file__).with_name("openapi.json")


class _Error(msgspec.Struct, frozen=True):
    code: str
    summary: str
    details: list[str]
    hint: str
    position: int | msgspec.UnsetType = msgspec.UNSET
    length: int | msgspec.UnsetType = msgspec.UNSET


class _Failure(msgspec.Struct, frozen=True):
    message: str
    error: _Error


class _Health(msgspec.Struct, frozen=True):
    version: str
    stores: list[str]
    why_not: str
    slurm: list[JobField] | None


class _Environment(msgspec.Struct, frozen=True):
    name: str
    directory: str
    roots: list[dict[str, Any]]
    views: dict[str, str]
    python: str | None
    python_hash: str | None
    ipykernel: dict[str, Any] | None
    why_not: str | None


def description() -> bytes:
    """Return the OpenAPI document as JSON."""
    return _FILE.read_bytes()


def write() -> str:
    """Return the OpenAPI document that describes the present types."""
    from spack_kernel.jupyter.kernelspecs import UserKernel
    from spack_kernel.jupyter.provisioner.kernel_history import End, Start
    from spack_kernel.kernels.picker import Completions, Preview, Results

    from .new_kernel import NewKernel

    types = [
        Results,
        Completions,
        Preview,
        list[_Environment],
        list[UserKernel],
        UserKernel,
        list[End],
        list[Start],
        _Health,
        NewKernel,
        _Failure,
    ]
    schemas, components = msgspec.json.schema_components(
        types, ref_template="#/components/schemas/{name}"
    )
    schema = dict(zip(map(str, types), schemas, strict=True))

    def of(kind: Any) -> dict[str, Any]:
        return {"content": {"application/json": {"schema": schema[str(kind)]}}}

    def operation(
        summary: str, answer: Any, *parameters: dict[str, Any], status: int = 200, **more: Any
    ) -> dict[str, Any]:
        failure = {"description": "What is wrong, and what to do.", **of(_Failure)}
        return {
            "summary": summary,
            "parameters": list(parameters),
            "responses": {
                str(status): {"description": "The answer.", **of(answer)},
                "default": failure,
            },
            **more,
        }

    text = {"type": "string", "maxLength": 10_000}
    store = _parameter(
        "store",
        "The store, as a position in the list of `health`.",
        {"type": "integer", "minimum": 0},
    )
    body = {"requestBody": {"required": True, **of(NewKernel)}}
    paths = {
        "/search": {
            "get": operation(
                "Search for installed specs.",
                Results,
                _parameter("text", "A query, a part of a name, or a module.", text),
                _parameter("cursor", "That of the page before.", text),
                _parameter(
                    "limit", "Rows of a page.", {"type": "integer", "minimum": 0, "maximum": 200}
                ),
                _parameter(
                    "explain",
                    "0 to answer at once: without the reason why nothing is found.",
                    {"type": "integer", "enum": [0, 1]},
                ),
                store,
            )
        },
        "/complete": {
            "get": operation(
                "Complete a query.",
                Completions,
                _parameter("text", "The query.", text),
                _parameter(
                    "position",
                    "The position of the cursor in it; by default its end.",
                    {"type": "integer", "minimum": 0, "maximum": 10_000},
                ),
                store,
            )
        },
        "/plan": {
            "get": operation(
                "Show what a kernel would start, without starting it.",
                Preview,
                _parameter("query", "A spec; several are loaded together.", _list(text)),
                _parameter("environment", "A Spack environment instead.", text),
                _parameter("view", "A view instead, or of the environment.", text),
                _parameter("kernel", "Instead: the name of a kernel of the user.", text),
                store,
            )
        },
        "/environments": {
            "get": operation("List the Spack environments of a store.", list[_Environment], store)
        },
        "/kernels": {
            "get": operation("List the kernels that the user has chosen.", list[UserKernel]),
            "post": operation(
                "Choose a kernel: write its kernelspec.", UserKernel, status=201, **body
            ),
        },
        "/kernels/{name}": {
            "delete": operation(
                "Remove a kernel that the user has chosen.",
                UserKernel,
                _parameter("name", "Its name.", {"type": "string"}, place="path"),
            )
        },
        "/deaths": {
            "get": operation(
                "List kernels that died or could not be started.",
                list[End],
                _parameter("kernel_id", "Only those of one kernel.", text),
                _parameter(
                    "after",
                    "Only those with a larger number.",
                    {"type": "integer", "minimum": 0, "maximum": 10**9 - 1},
                ),
            )
        },
        "/starts": {"get": operation("List the starts in progress.", list[Start])},
        "/health": {"get": operation("Tell whether the picker works.", _Health)},
    }
    document = {
        "openapi": "3.1.0",
        "info": {
            "title": "The Spack picker",
            "version": "1",
            "description": "Below `/spack-kernel` of a Jupyter server. Requests are authenticated "
            "as those of Jupyter's own interface.",
        },
        "servers": [{"url": "/spack-kernel"}],
        "paths": paths,
        "components": {"schemas": {k.lstrip("_"): v for k, v in sorted(components.items())}},
    }
    written = json.dumps(document, indent=1) + "\n"
    return written.replace("#/components/schemas/_", "#/components/schemas/")


def _parameter(
    name: str, summary: str, schema: dict[str, Any], place: str = "query"
) -> dict[str, Any]:
    return {
        "name": name,
        "in": place,
        "required": place == "path",
        "description": summary,
        "schema": schema,
    }


def _list(schema: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": schema}


if __name__ == "__main__":
    _FILE.write_text(write(), encoding="utf-8")
