"""Running measures of how well a stream is predicted; each prediction was made before its target was known."""

from liquid_core.learner.metrics.prequential import Prequential

__all__ = ["Prequential"]
