"""`ingest`: samples and labels of many streams as lines, a batch of lines a request.

A request holds no more than the server reads without being read from, so that the whole of it can be sent before its
answers are looked at.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import httpx

from liquidstream_client.calls import Call
from liquidstream_client.errors import ProblemError, problem_error
from liquidstream_client.types import LabelResult, SampleResult
from liquidstream_client.values import label_json, sample_json

#: The server's window: lines of one ingest without an answer, and their bytes.
MAX_LINES = 256
MAX_BYTES = 512 * 1024

Line = Mapping[str, Any]
Answer = SampleResult | LabelResult | ProblemError


def requests(lines: Iterable[Line]) -> Iterator[Call[list[Answer]]]:
    """The calls that bring these lines to the server, in order."""
    encoded = map(line_json, lines)
    batch: list[dict[str, Any]] = []
    body = b""
    while True:
        line = next(encoded, None)
        text = b"" if line is None else json.dumps(line).encode() + b"\n"
        if batch and (line is None or len(batch) == MAX_LINES or len(body) + len(text) > MAX_BYTES):
            yield _request(batch, body)
            batch, body = [], b""
        if line is None:
            return
        batch.append(line)
        body += text


def line_json(line: Line) -> dict[str, Any]:
    """One line as the wire takes it: a sample unless it says ``"type": "label"``."""
    kind, stream = line.get("type", "sample"), line.get("stream")
    if kind not in ("sample", "label") or not isinstance(stream, str):
        raise ValueError("a line names its `stream`, and its `type` is 'sample', if it is not left out, or 'label'")
    rest = {name: value for name, value in line.items() if name not in ("type", "stream")}
    if kind == "sample":
        return {"type": "sample", "stream": stream, **sample_json(rest)}
    if set(rest) != {"seq", "y"}:
        raise ValueError("a label has `stream`, `seq` and `y`")
    return {"type": "label", "stream": stream, "seq": int(rest["seq"]), "y": label_json(rest["y"])}


def _request(batch: Sequence[Mapping[str, Any]], body: bytes) -> Call[list[Answer]]:
    count = len(batch)
    return Call(
        method="POST",
        path="/v1/ingest",
        content=body,
        headers={"Content-Type": "application/x-ndjson"},
        read=lambda response: _read(response, count),
        repeatable=all("seq" in line for line in batch),
    )


def _read(response: httpx.Response, count: int) -> list[Answer]:
    """One answer a line. Where the server ended before, what it said last stands for each of the rest."""
    # Not `splitlines`: that also parts lines within a text, where Unicode has ends of lines of its own.
    answers = [_answer(json.loads(text)) for text in response.content.split(b"\n") if text]
    last = answers[-1] if answers else None
    if len(answers) < count and isinstance(last, ProblemError):
        answers += [last] * (count - len(answers))
    if len(answers) < count:
        raise ValueError(f"{count} lines got {len(answers)} answers")
    return answers[:count]


def _answer(line: Mapping[str, Any]) -> Answer:
    if line["type"] == "drain":
        return problem_error({"status": 503, "code": "draining", "title": "The server is shutting down", **line})
    if line["type"] == "nack":
        return problem_error(line["problem"])
    return SampleResult.from_json(line) if line["for"] == "sample" else LabelResult.from_json(line)


__all__ = ["MAX_LINES", "Answer", "Line", "line_json", "requests"]
