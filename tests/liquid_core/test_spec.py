"""ModelSpec: one line makes a working stream, every refusal names its field, one form for one model."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from liquid_core import ModelSpec, SpecError
from liquid_core.spec import (
    MAX_FEATURES,
    AutoNCPSpec,
    CfCSpec,
    FullyConnectedSpec,
    LearnerSpec,
    LTCSpec,
    NCPSpec,
    PageHinkleySpec,
    RandomSpec,
    WiredCfCSpec,
    WiringSpec,
)
from liquid_core.wiring import from_spec

FORECAST = {"task": "forecast", "features": ["flow", "pressure"]}
REGRESSION = {"task": "regression", "features": ["flow"], "targets": ["load"]}
CLASSIFICATION = {"task": "classification", "features": ["flow"], "classes": ["calm", "loud"]}


def read(spec: dict[str, Any]) -> ModelSpec:
    return ModelSpec.from_json(json.dumps(spec))


# --- what follows from a few words -----------------------------------------------------------------------------------


def test_one_line_makes_a_forecast() -> None:
    """Task and features are enough: all features one sample ahead, by a dense CfC."""
    spec = ModelSpec.from_json('{"task": "forecast", "features": ["flow", "pressure"]}')

    assert (spec.targets, spec.horizons, spec.num_outputs) == (("flow", "pressure"), (1,), 2)
    assert spec.cell_spec == CfCSpec()
    assert spec.wiring_spec is None
    assert spec.learner == LearnerSpec()
    assert (spec.late, spec.gaps, spec.seed) == ("reject", "reject", 0)


def test_outputs_are_horizons_times_targets() -> None:
    """A forecast of a subset says where in `x` its targets stand; horizons come ascending."""
    spec = read(FORECAST | {"targets": ["pressure"], "horizon": [24, 1]})

    assert spec.horizons == (1, 24)
    assert spec.target_columns == (1,)
    assert (spec.num_features, spec.num_targets, spec.num_outputs) == (2, 1, 2)


def test_a_regression_has_an_output_a_target() -> None:
    """Labels come from outside: no horizons, no columns."""
    spec = read(REGRESSION | {"targets": ["load", "heat"]})

    assert (spec.num_targets, spec.num_outputs) == (2, 2)
    assert (spec.horizons, spec.target_columns) == ((), ())


def test_a_classification_has_an_output_a_class() -> None:
    """Its label is one number, the class's index."""
    spec = read(CLASSIFICATION | {"classes": ["a", "b", "c"]})

    assert (spec.num_targets, spec.num_outputs) == (1, 3)


@pytest.mark.parametrize(
    ("shorthand", "cell", "wiring"),
    [("cfc", CfCSpec(), None), ("wired_cfc", WiredCfCSpec(), AutoNCPSpec()), ("ltc", LTCSpec(), AutoNCPSpec())],
)
def test_a_cells_name_stands_for_its_defaults(shorthand: str, cell: Any, wiring: WiringSpec | None) -> None:
    """The shorthand, the kind alone and every setting spelled out are the same spec with the same digest."""
    short, long = read(FORECAST | {"cell": shorthand}), read(FORECAST | {"cell": {"kind": shorthand}})
    full = ModelSpec(task="forecast", features=("flow", "pressure"), cell=cell, wiring=wiring)

    assert short == long == full
    assert short.digest == long.digest == full.digest
    assert (short.cell_spec, short.wiring_spec) == (cell, wiring)


@pytest.mark.parametrize("spec", [FORECAST, REGRESSION, CLASSIFICATION])
def test_one_horizon_is_a_list_of_one(spec: dict[str, Any]) -> None:
    """`1` and `[1]` are the same horizon, and the same model."""
    assert read(spec | {"horizon": 1}).digest == read(spec | {"horizon": [1]}).digest == read(spec).digest


def test_a_digest_stays_what_it_was() -> None:
    """Stored states are found by it: this changes only with the format of specs."""
    spec = read(FORECAST)

    assert spec.digest == read(json.loads(spec.to_json())).digest
    assert json.loads(spec.to_json())["cell"] == {
        "kind": "cfc",
        "units": 32,
        "mode": "default",
        "backbone_units": 64,
        "backbone_layers": 1,
        "activation": "lecun_tanh",
        "mixed_memory": False,
    }


