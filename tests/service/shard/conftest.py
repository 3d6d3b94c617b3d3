"""Hosts on the real store with tiny models, and the fold that they are held to.

What counts as right is the fold: the engine, applied once to each record in order, beside no other stream. It is the
engine that the server runs: native, or torch with LIQUID_ENGINE=torch.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import load

from liquid_core.engine.engine import build_engine
from liquid_core.engine.records import Label, Record, Sample
from liquid_core.engine.slab import Slab
from liquid_core.spec import ModelSpec
from service.messages import LabelIn, Prediction, ProblemItem, SampleIn
from service.metrics import Metrics
from service.settings import Settings
from service.shard import answers, intake
from service.shard.engine_choice import choose_engine
from service.shard.host import StreamHost
from service.store import Append, Appended, StoredStream, StoreUnavailable, StreamStore

Arrays = dict[str, NDArray[Any]]

_LEARNER = {"window": 3, "warmup": 2, "label_horizon": 6}
_DENSE = {"kind": "cfc", "units": 4, "backbone_units": 4}
_TASKS: dict[str, dict[str, Any]] = {
    "forecast": {"features": ["flow", "pressure"], "horizon": [1, 2]},
    "regression": {"features": ["noise"], "targets": ["load"]},
    "classification": {"features": ["noise"], "classes": ["calm", "loud", "shrill"]},
    "wired": {
        "task": "forecast",
        "features": ["flow"],
        "cell": "ltc",
        "wiring": {"kind": "auto_ncp", "units": 6, "outputs": 2},
    },
}


def tiny(task: str = "forecast", **changes: Any) -> ModelSpec:
    """A spec of a few neurons; `wired` is a forecast with an LTC cell."""
    spec = {"task": task, "cell": _DENSE, "learner": _LEARNER} | _TASKS[task] | changes
    return ModelSpec.from_json(msgspec.json.encode(spec))


def samples(spec: ModelSpec, count: int, *, first: int = 1, phase: float = 0.0) -> list[SampleIn]:
    """Numbered samples of a smooth signal with uneven gaps and, now and then, a missing value."""
    return [
        SampleIn(
            seq=seq,
            t=1.7e9 + 60.0 * seq + 7.0 * (seq % 3),
            x=[
                None if (seq + column) % 11 == 0 else _signal(seq, column, phase) for column in range(spec.num_features)
            ],
            y=_label(spec, seq, phase) if spec.task != "forecast" and seq % 2 else None,
        )
        for seq in range(first, first + count)
    ]


def labels(spec: ModelSpec, seqs: Sequence[int], *, phase: float = 0.0) -> list[LabelIn]:
    """Labels of earlier samples; those with even `seq` came without one."""
    return [LabelIn(seq=seq, y=_label(spec, seq, phase)) for seq in seqs]


def _signal(seq: int, column: int, phase: float) -> float:
    return math.sin(seq / 3 + column + phase) + column


def _label(spec: ModelSpec, seq: int, phase: float) -> Any:
    value = math.cos(seq / 2 + phase)
    return value if spec.task == "regression" else spec.classes[int(1.5 + 1.4 * value)]


class Fold:
    """A stream on its own: its arrays, and the answer to each sample by `seq`."""

    def __init__(self, spec: ModelSpec) -> None:
        self._spec = spec
        self._engine = build_engine(spec, Settings().engine)
        self._slab = Slab(self._engine.layout)
        self._slot = self._slab.load(self._engine.initial_row())
        self.answers: dict[int, list[Prediction]] = {}

    def apply(self, *items: SampleIn | LabelIn) -> Fold:
        records = [self._record(item) for item in items]
        results = self._engine.step(self._slab, [self._slot] * len(records), records)
        for index, record in enumerate(records):
            if isinstance(record, Sample):
                said = (results.prediction[index], results.median[index], results.half_width[index])
                made = answers.predictions(self._spec, *said)
                self.answers[record.seq] = made
        return self

    def _record(self, item: SampleIn | LabelIn) -> Record:
        y = None if item.y is None else intake.label(item.y, self._spec)
        if isinstance(item, LabelIn):
            assert y is not None
            return Label(seq=item.seq, y=y)
        assert item.seq is not None
        return Sample(seq=item.seq, t=intake.seconds(item.t), x=intake.values(item.x), y=y)

    @property
    def arrays(self) -> Arrays:
        row = self._slab.read(self._slot)
        return {name: view[0] for name, view in self._engine.layout.views(row[None]).items()}


def assert_same(arrays: Arrays, expected: Arrays) -> None:
    """Bit for bit."""
    assert set(arrays) == set(expected)
    for name, array in expected.items():
        np.testing.assert_array_equal(arrays[name], array, err_msg=name)


def memory_of(streams: int) -> int:
    """Bytes that so many streams of `tiny()` take."""
    engine = build_engine(tiny(), Settings().engine)
    return engine.overhead_bytes + streams * engine.bytes_per_stream


class FaultyStore(StreamStore):
    """The real store, with faults on demand."""

    def __init__(self, *parts: Any) -> None:
        super().__init__(*parts)
        #: What becomes of the next appends: ``lost answer``, ``never sent``, or ``fine``.
        self.faults: deque[str] = deque()
        #: Appends wait here while it is clear, before anything is sent.
        self.open = asyncio.Event()
        self.open.set()
        #: Set while an append waits.
        self.waiting = asyncio.Event()

    async def append(self, batch: Sequence[Append]) -> list[Appended]:
        if not self.open.is_set():
            self.waiting.set()
            await self.open.wait()
            self.waiting.clear()
        fault = self.faults.popleft() if self.faults else "fine"
        outcomes = await super().append(batch) if fault != "never sent" else []
        if fault != "fine":
            raise StoreUnavailable("the test has lost the answer", outcome_unknown=True)
        return outcomes


class Rig:
    """A host with its store and its metrics."""

    def __init__(self, store: FaultyStore, settings: Settings) -> None:
        self.store = store
        self.metrics = Metrics()
        self.host = StreamHost(settings, store, self.metrics, choose_engine(settings.engine))

    def value(self, name: str, **labels: str) -> float:
        """One number of the metrics; 0 where it was never counted."""
        return self.metrics.registry.get_sample_value(f"liquid_{name}", labels) or 0.0

    async def stored(self, stream_id: str) -> StoredStream:
        """What the store has of a stream."""
        [stream] = await self.store.read_streams([stream_id])
        assert isinstance(stream, StoredStream), stream
        return stream

    async def positions(self, stream_id: str) -> list[int]:
        """Of the records in the log after the newest snapshot."""
        return [entry.position for entry in (await self.stored(stream_id)).entries]

    async def arrays(self, stream_id: str) -> Arrays:
        return load(await self.host.export_state(stream_id))

    async def at_rest(self) -> None:
        """Wait for what the pipeline does after it has answered: snapshots."""
        assert self.host._pipeline is not None
        async with self.host._pipeline.working:
            pass

    async def close(self) -> None:
        await self.host.drain()
        await self.store.close()


OpenHost = Callable[..., Awaitable[Rig]]


@pytest.fixture
async def open_host(store_url: str, namespace: str) -> AsyncIterator[OpenHost]:
    """Starts hosts, all on one store; they are drained when the test ends.

    `room_for` is how many streams of `tiny()` their memory holds; it may be less than an operator can choose.
    """
    rigs: list[Rig] = []

    async def open_host(
        url: str = store_url, *, timeout_s: float = 5.0, room_for: int | None = None, **settings: Any
    ) -> Rig:
        store = await FaultyStore.connect(url, namespace=namespace, num_shards=8, timeout_s=timeout_s)
        rigs.append(
            Rig(
                store,
                Settings(**{"shutdown_timeout_s": 10.0, "max_queue_delay_ms": 60_000, "take_over": True} | settings),
            )
        )
        if room_for is not None:
            rigs[-1].host._room.memory = memory_of(room_for)
        await rigs[-1].host.start()
        return rigs[-1]

    yield open_host
    for rig in rigs:
        rig.store.open.set()
        await rig.close()


@pytest.fixture
async def rig(open_host: OpenHost) -> Rig:
    """A host on an empty store."""
    return await open_host()


def refusals(outcomes: Sequence[Any]) -> list[str | None]:
    """The code of each item that was refused, `None` for the others."""
    return [outcome.problem["code"] if isinstance(outcome, ProblemItem) else None for outcome in outcomes]


async def until(condition: Callable[[], bool], *, within_s: float = 20.0) -> None:
    """Wait until something has come about."""
    async with asyncio.timeout(within_s):
        while not condition():
            await asyncio.sleep(0.01)
