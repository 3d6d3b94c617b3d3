"""What the routes stand on: the shard host as they see it, and where they find it.

`Host` is all that the edge knows of the rest of the service. The real one is `service.shard.host.StreamHost`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from starlette.requests import HTTPConnection

from liquid_core.spec import ModelSpec
from service.api.admission import Admission
from service.api.budget import ByteBudget
from service.messages import (
    LabelIn,
    LabelResult,
    PredictIn,
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
from service.metrics import Metrics
from service.problems import Problem
from service.settings import Settings


class Verbs(Protocol):
    """What can be done to a stream beside feeding it. Each but `pin` and `unpin` is a record in the stream's log."""

    async def reset(self, stream_id: str, if_seq: int | None) -> StreamInfo: ...
    async def freeze(self, stream_id: str, if_seq: int | None) -> StreamInfo: ...
    async def unfreeze(self, stream_id: str, if_seq: int | None) -> StreamInfo: ...
    async def rollback(self, stream_id: str, to: int, if_seq: int | None) -> StreamInfo: ...
    async def fork(self, stream_id: str, new_id: str) -> StreamInfo: ...
    async def change_spec(self, stream_id: str, patch: dict[str, Any]) -> StreamInfo: ...
    async def import_state(self, stream_id: str, state: bytes) -> tuple[StreamInfo, bool]: ...
    async def pin(self, stream_id: str) -> SnapshotInfo: ...
    async def unpin(self, stream_id: str, position: int) -> None: ...
    async def snapshots(self, stream_id: str) -> SnapshotList: ...


class Host(Protocol):
    """Streams that can be created, asked and fed.

    It refuses with `Problem`, or with a `ProblemItem` in place of one item of many.
    """

    async def start(self) -> None: ...
    async def drain(self) -> None: ...
    async def create(self, stream_id: str, spec: ModelSpec) -> tuple[StreamInfo, bool]: ...
    async def describe(self, stream_id: str) -> StreamInfo: ...
    async def delete(self, stream_id: str) -> None: ...
    async def list(self, cursor: str | None, limit: int) -> StreamPage: ...
    async def submit_samples(
        self, stream_id: str, samples: Sequence[SampleIn], *, deadline: float | None = None
    ) -> Sequence[SampleResult | ProblemItem]: ...
    async def submit_labels(
        self, stream_id: str, labels: Sequence[LabelIn], *, deadline: float | None = None
    ) -> Sequence[LabelResult | ProblemItem]: ...
    async def predict(self, stream_id: str, peek: PredictIn) -> PredictResult: ...
    async def history(self, stream_id: str, limit: int) -> StreamHistory: ...
    async def export_state(self, stream_id: str) -> bytes: ...
    @property
    def verbs(self) -> Verbs: ...
    async def last_seqs(self, stream_ids: Iterable[str]) -> dict[str, int]: ...
    def readiness(self) -> Readiness: ...


class Session(Protocol):
    """A connection that stays open: a WebSocket, or an ingest."""

    async def drain(self) -> None:
        """Take nothing more, answer what was taken, and end."""


@dataclass(slots=True)
class Services:
    """The parts of a running server; one a `FastAPI` app, at ``app.state.services``."""

    settings: Settings
    metrics: Metrics
    #: `None` until the server has started.
    host: Host | None = None
    #: The server is about to stop: nothing new is taken.
    draining: bool = False
    sessions: set[Session] = field(default_factory=set)
    #: Why the server does not start, where that is for the operator to mend.
    refusal: str | None = None
    #: What has been read of requests and messages that are not answered yet.
    bytes_held: ByteBudget = field(init=False)
    #: Connections that are open, as the server knows them, and how many there may be.
    connections: Collection[object] = ()
    max_connections: int = field(init=False)
    admission: Admission = field(init=False)

    def __post_init__(self) -> None:
        self.bytes_held = ByteBudget(self.settings.max_held_bytes)
        self.max_connections = self.settings.max_connections
        self.admission = Admission(self.metrics)

    def working_host(self) -> Host:
        """The host, or `Problem` ``draining`` where the server is on its way up or down."""
        if self.host is None or self.draining:
            raise Problem("draining", "the server is starting or stopping; try again.", retry_after_s=1.0)
        return self.host

    def is_full(self) -> bool:
        """Whether there are more connections than there may be."""
        return len(self.connections) > self.max_connections

    def check_sessions(self) -> None:
        """`Problem` ``overloaded`` where there are as many sessions as may be."""
        if len(self.sessions) >= self.settings.max_sessions:
            raise Problem("overloaded", "there are too many open sessions; try again.", retry_after_s=1.0)


def services_of(connection: HTTPConnection) -> Services:
    services = connection.app.state.services
    assert isinstance(services, Services)
    return services


__all__ = ["Host", "Services", "Session", "Verbs", "services_of"]
