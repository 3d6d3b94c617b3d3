"""What every drift detector offers, and which of them a spec asks for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np

from liquid_core.learner.drift.adwin import Adwin
from liquid_core.learner.drift.page_hinkley import PageHinkley
from liquid_core.learner.drift.window_test import WindowTest
from liquid_core.learner.part import ArraySpec
from liquid_core.spec import AdwinSpec, DriftSpec, NoDriftSpec, PageHinkleySpec, WindowTestSpec
from liquid_core.types import BoolArray, FloatArray


class Detector(Protocol):
    """A part of the learner that watches one value a stream; a frozen dataclass of arrays.

    It takes the spec of its own kind, and no other.
    """

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @staticmethod
    def arrays(spec: Any) -> dict[str, ArraySpec]:
        """The arrays that one stream owns."""

    def update(self, values: FloatArray, observed: BoolArray, spec: Any) -> tuple[BoolArray, Detector]:
        """Take in one value a stream, `(batch,)`, where `observed`; return who alarms, and the state after.

        A stream that alarms comes back in its initial state: what comes next is judged as if nothing had been before.
        """


@dataclass(frozen=True, slots=True)
class NoDrift:
    """The detector of a stream that asks for none."""

    @staticmethod
    def arrays(spec: NoDriftSpec) -> dict[str, ArraySpec]:  # noqa: ARG004
        return {}

    def update(
        self,
        values: FloatArray,  # noqa: ARG002
        observed: BoolArray,
        spec: NoDriftSpec,  # noqa: ARG002
    ) -> tuple[BoolArray, NoDrift]:
        return np.zeros_like(observed), self


_DETECTORS: dict[type[DriftSpec], type[Detector]] = {
    PageHinkleySpec: PageHinkley,
    AdwinSpec: Adwin,
    WindowTestSpec: WindowTest,
    NoDriftSpec: NoDrift,
}


def detector_for(spec: DriftSpec) -> type[Detector]:
    """The class of the spec's detector."""
    return _DETECTORS[type(spec)]


__all__ = ["Detector", "NoDrift", "detector_for"]
