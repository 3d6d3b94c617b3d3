"""What the kernels must know of a spec, worked out once: sizes, offsets, and the order in which things are walked.

Everything is plain numbers and integer arrays; `plan_storage.h` reads them, `plan.h` says what each is for.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from liquid_core.cells import CfCCell, LTCCell, WiredCfCCell
from liquid_core.engine.anatomy import ANSWERS_KEPT, num_inputs
from liquid_core.engine.layout import StateLayout
from liquid_core.engine.native.cfc_plan import cfc_plan
from liquid_core.engine.native.drift_plan import drift_plan
from liquid_core.engine.native.ltc_plan import ltc_plan
from liquid_core.errors import EngineUnavailableError
from liquid_core.learner.network import Network
from liquid_core.learner.window import Window, stretches_for
from liquid_core.spec import CfCSpec, ModelSpec

_TASKS = ("forecast", "regression", "classification")


def make_plan(spec: ModelSpec, network: Network, layout: StateLayout, width: int) -> dict[str, Any]:
    """The kernels' plan.

    Parameters
    ----------
    network, layout
        The spec's, as the reference engine has them.
    width
        Lanes of a vector of the kernels' type.

    Raises
    ------
    EngineUnavailableError
        No kernel knows the spec's cell.
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
        "state_size": network.state_size,
        "output_size": network.cell.output_size,
        "num_params": network.packing.size,
        "readout_features": network.readout_features,
        "linear_features": network.linear_features,
        "exact_readout": network.exact_readout,
        "exact_linear": network.exact_linear,
    } | _cell(spec, network, width)


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


def _cell(spec: ModelSpec, network: Network, width: int) -> dict[str, Any]:
    cell = network.cell
    places = {name: value.numpy().astype(np.int32) for name, value in network.packing.places().items()}
    if isinstance(cell, CfCCell | WiredCfCCell):
        layers = (
            {"": cell} if isinstance(cell, CfCCell) else {f"layer_{i}.": layer for i, layer in enumerate(cell.layers)}
        )
        activation = spec.cell_spec.activation if isinstance(spec.cell_spec, CfCSpec) else None
        return {"cfc": cfc_plan(layers, activation, places, network.packing.size, width), "positive": []}
    if isinstance(cell, LTCCell):
        return ltc_plan(cell, places, width)
    raise EngineUnavailableError(f"there are no native kernels for {type(cell).__name__}; it runs on the torch engine.")


__all__ = ["make_plan"]
