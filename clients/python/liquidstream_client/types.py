"""What the server answers, as frozen dataclasses.

Reading is lenient where the API may grow: members that this version does not know are passed over.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self

Durability = Literal["fsync", "everysec", "memory", "unknown"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """One prediction. Forecast: one a horizon. Regression and classification: a single one."""

    horizon: int | None = None
    """Forecast: samples ahead."""
    y: tuple[float, ...] | None = None
    """Forecast and regression: one value a target; `lower` and `upper` aim to cover it. Squared errors are small, as a
    mean's are."""
    median: tuple[float, ...] | None = None
    """The same by absolute errors; on a stream that mostly stands still it differs from `y`."""
    lower: tuple[float, ...] | None = None
    upper: tuple[float, ...] | None = None
    label: str | None = None
    """Classification: the likeliest class; `probabilities` has each class's."""
    probabilities: Mapping[str, float] | None = None

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        return cls(
            horizon=data.get("horizon"),
            y=_floats(data.get("y")),
            median=_floats(data.get("median")),
            lower=_floats(data.get("lower")),
            upper=_floats(data.get("upper")),
            label=data.get("label"),
            probabilities=data.get("probabilities"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleResult:
    """The answer to one sample, made from what was known before its own label."""

    seq: int
    predictions: tuple[Prediction, ...] | None
    """Ascending by horizon; `None` for a repeated sample whose answer the server no longer keeps."""
    anomaly: float | None = None
    """How unusual this sample's own target was, in [0, 1), by itself, by recent errors or by the stream's level; `None`
    before there is anything to compare with."""
    drift: str | None = None
    """Name of the drift detector that this sample set off."""
    duplicate: bool = False
    """True: this `seq` had been applied before, and this is the answer that was given then."""
    durability: Durability = "unknown"

    def at(self, horizon: int) -> Prediction:
        """The prediction `horizon` samples ahead; `KeyError` where the stream has no such horizon."""
        for prediction in self.predictions or ():
            if prediction.horizon == horizon:
                return prediction
        raise KeyError(f"no prediction for horizon {horizon} in the answer to sample {self.seq}")

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        predictions = data["predictions"]
        return cls(
            seq=data["seq"],
            predictions=None if predictions is None else tuple(Prediction.from_json(item) for item in predictions),
            anomaly=data.get("anomaly"),
            drift=data.get("drift"),
            duplicate=data.get("duplicate", False),
            durability=data.get("durability", "unknown"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelResult:
    """The answer to one label."""

    seq: int
    anomaly: float | None = None
    drift: str | None = None
    duplicate: bool = False
    durability: Durability = "unknown"

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        return cls(
            seq=data["seq"],
            anomaly=data.get("anomaly"),
            drift=data.get("drift"),
            duplicate=data.get("duplicate", False),
            durability=data.get("durability", "unknown"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictResult:
    """The answer to a look ahead: what would be answered if that sample came next."""

    last_seq: int
    predictions: tuple[Prediction, ...]

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        return cls(last_seq=data["last_seq"], predictions=tuple(map(Prediction.from_json, data["predictions"])))


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorSummary:
    """Prequential error of one horizon, beside the naive prediction's on the same targets."""

    horizon: int | None
    count: int
    mean: float | None
    recent: float | None
    naive_mean: float | None
    naive_recent: float | None
    #: What the answers are mixed from: `naive`, `season`, `autoregression`, `linear`, `liquid`; they add up to one.
    shares: Mapping[str, float]

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        return cls(
            horizon=data.get("horizon"),
            count=data["count"],
            mean=data.get("mean"),
            recent=data.get("recent"),
            naive_mean=data.get("naive_mean"),
            naive_recent=data.get("naive_recent"),
            shares=data.get("shares", {}),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamInfo:
    """A stream's description."""

    id: str
    spec: Mapping[str, Any]
    """The whole model spec as JSON, defaults included."""
    last_seq: int
    """`seq` of the last sample, 0 before the first; `last_t` is its time."""
    last_t: float | None
    samples: int
    labels: int
    updates: int
    updates_skipped: int
    frozen: bool
    """Predicts and measures, but does not learn."""
    drift_events: int
    last_drift_seq: int | None
    errors: tuple[ErrorSummary, ...]
    parameters: int
    state_bytes: int
    created_at: float
    durability: str
    engine: str
    """What steps it: ``native`` kernels, or the ``torch`` reference."""

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        drift = data.get("drift") or {}
        return cls(
            id=data["id"],
            spec=data["spec"],
            last_seq=data["last_seq"],
            last_t=data.get("last_t"),
            samples=data.get("samples", 0),
            labels=data.get("labels", 0),
            updates=data.get("updates", 0),
            updates_skipped=data.get("updates_skipped", 0),
            frozen=data.get("frozen", False),
            drift_events=drift.get("events", 0),
            last_drift_seq=drift.get("last_seq"),
            errors=tuple(map(ErrorSummary.from_json, data.get("errors") or ())),
            parameters=data.get("parameters", 0),
            state_bytes=data.get("state_bytes", 0),
            created_at=data.get("created_at", 0.0),
            durability=data.get("durability", "unknown"),
            engine=data.get("engine", "unknown"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """A state that a stream can go back to."""

    position: int
    """What `rollback` takes: the records that the stream had had by then, commands included."""
    seq: int
    """`seq` of the last sample by then."""
    pinned: bool
    """Kept until it is deleted; the server's own snapshots soon make way for newer ones."""
    created_at: float | None
    """When it was pinned, in seconds since the epoch."""

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        return cls(
            position=data["position"],
            seq=data["seq"],
            pinned=data["pinned"],
            created_at=data.get("created_at"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ColdStream:
    """A stream in a list that is not in the server's memory; `describe` brings it there and tells where it stands."""

    id: str
    spec: Mapping[str, Any]
    """The whole model spec as JSON, defaults included."""
    created_at: float

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        return cls(id=data["id"], spec=data["spec"], created_at=data.get("created_at", 0.0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Readiness:
    """Whether the server takes samples, and why not."""

    ready: bool
    store: str
    durability: str
    engine: str
    """``native`` with the instruction set of its kernels, or ``torch``."""
    reasons: tuple[str, ...]
    engine_fallback: str | None = None
    """Why it is ``torch`` where native kernels were wanted, and what to do about it."""

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        return cls(
            ready=data["ready"],
            store=data.get("store", "unknown"),
            durability=data.get("durability", "unknown"),
            engine=data.get("engine", "unknown"),
            reasons=tuple(data.get("reasons") or ()),
            engine_fallback=data.get("engine_fallback"),
        )


def _floats(values: list[float] | None) -> tuple[float, ...] | None:
    return None if values is None else tuple(values)


__all__ = [
    "ColdStream",
    "Durability",
    "ErrorSummary",
    "LabelResult",
    "PredictResult",
    "Prediction",
    "Readiness",
    "SampleResult",
    "Snapshot",
    "StreamInfo",
]
