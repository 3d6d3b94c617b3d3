"""The OpenAPI document: complete, valid, honest, and never changed unseen."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from fastapi import FastAPI

from liquid_core.spec import ModelSpec
from service.api import decoding, examples
from service.problems import CATALOGUE

GOLDEN = Path(__file__).parent / "openapi.json"
RENEW = """python -c "
from service.app import create_app; from service.settings import Settings; import json
print(json.dumps(create_app(Settings()).openapi(), indent=1, sort_keys=True))" > tests/service/api/openapi.json"""


@pytest.fixture
def document(app: FastAPI) -> dict[str, Any]:
    return json.loads(json.dumps(app.openapi()))


def operations(document: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return [(path, operation) for path, item in document["paths"].items() for operation in item.values()]


def test_the_api_is_as_it_was(document: dict[str, Any]) -> None:
    """A change of the API is a change of the committed document."""
    assert document == json.loads(GOLDEN.read_text()), f"the API has changed; if it was meant to, run:\n{RENEW}"


async def test_it_is_served(client: httpx.AsyncClient, document: dict[str, Any]) -> None:
    """At /openapi.json, as it is."""
    assert (await client.get("/openapi.json")).json() == document


def test_operations_have_stable_names(document: dict[str, Any]) -> None:
    """Generated clients name their functions after them."""
    names = [operation["operationId"] for _, operation in operations(document)]
    assert len(set(names)) == len(names)
    assert {"create_stream", "send_samples", "send_labels", "predict", "export_state", "is_ready"} <= set(names)
    assert all(re.fullmatch(r"[a-z]+(_[a-z]+)*", name) for name in names)


def test_every_error_is_a_problem(document: dict[str, Any]) -> None:
    """Each response from 400 on refers to the Problem schema, but a readiness report."""
    for path, operation in operations(document):
        for status, response in operation["responses"].items():
            if int(status) >= 400 and path != "/readyz":
                schema = response["content"]["application/problem+json"]["schema"]
                assert schema == {"$ref": "#/components/schemas/Problem"}, (path, status)


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    """And nothing is left over that nobody refers to."""
    referred = set(re.findall(r'"#/components/(\w+)/(\w+)"', json.dumps(document)))
    there = {(kind, name) for kind in ("schemas", "examples") for name in document["components"][kind]}
    assert referred <= there
    assert {name for kind, name in there - referred if kind == "schemas"} == set()


def test_examples_are_what_the_decoder_takes() -> None:
    """Every example of a body comes through."""
    for body in examples.SPECS.values():
        assert isinstance(decoding.spec(msgspec.json.encode(body)), ModelSpec)
    for body in examples.SAMPLES.values():
        assert decoding.samples(msgspec.json.encode(body), 9)
    for body in examples.LABELS.values():
        assert decoding.labels(msgspec.json.encode(body), 9)
    for body in examples.PEEKS.values():
        assert decoding.peek(msgspec.json.encode(body))


def test_every_code_is_documented(document: dict[str, Any]) -> None:
    """The schema knows all codes that there are, and each has an example."""
    assert document["components"]["schemas"]["Problem"]["properties"]["code"]["enum"] == list(CATALOGUE)
    assert set(document["components"]["examples"]) == set(CATALOGUE)
