"""What a step gives back for every record."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from liquid_core.spec import ModelSpec
from liquid_core.types import BoolArray, FloatArray


class Update(IntEnum):
    """What the learner did with a record."""

    NONE = 0
    APPLIED = 1
    SKIPPED = 2  # undone by the guard


@dataclass(frozen=True, slots=True)
class StepResults:
    """One entry a record, in the records' order; -1 stands for "there is none"."""

    #: `(records, outputs)`: values in the targets' own units, or class probabilities; zero for labels.
    prediction: FloatArray
    #: Of values their median, where `prediction` is more of a mean, `(records, medians)`; there is none of classes.
    median: FloatArray
    #: Half-width of the interval around each prediction, `(records, outputs)`.
    half_width: FloatArray
    #: Score in [0, 1) of how unusual the target that arrived is, `(records,)`.
    anomaly: FloatArray
    #: Error of the answer in running scales, `(records,)`.
    surprise: FloatArray
    #: Drift alarms, `(records,)`.
    drift: BoolArray
    #: `Update` values, `(records,)`.
    update: NDArray[np.int8]

    @staticmethod
    def empty(num_records: int, spec: ModelSpec) -> StepResults:
        return StepResults(
            prediction=np.zeros((num_records, spec.num_outputs)),
            median=np.zeros((num_records, spec.num_medians)),
            half_width=np.zeros((num_records, spec.num_outputs)),
            anomaly=np.full(num_records, -1.0),
            surprise=np.full(num_records, -1.0),
            drift=np.zeros(num_records, dtype=np.bool_),
            update=np.zeros(num_records, dtype=np.int8),
        )


__all__ = ["StepResults", "Update"]
