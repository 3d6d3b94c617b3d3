"""From a stream's arrays to the answers that a client gets."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from liquid_core.control import NOT_KEPT
from liquid_core.learner.mix import EXPERTS, shares_in_answer
from liquid_core.spec import ModelSpec
from liquid_core.types import FloatArray
from service.messages import DriftSummary, ErrorSummary, LabelValue, Prediction


def predictions(
    spec: ModelSpec, prediction: FloatArray, median: FloatArray, half_width: FloatArray
) -> list[Prediction]:
    """Predictions of one sample: `prediction` and `half_width` are `(outputs,)`, `median` is `(medians,)`."""
    return predictions_of_many(spec, prediction[None], median[None], half_width[None])[0]


def predictions_of_many(
    spec: ModelSpec, prediction: FloatArray, median: FloatArray, half_width: FloatArray
) -> list[list[Prediction]]:
    """Predictions of each sample. Shapes are `(samples, outputs)`, and that of `median` is `(samples, medians)`.

    All arithmetic is done on whole arrays, for numpy takes as long for one number as for hundreds.
    """
    if spec.task == "classification":
        likeliest = prediction.argmax(axis=1).tolist()
        return [
            [Prediction(label=spec.classes[best], probabilities=dict(zip(spec.classes, each, strict=True)))]
            for best, each in zip(likeliest, prediction.tolist(), strict=True)
        ]
    horizons: tuple[int | None, ...] = spec.horizons or (None,)
    shape = (len(prediction), len(horizons), spec.num_targets)
    y, middle, half = prediction.reshape(shape), median.reshape(shape), half_width.reshape(shape)
    return [
        [
            Prediction(horizon=horizon, y=at, median=mid, lower=low, upper=high)
            for horizon, at, mid, low, high in zip(horizons, *of_sample, strict=True)
        ]
        for of_sample in zip(y.tolist(), middle.tolist(), (y - half).tolist(), (y + half).tolist(), strict=True)
    ]


def values(x: tuple[float, ...]) -> list[float | None]:
    """A sample's values as they came: `None` where one was missing."""
    return [None if math.isnan(value) else value for value in x]


def label(spec: ModelSpec, y: tuple[float, ...]) -> LabelValue:
    """A label as it came: the name of the class, or one number a target."""
    return spec.classes[int(y[0])] if spec.task == "classification" else list(y)


def score(value: float) -> float | None:
    """An anomaly score, or `None` for the core's "there is none"."""
    return None if value < 0 else float(value)


def detector(spec: ModelSpec, alarm: bool) -> str | None:
    """The name of the spec's drift detector where it raised an alarm."""
    return spec.learner.drift_spec.kind if alarm else None


def stored_answer(
    spec: ModelSpec, arrays: Mapping[str, NDArray[Any]], seq: int
) -> tuple[list[Prediction] | None, float | None, str | None] | None:
    """The answer that sample `seq` got, from a row's arrays; `None` where it is no longer kept.

    It has no predictions where these were about other targets than the spec's, which came after the sample.
    """
    found = np.flatnonzero(arrays["answers.seq"] == seq)
    if not len(found):
        return None
    slot = found[0]
    said = [arrays[f"answers.{name}"][slot] for name in ("prediction", "median", "half_width")]
    made = None if (said[-1] == NOT_KEPT).any() else predictions(spec, *said)
    return made, score(arrays["answers.anomaly"][slot]), detector(spec, bool(arrays["answers.drift"][slot]))


def errors(spec: ModelSpec, arrays: Mapping[str, NDArray[Any]]) -> list[ErrorSummary]:
    """Prequential errors by horizon, from a row's arrays."""
    horizons: tuple[int | None, ...] = spec.horizons or (None,)
    summaries = []
    shares_by_output = shares_in_answer(arrays["mix.share"], arrays["mix.trust"])
    experts = shares_by_output.reshape(len(EXPERTS), len(horizons), -1).mean(axis=2)
    for index, horizon in enumerate(horizons):
        shares = dict(zip(EXPERTS, experts[:, index].tolist(), strict=True))
        count = int(arrays["metrics.count"][index])
        column = {name: float(arrays[f"metrics.{name}"][index]) for name in ("total", "total_naive")}
        recent = {name: float(arrays[f"metrics.{name}"][index]) for name in ("recent", "recent_naive")}
        summaries.append(
            ErrorSummary(
                horizon=horizon,
                count=count,
                mean=column["total"] / count if count else None,
                recent=recent["recent"] if count else None,
                naive_mean=column["total_naive"] / count if count else None,
                naive_recent=recent["recent_naive"] if count else None,
                shares={"naive": 1.0 - sum(shares.values())} | shares,
            )
        )
    return summaries


def drift(arrays: Mapping[str, NDArray[Any]]) -> DriftSummary:
    events = int(arrays["stream.drifts"])
    return DriftSummary(events=events, last_seq=int(arrays["stream.last_drift_seq"]) if events else None)


__all__ = [
    "detector",
    "drift",
    "errors",
    "label",
    "predictions",
    "predictions_of_many",
    "score",
    "stored_answer",
    "values",
]