def test_any_change_changes_the_digest() -> None:
    """No two models share a digest."""
    changes: list[dict[str, Any]] = [
        {},
        {"seed": 1},
        {"horizon": 2},
        {"targets": ["flow"]},
        {"cell": "ltc"},
        {"cell": {"kind": "cfc", "units": 31}},
        {"learner": {"window": 15}},
        {"learner": {"drift": {"kind": "page_hinkley", "delta": 0.06}}},
        {"learner": {"drift": "adwin"}},
        {"learner": {"drift": {"kind": "adwin", "clock": 16}}},
        {"learner": {"drift": "window_test"}},
        {"learner": {"drift": "none"}},
        {"late": "clamp"},
        {"gaps": "allow"},
    ]

    assert len({read(FORECAST | change).digest for change in changes}) == len(changes)


def test_a_spec_is_immutable() -> None:
    """What was checked once stays true."""
    with pytest.raises(AttributeError):
        read(FORECAST).seed = 3  # type: ignore[misc]


# --- refusals --------------------------------------------------------------------------------------------------------

NCP = {
    "kind": "ncp",
    "inter_neurons": 6,
    "command_neurons": 4,
    "motor_neurons": 2,
    "sensory_fanout": 3,
    "inter_fanout": 2,
    "recurrent_command_synapses": 4,
    "motor_fanin": 2,
}
WIRED = FORECAST | {"cell": "ltc"}
LEARNER_LIMITS = {
    "window": (0, 257),
    "learning_rate": (-1e-9, 1.1),
    "readout_rate": (-0.1, 1.1),
    "beta1": (-0.1, 1.0),
    "beta2": (-0.1, 1.0),
    "epsilon": (0.0, 0.1),
    "clip_norm": (0.0, 1e7),
    "warmup": (-1, 100_001),
    "scaler_rate": (0.0, 0.6),
    "label_horizon": (0, 4097),
    "coverage": (0.4, 1.0),
}
DRIFT_LIMITS = {
    "page_hinkley": {
        "min_samples": (0, 1_000_001),
        "delta": (-0.1, 101.0),
        "threshold": (0.0, 1e7),
        "alpha": (0.4, 1.1),
    },
    "adwin": {
        "delta": (0.0, 1.1),
        "clock": (0, 1_000_001),
        "max_buckets": (0, 33),
        "min_window_length": (0, 1_000_001),
        "grace_period": (-1, 1_000_001),
        "levels": (1, 33),
    },
    "window_test": {
        "alpha": (0.0, 0.6),
        "window": (1, 513),
        "recent": (0, 100),
        "clock": (0, 1_000_001),
    },
}


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"features": ["a"]}, "missing required field `task`"),
        ({"task": "forecast"}, "missing required field `features`"),
        (FORECAST | {"task": "dream"}, "Invalid enum value 'dream' - at `\\$.task`"),
        (FORECAST | {"features": []}, "`features` must name 1 to 256 values: got 0"),
        (FORECAST | {"features": ["a"] * 2}, "`features` names a value twice"),
        (FORECAST | {"features": [""]}, "`features` holds a name that is empty"),
        (FORECAST | {"features": ["a" * 129]}, "`features` holds a name that is empty or longer than 128"),
        (FORECAST | {"features": [f"f{n}" for n in range(MAX_FEATURES + 1)]}, "`features` must name 1 to 256"),
        (FORECAST | {"features": [1]}, "Expected `str`, got `int` - at `\\$.features\\[0\\]`"),
        (FORECAST | {"targets": ["speed"]}, "`targets` of a forecast must be among its `features`: \\['speed'\\]"),
        (FORECAST | {"targets": ["flow", "flow"]}, "`targets` names a value twice"),
        (FORECAST | {"horizon": []}, "`horizon` must name at least one"),
        (FORECAST | {"horizon": 0}, "`horizon` must lie in \\[1, 1024\\]: got 0"),
        (FORECAST | {"horizon": [1, 1025]}, "`horizon` must lie in \\[1, 1024\\]: got 1025"),
        (FORECAST | {"horizon": [2, 2]}, "`horizon` names a number twice"),
        (FORECAST | {"horizon": True}, "got `bool` - at `\\$.horizon`"),
        (FORECAST | {"horizon": 1.5}, "got `float` - at `\\$.horizon`"),
        (FORECAST | {"horizon": list(range(1, 514))}, "predicts at most 1024 values: got 1026"),
        (FORECAST | {"classes": ["a", "b"]}, "`classes` belongs to `task: classification`"),
        (REGRESSION | {"horizon": 2}, "`horizon` belongs to `task: forecast`"),
        (REGRESSION | {"targets": []}, "`targets` must name 1 to 256 values"),
        (CLASSIFICATION | {"classes": ["calm"]}, "`classes` must name 2 to 1024 values: got 1"),
        (CLASSIFICATION | {"classes": ["calm", "calm"]}, "`classes` names a value twice"),
        (CLASSIFICATION | {"targets": ["a"]}, "`targets` does not belong to `task: classification`"),
        (FORECAST | {"cell": "lstm"}, "Invalid enum value 'lstm' - at `\\$.cell`"),
        (FORECAST | {"cell": {"kind": "lstm"}}, "Invalid value 'lstm' - at `\\$.cell.kind`"),
        (FORECAST | {"cell": {"kind": "cfc", "units": 513}}, "`cell.units` must lie in \\[1, 512\\]: got 513"),
        (FORECAST | {"cell": {"kind": "cfc", "backbone_units": 0}}, "`cell.backbone_units`"),
        (FORECAST | {"cell": {"kind": "cfc", "backbone_layers": 5}}, "`cell.backbone_layers`"),
        (FORECAST | {"cell": {"kind": "cfc", "activation": "selu"}}, "\\$.cell.activation"),
        (FORECAST | {"cell": {"kind": "ltc", "ode_unfolds": 65}}, "`cell.ode_unfolds`"),
        (FORECAST | {"cell": {"kind": "ltc", "color": 1}}, "unknown field `color` - at `\\$.cell`"),
        (FORECAST | {"wiring": {"kind": "auto_ncp"}}, "`wiring` does not belong to cell `cfc`"),
        (WIRED | {"wiring": {"kind": "fully_connected", "units": 513}}, "`wiring.units` must lie in \\[1, 512\\]"),
        (WIRED | {"wiring": {"kind": "fully_connected", "units": 4, "outputs": 5}}, "`wiring.outputs`"),
        (WIRED | {"wiring": {"kind": "fully_connected", "seed": -1}}, "`wiring.seed`"),
        (WIRED | {"wiring": {"kind": "random", "units": 0}}, "`wiring.units`"),
        (WIRED | {"wiring": {"kind": "random", "sparsity": 1.0}}, "`wiring.sparsity`"),
        (WIRED | {"wiring": {"kind": "auto_ncp", "units": 3}}, "`wiring.units`"),
        (WIRED | {"wiring": {"kind": "auto_ncp", "units": 8}}, "`wiring.outputs` must lie in \\[1, 5\\]: got 8"),
        (WIRED | {"wiring": {"kind": "auto_ncp", "sparsity": 0.0}}, "`wiring.sparsity`"),
        (WIRED | {"wiring": {"kind": "ncp"}}, "missing required field `inter_neurons` - at `\\$.wiring`"),
        (WIRED | {"wiring": NCP | {"inter_neurons": 0}}, "`wiring.inter_neurons`"),
        (WIRED | {"wiring": NCP | {"sensory_fanout": 7}}, "`wiring.sensory_fanout` must lie in \\[1, 6\\]: got 7"),
        (WIRED | {"wiring": NCP | {"inter_fanout": 5}}, "`wiring.inter_fanout`"),
        (WIRED | {"wiring": NCP | {"motor_fanin": 5}}, "`wiring.motor_fanin`"),
        (WIRED | {"wiring": NCP | {"recurrent_command_synapses": 10**9}}, "`wiring.recurrent_command_synapses`"),
        (WIRED | {"wiring": NCP | {"inter_neurons": 512}}, "`wiring` may hold 512 neurons"),
        (FORECAST | {"learner": {"optimizer": "adam"}}, "unknown field `optimizer` - at `\\$.learner`"),
        (FORECAST | {"learner": {"drift": {"kind": "adwin", "mode": "side"}}}, "\\$.learner.drift.mode"),
        (
            FORECAST | {"learner": {"drift": {"threshold": 25}}},
            "missing required field `kind` - at `\\$.learner.drift`",
        ),
        (FORECAST | {"learner": {"drift": {"kind": "none", "mode": "up"}}}, "unknown field `mode`"),
        (FORECAST | {"learner": {"drift": {"kind": "adwin", "threshold": 25}}}, "unknown field `threshold`"),
        (
            FORECAST | {"learner": {"drift": {"kind": "window_test", "recent": 1}}},
            "`learner.drift.recent` are too small",
        ),
        (FORECAST | {"learner": {"drift": "ddm"}}, "Invalid enum value 'ddm' - at `\\$.learner.drift`"),
        (FORECAST | {"late": "ignore"}, "\\$.late"),
        (FORECAST | {"gaps": "fill"}, "\\$.gaps"),
        (FORECAST | {"seed": -1}, "`seed` must lie in"),
        (FORECAST | {"seed": 2**32}, "`seed` must lie in"),
        (FORECAST | {"color": "red"}, "unknown field `color`"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_refusal_names_its_field(spec: dict[str, Any], message: str) -> None:
    """A spec that cannot be is a `SpecError` that says where it is wrong."""
    with pytest.raises(SpecError, match=message):
        read(spec)


@pytest.mark.parametrize("side", [0, 1], ids=["below", "above"])
@pytest.mark.parametrize("field", LEARNER_LIMITS)
def test_learner_settings_have_bounds(field: str, side: int) -> None:
    """Each setting is refused below and above its range, by its full name."""
    with pytest.raises(SpecError, match=rf"`learner\.{field}` must lie in \["):
        read(FORECAST | {"learner": {field: LEARNER_LIMITS[field][side]}})


@pytest.mark.parametrize("side", [0, 1], ids=["below", "above"])
@pytest.mark.parametrize(("kind", "field"), [(kind, field) for kind in DRIFT_LIMITS for field in DRIFT_LIMITS[kind]])
def test_drift_settings_have_bounds(kind: str, field: str, side: int) -> None:
    """The same, for every detector."""
    drift = {"kind": kind, field: DRIFT_LIMITS[kind][field][side]}

    with pytest.raises(SpecError, match=rf"`learner\.drift\.{field}` must lie in \["):
        read(FORECAST | {"learner": {"drift": drift}})


@pytest.mark.parametrize("kind", ["page_hinkley", "adwin", "window_test", "none"])
def test_a_detector_may_be_named_in_short(kind: str) -> None:
    """Its name stands for its default settings; both are one model."""
    short, long = (read(FORECAST | {"learner": {"drift": drift}}) for drift in (kind, {"kind": kind}))

    assert short == long
    assert short.digest == long.digest
    assert short.learner.drift_spec.kind == kind
    assert json.loads(short.to_json())["learner"]["drift"]["kind"] == kind
    assert ModelSpec.from_json(short.to_json()) == short


def test_the_detector_is_page_hinkley() -> None:
    """Unless another is named, or its settings are."""
    assert read(FORECAST) == read(FORECAST | {"learner": {"drift": "page_hinkley"}})
    spec = read(FORECAST | {"learner": {"drift": {"kind": "page_hinkley", "threshold": 12}}})
    assert spec.learner.drift_spec == PageHinkleySpec(threshold=12.0)


@pytest.mark.parametrize("text", [b"", b"{", b"\xff", b"[1]", b'"forecast"', b"null", b"[" * 100_000])
def test_what_is_no_spec_at_all_is_refused(text: bytes) -> None:
    """Bytes that are no JSON object raise `SpecError` like any other bad spec."""
    with pytest.raises(SpecError, match=r"must be JSON|Expected `object`"):
        ModelSpec.from_json(text)


def test_not_a_number_is_out_of_every_range() -> None:
    """From Python, NaN could come in where JSON has no word for it."""
    with pytest.raises(SpecError, match=r"`learner\.learning_rate`"):
        LearnerSpec(learning_rate=float("nan"))


# --- any spec --------------------------------------------------------------------------------------------------------

names = st.text(min_size=1, max_size=6)
seeds = st.integers(0, 2**32 - 1)


@st.composite
def ncps(draw: st.DrawFn) -> NCPSpec:
    inter, command, motor = draw(st.tuples(*[st.integers(1, 9)] * 3))
    return NCPSpec(
        inter_neurons=inter,
        command_neurons=command,
        motor_neurons=motor,
        sensory_fanout=draw(st.integers(1, inter)),
        inter_fanout=draw(st.integers(1, command)),
        recurrent_command_synapses=draw(st.integers(0, 20)),
        motor_fanin=draw(st.integers(1, command)),
        seed=draw(seeds),
    )


@st.composite
def auto_ncps(draw: st.DrawFn) -> AutoNCPSpec:
    units = draw(st.integers(4, 40))
    sparsity = draw(st.floats(0.1, 1.0))
    return AutoNCPSpec(units=units, outputs=draw(st.integers(1, units - 3)), sparsity=sparsity, seed=draw(seeds))


wirings = st.one_of(
    ncps(),
    auto_ncps(),
    st.builds(FullyConnectedSpec, units=st.integers(1, 20), self_connections=st.booleans(), seed=seeds),
    st.builds(RandomSpec, units=st.integers(1, 20), sparsity=st.floats(0.0, 0.999), seed=seeds),
)
modes = st.sampled_from(["default", "pure", "no_gate"])
learners = st.builds(
    LearnerSpec, window=st.integers(1, 256), learning_rate=st.floats(0.0, 1.0), coverage=st.floats(0.5, 0.999)
)


@st.composite
def specs(draw: st.DrawFn) -> ModelSpec:
    """Any spec."""
    features = draw(st.lists(names, min_size=1, max_size=5, unique=True))
    fields: dict[str, Any] = {"task": draw(st.sampled_from(["forecast", "regression", "classification"]))}
    if fields["task"] == "forecast":
        fields["targets"] = tuple(draw(st.lists(st.sampled_from(features), max_size=3, unique=True)))
        horizons = st.integers(1, 1024)
        fields["horizon"] = draw(horizons | st.lists(horizons, min_size=1, max_size=3, unique=True).map(tuple))
    elif fields["task"] == "regression":
        fields["targets"] = tuple(draw(st.lists(names, min_size=1, max_size=3, unique=True)))
    else:
        fields["classes"] = tuple(draw(st.lists(names, min_size=2, max_size=4, unique=True)))
    fields["cell"] = draw(
        st.one_of(
            st.sampled_from(["cfc", "wired_cfc", "ltc"]),
            st.builds(CfCSpec, units=st.integers(1, 512), mode=modes, mixed_memory=st.booleans()),
            st.builds(WiredCfCSpec, mode=modes),
            st.builds(LTCSpec, ode_unfolds=st.integers(1, 64)),
        )
    )
    if fields["cell"] != "cfc" and not isinstance(fields["cell"], CfCSpec):
        fields["wiring"] = draw(st.none() | wirings)
    return ModelSpec(features=tuple(features), learner=draw(learners), seed=draw(seeds), **fields)


@settings(max_examples=200, deadline=None)
@given(specs())
def test_a_spec_reads_back_from_its_text(spec: ModelSpec) -> None:
    """JSON holds all of a spec: what is read back is equal, with the same text and digest."""
    again = ModelSpec.from_json(spec.to_json())

    assert again == spec
    assert (again.to_json(), again.digest) == (spec.to_json(), spec.digest)


@settings(max_examples=100, deadline=None)
@given(specs())
def test_the_canonical_text_is_complete(spec: ModelSpec) -> None:
    """Every field is written out, defaults included, so that a release with other defaults reads the same model."""
    fields = json.loads(spec.to_json())

    assert set(fields) == {field.name for field in msgspec.structs.fields(ModelSpec)}
    assert set(fields["cell"]) == {"kind"} | {field.name for field in msgspec.structs.fields(spec.cell_spec)}
    assert set(fields["learner"]) == {field.name for field in msgspec.structs.fields(LearnerSpec)}
    assert (fields["wiring"] is None) == (fields["cell"]["kind"] == "cfc")


@settings(max_examples=100, deadline=None)
@given(specs(), st.randoms(use_true_random=False))
def test_the_order_of_fields_does_not_matter(spec: ModelSpec, random: Any) -> None:
    """The same fields in another order are the same spec."""
    items = list(json.loads(spec.to_json()).items())
    random.shuffle(items)

    assert read(dict(items)).digest == spec.digest


@settings(max_examples=150, deadline=None)
@given(wirings, st.integers(1, 12))
def test_a_wiring_that_was_accepted_can_be_built(wiring: WiringSpec, num_inputs: int) -> None:
    """A spec is checked once, when it is made: nothing behind it finds its numbers impossible."""
    built = from_spec(wiring).build(num_inputs)

    assert built.input_size == num_inputs
