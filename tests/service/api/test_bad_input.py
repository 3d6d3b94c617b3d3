"""Bad input at every route that takes a body: always a problem with a stable code, never a 500, never an echo.

Samples, labels and names have a table of their own, which is tried at a real server in `test_bad_input_everywhere.py`.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI

from service.problems import CATALOGUE
from tests.service.api.bad_inputs import SECRET, SPECS, TEXTS

JSON = {"Content-Type": "application/json"}

ROUTES = [
    ("PUT", "/v1/streams/pump-8"),
    ("PUT", "/v1/streams/pump-7"),
    ("POST", "/v1/streams/pump-7/samples"),
    ("POST", "/v1/streams/pump-7/labels"),
    ("POST", "/v1/streams/pump-7:predict"),
]

CASES = [(method, path, *case) for method, path in ROUTES for case in TEXTS] + [
    ("PUT", "/v1/streams/pump-8", *case) for case in SPECS
]


def assert_is_problem(answer: httpx.Response, status: int, code: str) -> None:
    members = answer.json()
    assert (answer.status_code, members["code"]) == (status, code), members
    assert answer.headers["content-type"] == "application/problem+json"
    assert members["status"] == CATALOGUE[code][0] == status
    assert members.keys() >= {"type", "title", "detail", "instance", "request_id"}
    assert len(answer.content) < 1000


@pytest.mark.parametrize(("method", "path", "body", "code"), CASES)
async def test_a_bad_body_is_a_problem(
    client: httpx.AsyncClient, pump: str, method: str, path: str, body: bytes, code: str
) -> None:
    """The right status and code, no value repeated, and the stream as it was."""
    before = (await client.get(pump)).json()
    answer = await client.request(method, path, content=body, headers=JSON)
    assert_is_problem(answer, CATALOGUE[code][0], code)
    # The name of a field that is not known is told, so that a slip of the pen is found; no value ever is.
    if b'"hunter2": ' not in body:
        assert SECRET not in answer.text
    assert (await client.get(pump)).json() == before


@pytest.mark.parametrize(("method", "path"), [route for route in ROUTES if ":predict" not in route[1]])
@pytest.mark.parametrize("body", [b"", b"  "])
async def test_an_empty_body_is_malformed(
    client: httpx.AsyncClient, pump: str, method: str, path: str, body: bytes
) -> None:
    """Everything but a look ahead needs to be told something."""
    assert pump
    assert_is_problem(await client.request(method, path, content=body, headers=JSON), 400, "malformed")


@pytest.mark.parametrize(("method", "path"), ROUTES)
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": "application/json; charset=latin-1"},
        {"Content-Type": "application/json", "Content-Encoding": "gzip"},
    ],
)
async def test_other_media_types_are_refused(
    client: httpx.AsyncClient, method: str, path: str, headers: dict[str, str]
) -> None:
    """JSON in UTF-8, and said so: a page elsewhere cannot send that without being asked first."""
    answer = await client.request(method, path, content=b'{"t": 1, "x": [1]}', headers=headers)
    assert_is_problem(answer, 415, "media_type")


@pytest.mark.parametrize(("method", "path"), ROUTES)
async def test_a_body_that_says_it_is_too_large_is_not_read(client: httpx.AsyncClient, method: str, path: str) -> None:
    """50 MB are refused by their Content-Length."""
    answer = await client.request(method, path, content=b" " * 50_000_000, headers=JSON)
    assert_is_problem(answer, 413, "body_too_large")
    assert answer.headers["connection"] == "close"


@pytest.mark.parametrize(("method", "path"), ROUTES)
async def test_a_body_without_a_length_is_counted_as_it_comes(
    client: httpx.AsyncClient, app: FastAPI, method: str, path: str
) -> None:
    """A chunked body ends where the limit is, not where its sender likes."""
    sent = 0

    async def chunks() -> AsyncIterator[bytes]:
        nonlocal sent
        for _ in range(50_000):
            sent += 1000
            yield b" " * 1000

    answer = await client.request(method, path, content=chunks(), headers=JSON)
    assert_is_problem(answer, 413, "body_too_large")
    assert sent <= app.state.services.settings.max_body_bytes + 2000


async def test_where_it_is_wrong_is_told_by_a_pointer(client: httpx.AsyncClient, pump: str) -> None:
    """A JSON pointer into the body, with a code for what is wrong there."""
    samples = [{"t": 1, "x": [1, 2]}, {"t": 2, "x": [1, "3.5"]}]
    answer = await client.post(f"{pump}/samples", json={"samples": samples})
    assert answer.json()["errors"] == [{"pointer": "/samples/1/x/1", "code": "wrong_type"}]
    assert answer.json()["detail"] == "expected `float | null`, got `str` (at /samples/1/x/1)."


@pytest.mark.parametrize(
    ("body", "code", "word"),
    [
        ({"t": 1, "x": [1, 2], "sequence": 1}, "unknown_field", "`sequence`"),
        ({"x": [1, 2]}, "missing_field", "`t`"),
        ({"t": 1, "x": [1, 2], "seq": 0}, "wrong_type", ">= 1"),
    ],
)
async def test_what_is_wrong_is_told_by_a_code(
    client: httpx.AsyncClient, pump: str, body: dict[str, object], code: str, word: str
) -> None:
    """For programs a code, for people the name of the field."""
    answer = (await client.post(f"{pump}/samples", content=json.dumps(body), headers=JSON)).json()
    assert answer["errors"][0]["code"] == code
    assert word in answer["detail"]


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nothing", 404, "not_found"),
        ("GET", "/v1/streams/", 404, "not_found"),
        ("GET", "/v1/streams/a/b/c", 404, "not_found"),
        ("POST", "/v1/streams/a", 405, "method_not_allowed"),
        ("DELETE", "/livez", 405, "method_not_allowed"),
        ("GET", "/v1/ws", 404, "not_found"),
    ],
)
async def test_what_is_not_there_is_a_problem_too(
    client: httpx.AsyncClient, method: str, path: str, status: int, code: str
) -> None:
    """The framework's own refusals have the same shape."""
    assert_is_problem(await client.request(method, path), status, code)


async def test_a_bug_tells_the_client_nothing_but_where_to_look(
    client: httpx.AsyncClient, host, pump: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The stack trace is in the log, under the id that the client got."""
    host.failure = RuntimeError(SECRET)
    answer = await client.get(pump)
    assert_is_problem(answer, 500, "internal")
    assert SECRET not in answer.text
    log = capsys.readouterr().err
    assert answer.json()["request_id"] in log
    assert SECRET in log
