"""The overload benchmark as a command: all phases against a real server, in a moment; no figure is held to anything."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import overload


def test_every_phase_is_measured_written_and_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One row a phase, with everything that was sent accounted for."""
    tiny = overload.Plan(capacity_s=0.5, normal_s=0.5, overload_s=0.5, polite_s=0.5, rest_s=0.1)
    monkeypatch.setattr(overload, "PLANS", {"quick": tiny, "thorough": tiny})
    monkeypatch.setattr(overload, "STREAMS", 6)
    monkeypatch.setattr(overload, "POLITE", 4)
    file = tmp_path / "overload.json"
    overload.main(["--quick", "--json", str(file)])
    report = json.loads(file.read_text())
    phases = [row["phase"] for row in report["rows"]]
    assert phases == ["normal", "overload", "polite", "with greedy"]
    assert report["capacity_per_s"] > 0
    for row in report["rows"]:
        answered = row["answered_per_s"] * 0.5
        told = row["refused_429"] + row["refused_503"] + row["other_statuses"] + row["lost"]
        assert round(answered) + told == round(row["offered_per_s"] * 0.5)
        assert row["without_retry_after"] == 0
        assert 0 < row["mib_before"] <= row["mib_peak"]
    shown = capsys.readouterr().out
    assert "with greedy" in shown
    assert "p99 under overload" in shown
