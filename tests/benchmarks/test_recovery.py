"""The benchmark of recovery and memory as a command, on a real server with very few streams."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import recovery


def test_every_part_is_measured_and_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What was killed comes back whole, what does not fit leaves, and the figures belong together."""
    tiny = recovery.Plan(restart_streams=12, restart_records=5, crowd_streams=500, cycle_touches=20, memory="64MB")
    monkeypatch.setattr(recovery, "QUICK", tiny)
    monkeypatch.setitem(recovery.SPECS, "default", recovery.SPECS["default"] | {"learner": {"window": 32}})
    file = tmp_path / "figures.json"
    recovery.main(["--quick", "--models", "default", "--parts", "restart,crowd", "--json", str(file)])
    figures = json.loads(file.read_text())
    (restart,), (crowd,) = figures["restarts"], figures["crowds"]
    assert (restart["streams"], restart["records"]) == (12, 5)
    assert 0 < restart["ready_s"] < restart["first_answer_s"] < restart["warm_s"]
    assert crowd["streams"] == 500
    # About 300 fit; each that was created beyond these pushed another one out, and so did most touches.
    assert crowd["evictions"] > 250
    assert 150 < crowd["hydrations"] <= 500
    assert "More streams than fit into memory" in capsys.readouterr().out


@pytest.mark.parametrize("wrong", [["--models", "huge"], ["--parts", "restart,lunch"]])
def test_a_wrong_argument_is_named(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """The command line says what it does not know."""
    with pytest.raises(SystemExit):
        recovery.main(wrong)
    assert wrong[0] in capsys.readouterr().err
