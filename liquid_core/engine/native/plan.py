"""What the kernels must know of a spec, worked out once: sizes, offsets, and the order in which things are walked.

Everything is plain numbers and integer arrays; `plan_storage.h` reads them, `plan.h` says what each is for.
"""

from __future__ import annotations

from typing import Any

from liquid_core.engine.anatomy import ANSWERS_KEPT, num_inputs
from liquid_core.engine.layout import StateLayout
from liquid_core.engine.native.blueprint import Blueprint
from liquid_core.engine.native.cfc_plan import cfc_plan
from liquid_core.engine.native.drift_plan import drift_plan
from liquid_core.engine.native.ltc_plan import ltc_plan
from liquid_core.learner.mix import num_losses
from liquid_core.learner.sizes import Sizes
from liquid_core.learner.window import Window, stretches_for
from liquid_core.spec import CfCSpec, LTCSpec, ModelSpec
from liquid_core.wiring import BuiltWiring

_TASKS = ("forecast", "regression", "classification")


def make_plan(spec: ModelSpec, blueprint: Blueprint, sizes: Sizes, layout: StateLayout, width: int) -> dict[str, Any]:
    """The kernels' plan.

    Parameters
    ----------
    blueprint, sizes, layout
        The spec's.
    width
        Lanes of a vector of the kernels' type.
    """
    learner = spec.learner
    return {
        "offsets": {field.name: field.offset for field in layout.fields},
        "row_bytes": layout.row_bytes,
        "task": _TASKS.index(spec.task),
        "features": spec.num_features,
        "targets": spec.num_targets,
        "outputs": spec.num_outputs,
        "inputs": num_inputs(spec),
        "medians": spec.num_medians,
        "mix_losses": num_losses(values=spec.num_medians > 0),
        "tracks": spec.num_tracks,
        "season_length": learner.season_window + 1,
        "horizons": spec.horizons or (1,),
        "target_columns": spec.target_columns or (0,),
        "window_length": Window.length_for(spec),
        "stretches": _stretches(spec),
        "answers_kept": ANSWERS_KEPT,
        "warmup": learner.warmup,
        "learning_rate": learner.learning_rate,
        "readout_rate": learner.readout_rate,
        "forgetting": learner.forgetting,
        "autoregression_forgetting": learner.autoregression_forgetting,
        "drift_inflation": learner.drift_inflation,
        "beta1": learner.beta1,
        "beta2": learner.beta2,
        "epsilon": learner.epsilon,
        "clip_norm": learner.clip_norm,
        "scaler_rate": learner.scaler_rate,
        "coverage": learner.coverage,
        "drift": drift_plan(learner.drift_spec),
        "state_size": sizes.state_size,
        "output_size": sizes.output_size,
        "num_params": sizes.num_params,
        "readout_features": sizes.readout_features,
        "linear_features": sizes.linear_features,
        "exact_readout": sizes.exact_readout,
        "exact_linear": sizes.exact_linear,
    } | _cell(spec, blueprint, width)


def _stretches(spec: ModelSpec) -> list[dict[str, Any]]:
    horizons = spec.horizons or (0,)
    return [
        {
            "first": stretch.first,
            "length": len(stretch),
            "first_horizon": horizons.index(stretch.horizons[0]),
            "anchors": [-horizon - stretch.first for horizon in stretch.horizons],
        }
        for stretch in stretches_for(spec)
    ]


def _cell(spec: ModelSpec, blueprint: Blueprint, width: int) -> dict[str, Any]:
    kind, cell, places = spec.cell_spec, blueprint.cell, blueprint.places
    if isinstance(kind, LTCSpec):
        assert isinstance(cell, BuiltWiring)
        return ltc_plan(kind, cell, places, width)
    assert not isinstance(cell, BuiltWiring)
    activation = kind.activation if isinstance(kind, CfCSpec) else None
    return {"cfc": cfc_plan(cell, activation, places, blueprint.num_params, width), "positive": []}


__all__ = ["make_plan"]
