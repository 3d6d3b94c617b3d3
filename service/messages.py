"""What crosses the edge: requests and answers, as msgspec structs.

One definition serves the decoder, the encoder and the OpenAPI document. Decoding is strict: a number is a number (no
strings, no booleans), NaN and infinities are not JSON, unknown fields are refused. Missing feature values are `null`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from liquid_core.spec import ModelSpec


class _Request(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of everything that a client sends."""


class _Answer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=False):
    """Base of everything that a client gets."""


#: A stream's state in one piece: as a body, as a record in a log, as an argument of a script.
MAX_STATE_BYTES = 8 * 1024 * 1024

# --- requests --------------------------------------------------------------------------------------------------------

LabelValue = float | str | list[float]

#: Number of a sample in its stream; integers beyond are not the same in every JSON reader.
Seq = Annotated[int, msgspec.Meta(ge=1, le=2**53 - 1)]


class SampleIn(_Request, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One sample. The answer is made from what was known before its own label."""

    #: Seconds since the epoch as a number, or RFC 3339 text with an offset.
    t: float | str
    #: One value a feature, in the spec's order; `null` where it is missing.
    x: list[float | None]
    #: Number of the sample in its stream, from 1: makes a retry safe. Without it the server counts. Of a number that
    #: was given before, the last 64 samples are known: the same sample is a duplicate, another is refused. Older ones
    #: are confirmed as duplicates unseen.
    seq: Seq | None = None
    #: Regression: one number, or one a target. Classification: the class's name. Forecast: leave out.
    y: LabelValue | None = None


class SamplesIn(_Request, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Several samples of one stream, in order."""

    samples: list[SampleIn]


class LabelIn(_Request, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The label of an earlier sample, joined by `seq`."""

    seq: Seq
    y: LabelValue


class LabelsIn(_Request, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Several labels of one stream."""

    labels: list[LabelIn]


class PredictIn(_Request, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A look ahead that changes nothing: what would be answered if this sample came next."""

    #: Time of the sample; without it the stream's typical gap after the last one.
    t: float | str | None = None
    #: Its values; without them all are taken as missing.
    x: list[float | None] | None = None


IfSeq = Annotated[int, msgspec.Meta(ge=0, le=2**53 - 1)]


class ControlIn(_Request, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A command to a stream, on a condition or without."""

    #: Only if this is the stream's last sample by then (0: it has none): what somebody saw is still so, and a retry
    #: after a lost answer meets no sample that came in between.
    if_seq: IfSeq | None = None


class RollbackIn(_Request, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a stream shall go back to."""

    #: `position` of one of the stream's snapshots.
    to: Annotated[int, msgspec.Meta(ge=0, le=2**53 - 1)]
    #: As with the other commands.
    if_seq: IfSeq | None = None


class ForkIn(_Request, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A second stream that begins as this one is."""

    #: Id of the new stream.
    id: str


# --- answers ---------------------------------------------------------------------------------------------------------


class Prediction(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One prediction. Forecast: one for each horizon. Regression and classification: a single one."""

    #: Forecast: samples ahead.
    horizon: int | None = None
    #: Forecast and regression: one value a target, and the interval around it that aims to cover it. `y` keeps squared
    #: errors small, as a mean does, and `median` absolute ones: on a stream that mostly stands still they differ, and
    #: the median may lie outside the interval.
    y: list[float] | None = None
    median: list[float] | None = None
    lower: list[float] | None = None
    upper: list[float] | None = None
    #: Classification: the likeliest class and the probability of each.
    label: str | None = None
    probabilities: dict[str, float] | None = None


class SampleResult(_Answer, frozen=True, kw_only=True):
    """The answer to one sample."""

    seq: int
    #: Forecast: ascending by horizon. `null` for a repeat of a sample before the last 64: its answer is no longer kept,
    #: nor what it said, so that it is confirmed without being compared.
    predictions: list[Prediction] | None
    #: How unusual this sample's own target was, in [0, 1), by itself, by recent errors or by the stream's level: 0.1 is
    #: usual, 0.5 three times and 0.92 ten times as far; `null` before there is anything to compare with.
    anomaly: float | None = None
    #: Name of the drift detector that this sample set off, else `null`.
    drift: str | None = None
    #: True: this `seq` had been applied before; nothing changed.
    duplicate: bool = False
    #: What an acknowledgement survives: `fsync` power loss, `everysec` a crash of the store, `memory` neither.
    durability: Literal["fsync", "everysec", "memory", "unknown"] = "unknown"


class LabelResult(_Answer, frozen=True, kw_only=True):
    """The answer to one label."""

    seq: int
    anomaly: float | None = None
    drift: str | None = None
    duplicate: bool = False
    durability: Literal["fsync", "everysec", "memory", "unknown"] = "unknown"


class ProblemItem(_Answer, frozen=True, kw_only=True):
    """In place of one item's answer: why it was refused. The other items of the request went on."""

    problem: dict[str, Any]


class SampleResults(_Answer, frozen=True, kw_only=True):
    """One answer or problem a sample, in the request's order."""

    results: list[SampleResult | ProblemItem]


class LabelResults(_Answer, frozen=True, kw_only=True):
    """One answer or problem a label, in the request's order."""

    results: list[LabelResult | ProblemItem]


class PredictResult(_Answer, frozen=True, kw_only=True):
    """The answer to a look ahead."""

    #: `seq` of the last sample that the stream has learned from.
    last_seq: int
    predictions: list[Prediction]
    #: True while the store cannot be asked: another server may have more of the stream by now.
    stale: bool = False


class ErrorSummary(_Answer, frozen=True, kw_only=True):
    """Prequential error: each prediction was made before its target was known.

    Regression and forecast: absolute error, averaged over the targets. Classification: fraction of wrong classes.
    """

    horizon: int | None
    #: Targets that have arrived.
    count: int
    #: Over the stream's whole life.
    mean: float | None
    #: Exponentially weighted over about the last hundred targets.
    recent: float | None
    #: The same two for the naive guess: the last value; regression: last label or mean; else last class.
    naive_mean: float | None
    naive_recent: float | None
    #: Shares of the experts that an answer is mixed from, averaged over targets: `naive`, `season`, `autoregression`,
    #: `linear`, `liquid`. They add up to one.
    shares: dict[str, float]


class DriftSummary(_Answer, frozen=True, kw_only=True):
    """Drift alarms of a stream."""

    events: int
    last_seq: int | None


class StreamInfo(_Answer, frozen=True, kw_only=True, tag_field="status", tag="hot"):
    """A stream's description."""

    id: str
    spec: ModelSpec
    created_at: float
    #: `seq` and `t` of the last sample; 0 and `null` before the first.
    last_seq: int
    last_t: float | None
    #: Counted, as updates, drifts and errors are, since learning began: a reset begins anew.
    samples: int
    labels: int
    #: Predicts and measures, but no weight of it changes.
    frozen: bool
    #: Weight updates applied, and undone or left out because they were not safe.
    updates: int
    updates_skipped: int
    drift: DriftSummary
    errors: list[ErrorSummary]
    #: Weights that the wiring leaves, and bytes of the whole state.
    parameters: int
    state_bytes: int
    durability: str
    #: What steps it: `native` kernels, or the `torch` reference, which is slower and knows every cell.
    engine: str
    #: True while the store cannot be asked: this is what is in memory, and another server may have more by now.
    stale: bool = False


class SnapshotInfo(_Answer, frozen=True, kw_only=True):
    """A state that a stream can go back to."""

    #: Records that the stream had had by then, commands included: what `rollback` takes.
    position: int
    #: `seq` of the last sample by then.
    seq: int
    #: Kept until it is deleted; the others are the service's own and are soon replaced by newer ones.
    pinned: bool
    #: When it was pinned, in seconds since the epoch; else `null`.
    created_at: float | None


class SnapshotList(_Answer, frozen=True, kw_only=True):
    """What a stream can go back to, oldest first."""

    id: str
    snapshots: list[SnapshotInfo]


class ColdStream(_Answer, frozen=True, kw_only=True, tag_field="status", tag="cold"):
    """A listed stream that waits in the store. To describe it brings it into memory, and tells where it stands."""

    id: str
    #: As of its newest snapshot; a change of the spec is followed by one.
    spec: ModelSpec
    created_at: float


class StreamPage(_Answer, frozen=True, kw_only=True):
    """One page of the streams; pass `next_cursor` on to get the following one, `null` ends."""

    streams: list[StreamInfo | ColdStream]
    next_cursor: str | None


class HistoryPoint(_Answer, frozen=True, kw_only=True):
    """One recent sample with the answer that it got."""

    seq: int
    #: Seconds since the epoch.
    t: float
    #: The values as they came; `null` where one was missing.
    x: list[float | None]
    #: Regression and classification: the sample's label, once it has arrived. Forecast: always `null`.
    y: LabelValue | None
    predictions: list[Prediction]
    anomaly: float | None = None
    #: Name of the drift detector that this sample set off, else `null`.
    drift: str | None = None

    def labelled(self, y: LabelValue) -> HistoryPoint:
        """The same point with its label."""
        return msgspec.structs.replace(self, y=y)


class StreamHistory(_Answer, frozen=True, kw_only=True):
    """The last samples of a stream that are still in memory, oldest first; not part of its durable state."""

    id: str
    points: list[HistoryPoint]


class Readiness(_Answer, frozen=True, kw_only=True):
    """Whether the server takes samples, and why not."""

    ready: bool
    store: str
    durability: str
    #: `native` with the instruction set of its kernels, such as `native x86-64-v3`, or `torch`.
    engine: str
    reasons: list[str]
    #: The server cannot go on and must be started anew.
    failed: bool = False
    #: Why `torch` runs where native kernels were wanted, and what to do about it; `null` where all is as it was meant.
    engine_fallback: str | None = None


class Version(_Answer, frozen=True, kw_only=True):
    """What a server is made of."""

    version: str
    python: str
    torch: str


__all__ = [
    "MAX_STATE_BYTES",
    "ColdStream",
    "ControlIn",
    "DriftSummary",
    "ErrorSummary",
    "ForkIn",
    "HistoryPoint",
    "LabelIn",
    "LabelResult",
    "LabelResults",
    "LabelValue",
    "LabelsIn",
    "PredictIn",
    "PredictResult",
    "Prediction",
    "ProblemItem",
    "Readiness",
    "RollbackIn",
    "SampleIn",
    "SampleResult",
    "SampleResults",
    "SamplesIn",
    "Seq",
    "SnapshotInfo",
    "SnapshotList",
    "StreamHistory",
    "StreamInfo",
    "StreamPage",
    "Version",
]
