"""Drift detectors: small states that watch a stream's own error and raise an alarm when its level changes.

A good one alarms soon after a change and seldom without one.
"""

from liquid_core.learner.drift.adwin import Adwin
from liquid_core.learner.drift.detector import Detector, NoDrift, detector_for
from liquid_core.learner.drift.page_hinkley import PageHinkley
from liquid_core.learner.drift.window_test import WindowTest

__all__ = ["Adwin", "Detector", "NoDrift", "PageHinkley", "WindowTest", "detector_for"]
