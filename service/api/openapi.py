"""The OpenAPI document: its schemas come from the very structs that decode and encode.

A route says what it takes and gives with `takes` and `gives`; `document` puts the whole together. `openapi.json` in
`tests/service/api` is what it comes to, so that no change of the API goes unseen.
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib.metadata import version
from typing import Any

import msgspec
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from liquid_core.spec import ModelSpec
from service import messages
from service.api import examples
from service.api.answering import JSON, NDJSON, PROBLEM_JSON
from service.api.frames import LabelFrame, SampleFrame
from service.problems import CATALOGUE

_REF = "#/components/schemas/{name}"
_MESSAGES = (
    ModelSpec,
    messages.SampleIn,
    messages.SamplesIn,
    messages.LabelIn,
    messages.LabelsIn,
    SampleFrame,
    LabelFrame,
    messages.PredictIn,
    messages.ControlIn,
    messages.RollbackIn,
    messages.ForkIn,
    messages.SampleResult,
    messages.LabelResult,
    messages.PredictResult,
    messages.StreamInfo,
    messages.ColdStream,
    messages.StreamPage,
    messages.SnapshotInfo,
    messages.SnapshotList,
    messages.StreamHistory,
    messages.Readiness,
    messages.Version,
)
_DESCRIPTION = """\
Every stream owns a small liquid neural network that predicts and learns from every sample.

Create a stream with `PUT /v1/streams/{stream_id}`, then send its samples; each answer is made from what was known
before. `seq` counts a stream's samples from 1 and makes a retry safe: the same sample again is a duplicate that changes
nothing. Errors are problems (RFC 9457) with a stable `code`.

`anomaly` says how unusual a sample's own target was for this stream, in [0, 1): by itself, by how badly answers have
lately fared, or by the level that the stream has come to, whichever is most unusual. 0.1 is usual, 0.5 three times and
0.92 ten times as far; `null`: there was nothing to compare with.

The same messages go over the WebSocket `/v1/ws` (subprotocol `liquid.v1.json`), one JSON object a text frame: send
`{"type": "hello", "resume": [id, ...]}`, `{"type": "sample", "stream": id, ...}` and
`{"type": "label", "stream": id, ...}`; get `welcome`, `result`, `nack` and, before the server stops, `drain`. They are
also the lines of `POST /v1/ingest`.
"""

#: A parameter of routes that queue, as an `openapi_extra`.
TIMEOUT: dict[str, Any] = {
    "parameters": [
        {
            "name": "X-Request-Timeout-Ms",
            "in": "header",
            "required": False,
            "description": "How long the caller waits: what cannot begin by then is refused, and nothing is applied. "
            "What has begun is applied whole, however long that takes.",
            "schema": {"type": "integer", "minimum": 0, "maximum": 9_999_999},
        }
    ]
}

#: What any route may answer, whatever it does.
_ALWAYS = ("internal",)
#: What the door and the start or stop of the server may answer before a route is asked.
_DOOR = ("unauthorized", "forbidden", "draining")
_BODY = ("malformed", "body_too_large", "too_slow", "overloaded", "media_type", "invalid", "not_finite", "out_of_range")


def takes(*bodies: type, required: bool = True, example: dict[str, Any]) -> dict[str, Any]:
    """The `openapi_extra` of a route whose body is JSON of one of these types."""
    schemas = [_reference(body.__name__) for body in bodies]
    schema = schemas[0] if len(schemas) == 1 else {"oneOf": schemas}
    named = {name: {"value": value} for name, value in example.items()}
    return {"requestBody": {"required": required, "content": {JSON: {"schema": schema, "examples": named}}}}


def takes_any(*, example: dict[str, Any]) -> dict[str, Any]:
    """The `openapi_extra` of a route whose body is any JSON object."""
    named = {name: {"value": value} for name, value in example.items()}
    return {"requestBody": {"required": True, "content": {JSON: {"schema": {"type": "object"}, "examples": named}}}}


def takes_file(media_type: str) -> dict[str, Any]:
    """The `openapi_extra` of a route whose body is a file of this type."""
    schema = {"type": "string", "format": "binary"}
    return {"requestBody": {"required": True, "content": {media_type: {"schema": schema}}}}


def takes_lines(lines: list[dict[str, Any]]) -> dict[str, Any]:
    """The `openapi_extra` of a route whose body is lines of samples and labels."""
    return {"requestBody": {"required": True, "content": _lines([SampleFrame, LabelFrame], lines)}}


def gives_lines(description: str, lines: list[dict[str, Any]]) -> dict[str, Any]:
    """A response of lines, each with the answer to a sample or a label, or with its problem."""
    return {"description": description, "content": _lines([messages.SampleResult, messages.LabelResult], lines)}


def _lines(kinds: list[type], lines: list[dict[str, Any]]) -> dict[str, Any]:
    # OpenAPI 3.1 has no word for the schema of a line; 3.2 says `itemSchema`.
    schema = {"type": "string", "x-item-schema": {"anyOf": [_reference(kind.__name__) for kind in kinds]}}
    text = "".join(msgspec.json.encode(line).decode() + "\n" for line in lines)
    return {NDJSON: {"schema": schema, "examples": {"lines": {"value": text}}}}


def gives(
    answers: dict[int, tuple[str, Iterable[str], dict[str, Any]]],
    *,
    problems: Iterable[str] = (),
    body: bool = False,
    open_to_all: bool = False,
) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route.

    Parameters
    ----------
    answers
        By status: a description, the names of the schemas of its JSON (none for an empty answer), and examples.
    problems
        Codes that this route may refuse with, beyond those that every route has.
    body
        The route reads a JSON body.
    open_to_all
        The route answers without a key.
    """
    responses: dict[int | str, dict[str, Any]] = {}
    for status, (description, names, named) in answers.items():
        responses[status] = {"description": description}
        schemas = [_reference(name) for name in names]
        if schemas:
            content: dict[str, Any] = {"schema": schemas[0] if len(schemas) == 1 else {"oneOf": schemas}}
            if named:
                content["examples"] = {name: {"value": value} for name, value in named.items()}
            responses[status]["content"] = {JSON: content}
    codes = [*problems, *(_BODY if body else ()), *(("forbidden",) if open_to_all else _DOOR), *_ALWAYS]
    for code in codes:
        _add_problem(responses, code)
    return responses


