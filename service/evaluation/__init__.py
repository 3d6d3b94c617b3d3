"""Evaluation of a series offline: test-then-train through the engine, beside what any model must beat.

`run_liquid` and `baselines` give tracks, `score` says how good a track is. Nothing here sees a row before its time.
"""

from __future__ import annotations

from service.evaluation import baselines
from service.evaluation.liquid import LiquidRun, run_liquid
from service.evaluation.scores import score, scored_values
from service.evaluation.series import Series, read_series
from service.evaluation.track import Track

__all__ = ["LiquidRun", "Series", "Track", "baselines", "read_series", "run_liquid", "score", "scored_values"]
