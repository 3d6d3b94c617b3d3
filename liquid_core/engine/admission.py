"""Admission: which records a stream may apply. Everything behind it can rely on what was let through.

A `Ledger` is the little that must be remembered of a stream to decide: it is rebuilt from the stream's row, and moves
on with every admitted record, so records that wait for their turn are already counted.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from liquid_core.engine.anatomy import ANSWERS_KEPT
from liquid_core.engine.records import Label, Sample
from liquid_core.errors import RecordError
from liquid_core.spec import ModelSpec

#: Largest magnitude of a value: its square still is a float64, and it still is a float32.
MAX_VALUE = 1e30
MAX_SEQ = 2**53 - 1
MAX_TIME = 1e15


class Verdict(Enum):
    """What becomes of a record that is not refused."""

    NEW = "new"
    #: It was applied before: answer again, change nothing.
    DUPLICATE = "duplicate"


def fingerprint(sample: Sample) -> int:
    """Checksum of what a sample says, to tell a repeated one from another one with the same `seq`."""
    y = sample.y or ()
    values = [math.nan if math.isnan(value) else value for value in (sample.t, *sample.x, *y)]
    return zlib.crc32(struct.pack(f"<{len(values)}dB", *values, len(y) % 256))


def check_values(spec: ModelSpec, t: float, x: Sequence[float]) -> None:
    """Refuse a time or values that no stream of `spec` can take; raises `RecordError`."""
    if len(x) != spec.num_features:
        raise RecordError(
            "dimension", f"`x` must hold {spec.num_features} values, one a feature of the spec: got {len(x)}."
        )
    if not math.isfinite(t):
        raise RecordError("not_finite", "`t` must be a finite number of seconds.")
    if abs(t) > MAX_TIME:
        raise RecordError("out_of_range", f"`t` must be a number of seconds up to {MAX_TIME:g} in magnitude.")
    for value in x:
        if math.isinf(value):
            raise RecordError("not_finite", "`x` must hold finite numbers; send `null` for a missing value.")
        if abs(value) > MAX_VALUE:
            raise RecordError("out_of_range", f"`x` must hold numbers up to {MAX_VALUE:g} in magnitude.")


class Ledger:
    """What a stream has been given so far, as far as it decides what it may be given next.

    Parameters
    ----------
    spec
        The stream's model.
    arrays
        The stream's arrays by name, without a batch axis.
    """

    def __init__(self, spec: ModelSpec, arrays: Mapping[str, NDArray[Any]]) -> None:
        self._spec = spec
        self.last_seq = int(arrays["stream.seq"])
        self.last_t: float | None = float(arrays["stream.last_t"]) if self.last_seq > 0 else None
        self.frozen = bool(arrays["stream.frozen"])
        answers = zip(arrays["answers.seq"].tolist(), arrays["answers.fingerprint"].tolist(), strict=True)
        self._fingerprints = {seq: mark for seq, mark in sorted(answers) if seq > 0}
        #: For every sample that may still get a label, the label it has; oldest first.
        self._labels: dict[int, tuple[float, ...] | None] = {}
        if spec.task != "forecast":
            self._read_labels(arrays)

    def _read_labels(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        seqs = arrays["window.seq"]
        for slot in np.argsort(seqs):
            if seqs[slot] > 0:
                labelled = bool(arrays["window.labelled"][slot])
                self._labels[int(seqs[slot])] = tuple(arrays["window.label"][slot].tolist()) if labelled else None
        self._forget_old_labels()

    # --- samples -----------------------------------------------------------------------------------------------------

    def admit_sample(
        self, t: float, x: Sequence[float], seq: int | None, y: tuple[float, ...] | None
    ) -> tuple[Verdict, Sample]:
        """Check one sample; a new one is counted as given.

        Parameters
        ----------
        t
            Its time in seconds.
        x
            One value a feature, NaN where missing.
        seq
            Its number, or `None` for the next one.
        y
            Its label where one came along.

        Raises
        ------
        RecordError
            With code ``dimension``, ``not_finite``, ``out_of_range``, ``invalid``, ``label_invalid``, ``seq_gap``,
            ``seq_conflict`` or ``late_sample``.
        """
        check_values(self._spec, t, x)
        if y is not None:
            self._check_label(y)
        sample = Sample(seq=self.last_seq + 1 if seq is None else seq, t=t, x=tuple(x), y=y)
        if not 1 <= sample.seq <= MAX_SEQ:
            raise RecordError(
                "invalid", "`seq` must be a whole number from 1: number the samples of a stream 1, 2, 3, …"
            )
        if sample.seq <= self.last_seq:
            return self._repeat(sample), sample
        if sample.seq > self.last_seq + 1 and self._spec.gaps == "reject":
            raise RecordError(
                "seq_gap", f"the next sample of this stream is number {self.last_seq + 1}; send the missing ones first."
            )
        if self.last_t is not None and t <= self.last_t and self._spec.late == "reject":
            raise RecordError(
                "late_sample",
                "`t` must lie after the last sample's: send samples in the order of time, "
                'or create the stream with "late": "clamp".',
            )
        self._count(sample)
        return Verdict.NEW, sample

    def _repeat(self, sample: Sample) -> Verdict:
        known = self._fingerprints.get(sample.seq)
        if known is None and (len(self._fingerprints) < ANSWERS_KEPT or sample.seq > next(iter(self._fingerprints))):
            raise RecordError(
                "late_sample",
                f"number {sample.seq} was skipped and the stream has gone on; the next one is {self.last_seq + 1}.",
            )
        if known is not None and known != fingerprint(sample):
            raise RecordError(
                "seq_conflict",
                f"another sample was given as number {sample.seq}; the next one is number {self.last_seq + 1}.",
            )
        return Verdict.DUPLICATE

    def _count(self, sample: Sample) -> None:
        self.last_seq = sample.seq
        self.last_t = sample.t if self.last_t is None else max(sample.t, self.last_t)
        self._fingerprints[sample.seq] = fingerprint(sample)
        while len(self._fingerprints) > ANSWERS_KEPT:
            del self._fingerprints[next(iter(self._fingerprints))]
        if self._spec.task != "forecast":
            self._labels[sample.seq] = sample.y
            self._forget_old_labels()

    # --- labels ------------------------------------------------------------------------------------------------------

    def admit_label(self, seq: int, y: tuple[float, ...]) -> tuple[Verdict, Label]:
        """Check one label; a new one is counted as given.

        Raises
        ------
        RecordError
            With code ``label_invalid``, ``label_unknown``, ``label_expired`` or ``label_conflict``.
        """
        self._check_label(y)
        label = Label(seq=seq, y=y)
        if seq not in self._labels:
            if seq < 1 or seq > self.last_seq or (self._labels and seq > next(iter(self._labels))):
                raise RecordError("label_unknown", "this stream has no sample of that number; send the sample first.")
            horizon = self._spec.learner.label_horizon
            raise RecordError(
                "label_expired",
                f"a label must arrive within {horizon} samples; a longer `learner.label_horizon` waits longer.",
            )
        given = self._labels[seq]
        if given is not None:
            if given != y:
                raise RecordError("label_conflict", "this sample already has another label; the first one stands.")
            return Verdict.DUPLICATE, label
        self._labels[seq] = y
        return Verdict.NEW, label

    def _check_label(self, y: tuple[float, ...]) -> None:
        spec = self._spec
        if spec.task == "forecast":
            raise RecordError("label_invalid", "a forecast takes its targets from later samples; leave `y` out.")
        if len(y) != spec.num_targets:
            raise RecordError("label_invalid", f"a label of this stream holds {spec.num_targets} values: got {len(y)}.")
        for value in y:
            if not math.isfinite(value) or abs(value) > MAX_VALUE:
                raise RecordError(
                    "label_invalid", f"a label must hold finite numbers up to {MAX_VALUE:g} in magnitude."
                )
        if spec.task == "classification" and not (y[0] == int(y[0]) and 0 <= y[0] < len(spec.classes)):
            raise RecordError("label_invalid", "a label must be one of the spec's classes.")

    def _forget_old_labels(self) -> None:
        while len(self._labels) > self._spec.learner.label_horizon:
            del self._labels[next(iter(self._labels))]


__all__ = ["MAX_VALUE", "Ledger", "Verdict", "check_values", "fingerprint"]
