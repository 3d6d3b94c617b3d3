"""`liquidstream evaluate` on small files: what it prints, what it writes, what it refuses."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from datetime import datetime, timedelta

import numpy as np
import pytest
from typer.testing import CliRunner

from service.cli import app

ROWS = 400


@pytest.fixture
def file(tmp_path):
    """Hours in text, a column of words, holes, two rows at the same time and one late."""
    rng = np.random.default_rng(2)
    lines = ["when,site,flow,pressure,state"]
    for row in range(ROWS):
        moment = datetime(2024, 3, 1) + timedelta(hours=row - (row == 50) - 3 * (row == 60))
        flow = 5 + 2 * np.sin(2 * np.pi * row / 24) + 0.2 * rng.standard_normal()
        pressure = "" if row % 11 == 3 else f"{flow * 2:.4f}"
        state = "" if row % 13 == 5 else ("high" if flow > 5 else "low")
        lines.append(f"{moment:%Y-%m-%d %H:%M},north,{flow:.4f},{pressure},{state}")
    path = tmp_path / "pump.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def evaluate(*arguments: object, code: int = 0) -> str:
    result = CliRunner().invoke(app, ["evaluate", *map(str, arguments)], env={"COLUMNS": "200"})
    assert result.exit_code == code, result.output
    return result.output


def evaluated(tmp_path, *arguments: object) -> dict:
    out = tmp_path / "out.json"
    evaluate(*arguments, "--json", out)
    return json.loads(out.read_text())


def test_a_forecast_as_a_user_runs_it(file, tmp_path):
    """A process of its own: it says how the file was read, a table, and a sentence."""
    command = [sys.executable, "-m", "service.cli", "evaluate", str(file), "--horizon", "1,6", "--json", "out.json"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env={"COLUMNS": "200"}, check=False)
    assert done.returncode == 0, done.stderr
    for said in (
        "400 rows, time from 'when'",
        "features: flow, pressure",
        "left out, not numbers: site, state",
        "rows whose time does not lie after the last: 2",
        "seasonal_naive",
        "its MAE that of `median`",
    ):
        assert said in done.stdout
    assert json.loads((tmp_path / "out.json").read_text())["verdict"] in " ".join(done.stdout.split())


def test_the_json_of_a_forecast(file, tmp_path):
    """A result for each model and horizon, all scored on the same values, and only the stream has intervals."""
    found = evaluated(tmp_path, file, "--horizon", "1,6", "--warmup", 100)
    assert (found["task"], found["rows"], found["late_rows"]) == ("forecast", ROWS, 2)
    models = ["liquid", "persistence", "seasonal_naive", "online_ar", "online_linear"]
    assert {(r["model"], r["horizon"]) for r in found["results"]} == {(m, h) for m in models for h in (1, 6)}
    naive = {r["horizon"]: r["mae"] for r in found["results"] if r["model"] == "persistence"}
    for result in found["results"]:
        assert set(result) == {
            "model", "horizon", "count", "mse", "mae", "coverage", "width", "normalised_error",
        }  # fmt: skip
        assert result["normalised_error"] == result["mae"] / naive[result["horizon"]]
        assert (result["coverage"] is not None) == (result["model"] == "liquid")
    assert len({r["count"] for r in found["results"]}) == 1


def test_units_and_rows_are_those_asked_for(file, tmp_path):
    """Persistence, computed here from the file alone, in units of the first 100 rows and scored on rows 200 to 300."""
    found = evaluated(
        tmp_path, file, "--features", "flow", "--horizon", 6, "--normalise-by", "0:100", "--score", "200:300"
    )
    flow = np.genfromtxt(file, delimiter=",", skip_header=1, usecols=2)
    error = (flow[200:300] - flow[194:294]) / flow[:100].std()
    (naive,) = (r for r in found["results"] if r["model"] == "persistence")
    assert naive["count"] == 100
    assert naive["mae"] == pytest.approx(np.abs(error).mean())
    assert naive["mse"] == pytest.approx((error**2).mean())


def test_a_regression_with_late_labels(file, tmp_path):
    """Labels of their own row have no horizon."""
    found = evaluated(tmp_path, file, "--task", "regression", "--targets", "pressure", "--label-delay", 3)
    assert (found["features"], found["targets"]) == (["flow"], ["pressure"])
    assert {r["horizon"] for r in found["results"]} == {None}


def test_classes(file, tmp_path):
    """Classes are scored as such, beside no change."""
    found = evaluated(tmp_path, file, "--task", "classification", "--targets", "state", "--features", "flow,pressure")
    assert found["classes"] == ["high", "low"]
    by_model = {r["model"]: r for r in found["results"]}
    assert set(by_model["liquid"]) == {
        "model", "horizon", "count", "accuracy", "kappa", "auc", "log_loss", "normalised_error",
    }  # fmt: skip
    assert by_model["online_linear"]["accuracy"] > 0.8
    assert by_model["persistence"]["normalised_error"] == 1.0


def test_a_spec_from_a_file_is_completed_and_overruled(file, tmp_path):
    """Its cell is taken, its features come from the file, its horizon yields to the option."""
    spec = tmp_path / "spec.json"
    spec.write_text(json.dumps({"task": "forecast", "cell": {"kind": "cfc", "units": 4}, "horizon": 9, "seed": 5}))
    found = evaluated(tmp_path, file, "--spec", spec, "--horizon", 2, "--targets", "flow", "--engine", "torch")
    told = found["spec"]
    assert (told["cell"]["units"], told["horizon"], told["seed"]) == (4, [2], 5)
    assert (told["features"], told["targets"], told["late"]) == (["flow", "pressure"], ["flow"], "clamp")
    assert found["engine"] == "torch"


def test_a_picture_is_drawn(file, tmp_path):
    """Where matplotlib is installed; the ending says what kind."""
    pytest.importorskip("matplotlib")
    evaluate(file, "--plot", tmp_path / "out.png")
    assert (tmp_path / "out.png").read_bytes()[:4] == b"\x89PNG"
    evaluate(file, "--plot", tmp_path / "out.xyz", code=2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--task", "regression"], "needs --targets"),
        (["--score", "20"], "START:STOP"),
        (["--normalise-by", "9:3"], "START:STOP"),
        (["--horizon", "soon"], "whole numbers"),
        (["--horizon", "0"], "horizon"),
        (["--targets", "depth"], "depth"),
        (["--spec", "nowhere.json"], "cannot be read"),
        (["--json", "no/such/out.json"], "no folder"),
        (["--normalise-by", "900:950"], "hold no value"),
        (["--task", "regression", "--targets", "flow", "--horizon", "2"], "belongs to --task forecast"),
    ],
)
def test_what_cannot_be_done_is_said(file, arguments, message):
    """One line, and the exit code of wrong usage."""
    result = CliRunner().invoke(app, ["evaluate", str(file), *arguments])
    assert result.exit_code == 2
    assert message in " ".join((result.output + result.stderr).split())
    assert "Traceback" not in result.output


def test_a_packed_file_is_read(file, tmp_path):
    """gzip by its ending."""
    packed = tmp_path / "pump.csv.gz"
    packed.write_bytes(gzip.compress(file.read_bytes()))
    assert "400 rows" in evaluate(packed, "--features", "flow")
