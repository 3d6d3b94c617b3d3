"""Metrics: names, labels, and that two servers in one process do not share them."""

from __future__ import annotations

import re
from pathlib import Path

from prometheus_client import Counter, Gauge, Histogram
from prometheus_client.parser import text_string_to_metric_families

from service.metrics import DURABILITY_LEVELS, Metrics

DOCKER = Path(__file__).parents[2] / "docker"
#: Labels whose values are few, and known beforehand or templates.
LABELS = {
    *("version", "python", "torch", "method", "route", "code", "direction", "reason", "model", "result", "stage"),
    *("quantile", "detector", "level", "engine", "isa", "control"),
}


def own(metrics: Metrics) -> dict[str, Counter | Gauge | Histogram]:
    return {name: metric for name, metric in vars(metrics).items() if isinstance(metric, Counter | Gauge | Histogram)}


def test_an_attribute_is_the_metrics_name() -> None:
    """Without the prefix, and without the `_total` of counters."""
    for name, metric in own(Metrics()).items():
        assert metric._name == f"liquid_{name}"


def test_no_label_is_a_streams() -> None:
    """The number of series does not grow with the number of streams."""
    for metric in own(Metrics()).values():
        assert set(metric._labelnames) <= LABELS


def test_all_is_prometheus_text_with_help() -> None:
    """A second with units in its name where it is one, and nothing about when it was made."""
    metrics = Metrics()
    metrics.samples.labels(model="cfc", result="applied").inc(3)
    families = {family.name: family for family in text_string_to_metric_families(metrics.render().decode())}
    assert families["liquid_samples"].samples[0].value == 3
    assert families["liquid_build_info"].samples[0].labels.keys() == {"version", "python", "torch"}
    assert "process_resident_memory_bytes" in families
    assert all(family.documentation for family in families.values())
    assert not [name for name in families if name.endswith("_created")]


def test_one_durability_level_holds() -> None:
    """The others read 0, so that an alert on a level ends."""
    metrics = Metrics()
    for level in DURABILITY_LEVELS:
        metrics.set_durability(level)
        values = {other: metrics.store_durability_info.labels(level=other)._value.get() for other in DURABILITY_LEVELS}
        assert values == {other: float(other == level) for other in DURABILITY_LEVELS}


def test_servers_do_not_share_metrics() -> None:
    """Each has a registry of its own."""
    first, second = Metrics(), Metrics()
    first.streams.set(7)
    assert second.streams._value.get() == 0


def test_what_alerts_and_boards_ask_for_is_there() -> None:
    """Every name that the Prometheus rules and Grafana's board use is one of these metrics."""
    text = Metrics().render().decode()
    there = set(re.findall(r"^# TYPE (liquid_\w+)", text, re.MULTILINE))
    asked = set()
    for file in DOCKER.rglob("*"):
        if file.suffix in (".yml", ".json"):
            asked |= set(re.findall(r"\b(liquid_\w+?)(?:_bucket|_sum|_count)?\b(?=[\[{ )\"]|$)", file.read_text()))
    missing = {name for name in asked if name not in there}
    assert asked
    assert not missing