def _add_problem(responses: dict[int | str, dict[str, Any]], code: str) -> None:
    status, title = CATALOGUE[code]
    response = responses.setdefault(status, {"description": "", "content": {}})
    if PROBLEM_JSON not in response["content"]:
        response["content"][PROBLEM_JSON] = {"schema": _reference("Problem"), "examples": {}}
        if status in (429, 503):
            response["headers"] = {
                "Retry-After": {
                    "description": "Seconds until it may work.",
                    "schema": {"type": "integer", "minimum": 1},
                }
            }
        if status == 401:
            response["headers"] = {"WWW-Authenticate": {"description": "`Bearer`.", "schema": {"type": "string"}}}
    named = response["content"][PROBLEM_JSON]["examples"]
    if code not in named:
        named[code] = {"$ref": f"#/components/examples/{code}"}
        described = [part for part in (response["description"], f"`{code}`: {title}.") if part]
        response["description"] = " ".join(described)


def document(app: FastAPI) -> dict[str, Any]:
    """The whole document; FastAPI asks for it once and keeps it."""
    if app.openapi_schema is None:
        made = get_openapi(
            title="Liquidstream",
            version=version("liquidstream"),
            summary="Online continual learning for time series.",
            description=_DESCRIPTION,
            license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
            routes=app.routes,
        )
        made["components"] = {
            "schemas": dict(sorted(_schemas().items())),
            "examples": {
                code: {"summary": title, "value": examples.problem(code)} for code, (_, title) in CATALOGUE.items()
            },
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer", "description": "Where keys are set."}},
        }
        made["security"] = [{}, {"key": []}]
        app.openapi_schema = made
    return app.openapi_schema


def _schemas() -> dict[str, Any]:
    _, components = msgspec.json.schema_components(_MESSAGES, ref_template=_REF)
    schemas: dict[str, Any] = dict(components)
    schemas["Problem"] = _problem_schema()
    schemas["ProblemItem"] = {
        "title": "ProblemItem",
        "description": str(messages.ProblemItem.__doc__),
        "type": "object",
        "properties": {"problem": _reference("Problem")},
        "required": ["problem"],
    }
    # msgspec makes no schema of a union that nothing but its fields tells apart; it is only ever written, never read.
    for results, result in ((messages.SampleResults, "SampleResult"), (messages.LabelResults, "LabelResult")):
        items = {"oneOf": [_reference(result), _reference("ProblemItem")]}
        schemas[results.__name__] = {
            "title": results.__name__,
            "description": str(results.__doc__),
            "type": "object",
            "properties": {"results": {"type": "array", "items": items}},
            "required": ["results"],
        }
    return schemas


def _problem_schema() -> dict[str, Any]:
    error = {
        "type": "object",
        "properties": {
            "pointer": {"type": "string", "description": "JSON pointer into the body."},
            "parameter": {"type": "string", "description": "Name of a parameter of the path or query."},
            "code": {"type": "string"},
        },
        "required": ["code"],
    }
    return {
        "title": "Problem",
        "description": "Why a request was refused (RFC 9457). Values that were sent are never repeated.",
        "type": "object",
        "properties": {
            "type": {"type": "string", "format": "uri"},
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "detail": {"type": "string", "description": "What was wrong and what to do, for people."},
            "instance": {"type": "string", "format": "uri"},
            "code": {"type": "string", "description": "Stable, for programs.", "enum": list(CATALOGUE)},
            "request_id": {"type": "string", "description": "Names this request in the server's log."},
            "errors": {"type": "array", "items": error},
            "expected_seq": {"type": "integer", "description": "`seq_gap`: the number that must come next."},
            "retry_after_ms": {"type": "integer", "description": "When the same request may succeed."},
        },
        "required": ["type", "title", "status", "code", "detail"],
    }


def _reference(name: str) -> dict[str, str]:
    return {"$ref": _REF.format(name=name)}


__all__ = ["document", "gives", "gives_lines", "takes", "takes_any", "takes_file", "takes_lines"]
