"""ModelSpec: everything that decides how a stream learns, in one immutable value.

One line of JSON makes a working stream; every field but ``task`` and ``features`` has a default:

>>> spec = ModelSpec.from_json('{"task": "forecast", "features": ["flow", "pressure"], "horizon": [1, 24]}')
>>> spec.targets, spec.num_outputs, spec.cell_spec.kind
(('flow', 'pressure'), 4, 'cfc')

A spec is checked once, when it is made; nothing behind it checks again. Two specs with the same ``digest`` are the
same model: their streams share a slab and may exchange states.
"""

from __future__ import annotations

import hashlib
import math
from functools import cached_property
from typing import Literal

import msgspec

from liquid_core.errors import SpecError

MAX_FEATURES = 256
MAX_HORIZON = 1024
MAX_OUTPUTS = 1024
MAX_UNITS = 512
MAX_NAME_LENGTH = 128
MAX_SYNAPSE_DRAWS = 10_000
MAX_SEED = 2**32 - 1


class _SpecStruct(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of all parts of a spec: immutable, keyword-only, no unknown fields."""


class _Tagged(_SpecStruct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind"):
    """A part that comes in kinds; the JSON field ``kind`` says which."""

    @property
    def kind(self) -> str:
        return str(self.__struct_config__.tag)


def _check(condition: bool, message: str) -> None:
    if not condition:
        raise SpecError(message)


def _check_neurons(units: int, outputs: int | None) -> None:
    _check_range("wiring.units", units, 1, MAX_UNITS)
    if outputs is not None:
        _check_range("wiring.outputs", outputs, 1, units)


def _check_range(name: str, value: float, low: float, high: float) -> None:
    _check(low <= value <= high, f"`{name}` must lie in [{low:g}, {high:g}]: got {value:g}.")


# --- wirings ---------------------------------------------------------------------------------------------------------
#
# What `liquid_core.wiring` would refuse is refused here already: a spec that was accepted can be built.


class FullyConnectedSpec(_Tagged, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="fully_connected"):
    """Every neuron synapses onto every neuron."""

    units: int = 16
    outputs: int | None = None
    self_connections: bool = True
    seed: int = 1111

    def __post_init__(self) -> None:
        _check_neurons(self.units, self.outputs)
        _check_range("wiring.seed", self.seed, 0, MAX_SEED)


class RandomSpec(_Tagged, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="random"):
    """Synapses drawn at random until ``1 - sparsity`` of the pairs are connected."""

    units: int = 24
    outputs: int | None = None
    sparsity: float = 0.5
    seed: int = 1111

    def __post_init__(self) -> None:
        _check_neurons(self.units, self.outputs)
        _check_range("wiring.sparsity", self.sparsity, 0.0, 0.999)
        _check_range("wiring.seed", self.seed, 0, MAX_SEED)


class NCPSpec(_Tagged, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="ncp"):
    """A neural circuit policy with every layer and fan-out chosen by hand (Lechner et al. 2020)."""

    inter_neurons: int
    command_neurons: int
    motor_neurons: int
    sensory_fanout: int
    inter_fanout: int
    recurrent_command_synapses: int
    motor_fanin: int
    seed: int = 22222

    def __post_init__(self) -> None:
        for layer in ("inter_neurons", "command_neurons", "motor_neurons"):
            _check_range(f"wiring.{layer}", getattr(self, layer), 1, MAX_UNITS)
        units = self.inter_neurons + self.command_neurons + self.motor_neurons
        _check(
            units <= MAX_UNITS,
            f"`wiring` may hold {MAX_UNITS} neurons: `inter_neurons`, `command_neurons`, `motor_neurons` make {units}.",
        )
        _check_range("wiring.sensory_fanout", self.sensory_fanout, 1, self.inter_neurons)
        _check_range("wiring.inter_fanout", self.inter_fanout, 1, self.command_neurons)
        _check_range("wiring.motor_fanin", self.motor_fanin, 1, self.command_neurons)
        _check_range("wiring.recurrent_command_synapses", self.recurrent_command_synapses, 0, MAX_SYNAPSE_DRAWS)
        _check_range("wiring.seed", self.seed, 0, MAX_SEED)


class AutoNCPSpec(_Tagged, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="auto_ncp"):
    """A neural circuit policy whose layers follow from the number of units, outputs and the sparsity."""

    units: int = 32
    outputs: int = 8
    sparsity: float = 0.5
    seed: int = 22222

    def __post_init__(self) -> None:
        _check_range("wiring.units", self.units, 4, MAX_UNITS)
        # Three neurons at least are left for the layers before the motor neurons.
        _check_range("wiring.outputs", self.outputs, 1, self.units - 3)
        _check_range("wiring.sparsity", self.sparsity, 0.1, 1.0)
        _check_range("wiring.seed", self.seed, 0, MAX_SEED)


WiringSpec = FullyConnectedSpec | RandomSpec | NCPSpec | AutoNCPSpec


# --- cells -----------------------------------------------------------------------------------------------------------


class CfCSpec(_Tagged, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="cfc"):
    """Closed-form continuous-time cell, dense, with a backbone (Hasani et al. 2022). The default: fast and robust."""

    units: int = 32
    mode: Literal["default", "pure", "no_gate"] = "default"
    backbone_units: int = 64
    backbone_layers: int = 1
    activation: Literal["silu", "relu", "tanh", "gelu", "lecun_tanh"] = "lecun_tanh"
    mixed_memory: bool = False

    def __post_init__(self) -> None:
        _check_range("cell.units", self.units, 1, MAX_UNITS)
        _check_range("cell.backbone_units", self.backbone_units, 1, MAX_UNITS)
        _check_range("cell.backbone_layers", self.backbone_layers, 0, 4)


class WiredCfCSpec(_Tagged, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="wired_cfc"):
    """Closed-form cell whose layers follow a wiring: sensory, inter, command, motor."""

    mode: Literal["default", "pure", "no_gate"] = "default"
    mixed_memory: bool = False


class LTCSpec(_Tagged, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="ltc"):
    """Liquid time-constant cell: an ODE solved by fused semi-implicit steps (Hasani et al. 2021)."""

    ode_unfolds: int = 6
    constraints: Literal["implicit", "explicit"] = "implicit"
    input_mapping: Literal["affine", "linear", "none"] = "affine"
    output_mapping: Literal["affine", "linear", "none"] = "affine"
    mixed_memory: bool = False

    def __post_init__(self) -> None:
        _check_range("cell.ode_unfolds", self.ode_unfolds, 1, 64)


CellSpec = CfCSpec | WiredCfCSpec | LTCSpec
_CELL_SHORTHANDS: dict[str, CellSpec] = {"cfc": CfCSpec(), "wired_cfc": WiredCfCSpec(), "ltc": LTCSpec()}


# --- drift detectors -------------------------------------------------------------------------------------------------

#: Which changes of the error are a drift: its rise, its fall (which learning brings about too), or both.
DriftMode = Literal["up", "down", "both"]


class PageHinkleySpec(_Tagged, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="page_hinkley"):
    """Page-Hinkley test on the stream's own prediction error, in units of its running scale. The default."""

    min_samples: int = 30
    delta: float = 0.05
    threshold: float = 25.0
    alpha: float = 0.9999
    mode: DriftMode = "up"

    def __post_init__(self) -> None:
        _check_range("learner.drift.min_samples", self.min_samples, 1, 1_000_000)
        _check_range("learner.drift.delta", self.delta, 0.0, 100.0)
        _check_range("learner.drift.threshold", self.threshold, 1e-3, 1e6)
        _check_range("learner.drift.alpha", self.alpha, 0.5, 1.0)


class AdwinSpec(_Tagged, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="adwin"):
    """An adaptive window over the error: as long as no split of it has two different means (Bifet, Gavaldà 2007)."""

    #: How seldom a false alarm may be: the confidence of a cut is ``1 - delta``.
    delta: float = 0.002
    #: Errors from one look for a cut to the next.
    clock: int = 32
    #: Buckets of one size kept before two of them are merged; more of them place a cut more finely.
    max_buckets: int = 5
    #: Errors on either side of a cut, at least.
    min_window_length: int = 5
    #: Errors seen before the first look.
    grace_period: int = 10
    #: Sizes of buckets, from 1 to ``2 ** (levels - 1)``: they bound the row, and so the window.
    levels: int = 24
    mode: DriftMode = "up"

    def __post_init__(self) -> None:
        _check_range("learner.drift.delta", self.delta, 1e-9, 1.0)
        _check_range("learner.drift.clock", self.clock, 1, 1_000_000)
        _check_range("learner.drift.max_buckets", self.max_buckets, 1, 32)
        _check_range("learner.drift.min_window_length", self.min_window_length, 1, 1_000_000)
        _check_range("learner.drift.grace_period", self.grace_period, 0, 1_000_000)
        _check_range("learner.drift.levels", self.levels, 2, 32)


class WindowTestSpec(_Tagged, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="window_test"):
    """Kolmogorov-Smirnov test between the newest errors and those before them (Raab, Heusinger, Schleif 2020)."""

    #: Probability of an alarm, in one test of errors that have not changed.
    alpha: float = 0.005
    #: Errors kept.
    window: int = 100
    #: The newest of them, which are held against all the others.
    recent: int = 30
    #: Errors from one test to the next.
    clock: int = 5
    mode: DriftMode = "up"

    def __post_init__(self) -> None:
        _check_range("learner.drift.alpha", self.alpha, 1e-12, 0.5)
        _check_range("learner.drift.window", self.window, 2, 512)
        _check_range("learner.drift.recent", self.recent, 1, self.window - 1)
        _check_range("learner.drift.clock", self.clock, 1, 1_000_000)
        # So few values lie all on their own side now and then, without a change: such a test could never alarm.
        rarest = 2.0 * math.exp(-2.0 * self.recent * (self.window - self.recent) / self.window)
        _check(
            rarest < self.alpha,
            f"`learner.drift.window` and `learner.drift.recent` are too small for an `alpha` of {self.alpha:g}.",
        )


class NoDriftSpec(_Tagged, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="none"):
    """No detector: no alarms, and no bytes in the row."""


DriftSpec = PageHinkleySpec | AdwinSpec | WindowTestSpec | NoDriftSpec
_DRIFT_SHORTHANDS: dict[str, DriftSpec] = {
    "page_hinkley": PageHinkleySpec(),
    "adwin": AdwinSpec(),
    "window_test": WindowTestSpec(),
    "none": NoDriftSpec(),
}


# --- learner ---------------------------------------------------------------------------------------------------------


class LearnerSpec(_SpecStruct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a stream learns from its samples."""

    #: Samples that TBPTT unrolls behind each horizon's newest target.
    window: int = 8
    #: Step size of Adam on the cell's weights after a prompt target; late ones move them less (`learner/delay.py`).
    learning_rate: float = 4e-4
    #: How the readout learns: exactly, by recursive least squares, or by normalised LMS, which needs no matrix. "auto":
    #: least squares unless the readout is too wide for it.
    readout: Literal["auto", "rls", "lms"] = "auto"
    #: Recursive least squares: what a prompt target leaves of the weight of those before it, for readout and linear
    #: expert and for the autoregressive one; a late target leaves more.
    forgetting: float = 0.99995
    autoregression_forgetting: float = 0.999
    #: LMS: fraction of an error that one step of the readout takes away.
    readout_rate: float = 0.1
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    #: Largest global norm of a gradient; a longer one is scaled down to it.
    clip_norm: float = 1.0
    #: Samples seen before the first weight update, so that the scaler knows the scales.
    warmup: int = 8
    #: Forgetting rate of the running means and scales, once there are more than its inverse of samples.
    scaler_rate: float = 1e-3
    #: Longest period that is looked for, in samples.
    season_window: int = 336
    #: Samples within which a label may still arrive (regression and classification).
    label_horizon: int = 256
    #: Fraction of targets that the intervals aim to cover.
    coverage: float = 0.9
    #: How many times less certain of what it learned the readout is after a drift alarm. A surge of errors makes it so
    #: by itself, alarm or not; on most streams that is enough.
    drift_inflation: float = 1.0
    #: What watches the stream's error for a lasting change.
    drift: (
        Literal["page_hinkley", "adwin", "window_test", "none"]
        | PageHinkleySpec
        | AdwinSpec
        | WindowTestSpec
        | NoDriftSpec
    ) = "page_hinkley"

    def __post_init__(self) -> None:
        _check_range("learner.window", self.window, 1, 256)
        _check_range("learner.learning_rate", self.learning_rate, 0.0, 1.0)
        _check_range("learner.forgetting", self.forgetting, 0.9, 1.0)
        _check_range("learner.autoregression_forgetting", self.autoregression_forgetting, 0.9, 1.0)
        _check_range("learner.season_window", self.season_window, 8, 4096)
        _check_range("learner.drift_inflation", self.drift_inflation, 1.0, 1e6)
        _check_range("learner.readout_rate", self.readout_rate, 0.0, 1.0)
        _check_range("learner.beta1", self.beta1, 0.0, 0.9999)
        _check_range("learner.beta2", self.beta2, 0.0, 0.99999)
        _check_range("learner.epsilon", self.epsilon, 1e-12, 1e-2)
        _check_range("learner.clip_norm", self.clip_norm, 1e-6, 1e6)
        _check_range("learner.warmup", self.warmup, 0, 100_000)
        _check_range("learner.scaler_rate", self.scaler_rate, 1e-6, 0.5)
        _check_range("learner.label_horizon", self.label_horizon, 1, 4096)
        _check_range("learner.coverage", self.coverage, 0.5, 0.999)
        # One form for one model, as in `ModelSpec`.
        msgspec.structs.force_setattr(self, "drift", self.drift_spec)

    @property
    def drift_spec(self) -> DriftSpec:
        """The drift detector with all its settings, a shorthand resolved."""
        return _DRIFT_SHORTHANDS[self.drift] if isinstance(self.drift, str) else self.drift


# --- the whole -------------------------------------------------------------------------------------------------------


class ModelSpec(_SpecStruct, frozen=True, kw_only=True, forbid_unknown_fields=True, dict=True):
    """The model of a stream: its task, the names of its values, its cell, wiring and learner.

    Raises
    ------
    SpecError
        A field is out of range or contradicts another; the message names it.
    """

    task: Literal["forecast", "regression", "classification"]
    #: Names of the values in `x`, in order.
    features: tuple[str, ...]
    #: Names of what is predicted. Forecast: a subset of the features, by default all of them. Regression: names of `y`.
    targets: tuple[str, ...] = ()
    #: Forecast only: how many samples ahead, one number or several.
    horizon: int | tuple[int, ...] = 1
    #: Classification only: the names of the classes.
    classes: tuple[str, ...] = ()
    cell: Literal["cfc", "wired_cfc", "ltc"] | CfCSpec | WiredCfCSpec | LTCSpec = "cfc"
    #: Who synapses onto whom; needed by `ltc` and `wired_cfc`, which default to an AutoNCP.
    wiring: FullyConnectedSpec | RandomSpec | NCPSpec | AutoNCPSpec | None = None
    learner: LearnerSpec = LearnerSpec()
    #: A sample whose `t` does not lie after the last one: refuse it, or take it as if no time had passed.
    late: Literal["reject", "clamp"] = "reject"
    #: A sample whose `seq` skips numbers: refuse it, or take it.
    gaps: Literal["reject", "allow"] = "reject"
    #: Seed of the initial weights.
    seed: int = 0

    def __post_init__(self) -> None:
        _check_names("features", self.features, 1, MAX_FEATURES)
        if self.task == "forecast":
            self._check_forecast()
        else:
            _check(self.horizon in (1, (1,)), "`horizon` belongs to `task: forecast`; remove it.")
            msgspec.structs.force_setattr(self, "horizon", 1)
        if self.task == "regression":
            _check_names("targets", self.targets, 1, MAX_FEATURES)
        if self.task == "classification":
            _check_names("classes", self.classes, 2, MAX_OUTPUTS)
            _check(not self.targets, "`targets` does not belong to `task: classification`; name the `classes`.")
        else:
            _check(not self.classes, "`classes` belongs to `task: classification`; remove it.")
        _check(
            self.num_outputs <= MAX_OUTPUTS,
            f"a spec predicts at most {MAX_OUTPUTS} values: got {self.num_outputs}. Name fewer targets or horizons.",
        )
        if isinstance(self.cell_spec, CfCSpec):
            _check(self.wiring is None, "`wiring` does not belong to cell `cfc`; use `wired_cfc` or `ltc`.")
        _check_range("seed", self.seed, 0, MAX_SEED)
        # One form for one model: what may be written in two ways is kept in the longer one.
        msgspec.structs.force_setattr(self, "cell", self.cell_spec)
        msgspec.structs.force_setattr(self, "wiring", self.wiring_spec)

    def _check_forecast(self) -> None:
        targets = self.targets or self.features
        _check_names("targets", targets, 1, MAX_FEATURES)
        unknown = sorted(set(targets) - set(self.features))
        _check(not unknown, f"`targets` of a forecast must be among its `features`: {unknown} are not.")
        horizons = (self.horizon,) if isinstance(self.horizon, int) else self.horizon
        _check(len(horizons) > 0, "`horizon` must name at least one number of samples.")
        for horizon in horizons:
            _check_range("horizon", horizon, 1, MAX_HORIZON)
        _check(len(set(horizons)) == len(horizons), "`horizon` names a number twice.")
        msgspec.structs.force_setattr(self, "targets", tuple(targets))
        msgspec.structs.force_setattr(self, "horizon", tuple(sorted(horizons)))

    # What follows from the fields.

    @cached_property
    def cell_spec(self) -> CellSpec:
        """The cell with all its settings, a shorthand resolved."""
        return _CELL_SHORTHANDS[self.cell] if isinstance(self.cell, str) else self.cell

    @cached_property
    def wiring_spec(self) -> WiringSpec | None:
        """The wiring with all its settings; `None` for a dense cell."""
        if isinstance(self.cell_spec, CfCSpec):
            return None
        return self.wiring if self.wiring is not None else AutoNCPSpec()

    @cached_property
    def horizons(self) -> tuple[int, ...]:
        """Forecast horizons in samples, ascending; empty where labels come from outside."""
        if self.task != "forecast":
            return ()
        return (self.horizon,) if isinstance(self.horizon, int) else self.horizon

    @cached_property
    def num_features(self) -> int:
        return len(self.features)

    @cached_property
    def num_targets(self) -> int:
        """Values in one label: 1 for classification (the class's index)."""
        return 1 if self.task == "classification" else len(self.targets)

    @cached_property
    def num_outputs(self) -> int:
        """Values that the readout predicts: horizons times targets, or the number of classes."""
        if self.task == "classification":
            return len(self.classes)
        return max(1, len(self.horizons)) * len(self.targets)

    @cached_property
    def num_medians(self) -> int:
        """Outputs that get a median beside what is predicted: all that are values, and no probability."""
        return 0 if self.task == "classification" else self.num_outputs

    @cached_property
    def num_tracks(self) -> int:
        """Values whose history a stream keeps: the targets, or a column for each class."""
        return len(self.classes) if self.task == "classification" else len(self.targets)

    @cached_property
    def target_columns(self) -> tuple[int, ...]:
        """Forecast only: where in `x` the targets stand."""
        return tuple(self.features.index(name) for name in self.targets) if self.task == "forecast" else ()

    # To and from text.

    @classmethod
    def from_json(cls, text: str | bytes) -> ModelSpec:
        """Read a spec; unknown fields, wrong types and impossible values raise `SpecError` naming the field."""
        try:
            return msgspec.json.decode(text, type=cls)
        except msgspec.ValidationError as error:
            raise SpecError(str(error)) from error
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise SpecError(f"a model spec must be JSON: {error}") from error

    def to_json(self) -> bytes:
        """Canonical JSON: every field, defaults included, in a fixed order."""
        return msgspec.json.encode(self)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the canonical JSON, in hexadecimal."""
        return hashlib.sha256(self.to_json()).hexdigest()


def _check_names(field: str, names: tuple[str, ...], low: int, high: int) -> None:
    _check(low <= len(names) <= high, f"`{field}` must name {low} to {high} values: got {len(names)}.")
    for name in names:
        _check(
            0 < len(name) <= MAX_NAME_LENGTH,
            f"`{field}` holds a name that is empty or longer than {MAX_NAME_LENGTH} characters.",
        )
    _check(len(set(names)) == len(names), f"`{field}` names a value twice.")


__all__ = [
    "AdwinSpec",
    "AutoNCPSpec",
    "CellSpec",
    "CfCSpec",
    "DriftSpec",
    "FullyConnectedSpec",
    "LTCSpec",
    "LearnerSpec",
    "ModelSpec",
    "NCPSpec",
    "NoDriftSpec",
    "PageHinkleySpec",
    "RandomSpec",
    "WindowTestSpec",
    "WiredCfCSpec",
    "WiringSpec",
]
