"""The edge on its own: the real app, and a host that keeps its rules in a few lines of memory.

`FakeHost` stands only at the seam that `service.api.seam.Host` draws. It applies samples by the rules of `seq` and `t`,
remembers its answers and predicts the last value; the real host is met in the end-to-end tests.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import httpx
import msgspec
import pytest
from fastapi import FastAPI

from liquid_core.errors import SpecError
from liquid_core.spec import ModelSpec
from service.app import create_app
from service.messages import (
    DriftSummary,
    HistoryPoint,
    LabelIn,
    LabelResult,
    PredictIn,
    Prediction,
    PredictResult,
    ProblemItem,
    Readiness,
    SampleIn,
    SampleResult,
    SnapshotInfo,
    SnapshotList,
    StreamHistory,
    StreamInfo,
    StreamPage,
)
from service.problems import Problem
from service.server import Server, configuration
from service.settings import Settings

Item = TypeVar("Item")
Result = TypeVar("Result")

#: All that the fake knows of states.
STATE = b"\x00state"
FORECAST = {"task": "forecast", "features": ["flow", "pressure"], "horizon": [1]}


class FakeStream:
    """One stream: its samples, their answers, and its labels."""

    def __init__(self, spec: ModelSpec) -> None:
        self.spec = spec
        self.samples: list[SampleIn] = []
        self.answers: list[SampleResult] = []
        self.labels: dict[int, LabelIn] = {}
        self.frozen = False

    def sample(self, sample: SampleIn) -> SampleResult:
        last = len(self.samples)
        seq = sample.seq or last + 1
        if len(sample.x) != self.spec.num_features:
            raise Problem("dimension", "x must have one value a feature.")
        if seq > last + 1:
            raise Problem("seq_gap", "a sample is missing.", expected_seq=last + 1)
        if seq <= last:
            before = self.samples[seq - 1]
            if (before.t, before.x, before.y) != (sample.t, sample.x, sample.y):
                raise Problem("seq_conflict", "another sample has this seq.")
            answer = self.answers[seq - 1]
            return SampleResult(seq=seq, predictions=answer.predictions, duplicate=True, durability="memory")
        if last and isinstance(sample.t, float | int) and float(self.samples[-1].t) >= sample.t:
            raise Problem("late_sample", "t must grow.")
        self.samples.append(sample)
        y = [value or 0.0 for value in sample.x]
        made = [Prediction(horizon=1, y=y, median=y, lower=y, upper=y)]
        self.answers.append(SampleResult(seq=seq, predictions=made, anomaly=None, durability="memory"))
        return self.answers[-1]

    def label(self, label: LabelIn) -> LabelResult:
        if label.seq > len(self.samples):
            raise Problem("label_unknown", "there is no such sample.")
        known = self.labels.setdefault(label.seq, label)
        if known.y != label.y:
            raise Problem("label_conflict", "another label was given.")
        return LabelResult(seq=label.seq, duplicate=known is not label, durability="memory")

    def info(self, stream_id: str) -> StreamInfo:
        return StreamInfo(
            id=stream_id,
            spec=self.spec,
            created_at=0.0,
            last_seq=len(self.samples),
            last_t=float(self.samples[-1].t) if self.samples else None,
            samples=len(self.samples),
            labels=len(self.labels),
            frozen=self.frozen,
            updates=0,
            updates_skipped=0,
            drift=DriftSummary(events=0, last_seq=None),
            errors=[],
            parameters=0,
            state_bytes=0,
            durability="memory",
            engine="fake",
        )


class FakeVerbs:
    """Finds streams and their snapshots, and does what can be seen from outside."""

    def __init__(self, host: FakeHost) -> None:
        self._host = host
        self.pinned: dict[str, list[SnapshotInfo]] = {}

    def _at(self, stream_id: str, if_seq: int | None) -> FakeStream:
        stream = self._host.find(stream_id)
        if if_seq is not None and if_seq != len(stream.samples):
            raise Problem("seq_conflict", "it has gone on.", expected_seq=len(stream.samples) + 1)
        return stream

    async def reset(self, stream_id: str, if_seq: int | None) -> StreamInfo:
        return self._at(stream_id, if_seq).info(stream_id)

    async def freeze(self, stream_id: str, if_seq: int | None) -> StreamInfo:
        stream = self._at(stream_id, if_seq)
        stream.frozen = True
        return stream.info(stream_id)

    async def unfreeze(self, stream_id: str, if_seq: int | None) -> StreamInfo:
        stream = self._at(stream_id, if_seq)
        stream.frozen = False
        return stream.info(stream_id)

    async def rollback(self, stream_id: str, to: int, if_seq: int | None) -> StreamInfo:
        stream = self._at(stream_id, if_seq)
        self._find(stream_id, to)
        return stream.info(stream_id)

    async def fork(self, stream_id: str, new_id: str) -> StreamInfo:
        stream = self._host.find(stream_id)
        if new_id in self._host.streams:
            raise Problem("stream_exists", "it is there.")
        self._host.streams[new_id] = copy.deepcopy(stream)
        return self._host.streams[new_id].info(new_id)

    async def change_spec(self, stream_id: str, patch: dict[str, Any]) -> StreamInfo:
        stream = self._host.find(stream_id)
        try:
            stream.spec = ModelSpec.from_json(msgspec.json.encode(msgspec.to_builtins(stream.spec) | patch))
        except SpecError as error:
            raise Problem("spec_invalid", str(error)) from None
        return stream.info(stream_id)

    async def import_state(self, stream_id: str, state: bytes) -> tuple[StreamInfo, bool]:
        if state != STATE:
            raise Problem("state_invalid", "this is no state.")
        return await self._host.create(stream_id, ModelSpec(task="forecast", features=("x",)))

    async def pin(self, stream_id: str) -> SnapshotInfo:
        seq = len(self._host.find(stream_id).samples)
        made = SnapshotInfo(position=seq, seq=seq, pinned=True, created_at=0.0)
        self.pinned.setdefault(stream_id, []).append(made)
        return made

    async def unpin(self, stream_id: str, position: int) -> None:
        found = self._find(stream_id, position)
        self.pinned[stream_id].remove(found)

    async def snapshots(self, stream_id: str) -> SnapshotList:
        self._host.find(stream_id)
        return SnapshotList(id=stream_id, snapshots=self.pinned.get(stream_id, []))

    def _find(self, stream_id: str, position: int) -> SnapshotInfo:
        self._host.find(stream_id)
        for each in self.pinned.get(stream_id, []):
            if each.position == position:
                return each
        raise Problem("snapshot_not_found", "it keeps none there.")


class FakeHost:
    """Keeps the contract of `Host`, and can be told to wait or to fail."""

    def __init__(self) -> None:
        self.streams: dict[str, FakeStream] = {}
        self.is_open = asyncio.Event()
        self.is_open.set()
        #: Stream and number of items of every submission, in order.
        self.submissions: list[tuple[str, int]] = []
        self.deadlines: list[float | None] = []
        self.failure: Exception | None = None
        #: With it every stream exists, whatever its id.
        self.spec_of_all: ModelSpec | None = None
        self.unready: list[str] = []
        self.engine_fallback: str | None = None
        self.started = self.drained = False
        self.verbs = FakeVerbs(self)

    async def start(self) -> None:
        self.started = True

    async def drain(self) -> None:
        self.drained = True

    def find(self, stream_id: str) -> FakeStream:
        if self.failure is not None:
            raise self.failure
        if self.spec_of_all is not None:
            self.streams.setdefault(stream_id, FakeStream(self.spec_of_all))
        if stream_id not in self.streams:
            raise Problem("stream_not_found", "create it first.")
        return self.streams[stream_id]

    async def create(self, stream_id: str, spec: ModelSpec) -> tuple[StreamInfo, bool]:
        created = stream_id not in self.streams
        stream = self.streams.setdefault(stream_id, FakeStream(spec))
        if stream.spec.digest != spec.digest:
            raise Problem("spec_conflict", "it exists with another spec.")
        return stream.info(stream_id), created

    async def describe(self, stream_id: str) -> StreamInfo:
        return self.find(stream_id).info(stream_id)

    async def delete(self, stream_id: str) -> None:
        self.find(stream_id)
        del self.streams[stream_id]

    async def list(self, cursor: str | None, limit: int) -> StreamPage:
        names = sorted(name for name in self.streams if name > (cursor or ""))
        page = [self.streams[name].info(name) for name in names[:limit]]
        return StreamPage(streams=page, next_cursor=names[limit - 1] if len(names) > limit else None)

    async def submit_samples(
        self, stream_id: str, samples: Sequence[SampleIn], *, deadline: float | None = None
    ) -> Sequence[SampleResult | ProblemItem]:
        self.deadlines.append(deadline)
        return await self._submit(stream_id, samples, lambda stream, item: stream.sample(item))

    async def submit_labels(
        self, stream_id: str, labels: Sequence[LabelIn], *, deadline: float | None = None
    ) -> Sequence[LabelResult | ProblemItem]:
        self.deadlines.append(deadline)
        return await self._submit(stream_id, labels, lambda stream, item: stream.label(item))

    async def _submit(
        self, stream_id: str, items: Sequence[Item], apply: Callable[[FakeStream, Item], Result]
    ) -> Sequence[Result | ProblemItem]:
        self.submissions.append((stream_id, len(items)))
        stream = self.find(stream_id)
        await self.is_open.wait()
        outcomes: list[Result | ProblemItem] = []
        for item in items:
            try:
                outcomes.append(apply(stream, item))
            except Problem as problem:
                outcomes.append(ProblemItem(problem=problem.as_dict()))
        return outcomes

    async def predict(self, stream_id: str, peek: PredictIn) -> PredictResult:
        stream = self.find(stream_id)
        y = [value or 0.0 for value in peek.x or [None] * stream.spec.num_features]
        return PredictResult(last_seq=len(stream.samples), predictions=[Prediction(horizon=1, y=y)])

    async def history(self, stream_id: str, limit: int) -> StreamHistory:
        stream = self.find(stream_id)
        points = [
            HistoryPoint(
                seq=answer.seq, t=float(sample.t), x=sample.x, y=sample.y, predictions=answer.predictions or []
            )
            for sample, answer in zip(stream.samples, stream.answers, strict=True)
        ]
        return StreamHistory(id=stream_id, points=points[-limit:])

    async def export_state(self, stream_id: str) -> bytes:
        self.find(stream_id)
        return STATE

    async def last_seqs(self, stream_ids: Iterable[str]) -> dict[str, int]:
        return {name: len(self.streams[name].samples) if name in self.streams else 0 for name in stream_ids}

    def readiness(self) -> Readiness:
        return Readiness(
            ready=not self.unready,
            store="fake",
            durability="memory",
            engine="fake",
            engine_fallback=self.engine_fallback,
            reasons=list(self.unready),
        )


Opener = Callable[[Settings], AbstractAsyncContextManager[httpx.AsyncClient]]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path)


@pytest.fixture
async def host() -> FakeHost:
    return FakeHost()


@pytest.fixture
def app(settings: Settings, host: FakeHost) -> FastAPI:
    return create_app(settings, host)


@asynccontextmanager
async def running(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """The app, started, and a client that calls it without a network."""
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8765") as client:
            yield client


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with running(app) as client:
        yield client


@pytest.fixture
def open_app(host: FakeHost) -> Opener:
    """Opens the app with other settings."""
    return lambda settings: running(create_app(settings, host))


@pytest.fixture
async def pump(client: httpx.AsyncClient) -> str:
    """Path of a forecasting stream with two features."""
    answer = await client.put("/v1/streams/pump-7", json=FORECAST)
    assert answer.status_code == 201
    return "/v1/streams/pump-7"


@pytest.fixture
async def server(settings: Settings, app: FastAPI) -> AsyncIterator[Server]:
    """The app on a real port, served by uvicorn as `liquidstream serve` does."""
    config = configuration(app, settings.model_copy(update={"port": 0}))
    server = Server(config)
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    yield server
    server.should_exit = True
    await serving


@pytest.fixture
def address(server: Server) -> str:
    """Host and port of the real server."""
    name, port = server.servers[0].sockets[0].getsockname()[:2]
    return f"{name}:{port}"
