"""The demo's streams: real data that river's wheel carries, so that nothing is downloaded.

* WaterFlow: water through a branch of a pipeline in Italy, hourly, March to May 2022, with hours and days missing and
  three moments in which the flow breaks down. One cell of each kind forecasts it, from the flow alone.
* TrumpApproval: five pollsters' daily figures and the average that an analyst made of them; a regression whose label
  comes along with its sample.
* Phishing: 1,250 web sites; a classification whose labels arrive later.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Any

from service.cli_errors import UserError


@dataclass(frozen=True, slots=True)
class DemoSample:
    """One sample, with the label that belongs to it where the task has one."""

    t: float
    x: list[float]
    y: float | str | None = None


@dataclass(frozen=True, slots=True)
class DemoStream:
    """One stream of the demo."""

    name: str
    spec: dict[str, Any]
    samples: list[DemoSample]
    label_delay: int = 0
    """Samples by which a label comes later than its sample; 0: it comes along."""
    about: str = ""


#: A neural circuit policy with every layer chosen by hand: sensory -> inter -> command -> motor.
_NCP = {
    "kind": "ncp",
    "inter_neurons": 12,
    "command_neurons": 8,
    "motor_neurons": 4,
    "sensory_fanout": 6,
    "inter_fanout": 4,
    "recurrent_command_synapses": 6,
    "motor_fanin": 4,
}


def demo_streams(limit: int | None = None) -> list[DemoStream]:
    """All streams of the demo, each with at most `limit` samples.

    Raises
    ------
    UserError
        river is not installed.
    """
    try:
        datasets: Any = import_module("river.datasets")
    except ImportError:
        raise UserError("the demo replays data sets of the package river: pip install 'liquidstream[demo]'") from None

    water = [DemoSample(x["Time"].timestamp(), [y]) for x, y in datasets.WaterFlow()][:limit]
    forecast: dict[str, Any] = {"task": "forecast", "features": ["flow"]}
    cells: dict[str, dict[str, Any]] = {
        "water-cfc": {"cell": "cfc", "horizon": [1, 12]},
        "water-ltc": {"cell": {"kind": "ltc", "ode_unfolds": 3}},
        "water-ncp": {"cell": "wired_cfc", "wiring": _NCP},
    }
    streams = [DemoStream(name, {**forecast, **cell}, water, about="water flow, l/s") for name, cell in cells.items()]
    pollsters = ["gallup", "ipsos", "morning_consult", "rasmussen", "you_gov"]
    approval = [
        DemoSample(x["ordinal_date"] * 86_400.0, [x[name] for name in pollsters], y)
        for x, y in datasets.TrumpApproval()
    ][:limit]
    regression = {
        "task": "regression",
        "features": pollsters,
        "targets": ["approval"],
    }
    streams.append(DemoStream("approval", regression, approval, about="approval, percent"))

    sites: list[DemoSample] = []
    names: list[str] = []
    for number, (x, y) in enumerate(datasets.Phishing()):
        names = names or list(x)
        sites.append(DemoSample(float(number), [float(x[name]) for name in names], "phishing" if y else "honest"))
    classification = {
        "task": "classification",
        "features": names,
        "classes": ["honest", "phishing"],
    }
    streams.append(DemoStream("phishing", classification, sites[:limit], label_delay=20, about="fraction wrong"))
    return streams


__all__ = ["DemoSample", "DemoStream", "demo_streams"]
