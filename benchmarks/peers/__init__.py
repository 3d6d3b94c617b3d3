"""What else one could use: other people's modules one stream after another, and torch over many streams at once.

All of them do the same on every sample: learn from the window before it, whose target it brings, by 16 steps forward
from the stored hidden state and back, with clipped gradients and Adam; then move over it and predict. Time between
samples is 1 for everybody.
"""
