"""What the kernels must know of a drift detector."""

from __future__ import annotations

from typing import Any

from liquid_core.learner.drift.window_test import critical_gap
from liquid_core.spec import AdwinSpec, DriftSpec, NoDriftSpec, PageHinkleySpec, WindowTestSpec

#: In the order of `DriftKind` in plan.h.
_KINDS = (PageHinkleySpec, AdwinSpec, WindowTestSpec, NoDriftSpec)
_NUMBERS = ("min_samples", "clock", "grace_period", "levels", "max_buckets", "window", "recent")
_REALS = ("delta", "threshold", "alpha")


def drift_plan(spec: DriftSpec) -> dict[str, Any]:
    """The detector's plan: every kind's fields, zero where they belong to another."""
    mode = getattr(spec, "mode", None)
    return (
        {"kind": _KINDS.index(type(spec)), "up": mode in ("up", "both"), "down": mode in ("down", "both")}
        | {name: getattr(spec, name, 0) for name in _NUMBERS}
        | {name: getattr(spec, name, 0.0) for name in _REALS}
        | {
            "min_length": getattr(spec, "min_window_length", 0),
            "critical_gap": critical_gap(spec) if isinstance(spec, WindowTestSpec) else 0.0,
        }
    )


__all__ = ["drift_plan"]
