"""A small server that keeps the API's contract and can be told to fail: what the client is tested against alone.

It applies samples by the rules of `seq`, remembers its answers, predicts the last value, and on demand loses answers
after having applied the sample, refuses for a while, or closes the WebSocket in the middle. The real server is met in
`tests/e2e`.
"""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections import deque
from typing import Any

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from liquidstream_client import RetryPolicy


def problem(status: int, code: str, detail: str = "no", **extensions: Any) -> dict[str, Any]:
    return {"type": f"urn:{code}", "title": code, "status": status, "code": code, "detail": detail, **extensions}


class ToyStream:
    """One stream: its samples and the answers that were given."""

    def __init__(self, spec: dict[str, Any]) -> None:
        self.spec = spec
        self.samples: list[dict[str, Any]] = []
        self.answers: list[dict[str, Any]] = []
        self.labels: dict[int, Any] = {}

    def sample(self, body: dict[str, Any]) -> dict[str, Any]:
        seq = body.get("seq", len(self.samples) + 1)
        plain = {name: value for name, value in body.items() if name in ("t", "x", "y")}
        if len(plain["x"]) != len(self.spec["features"]):
            return {"problem": problem(422, "dimension")}
        if seq > len(self.samples) + 1:
            return {"problem": problem(409, "seq_gap", expected_seq=len(self.samples) + 1)}
        if seq <= len(self.samples):
            if self.samples[seq - 1] != plain:
                return {"problem": problem(409, "seq_conflict")}
            return {**self.answers[seq - 1], "duplicate": True}
        if self.samples and plain["t"] <= self.samples[-1]["t"]:
            return {"problem": problem(409, "late_sample")}
        self.samples.append(plain)
        answer = {
            "seq": seq,
            "predictions": [{"horizon": 1} | dict.fromkeys(("y", "median", "lower", "upper"), plain["x"])],
            "anomaly": None,
            "drift": None,
            "duplicate": False,
            "durability": "memory",
        }
        self.answers.append(answer)
        return answer

    def label(self, body: dict[str, Any]) -> dict[str, Any]:
        if not 1 <= body["seq"] <= len(self.samples):
            return {"problem": problem(422, "label_unknown")}
        duplicate = body["seq"] in self.labels
        self.labels[body["seq"]] = body["y"]
        return {"seq": body["seq"], "anomaly": None, "drift": None, "duplicate": duplicate, "durability": "memory"}

    def info(self, name: str) -> dict[str, Any]:
        return {
            "id": name,
            "spec": self.spec,
            "created_at": 0.0,
            "last_seq": len(self.samples),
            "last_t": self.samples[-1]["t"] if self.samples else None,
            "samples": len(self.samples),
            "labels": len(self.labels),
            "updates": 0,
            "updates_skipped": 0,
            "drift": {"events": 0, "last_seq": None},
            "errors": [],
            "parameters": 0,
            "state_bytes": 0,
            "durability": "memory",
            "a_member_of_tomorrow": True,
        }


