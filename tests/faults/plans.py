"""What is sent: streams of every kind, and the fold that their answers and final states are held to."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import msgspec
from river import datasets

from liquid_core.engine.engine import build_engine
from liquid_core.engine.records import Label, Observation, Sample
from liquid_core.engine.slab import Slab
from liquid_core.spec import ModelSpec
from service.settings import Settings
from service.shard import answers

LATE_BY = 3


@dataclass
class Plan:
    """One stream: its spec, its records in order, and what came back."""

    stream_id: str
    spec: ModelSpec
    records: list[Observation]
    #: By `seq` what was predicted.
    answers: dict[int, Any] = field(default_factory=dict)
    #: Records that were acknowledged, and how many of these acknowledgements said that it was a repeat.
    acknowledged: int = 0
    repeats: int = 0

    @property
    def num_samples(self) -> int:
        return sum(isinstance(record, Sample) for record in self.records)


def water(stream_id: str, length: int, **model: Any) -> Plan:
    """Hourly water flow with its own gaps in time."""
    rows = list(datasets.WaterFlow())[:length]  # read whole, so that the file is closed
    records: list[Observation] = [
        Sample(seq=n, t=x["Time"].timestamp(), x=(float(y),)) for n, (x, y) in enumerate(rows, 1)
    ]
    spec = {"task": "forecast", "features": ["flow"], "horizon": [1, 3], "learner": {"window": 5}} | model
    return Plan(stream_id, ModelSpec.from_json(msgspec.json.encode(spec)), records)


def phishing(stream_id: str, length: int) -> Plan:
    """Web sites as they come, whose labels arrive three sites late."""
    rows = list(datasets.Phishing())[:length]
    records: list[Observation] = []
    for n, (x, _) in enumerate(rows, 1):
        records.append(Sample(seq=n, t=float(n), x=tuple(float(value) for value in x.values())))
        if n > LATE_BY:
            records.append(Label(seq=n - LATE_BY, y=(float(rows[n - LATE_BY - 1][1]),)))
    spec = {
        "task": "classification",
        "features": list(rows[0][0]),
        "classes": ["honest", "phishing"],
        "cell": {"kind": "cfc", "units": 6, "backbone_units": 8},
        "learner": {"window": 4},
    }
    return Plan(stream_id, ModelSpec.from_json(msgspec.json.encode(spec)), records)


def plans(length: int) -> list[Plan]:
    """A dense and a wired forecast, and a classification with late labels."""
    small = {"kind": "auto_ncp", "units": 8, "outputs": 2}
    return [
        water("dense", length, cell={"kind": "cfc", "units": 8, "backbone_units": 12}),
        water("wired", length, cell="ltc", wiring=small),
        phishing("sites", length // 2),
    ]


def fold(plan: Plan) -> tuple[dict[int, Any], dict[str, Any]]:
    """Answers by seq and final arrays of the uninterrupted stream."""
    engine = build_engine(plan.spec, Settings().engine)
    slab = Slab(engine.layout)
    slot = slab.load(engine.initial_row())
    results = engine.step(slab, [slot] * len(plan.records), plan.records)
    expected = {}
    for index, record in enumerate(plan.records):
        if isinstance(record, Sample):
            said = (results.prediction[index], results.median[index], results.half_width[index])
            made = answers.predictions(plan.spec, *said)
            expected[record.seq] = msgspec.to_builtins(made)
    return expected, {name: view[0] for name, view in engine.layout.views(slab.read(slot)[None]).items()}


__all__ = ["Plan", "fold", "phishing", "plans", "water"]
