"""What clients send: a few short streams of every task, as records that a seed decides."""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import cache
from typing import Any

import msgspec

from liquid_core.engine.records import Label, Observation, Sample
from liquid_core.spec import ModelSpec
from service.messages import LabelIn, SampleIn
from service.shard import answers

_LEARNER = {"window": 3, "warmup": 2, "label_horizon": 6}
_DENSE = {"kind": "cfc", "units": 4, "backbone_units": 4}
_SPECS: tuple[dict[str, Any], ...] = (
    {"task": "forecast", "features": ["flow"], "horizon": [1, 2], "cell": _DENSE},
    {
        "task": "forecast",
        "features": ["flow"],
        "cell": "ltc",
        "wiring": {"kind": "auto_ncp", "units": 6, "outputs": 2},
    },
    {"task": "regression", "features": ["noise"], "targets": ["load"], "cell": _DENSE},
    {"task": "classification", "features": ["noise"], "classes": ["calm", "loud"], "cell": _DENSE},
)


@cache
def spec_of(number: int) -> ModelSpec:
    """One of a handful of tiny models."""
    return ModelSpec.from_json(msgspec.json.encode({"learner": _LEARNER} | _SPECS[number % len(_SPECS)]))


@dataclass(frozen=True, slots=True)
class Plan:
    """A stream's life as its clients mean it to be: model, and records in order."""

    stream_id: str
    spec: ModelSpec
    records: tuple[Observation, ...]

    def request_item(self, record: Observation) -> SampleIn | LabelIn:
        """A record as a client sends it."""
        y = None if record.y is None else answers.label(self.spec, record.y)
        if isinstance(record, Label):
            assert y is not None
            return LabelIn(seq=record.seq, y=y)
        return SampleIn(seq=record.seq, t=record.t, x=answers.values(record.x), y=y)

    def place_of_sample(self, seq: int) -> int:
        """Where among the records the sample of a number is; the end, where there is none."""
        places = (
            place for place, record in enumerate(self.records) if isinstance(record, Sample) and record.seq == seq
        )
        return next(places, len(self.records))


def draw_plan(random_: random.Random, stream_id: str, life: int) -> Plan:
    """A life of some ten samples; labels come with them, some samples late, or never.

    The samples of a later life have later times: those of a former one that are still on their way hinder none.
    """
    spec = spec_of(random_.randrange(len(_SPECS)))
    records: list[Observation] = []
    late: list[Label] = []
    t = 1.7e9 + 1000.0 * life
    for seq in range(1, random_.randint(6, 16)):
        t += random_.choice([1.0, 1.0, 7.5])
        x = (float("nan") if random_.random() < 0.05 else round(random_.gauss(0.0, 1.0), 3),)
        label = None
        if spec.task != "forecast":
            value = float(random_.randrange(2)) if spec.task == "classification" else round(random_.gauss(0.0, 1.0), 3)
            match random_.choice(["with it", "late", "late", "never"]):
                case "with it":
                    label = (value,)
                case "late":
                    late.append(Label(seq=seq, y=(value,)))
        records.append(Sample(seq=seq, t=t, x=x, y=label))
        while late and random_.random() < 0.5:
            records.append(late.pop(0))
        late = [each for each in late if each.seq > seq - 5]
    return Plan(stream_id, spec, tuple(records))


__all__ = ["Plan", "draw_plan", "spec_of"]
