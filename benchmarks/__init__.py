"""Benchmarks: each prints a table beside its peers, measured in the same run on the same machine, and writes JSON."""
