"""The science of Liquidstream: wirings, liquid cells, and a learner that never stops; no I/O, no clock."""
