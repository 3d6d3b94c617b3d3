"""What a control does to a stream: a pure function from row to row, beside the engines, which step samples and labels.

Two things outlive every control that does not replace the whole state. The *numbers* of a stream are spent once they
are given: its position in the log, the `seq` and time of its last sample, and its last answers, with which a repeated
sample is known again. And only freezing and unfreezing change whether it is *frozen*: a stream that is frozen in an
emergency stays so through a rollback.
"""

from __future__ import annotations

from typing import Any, assert_never

import msgspec
import numpy as np
from numpy.typing import NDArray

from liquid_core.engine.engine import Engine
from liquid_core.engine.records import Control, Freeze, Reset, Restore, SpecChange, Unfreeze
from liquid_core.spec import LearnerSpec, ModelSpec
from liquid_core.state import StreamState, spec_of
from liquid_core.types import ByteArray

Arrays = dict[str, NDArray[Any]]

#: What of a learner may change while it goes on learning: rates and bounds of what comes, no size or meaning of what
#: is there. The detector may, for it can begin anew by itself.
TUNABLE = (
    *("learning_rate", "forgetting", "autoregression_forgetting", "readout_rate", "beta1", "beta2", "epsilon"),
    *("clip_norm", "warmup", "scaler_rate", "coverage", "drift_inflation", "drift"),
)
#: Half-width of an answer that is not kept because it was about other targets; the sample is known again all the same.
NOT_KEPT = -1.0


def spec_after(spec: ModelSpec, control: Control) -> ModelSpec:
    """The spec of a stream of `spec` after a control.

    Raises
    ------
    StateFormatError
        The control carries bytes that are no state.
    """
    if isinstance(control, SpecChange):
        return control.spec
    if isinstance(control, Restore):
        return spec_of(control.state)
    return spec


def keeps_learning(before: ModelSpec, after: ModelSpec) -> bool:
    """Whether a stream keeps what it learned when its spec changes: only `TUNABLE` settings and admission differ."""
    return _untuned(before) == _untuned(after)


def apply(control: Control, row: ByteArray, before: Engine, after: Engine) -> ByteArray:
    """The row of a stream after a control, as a new array.

    Parameters
    ----------
    row
        The stream's row, `(row_bytes,)` of the engine before.
    before, after
        Engines of the stream's spec and of `spec_after`: one and the same where the spec stays.

    Raises
    ------
    StateFormatError
        The control carries a state that does not fit its spec.
    """
    then = _arrays(before, row)
    match control:
        case Reset():
            made = after.initial_row()
            _keep_numbers(then, _arrays(after, made))
        case Freeze() | Unfreeze():
            made = row.copy()
            _arrays(after, made)["stream.frozen"][...] = isinstance(control, Freeze)
        case Restore():
            made = StreamState.from_bytes(control.state, after.layout, after.spec).row
            if control.keeps_numbers:
                _keep_numbers(then, _arrays(after, made), answers=_says_the_same(before.spec, after.spec))
        case SpecChange():
            made = after.initial_row()
            if keeps_learning(before.spec, after.spec):
                _keep_all(then, _arrays(after, made), detector=before.spec.learner.drift == after.spec.learner.drift)
            else:
                _keep_numbers(then, _arrays(after, made), answers=_says_the_same(before.spec, after.spec))
        case _:
            assert_never(control)
    _arrays(after, made)["stream.records"][...] = then["stream.records"] + 1
    return made


def _arrays(engine: Engine, row: ByteArray) -> Arrays:
    """A row's arrays by name, each a batch of one; writing to them writes the row."""
    return engine.layout.views(row[None])


def _untuned(spec: ModelSpec) -> ModelSpec:
    """The spec with all that may change under a learner as it is by default."""
    default = LearnerSpec()
    learner = msgspec.structs.replace(spec.learner, **{name: getattr(default, name) for name in TUNABLE})
    return msgspec.structs.replace(spec, learner=learner, late="reject", gaps="reject")


def _says_the_same(before: ModelSpec, after: ModelSpec) -> bool:
    """Whether an answer of one spec is one of the other's: it is about the same targets."""
    fields = ("task", "targets", "classes", "horizons")
    return all(getattr(before, field) == getattr(after, field) for field in fields)


def _keep_numbers(then: Arrays, now: Arrays, *, answers: bool = True) -> None:
    """Take over what outlives a control.

    Answers lie in a ring by number of the sample, so they are turned with it: the next one goes where the oldest is.
    """
    for name in ("stream.seq", "stream.last_t", "stream.frozen"):
        now[name][...] = then[name]
    turn = int(now["stream.samples"][0] - then["stream.samples"][0])
    kept = ("seq", "fingerprint", "anomaly", "drift", *(("prediction", "median", "half_width") if answers else ()))
    for name in kept:
        now[f"answers.{name}"][...] = np.roll(then[f"answers.{name}"], turn, axis=1)
    if not answers:
        now["answers.prediction"][...] = 0.0
        now["answers.median"][...] = 0.0
        now["answers.half_width"][...] = NOT_KEPT


def _keep_all(then: Arrays, now: Arrays, *, detector: bool) -> None:
    """Take over everything; a detector of other settings begins anew."""
    for name, view in now.items():
        if detector or not name.startswith("drift."):
            view[...] = then[name]


__all__ = ["NOT_KEPT", "TUNABLE", "apply", "keeps_learning", "spec_after"]
