"""The benchmark as a command: what it measures, writes and leaves out."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, Literal

import pytest

from benchmarks import engine
from benchmarks.models import MODELS
from benchmarks.ours import OurStreams
from benchmarks.report import Row, compared_with_ncps
from benchmarks.timing import Budget
from liquid_core.engine import native_status

TINY = engine.Plan(Budget(total_s=0.01, repeat_s=0.001, repeats=2), limits={"ncps": 2, "deep-river": 1})
ROW_KEYS = {
    "model",
    "engine",
    "streams",
    "us_per_step",
    "steps_per_s_per_core",
    "ratio_to_ncps",
    "ratio_to_ceiling",
    "bytes_per_stream",
    "num_params",
}


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """As little of everything as says something."""
    monkeypatch.setattr(engine, "PLANS", {"quick": TINY, "thorough": TINY})


def run(tmp_path: Path, *arguments: str) -> dict[str, Any]:
    """What the command writes."""
    engine.main([*arguments, "--json", str(tmp_path / "figures.json")])
    figures: dict[str, Any] = json.loads((tmp_path / "figures.json").read_text())
    return figures


def test_the_json_holds_every_engine_side_by_side(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Rows have the promised keys, and figures that belong together."""
    engines = ("torch", "ncps", "torch-batched")
    figures = run(tmp_path, "--quick", "--models", "M1", "--streams", "1,3", "--engines", ",".join(engines))

    assert {"cpu", "isa", "cores", "torch", "python"} <= set(figures["machine"])
    assert [(row["model"], row["engine"], row["streams"]) for row in figures["rows"]] == [
        ("M1", name, count)
        for name, counts in (("torch", (1, 3)), ("ncps", (1, 2)), ("torch-batched", (1, 3)))
        for count in counts
    ]
    for row in figures["rows"]:
        assert set(row) >= ROW_KEYS
        assert row["us_per_step"] * row["steps_per_s_per_core"] == pytest.approx(1e6)
        assert row["ratio_to_ncps"] > 0
        assert row["bytes_per_stream"] > 4 * row["num_params"]
    assert "torch-batched" in capsys.readouterr().out


def test_a_missing_peer_is_left_out_with_a_note(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without ncps and deep-river the rest is measured, and the report says what is missing and what to do."""
    monkeypatch.setitem(sys.modules, "ncps", None)
    monkeypatch.setitem(sys.modules, "deep_river", None)
    figures = run(tmp_path, "--models", "M3s", "--streams", "1", "--engines", "ncps,deep-river,torch-batched")

    assert [row["engine"] for row in figures["rows"]] == ["torch-batched"]
    assert figures["rows"][0]["ratio_to_ncps"] is None
    assert {note.split()[0] for note in figures["notes"] if "was left out" in note} == {"ncps", "deep-river"}
    assert "pip install ncps" in capsys.readouterr().out.replace("\n", " ")


@pytest.mark.skipif(not native_status().available, reason="no native kernels were built here")
def test_the_native_engine_is_measured_by_patterns(tmp_path: Path) -> None:
    """Its rows know the core's ceiling, and a second table says how arrivals matter."""
    figures = run(tmp_path, "--models", "M3s", "--streams", "1,64", "--engines", "native")

    assert {pattern["pattern"] for pattern in figures["patterns"]} == {
        "one stream, 1,000 samples in one call",
        "one stream of 64, one sample",
    }
    assert all(pattern["us_per_step"] > 0 for pattern in figures["patterns"])


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("kind", ["native", "torch"])
def test_our_streams_learn_from_every_sample(model: str, kind: Literal["native", "torch"]) -> None:
    """What is timed are updates: none is skipped, in whatever pattern samples arrive."""
    if kind == "native" and not native_status().available:
        pytest.skip("no native kernels were built here")
    for active, burst in ((4, 1), (1, 3)) if kind == "native" else ((2, 2),):
        ours = OurStreams(MODELS[model], kind, 4, active=active, burst=burst)
        for batch in ours.batches(2):
            ours.step(batch)

        assert ours.learned == ours.samples_per_batch == active * burst


def test_a_ratio_is_to_the_nearest_smaller_measurement() -> None:
    """With 64 streams ncps was slower than with one; what was not measured is compared with what was."""

    def row(name: str, streams: int, time: float) -> Row:
        return Row(
            model="M1",
            engine=name,
            streams=streams,
            us_per_step=time,
            steps_per_s_per_core=1e6 / time,
            bytes_per_stream=1,
            num_params=1,
        )

    rows = compared_with_ncps(
        [row("ncps", 1, 100.0), row("ncps", 64, 200.0), row("native", 1, 1.0), row("native", 1024, 2.0)]
    )

    assert [(r.ratio_to_ncps, r.ncps_streams) for r in rows] == [(1.0, 1), (1.0, 64), (100.0, 1), (100.0, 64)]


def test_a_plan_keeps_to_its_limits() -> None:
    """A slow peer is measured with fewer streams, ncps also with as many as its limit allows."""
    plan = engine.Plan(TINY.budget, {"ncps": 64, "torch": 64}, ends_only=True)

    assert plan.streams("native", (1, 64, 10_000)) == [1, 64, 10_000]
    assert plan.streams("torch", (1, 64, 10_000)) == [1, 64]
    assert plan.streams("ncps", (1, 8, 10_000)) == [1, 64]
    assert plan.streams("ncps", (8,)) == [8]


@pytest.mark.parametrize("wrong", [["--models", "M9"], ["--streams", "0"], ["--streams", "many"]])
def test_a_wrong_argument_is_named(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """The command line says what it does not know."""
    with pytest.raises(SystemExit):
        engine.main(wrong)

    assert wrong[0] in capsys.readouterr().err
