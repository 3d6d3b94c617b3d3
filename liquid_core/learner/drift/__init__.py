"""Drift detectors: small states that watch a stream's own error and raise an alarm when its level changes.

A good one alarms soon after a change and seldom without one.
"""

from liquid_core.learner.drift.page_hinkley import PageHinkley

__all__ = ["PageHinkley"]
