"""Specs of every cell, head and option that the kernels know, drawn by hypothesis."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from liquid_core import ModelSpec
from liquid_core.spec import (
    AdwinSpec,
    AutoNCPSpec,
    CfCSpec,
    FullyConnectedSpec,
    LearnerSpec,
    LTCSpec,
    NoDriftSpec,
    PageHinkleySpec,
    RandomSpec,
    WindowTestSpec,
    WiredCfCSpec,
)

modes = st.sampled_from(["default", "no_gate", "pure"])
mappings = st.sampled_from(["none", "linear", "affine"])

cfc = st.builds(
    CfCSpec,
    units=st.integers(1, 20),
    mode=modes,
    backbone_units=st.integers(1, 20),
    backbone_layers=st.integers(0, 3),
    activation=st.sampled_from(["silu", "relu", "tanh", "gelu", "lecun_tanh"]),
)
ltc = st.builds(
    LTCSpec,
    ode_unfolds=st.integers(1, 4),
    constraints=st.sampled_from(["implicit", "explicit"]),
    input_mapping=mappings,
    output_mapping=mappings,
)
seeds = st.integers(0, 50)


@st.composite
def wirings(draw: st.DrawFn) -> Any:
    """Any wiring, up to twenty neurons."""
    units = draw(st.integers(4, 20))
    kind = draw(st.sampled_from(["auto_ncp", "random", "fully_connected"]))
    if kind == "auto_ncp":
        return AutoNCPSpec(units=units, outputs=draw(st.integers(1, units - 3)), seed=draw(seeds))
    outputs = draw(st.integers(1, units))
    if kind == "random":
        sparsity = draw(st.sampled_from([0.0, 0.5, 0.9]))
        return RandomSpec(units=units, outputs=outputs, sparsity=sparsity, seed=draw(seeds))
    return FullyConnectedSpec(units=units, outputs=outputs, self_connections=draw(st.booleans()), seed=draw(seeds))


@st.composite
def cells(draw: st.DrawFn) -> dict[str, Any]:
    """Cell and wiring."""
    kind = draw(st.sampled_from(["cfc", "wired_cfc", "ltc", "ltc"]))
    if kind == "cfc":
        return {"cell": draw(cfc)}
    cell = WiredCfCSpec(mode=draw(modes)) if kind == "wired_cfc" else draw(ltc)
    return {"cell": cell, "wiring": draw(wirings())}


@st.composite
def tasks(draw: st.DrawFn) -> dict[str, Any]:
    """Task, features and heads: near and far horizons, one target or several, classes."""
    features = tuple("abcd"[: draw(st.integers(1, 4))])
    task = draw(st.sampled_from(["forecast", "regression", "classification"]))
    if task == "forecast":
        horizon = draw(st.lists(st.integers(1, 12), min_size=1, max_size=3, unique=True))
        targets = draw(st.sampled_from([(), features[-1:]]))
        return {"task": task, "features": features, "horizon": tuple(horizon), "targets": targets}
    if task == "regression":
        return {"task": task, "features": features, "targets": tuple("uvw"[: draw(st.integers(1, 3))])}
    return {"task": task, "features": features, "classes": tuple("rgby"[: draw(st.integers(2, 4))])}


#: Detectors that alarm within a few samples.
drifts = st.sampled_from(
    [
        PageHinkleySpec(min_samples=3, threshold=0.5, delta=0.01, mode="both"),
        AdwinSpec(delta=1.0, clock=2, max_buckets=1, min_window_length=1, grace_period=2, levels=2, mode="both"),
        WindowTestSpec(alpha=0.5, window=5, recent=2, clock=1, mode="both"),
        NoDriftSpec(),
    ]
)
learners = st.builds(
    LearnerSpec,
    window=st.integers(1, 6),
    warmup=st.integers(0, 3),
    learning_rate=st.sampled_from([1e-3, 0.02]),
    clip_norm=st.sampled_from([0.05, 1.0, 1e6]),
    label_horizon=st.just(6),
    coverage=st.sampled_from([0.5, 0.9]),
    readout=st.sampled_from(["auto", "rls", "lms"]),
    forgetting=st.sampled_from([0.9, 0.9995, 1.0]),
    autoregression_forgetting=st.sampled_from([0.95, 1.0]),
    season_window=st.sampled_from([8, 20, 336]),
    drift=drifts,
)


@st.composite
def specs(draw: st.DrawFn) -> ModelSpec:
    """Whole models; times may stand still."""
    return ModelSpec(learner=draw(learners), late="clamp", seed=draw(seeds), **draw(tasks()), **draw(cells()))
