"""The description of the REST interface is current, and the interface keeps to it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings, strategies
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from spack_kernel.demo import DemoStore
from spack_kernel.jupyter.server import openapi
from tests.jupyter.conftest import use_directories
from tests.jupyter.server import TOKEN, Server

DOCUMENT: dict[str, Any] = json.loads(openapi.description())

#: Not whether each request is accepted: a random text names no spec.
CHECKS = [
    schemathesis.checks.not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]

SCHEMA = schemathesis.openapi.from_dict(DOCUMENT)

OPERATIONS = [
    (path, method)
    for path, operations in DOCUMENT["paths"].items()
    for method in operations
    if method in ("get", "post", "delete")
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, demo_store: DemoStore) -> Iterator[Server]:
    with pytest.MonkeyPatch.context() as patch:
        home = use_directories(tmp_path_factory.mktemp("openapi") / "jupyter", patch)
        patch.delenv("JUPYTER_NO_CONFIG")
        patch.setenv("SPACK_KERNEL_STORE", str(demo_store.root))
        running = Server(home)
        yield running
        running.stop()


def test_the_file_describes_the_present_types() -> None:
    """`python -m spack_kernel.jupyter.server.openapi` writes it."""
    path = Path(openapi.__file__).with_name("openapi.json")
    assert path.read_text(encoding="utf-8") == openapi.write()


def test_each_route_is_described() -> None:
    from spack_kernel.jupyter.server.handlers import ROUTES

    routes = {"/" + path.replace("(?P<name>[^/]+)", "{name}") for path, _ in ROUTES}
    assert routes - {"/openapi.json"} == set(DOCUMENT["paths"])


def test_the_server_has_the_description(server: Server) -> None:
    assert server.request("GET", "spack-kernel/openapi.json") == (200, DOCUMENT)


@pytest.mark.parametrize(("path", "method"), OPERATIONS)
def test_the_interface_keeps_to_its_description(server: Server, path: str, method: str) -> None:
    operation = SCHEMA[path][method.upper()]

    @given(case=strategies.data())
    @settings(
        max_examples=40,
        deadline=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def check(case: Any) -> None:
        request = case.draw(operation.as_strategy())
        response = request.call(
            base_url=f"{server.url}spack-kernel", headers={"Authorization": f"token {TOKEN}"}
        )
        request.validate_response(response, checks=CHECKS)
        assert response.status_code < 500, response.text
        if response.status_code >= 400:
            assert "defect" not in response.text

    check()
