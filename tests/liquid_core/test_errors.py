"""The error tree: one base, stable codes, messages that say what to do."""

from __future__ import annotations

import pytest

from liquid_core import errors
from liquid_core.errors import LiquidError, RecordError, ShapeError, SpecError, StateFormatError, WiringError


@pytest.mark.parametrize("name", [name for name in vars(errors) if name.endswith("Error")])
def test_one_base_catches_all(name: str) -> None:
    """Every error of the library is a `LiquidError`."""
    assert issubclass(getattr(errors, name), LiquidError)


@pytest.mark.parametrize("kind", [SpecError, WiringError, ShapeError, StateFormatError, RecordError])
def test_errors_are_value_errors(kind: type[Exception]) -> None:
    """Who knows nothing of this library catches them as wrong values."""
    assert issubclass(kind, ValueError)


def test_codes_are_stable() -> None:
    """Programs go by these words: a change of one is a change of the API."""
    codes = {kind.__name__: kind.code for kind in (LiquidError, SpecError, WiringError, ShapeError, StateFormatError)}

    assert codes == {
        "LiquidError": "liquid_error",
        "SpecError": "spec_invalid",
        "WiringError": "wiring_invalid",
        "ShapeError": "shape_mismatch",
        "StateFormatError": "state_invalid",
    }


def test_a_wiring_error_is_a_spec_error() -> None:
    """A wiring is part of a spec, so who catches the one has the other."""
    assert issubclass(WiringError, SpecError)


def test_a_record_error_carries_its_own_code() -> None:
    """The code tells programs what the message tells people."""
    error = RecordError("late_sample", "send samples in order.")

    assert (error.code, str(error)) == ("late_sample", "send samples in order.")
