"""Every exception that liquid_core raises on purpose.

    LiquidError
    ├── SpecError           a model spec that cannot be built
    │   └── WiringError     a wiring whose numbers contradict each other
    ├── ShapeError          a tensor or array of the wrong shape
    ├── StateFormatError    bytes that are not a stream state of this spec
    │   └── StateVersionError   or one that another release has written
    ├── RecordError         a record that this stream must not apply
    ├── SlabFullError       a slab that has no place for another stream
    └── EngineUnavailableError  an engine that cannot run here, or not this spec

Each carries a stable ``code``, for programs; the message is for people and says what to do.
"""

from __future__ import annotations


class LiquidError(Exception):
    """Base of all errors of this library: ``except LiquidError`` catches each of them."""

    code = "liquid_error"


class SpecError(LiquidError, ValueError):
    """A model spec is contradictory or out of range. Correct the field that is named and try again."""

    code = "spec_invalid"


class WiringError(SpecError):
    """A wiring's numbers contradict each other."""

    code = "wiring_invalid"


class ShapeError(LiquidError, ValueError):
    """A tensor or array has another shape than the one documented."""

    code = "shape_mismatch"


class StateFormatError(LiquidError, ValueError):
    """Bytes are not a stream state, or not one of this spec: they are refused, nothing is loaded."""

    code = "state_invalid"


class StateVersionError(StateFormatError):
    """A stream state of a release whose streams are made of other arrays. Use it with that release."""


class RecordError(LiquidError, ValueError):
    """A record that a stream must not apply; the stream is left as it was.

    Parameters
    ----------
    code
        Stable machine-readable reason, such as ``late_sample``.
    message
        What was wrong and what to do about it.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class SlabFullError(LiquidError, MemoryError):
    """A slab has no place for another stream. Free one that is not needed, and load again."""

    code = "slab_full"


class EngineUnavailableError(LiquidError, RuntimeError):
    """The engine that was asked for cannot run on this machine, or not this spec; the message says why."""

    code = "engine_unavailable"
