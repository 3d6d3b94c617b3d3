"""The fold: what a stream is, from where it began and its records alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import groupby

from liquid_core import control
from liquid_core.engine.engine import Engine
from liquid_core.engine.records import Label, Observation, Record, Sample
from liquid_core.engine.slab import Slab
from liquid_core.spec import ModelSpec
from liquid_core.types import ByteArray


def fold(
    engine: Engine, row: ByteArray, records: Iterable[Record], engine_of: Callable[[ModelSpec], Engine]
) -> tuple[Engine, ByteArray]:
    """Apply records of one stream, in order.

    The same row and records give the same bits wherever the records are divided: so a snapshot and the log behind it
    give what was there before a crash.

    Parameters
    ----------
    engine, row
        The engine of the stream's spec, and its row, `(row_bytes,)`, which is left as it is.
    engine_of
        The engine of another spec, asked where a record changes the stream's.

    Returns
    -------
    The engine of its last spec, and its row there.

    Raises
    ------
    StateFormatError
        A record carries a state that does not fit its spec.
    """
    for observed, run in groupby(records, key=lambda record: isinstance(record, Sample | Label)):
        if observed:
            row = _step(engine, row, [record for record in run if isinstance(record, Sample | Label)])
            continue
        for record in run:
            assert not isinstance(record, Sample | Label)
            spec = control.spec_after(engine.spec, record)
            after = engine if spec == engine.spec else engine_of(spec)
            engine, row = after, control.apply(record, row, engine, after)
    return engine, row


def _step(engine: Engine, row: ByteArray, records: list[Observation]) -> ByteArray:
    slab = Slab(engine.layout, 1)
    slot = slab.load(row)
    engine.step(slab, [slot] * len(records), records)
    return slab.read(slot)


__all__ = ["fold"]
