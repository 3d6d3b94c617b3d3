"""Every metric of the service, in one place.

Names follow Prometheus' conventions: one prefix, base units, ``_total`` for counters. No label is unbounded: a stream's
own numbers are in its description (`GET /v1/streams/{id}`), never in a label. The attribute of a metric is its name
without the prefix ``liquid_`` and without ``_total``:

>>> Metrics().samples.labels(model="cfc", result="applied").inc()   # liquid_samples_total{model="cfc",result="applied"}
"""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

PREFIX = "liquid"
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

#: Seconds of a request or of one of its parts.
LAT = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
#: Records side by side.
BATCH = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
#: An error in units of the target's running scale.
ERRQ = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
#: Seconds of bringing a stream back.
RECOV = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
BYTES = tuple(float(4**power) for power in range(4, 14))

DURABILITY_LEVELS = ("fsync", "everysec", "memory", "unknown")
#: Why a stream left memory: for others that were touched; or though it had just come or changed, as no other could.
EVICTION_REASONS = ("memory", "memory_fresh")


class Metrics:
    """The metrics of one server, in a registry of their own."""

    def __init__(self) -> None:
        # Without them every counter and histogram shows a second series with the time of its creation.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        self._process_wide()
        self._edge()
        self._samples()
        self._learning()
        self._streams()
        self._store()

    def render(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return generate_latest(self.registry)

    def set_durability(self, level: str) -> None:
        """Say which durability level holds; the others read 0."""
        for other in DURABILITY_LEVELS:
            self.store_durability_info.labels(level=other).set(other == level)

    def set_engine(self, name: str, isa: str) -> None:
        """Say which engine runs, and with which instruction set."""
        self.engine_info.labels(engine=name, isa=isa).set(1)

    # --- the metrics -------------------------------------------------------------------------------------------------

    def _process_wide(self) -> None:
        self.build_info = self._gauge("build_info", "1, with what this server is made of", "version", "python", "torch")
        self.build_info.labels(
            version=_version("liquidstream"), python=platform.python_version(), torch=_version("torch")
        ).set(1)
        self.engine_info = self._gauge("engine_info", "1 for the engine that steps the streams", "engine", "isa")
        self.event_loop_lag_seconds = self._histogram(
            "event_loop_lag_seconds", "How late the event loop wakes a sleeper", LAT
        )

    def _edge(self) -> None:
        self.http_request_duration_seconds = self._histogram(
            "http_request_duration_seconds",
            "From a request's head to the end of its answer",
            LAT,
            "method",
            "route",
            "code",
        )
        self.http_requests_in_progress = self._gauge("http_requests_in_progress", "Requests that are being answered")
        self.requests_refused = self._counter(
            "requests_refused", "Requests refused before they were read, because too many were in progress", "reason"
        )
        _begin(self.requests_refused, "reason", "overloaded", "rate_limited")
        self.admission_limit = self._gauge(
            "admission_limit", "Requests that may be in progress now; it falls while the event loop is late"
        )
        self.connections_cut = self._counter("connections_cut", "Connections cut because they were overdue", "reason")
        self.http_request_body_bytes = self._histogram("http_request_body_bytes", "Size of request bodies", BYTES)
        self.ws_connections = self._gauge("ws_connections", "Open WebSocket connections")
        self.ws_messages = self._counter("ws_messages", "WebSocket messages", "direction")
        self.ws_close = self._counter("ws_close", "WebSocket connections that ended, by close code", "code")
        self.auth_failures = self._counter("auth_failures", "Requests refused at the door", "reason")

    def _samples(self) -> None:
        self.samples = self._counter("samples", "Samples: applied, duplicate or rejected", "model", "result")
        self.samples_rejected = self._counter("samples_rejected", "Samples refused, by the problem's code", "reason")
        self.labels = self._counter("labels", "Labels that came after their sample", "result")
        self.controls = self._counter(
            "controls", "Resets, freezes, rollbacks and the like: applied, duplicate or rejected", "control", "result"
        )
        self.step_duration_seconds = self._histogram(
            "step_duration_seconds", "A record's way: queue, append, step, and total", LAT, "model", "stage"
        )
        self.batch_size = self._histogram("batch_size", "Records stepped together", BATCH, "model")
        self.batch_duration_seconds = self._histogram(
            "batch_duration_seconds", "The engine's time for one micro-batch", LAT, "model"
        )
        self.queue_depth = self._gauge("queue_depth", "Records waiting to be stepped")
        self.queue_rejected = self._counter("queue_rejected", "Records refused because too many waited", "reason")
        _begin(self.queue_rejected, "reason", "overloaded", "rate_limited")

    def _learning(self) -> None:
        self.updates = self._counter("updates", "Weight updates: ok, or skipped by the guard", "model", "result")
        self.prequential_error = self._histogram(
            "prequential_error", "Error of a prediction in units of its target's running scale", ERRQ, "model"
        )
        self.prequential_error_ratio = self._gauge(
            "prequential_error_ratio",
            "Quantiles over the streams in memory of recent error over the naive one",
            "model",
            "quantile",
        )
        self.drift_events = self._counter("drift_events", "Drift alarms", "model", "detector")

    def _streams(self) -> None:
        self.streams = self._gauge("streams", "Streams in the store")
        self.streams_hot = self._gauge("streams_hot", "Streams in memory")
        self.state_bytes = self._gauge("state_bytes", "Memory of the streams' states")
        self.stream_bytes = self._gauge("stream_bytes", "Memory of one stream's state, on average", "model")
        self.memory_limit_bytes = self._gauge("memory_limit_bytes", "Memory that the streams' states may take")
        self.evictions = self._counter(
            "evictions",
            "Streams that left memory for others; memory_fresh: within seconds after they had come or changed",
            "reason",
        )
        for reason in EVICTION_REASONS:
            self.evictions.labels(reason=reason)
        self.hydrations = self._counter("hydrations", "Streams brought into memory")
        self.hydration_duration_seconds = self._histogram(
            "hydration_duration_seconds", "Bringing one stream into memory, with its replay", RECOV
        )
        self.replay_entries = self._counter("replay_entries", "Log entries stepped again when a stream came back")
        self.replay_duration_seconds = self._histogram(
            "replay_duration_seconds", "Stepping a stream's log again when it came back", RECOV
        )

    def _store(self) -> None:
        self.store_up = self._gauge("store_up", "1 while the store answers")
        self.store_durability_info = self._gauge("store_durability_info", "1 for the level that holds", "level")
        self.log_append_duration_seconds = self._histogram(
            "log_append_duration_seconds", "One append to the log, of a whole micro-batch", LAT
        )
        self.log_append_entries = self._counter("log_append_entries", "Records appended to the log")
        self.log_append_failures = self._counter("log_append_failures", "Appends that failed", "reason")
        self.snapshots = self._counter("snapshots", "Snapshots written")
        self.snapshot_duration_seconds = self._histogram(
            "snapshot_duration_seconds", "Writing one group of snapshots", LAT
        )
        self.snapshot_bytes = self._histogram("snapshot_bytes", "Size of a snapshot", BYTES)
        self.snapshot_age_seconds_max = self._gauge(
            "snapshot_age_seconds_max", "Age of the oldest snapshot of a stream in memory with newer records"
        )
        self.log_entries_since_snapshot_max = self._gauge(
            "log_entries_since_snapshot_max", "Records that the longest replay would have to step again"
        )
        self.shards_owned = self._gauge("shards_owned", "Shards that this server works on; 0 while it stands by")
        self.lease_renew_failures = self._counter("lease_renew_failures", "Times the lease could not be prolonged")
        self.store_rewound = self._counter(
            "store_rewound", "Times the store came back without what it had acknowledged"
        )
        self.store_mended_streams = self._counter("store_mended_streams", "Streams that it got again from memory")
        self.store_mended_records = self._counter("store_mended_records", "Records that it had lost of them")
        self.fenced_writes = self._counter("fenced_writes", "Writes refused because another owner had taken over")

    # --- how each is made --------------------------------------------------------------------------------------------

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(name, text, labels, namespace=PREFIX, registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(name, text, labels, namespace=PREFIX, registry=self.registry)

    def _histogram(self, name: str, text: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
        return Histogram(name, text, labels, namespace=PREFIX, registry=self.registry, buckets=buckets)


def _begin(counter: Counter, label: str, *values: str) -> None:
    """Show these series from the start, at zero: what is added to nothing is nothing for Prometheus."""
    for value in values:
        counter.labels(**{label: value})


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"


__all__ = ["BATCH", "CONTENT_TYPE", "DURABILITY_LEVELS", "ERRQ", "LAT", "RECOV", "Metrics"]
