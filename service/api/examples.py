"""Examples of what is sent and answered, as the OpenAPI document shows them; a test sends each to the routes."""

from __future__ import annotations

from typing import Any

from service.problems import Problem

STREAM_ID = "pump-7"

SPECS: dict[str, Any] = {
    "forecast": {"task": "forecast", "features": ["flow", "pressure"], "horizon": [1, 24]},
    "regression": {"task": "regression", "features": ["load", "speed"], "targets": ["temperature"], "cell": "ltc"},
    "classification": {"task": "classification", "features": ["x", "y", "z"], "classes": ["walking", "standing"]},
}

SAMPLES: dict[str, Any] = {
    "one": {"t": 1732406400.0, "x": [3.1, 0.82]},
    "numbered": {"t": "2024-11-24T00:01:00Z", "x": [3.2, None], "seq": 2},
    "many": {"samples": [{"t": 1732406520.0, "x": [3.3, 0.81]}, {"t": 1732406580.0, "x": [3.2, 0.80]}]},
}
LABELS: dict[str, Any] = {
    "one": {"seq": 1, "y": 71.5},
    "class": {"seq": 1, "y": "walking"},
    "many": {"labels": [{"seq": 1, "y": [71.5]}, {"seq": 2, "y": [71.9]}]},
}
CONTROLS: dict[str, Any] = {"at once": {}, "if nothing has come since": {"if_seq": 1}}
ROLLBACKS: dict[str, Any] = {"to": {"to": 1200}, "if nothing has come since": {"to": 1200, "if_seq": 1}}
FORKS: dict[str, Any] = {"fork": {"id": "pump-7-trial"}}
PATCHES: dict[str, Any] = {
    "tuned": {"learner": {"learning_rate": 0.001, "drift": {"kind": "adwin"}}},
    "another network": {"cell": {"kind": "ltc"}},
    "by default again": {"learner": {"learning_rate": None}},
}
PEEKS: dict[str, Any] = {"next": {}, "at": {"t": 1732410000.0, "x": [3.1, 0.82]}}

#: Lines of an ingest, and their answers.
LINES: list[dict[str, Any]] = [
    {"stream": "pump-7", "t": 1732406400.0, "x": [3.1, 0.82], "seq": 1},
    {"type": "sample", "stream": "meter", "t": 1732406401.0, "x": [0.4], "y": 71.5},
    {"type": "label", "stream": "meter", "seq": 1, "y": 71.5},
]

PREDICTIONS = [
    {"horizon": 1, "y": [3.2, 0.81], "median": [3.2, 0.8], "lower": [3.0, 0.79], "upper": [3.4, 0.83]},
    {"horizon": 24, "y": [2.9, 0.85], "median": [3.0, 0.84], "lower": [2.1, 0.7], "upper": [3.7, 1.0]},
]
SAMPLE_RESULT = {
    "seq": 1,
    "predictions": PREDICTIONS,
    "anomaly": 0.03,
    "drift": None,
    "duplicate": False,
    "durability": "fsync",
}
LABEL_RESULT = {"seq": 1, "anomaly": 0.03, "drift": None, "duplicate": False, "durability": "fsync"}
PREDICT_RESULT = {"last_seq": 1, "predictions": PREDICTIONS}

ANSWER_LINES: list[dict[str, Any]] = [
    {"type": "result", "for": "sample", "stream": "pump-7", **SAMPLE_RESULT},
    {"type": "result", "for": "label", "stream": "meter", **LABEL_RESULT},
]


def problem(code: str) -> dict[str, Any]:
    """How a problem with this code looks."""
    request_id = "8f14e45fceea167a"
    retry_after_s = 0.5 if code in ("rate_limited", "overloaded", "store_unavailable", "draining", "fenced") else None
    extensions = {"expected_seq": 8} if code == "seq_gap" else {}
    made = Problem(code, "What was wrong here, and what to do.", retry_after_s=retry_after_s, **extensions).as_dict()
    return made | {"instance": f"urn:liquidstream:request:{request_id}", "request_id": request_id}


__all__ = [
    "ANSWER_LINES",
    "CONTROLS",
    "FORKS",
    "LABELS",
    "LABEL_RESULT",
    "LINES",
    "PATCHES",
    "PEEKS",
    "PREDICTIONS",
    "PREDICT_RESULT",
    "ROLLBACKS",
    "SAMPLES",
    "SAMPLE_RESULT",
    "SPECS",
    "STREAM_ID",
    "problem",
]
