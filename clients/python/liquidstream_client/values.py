"""From what people have in hand to what the wire takes: times, values, labels.

NaN is a missing value and becomes `null`; an infinity is an error, here already.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypedDict

Time = float | int | str | datetime
#: One value a feature; `None` or NaN where it is missing. A numpy row will do.
Values = Iterable[float | None]
#: Regression: one number, or one a target. Classification: the class's name.
LabelValue = float | str | Sequence[float]


class Sample(TypedDict, total=False):
    """One sample as a plain dict: `t` and `x`, with `y` and `seq` where there are some."""

    t: Time
    x: Values
    y: LabelValue | None
    seq: int | None


def time_json(t: Time) -> float | str:
    """Seconds since the epoch, or RFC 3339 text as it came."""
    if isinstance(t, str):
        return t
    if isinstance(t, datetime):
        if t.tzinfo is None:
            raise ValueError("`t` is a datetime without a time zone: give it one, for example `tzinfo=timezone.utc`.")
        return t.timestamp()
    return _finite(float(t), "t")


def values_json(x: Values) -> list[float | None]:
    """`x` as JSON, missing values as `null`."""
    return [None if value is None or value != value else _finite(float(value), "x") for value in x]


def label_json(y: LabelValue) -> float | str | list[float]:
    """`y` as JSON."""
    if isinstance(y, str):
        return y
    if isinstance(y, Iterable):
        return [_finite(float(value), "y") for value in y]
    return _finite(float(y), "y")


def sample_json(sample: Mapping[str, Any] | Sample, seq: int | None = None) -> dict[str, Any]:
    """One sample as the wire takes it, numbered `seq` where that is given."""
    unknown = set(sample) - {"t", "x", "y", "seq"}
    if unknown:
        raise ValueError(f"a sample has `t`, `x`, `y` and `seq`, not {sorted(unknown)}")
    if "t" not in sample or "x" not in sample:
        raise ValueError("a sample needs `t` and `x`")
    body: dict[str, Any] = {"t": time_json(sample["t"]), "x": values_json(sample["x"])}
    if sample.get("y") is not None:
        body["y"] = label_json(sample["y"])  # type: ignore[arg-type]
    number = seq if seq is not None else sample.get("seq")
    if number is not None:
        body["seq"] = int(number)
    return body


def _finite(value: float, name: str) -> float:
    if not math.isfinite(value):
        raise ValueError(f"`{name}` must be finite: got {value}. Send `None` where a value of `x` is missing.")
    return value


__all__ = ["LabelValue", "Sample", "Time", "Values", "label_json", "sample_json", "time_json", "values_json"]
