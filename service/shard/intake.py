"""From what a client sent to what a stream can apply: times, missing values and labels in the core's terms."""

from __future__ import annotations

import math
from datetime import datetime

from liquid_core.spec import ModelSpec
from service.messages import LabelValue
from service.problems import Problem


def seconds(t: float | str) -> float:
    """Seconds since the epoch of `t`: a number as it is, or RFC 3339 text with an offset."""
    if not isinstance(t, str):
        return float(t)
    try:
        moment = datetime.fromisoformat(t)
    except ValueError:
        raise Problem(
            "invalid", "`t` must be a number of seconds or RFC 3339 text such as 2026-01-31T12:00:00Z."
        ) from None
    if moment.tzinfo is None:
        raise Problem("invalid", "`t` as text must carry its offset, such as Z or +01:00.")
    return moment.timestamp()


def values(x: list[float | None]) -> tuple[float, ...]:
    """One float a feature, NaN for `null`."""
    return tuple(math.nan if value is None else float(value) for value in x)


def label(y: LabelValue, spec: ModelSpec) -> tuple[float, ...]:
    """A label as the core takes it: one float a target, or the index of the class."""
    if spec.task == "classification":
        if not isinstance(y, str):
            raise Problem("label_invalid", "the label of a classification is the name of a class, as text.")
        if y not in spec.classes:
            raise Problem("label_invalid", "the label is not one of the spec's classes.")
        return (float(spec.classes.index(y)),)
    if isinstance(y, str):
        raise Problem("label_invalid", "the label must be a number, or a list of one number a target.")
    return tuple(float(value) for value in y) if isinstance(y, list) else (float(y),)


__all__ = ["label", "seconds", "values"]
