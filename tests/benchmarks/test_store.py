"""The store's benchmark as a command: every kind of call, at both settings, on a real server."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import store

TINY = store.Plan(streams=300, with_snapshot=20, calls=3)


def test_every_call_is_measured_at_both_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As rows in the JSON, and as a table with the machine and the server above it."""
    monkeypatch.setattr(store, "PLANS", {"quick": TINY, "thorough": TINY})
    store.main(["--quick", "--json", str(tmp_path / "figures.json")])

    figures = json.loads((tmp_path / "figures.json").read_text())
    assert [(row["call"], row["appendfsync"], row["units_per_call"]) for row in figures["rows"]] == [
        (call, sync, size)
        for sync in ("everysec", "always")
        for call, size in (
            ("append, 1 a stream", 256),
            ("append, 8 a stream", 256),
            ("RPUSH, pipelined", 256),
            ("tails", 300),
            ("read_streams", 16),
            ("write_snapshots", 6),
        )
    ]
    for row in figures["rows"]:
        assert row["units_per_s"] == pytest.approx(row["units_per_call"] / row["p50_ms"] * 1e3)
        assert row["p99_ms"] >= row["p50_ms"] > 0
    shown = capsys.readouterr().out
    assert figures["server"] in shown
    assert figures["machine"]["cpu"] in shown
    assert "write_snapshots" in shown


async def test_a_call_that_does_something_else_is_not_measured() -> None:
    """An append that is refused is fast, and says nothing."""

    async def refused() -> list[str]:
        return ["mismatch"]

    kind = store.Kind("append", 1, "records", iter([refused] * 9), lambda outcome: outcome == "appended")
    with pytest.raises(RuntimeError, match="did not do what is to be measured"):
        await store._seconds(kind, 1)
