"""What a stream consists of: the arrays of every learner part, by name."""

from __future__ import annotations

import numpy as np
from numpy.typing import DTypeLike

from liquid_core.engine.layout import StateLayout, layout_of
from liquid_core.learner import conformal, readout, rls
from liquid_core.learner.adam import Adam
from liquid_core.learner.anomaly import Anomaly
from liquid_core.learner.calendar import WAVES
from liquid_core.learner.clock import Clock
from liquid_core.learner.drift import detector_for
from liquid_core.learner.experts import AUTOREGRESSION_WIDTH
from liquid_core.learner.guess import Guess
from liquid_core.learner.history import History
from liquid_core.learner.metrics import Prequential
from liquid_core.learner.mix import Mix
from liquid_core.learner.part import ArraySpec
from liquid_core.learner.residual import Residual
from liquid_core.learner.scaler import INPUTS_PER_FEATURE, Scaler
from liquid_core.learner.season import Season
from liquid_core.learner.sizes import Sizes
from liquid_core.learner.surge import Surge
from liquid_core.learner.upset import Upset, kept_sizes
from liquid_core.learner.window import Window
from liquid_core.spec import ModelSpec

#: Answers kept for clients that ask again.
ANSWERS_KEPT = 64


def num_inputs(spec: ModelSpec) -> int:
    """Width of what the cell sees."""
    return INPUTS_PER_FEATURE * spec.num_features + WAVES


def layout_for(spec: ModelSpec, sizes: Sizes, real: DTypeLike) -> StateLayout:
    """The row of one stream.

    Parameters
    ----------
    sizes
        Of the spec's network.
    real
        Type of weights and hidden states; everything that is counted, averaged or answered is float64.
    """
    parts: dict[str, dict[str, ArraySpec]] = {
        "stream": _counters(),
        "clock": Clock.arrays(),
        "scaler": Scaler.arrays(spec.num_features),
        "residual": Residual.arrays(spec.num_outputs),
        "history": History.arrays(spec.num_tracks),
        "season": Season.arrays(spec.learner.season_window + 1, spec.num_tracks),
        "guess": Guess.arrays(spec.num_tracks),
        "mix": Mix.arrays(spec.num_outputs, values=spec.num_medians > 0),
        "autoregression": {"weights": ArraySpec(np.float64, (spec.num_outputs, AUTOREGRESSION_WIDTH))}
        | rls.arrays(spec.num_outputs, AUTOREGRESSION_WIDTH),
        "conformal": conformal.arrays(spec.num_outputs),
        "anomaly": Anomaly.arrays(spec.num_tracks),
        "metrics": Prequential.arrays(max(1, len(spec.horizons))),
        "surge": Surge.arrays(),
        "drift": detector_for(spec.learner.drift_spec).arrays(spec.learner.drift_spec),
        "network": {"weights": ArraySpec(real, (sizes.num_params,))},
        "adam": Adam.arrays(sizes.num_params, real),
        "linear": {"weights": ArraySpec(np.float64, (spec.num_outputs, sizes.linear_features))}
        | rls.arrays(max(1, len(spec.horizons)), sizes.linear_features if sizes.exact_linear else 0),
        "readout": readout.arrays(spec.num_outputs, sizes.readout_features, real)
        | rls.arrays(max(1, len(spec.horizons)), sizes.readout_features if sizes.exact_readout else 0),
        "window": Window.arrays(spec, num_inputs(spec), sizes.state_size, real),
        "answers": _answers(spec),
    }
    named = {f"{part}.{name}": array for part, arrays in parts.items() for name, array in arrays.items()}
    kept = sum(kept_sizes(named))
    return layout_of(named | {f"upset.{name}": array for name, array in Upset.arrays(kept).items()})


def _counters() -> dict[str, ArraySpec]:
    names = ("records", "samples", "labels", "seq", "updates", "skipped", "hidden_resets", "drifts", "last_drift_seq")
    return {name: ArraySpec(np.int64) for name in names} | {
        "last_t": ArraySpec(np.float64),
        "frozen": ArraySpec(np.bool_),
    }


def _answers(spec: ModelSpec) -> dict[str, ArraySpec]:
    """The last answers, so that a repeated sample gets the same one; `fingerprint` tells a repeat from a conflict."""
    return {
        "seq": ArraySpec(np.int64, (ANSWERS_KEPT,)),
        "fingerprint": ArraySpec(np.int64, (ANSWERS_KEPT,)),
        "prediction": ArraySpec(np.float64, (ANSWERS_KEPT, spec.num_outputs)),
        "median": ArraySpec(np.float64, (ANSWERS_KEPT, spec.num_medians)),
        "half_width": ArraySpec(np.float64, (ANSWERS_KEPT, spec.num_outputs)),
        "anomaly": ArraySpec(np.float64, (ANSWERS_KEPT,), -1.0),
        "drift": ArraySpec(np.bool_, (ANSWERS_KEPT,)),
    }


__all__ = ["ANSWERS_KEPT", "layout_for", "num_inputs"]