class ToyServer:
    """The server and its switches; `url` says where it is."""

    def __init__(self) -> None:
        self.streams: dict[str, ToyStream] = {}
        #: Requests to refuse before anything is done: (problem, headers) each.
        self.refusals: deque[tuple[dict[str, Any], dict[str, str]]] = deque()
        #: Answers to lose after the request has been done.
        self.lose_answers = 0
        #: Messages of a session after which, applied or not, its connection is closed without an answer.
        self.close_after: deque[int] = deque()
        #: WebSocket samples to refuse: (stream, seq) -> problems, used up one a try.
        self.nacks: dict[tuple[str, int], list[dict[str, Any]]] = {}
        #: Streams that a list shows as not in memory.
        self.cold: set[str] = set()
        self.requests: list[tuple[str, str]] = []
        self.authorization: str | None = None
        self.max_inflight = 256
        #: Lines of an ingest that are answered before it ends.
        self.ingest_at_most = 1000
        self.url = ""

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/v1/streams", self.list),
                Route("/v1/streams/{id}:predict", self.on_stream, methods=["POST"]),
                Route("/v1/streams/{id}", self.on_stream, methods=["PUT", "GET", "DELETE"]),
                Route("/v1/streams/{id}/{part}", self.on_stream, methods=["GET", "POST"]),
                Route("/v1/ingest", self.ingest, methods=["POST"]),
                Route("/readyz", self.ready),
                Route("/html", lambda _: Response("<html>")),
                WebSocketRoute("/v1/ws", self.talk),
            ]
        )

    async def list(self, request: Request) -> Response:
        limit, start = int(request.query_params["limit"]), int(request.query_params.get("cursor", "0"))
        names = sorted(self.streams)
        infos = [self.streams[name].info(name) for name in names[start : start + limit]]
        page = [
            {"status": "cold", "id": info["id"], "spec": info["spec"], "created_at": 5.0}
            if info["id"] in self.cold
            else {"status": "hot"} | info
            for info in infos
        ]
        return JSONResponse(
            {"streams": page, "next_cursor": str(start + limit) if start + limit < len(names) else None}
        )

    async def ready(self, _: Request) -> Response:
        report = {"ready": False, "store": "toy", "durability": "memory", "engine": "toy", "reasons": ["it is a toy"]}
        return JSONResponse(report, 503)

    async def ingest(self, request: Request) -> Response:
        self.requests.append(("POST", "/v1/ingest"))
        lines = [json.loads(line) for line in (await request.body()).splitlines()]
        answers = [self.answer(line) for line in lines[: self.ingest_at_most]]
        if self.lose_answers > 0:
            self.lose_answers -= 1
            return LostAnswer()
        if len(answers) < len(lines):
            answers.append({"type": "drain", "retry_after_ms": 500})
        return Response("".join(json.dumps(answer) + "\n" for answer in answers))

    async def on_stream(self, request: Request) -> Response:
        self.requests.append((request.method, request.url.path))
        self.authorization = request.headers.get("authorization")
        if self.refusals:
            refusal, headers = self.refusals.popleft()
            return JSONResponse(refusal, refusal["status"], headers=headers)
        status, answer = self.apply(request, json.loads(await request.body() or b"{}"))
        if self.lose_answers > 0:
            self.lose_answers -= 1
            return LostAnswer()
        return Response(answer) if isinstance(answer, bytes) else JSONResponse(answer, status)

    def apply(self, request: Request, body: dict[str, Any]) -> tuple[int, Any]:
        name, part = request.path_params["id"], request.path_params.get("part")
        if request.method == "PUT":
            created = name not in self.streams
            stream = self.streams.setdefault(name, ToyStream(body))
            return (201 if created else 200), stream.info(name)
        if name not in self.streams:
            return 404, problem(404, "stream_not_found")
        stream = self.streams[name]
        if request.method == "DELETE":
            del self.streams[name]
            return 204, None
        if part == "samples":
            return _answer(body, "samples", stream.sample)
        if part == "labels":
            return _answer(body, "labels", stream.label)
        if part == "state":
            return 200, b"safetensors"
        if request.url.path.endswith(":predict"):
            return 200, {"last_seq": len(stream.samples), "predictions": [{"horizon": 1, "y": body.get("x", [0.0])}]}
        return 200, stream.info(name)

    async def talk(self, websocket: WebSocket) -> None:
        await websocket.accept(subprotocol="liquid.v1.json")
        left = self.close_after.popleft() if self.close_after else None
        try:
            while True:
                message = json.loads(await websocket.receive_text())
                if message["type"] == "hello":
                    seqs = {name: len(self.streams[name].samples) for name in message["resume"]}
                    welcome = {"max_inflight": self.max_inflight, "max_message_bytes": 2**20, "last_seq": seqs}
                    await websocket.send_json({"type": "welcome", **welcome})
                    continue
                answer = self.answer(message)
                if left is not None:
                    left -= 1
                    if left <= 0:
                        await websocket.close(1012)
                        return
                await websocket.send_json(answer)
        except WebSocketDisconnect:
            return

    def answer(self, message: dict[str, Any]) -> dict[str, Any]:
        name, seq, kind = message["stream"], message.get("seq"), message["type"]
        head = {"stream": name, "seq": seq, "for": kind}
        waiting = self.nacks.get((name, seq))
        if waiting:
            return {"type": "nack", **head, "problem": waiting.pop(0)}
        stream = self.streams[name]
        result = stream.sample(message) if kind == "sample" else stream.label(message)
        return {"type": "nack" if "problem" in result else "result", **head, **result}


class LostAnswer(Response):
    """Begins an answer and breaks off, which closes the connection."""

    async def __call__(self, _scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"100")]})


def _answer(body: dict[str, Any], many: str, apply: Any) -> tuple[int, Any]:
    if many in body:
        return 200, {"results": [apply(item) for item in body[many]]}
    result = apply(body)
    return (result["problem"]["status"], result["problem"]) if "problem" in result else (200, result)


@pytest.fixture
def server() -> Any:
    """A toy server on a free port."""
    toy = ToyServer()
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    toy.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    config = uvicorn.Config(toy.app(), log_level="critical", lifespan="off", ws="websockets-sansio")
    running = uvicorn.Server(config)
    thread = threading.Thread(target=lambda: asyncio.run(running.serve([listener])))
    thread.start()
    yield toy
    running.should_exit = True
    thread.join()
    listener.close()


@pytest.fixture
def retry() -> RetryPolicy:
    """Tries again at once, so that the tests do not wait."""
    return RetryPolicy(max_attempts=6, first_delay_s=0.001, max_delay_s=0.002, give_up_after_s=10.0)
