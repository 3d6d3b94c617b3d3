"""What is met, what is not, and what is not known; rows that are kept and pooled."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from benchmarks.accuracy.__main__ import outcomes
from benchmarks.accuracy.data import Metric, Stream
from benchmarks.accuracy.goals import GOALS, At, Beat, Cover, Reach
from benchmarks.accuracy.jobs import DATASETS, Job, Settings, plan, run, scored
from benchmarks.accuracy.models import RIVER, Z_SCORE, half_space_trees, river_tracks, z_scores
from benchmarks.accuracy.report import Report, line
from benchmarks.accuracy.rows import LIQUID, NO_DETECTOR, Row, Rows, pooled
from benchmarks.accuracy.search import SPACE, choices, learner_with, mean_log_ratio
from liquid_core.errors import SpecError
from liquid_core.spec import LearnerSpec
from service.evaluation import Series, Track


def row(
    model: str,
    *values: float,
    stream: str = "s",
    horizon: int | None = 1,
    metric: Metric = "mae",
    coverage: tuple[float, ...] = (),
    count: int = 10,
    part: str = "",
) -> Row:
    return Row(
        dataset="d",
        stream=stream,
        horizon=horizon,
        part=part,
        model=model,
        metric=metric,
        values=list(values),
        coverage=list(coverage),
        count=count,
    )


# --- goals -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("metric", "limit", "values", "met"),
    [
        ("mse", 0.2, (0.19, 0.2, 0.9), True),
        ("mse", 0.2, (0.21,), False),
        ("accuracy", 0.9, (0.9,), True),
        ("accuracy", 0.9, (0.89,), False),
    ],
)
def test_a_limit_is_reached_by_the_median(metric: Metric, limit: float, values: tuple[float, ...], met: bool) -> None:
    assert Reach(At("s", 1), metric, limit).judge([row(LIQUID, *values, metric=metric)]).met is met


def test_what_was_not_measured_is_neither_met_nor_missed() -> None:
    others = [row(LIQUID, 1.0, horizon=24), row("persistence", 1.0)]
    for goal in (Reach(At("s", 1), "mae", 2.0), Beat(At("s", 1)), Cover(At("s", 1))):
        assert goal.judge(others).met is None
    assert Beat(At("s", 1), ("persistence",)).judge([row(LIQUID, 1.0)]).met is None


def test_all_named_peers_are_to_be_beaten_by_the_margin() -> None:
    goal = Beat(At("s", 1), ("persistence", "online_linear"), 0.05)
    ours = row(LIQUID, 0.94)
    assert goal.judge([ours, row("persistence", 1.0), row("online_linear", 1.2), row("other", 0.1)]).met is True
    verdict = goal.judge([ours, row("persistence", 1.0), row("online_linear", 0.98)])
    assert verdict.met is False
    assert "online_linear" in verdict.reached


def test_a_peer_that_is_missing_leaves_a_lead_open_but_not_a_defeat() -> None:
    goal = Beat(At("s", 1), ("persistence", "online_linear"))
    assert goal.judge([row(LIQUID, 0.9), row("persistence", 1.0)]).met is None
    assert goal.judge([row(LIQUID, 1.1), row("persistence", 1.0)]).met is False


def test_without_names_all_peers_count_but_not_ourselves() -> None:
    rows = [row(LIQUID, 0.9), row(NO_DETECTOR, 0.8), row("persistence", 1.0)]
    assert Beat(At("s", 1)).judge(rows).met is True
    assert Beat(At("s", 1)).judge([*rows, row("river ARF", 0.85)]).met is False


def test_larger_areas_are_better() -> None:
    at = At("nab", None, "anomaly")
    rows = [row(name, area, stream="nab", horizon=None, part="anomaly", metric="auc") for name, area in
            ((LIQUID, 0.7), (Z_SCORE, 0.6))]  # fmt: skip
    assert Beat(at, (Z_SCORE,)).judge(rows).met is True


@pytest.mark.parametrize(("value", "met"), [(1.009, True), (0.9, True), (1.02, False)])
def test_a_walk_may_cost_one_percent(value: float, met: bool) -> None:
    goal = Beat(At("s", 1), ("persistence",), -0.01)
    assert goal.judge([row(LIQUID, value), row("persistence", 1.0)]).met is met


@pytest.mark.parametrize(("covered", "met"), [(0.87, False), (0.9, True), (0.93, False)])
def test_coverage_has_two_sides(covered: float, met: bool) -> None:
    assert Cover(At("s", 1)).judge([row(LIQUID, 1.0, coverage=(covered,))]).met is met


def test_coverage_is_asked_of_every_stream() -> None:
    """Seven streams that hold nine tenths in the mean may still be wrong one by one."""
    rows = [row(LIQUID, 1.0, stream=f"nab_{name}", coverage=(c,)) for name, c in (("a", 0.85), ("b", 0.95))]
    verdict = Cover(At("nab", 1)).judge([*rows, *pooled(rows, "nab")])
    assert (verdict.met, verdict.reached) == (False, "85.0% to 95.0%")


# --- rows ------------------------------------------------------------------------------------------------------------


def test_seeds_add_up_and_the_median_counts() -> None:
    rows = Rows()
    for value in (1.0, 5.0, 2.0):
        rows.add(row(LIQUID, value, coverage=(value / 10,)))
    (found,) = rows.all()
    assert (found.values, found.value, found.covered) == ([1.0, 5.0, 2.0], 2.0, 0.2)


def test_streams_are_pooled_by_what_they_count_and_areas_alike() -> None:
    (errors,) = pooled([row(LIQUID, 1.0, count=30), row(LIQUID, 2.0, stream="t", count=10)], "all")
    assert (errors.stream, errors.values, errors.count) == ("all", [1.25], 40)
    areas = [row(LIQUID, 1.0, metric="auc", count=30), row(LIQUID, 2.0, stream="t", metric="auc", count=10)]
    assert pooled(areas, "all")[0].values == [1.5]


def test_only_what_could_be_known_is_scored() -> None:
    """Persistence has nothing to say about the first two rows of a forecast two rows ahead."""
    series = Series("s", np.arange(5.0), np.array([[1.0], [2.0], [4.0], [7.0], [11.0]]), None, ("a",), ("a",))
    stream = Stream(series, "mae", (2,), parts={"end": np.arange(5) == 4})
    whole, end = scored("d", stream, Track("zero", 2, np.zeros((5, 1))), "zero")
    assert (whole.count, whole.values) == (3, [pytest.approx(22 / 3)])
    assert (end.part, end.count, end.values) == ("end", 1, [11.0])


def test_a_z_score_does_not_know_the_change_that_it_scores() -> None:
    series = Series("s", np.arange(6.0), np.array([[0.0], [1.0], [2.0], [3.0], [13.0], [14.0]]), None, ("a",), ("a",))
    found = z_scores(Stream(series, "auc", (1,)))
    assert np.isnan(found[:2]).all()
    assert found[2:5].tolist() == [1.0, 1.0, 10.0]
    assert found[5] < 1.0


def test_the_rows_of_a_job_come_out_of_it(tmp_path: Path) -> None:
    """Of a stream with labelled windows: forecasts, and how well a score tells the windows."""
    (tmp_path / "nab" / "data" / "realKnownCause").mkdir(parents=True)
    (tmp_path / "nab" / "labels").mkdir()
    lines = [f"2014-07-01 {at // 60:02d}:{at % 60:02d}:00,{at % 7}" for at in range(300)]
    (tmp_path / "nab" / "data" / "realKnownCause" / "a.csv").write_text("timestamp,value\n" + "\n".join(lines) + "\n")
    windows = {"realKnownCause/a.csv": [["2014-07-01 02:00:00", "2014-07-01 02:10:00"]]}
    (tmp_path / "nab" / "labels" / "combined_windows.json").write_text(json.dumps(windows))
    found = Job("nab", "baselines").run(Settings(tmp_path))
    assert {(one.model, one.metric) for one in found} >= {("persistence", "mae"), (Z_SCORE, "auc")}


# --- reports ---------------------------------------------------------------------------------------------------------


def test_a_cut_run_is_gone_on_with(tmp_path: Path) -> None:
    """A job is taken over if what its rows depend on has not changed."""
    path = tmp_path / "run.json"
    first = Report({}, {}, jobs={"a": [row(LIQUID, 1.0)], "b": [row(LIQUID, 2.0)]}, fingerprints={"a": "1", "b": "1"})
    first.write(path)
    second = Report({}, {})
    second.take_over(path, {"a": "1", "b": "2", "c": "1"})
    assert second.jobs == {"a": first.jobs["a"]}


def test_jobs_run_side_by_side_and_what_is_missing_is_said(tmp_path: Path) -> None:
    (tmp_path / "elec2").mkdir()
    lines = [f"{at % 48},{at % 5},{at % 3 % 2}" for at in range(200)]
    (tmp_path / "elec2" / "electricity_moa.csv").write_text("period,price,class\n" + "\n".join(lines) + "\n")
    jobs = [Job("elec2", "baselines"), Job("wth", "baselines")]
    for processes in (1, 2):
        found = {job.dataset: outcome for job, outcome in outcomes(jobs, Settings(tmp_path), processes)}
        assert {one.model for one in found["elec2"] if isinstance(one, Row)} >= {"persistence", "online_linear"}
        assert str(found["wth"]).startswith("wth was left out")


def test_our_own_rows_have_seeds_and_intervals(tmp_path: Path) -> None:
    (found,) = Job("walk", LIQUID).run(Settings(tmp_path, seeds=2, quick=True))
    assert (found.stream, found.protocol, found.metric) == ("walk", "H=1", "mse")
    assert len(found.values) == len(found.coverage) == 2
    assert 0.8 < (found.covered or 0.0) < 1.0


def test_a_job_that_fails_says_why(tmp_path: Path) -> None:
    assert "river nothing is not among" in str(run(Job("walk", "river nothing"), Settings(tmp_path, quick=True)))


def test_a_new_learner_runs_only_what_is_ours_again(tmp_path: Path) -> None:
    old = Settings(tmp_path)
    new = Settings(tmp_path, learner=LearnerSpec(window=4))
    assert Job("wth", LIQUID).fingerprint(old) != Job("wth", LIQUID).fingerprint(new)
    assert Job("wth", "baselines").fingerprint(old) == Job("wth", "baselines").fingerprint(new)


def test_more_seeds_run_only_what_depends_on_them_again(tmp_path: Path) -> None:
    """The default model everywhere, and baselines where a seed makes the stream; nothing that a real stream decides."""
    one, five = Settings(tmp_path, seeds=1), Settings(tmp_path, seeds=5)
    again = {
        (job.dataset, job.part) for job in plan(["wth", "walk"], one) if job.fingerprint(one) != job.fingerprint(five)
    }
    assert again == {("wth", LIQUID), ("walk", LIQUID), ("walk", "baselines")}


def test_the_tables_are_shown_with_goals_and_published_figures() -> None:
    report = Report({}, {"quick": False}, jobs={"wth / liquid": [row(LIQUID, 0.15, stream="wth", metric="mse")]})
    console = Console(width=160)
    with console.capture() as shown:
        report.show(console)
    assert "FSNet *" in shown.get()
    assert "mse ≤ 0.144" in shown.get()
    assert "0.1500" in line(report.rows()[0])


def test_goals_look_at_streams_that_exist() -> None:
    names = {"bikes30": "bikes", "bikes60": "bikes"}
    looked_at = {names.get(goal.at.stream, goal.at.stream) for goal in GOALS}  # type: ignore[attr-defined]
    assert looked_at <= set(DATASETS)


def test_a_quick_run_leaves_river_out_and_so_does_one_that_is_told_to(tmp_path: Path) -> None:
    for jobs in (
        plan(["elec2", "concepts"], Settings(tmp_path, quick=True)),
        plan(["elec2", "concepts"], Settings(tmp_path), river=False),
    ):
        assert {job.part for job in jobs} == {LIQUID, "baselines", NO_DETECTOR}


@pytest.mark.parametrize("classes", [(), ("0", "1")])
def test_rivers_models_go_by_their_names(classes: tuple[str, ...]) -> None:
    pytest.importorskip("river")
    n = 60
    y = np.arange(n)[:, None] % 2.0 if classes else None
    series = Series("s", np.arange(n) * 1.0, np.arange(n)[:, None] * 1.0, y, ("a",), () if classes else ("a",), classes)
    stream = Stream(series, "accuracy") if classes else Stream(series, "mae", (1,))
    for name in RIVER["elec2" if classes else "metro"]:
        (track,) = river_tracks(stream, name)
        assert track.model == name
    with pytest.raises(LookupError, match="river nothing"):
        river_tracks(stream, "river nothing")


def test_scores_of_anomalies_know_nothing_of_what_comes() -> None:
    """Other values from row 500 on leave the scores before them as they are."""
    pytest.importorskip("river")
    x = np.sin(np.arange(600.0))[:, None]
    other = x.copy()
    other[500:] = 9.0
    for scores_of in (half_space_trees, z_scores):
        here, there = (
            scores_of(Stream(Series("s", np.arange(600.0), values, None, ("a",), ("a",)), "auc", (1,)))
            for values in (x, other)
        )
        assert np.array_equal(here[:500], there[:500], equal_nan=True)
        assert not np.array_equal(here[500:], there[500:])


# --- search ----------------------------------------------------------------------------------------------------------


def test_a_search_tries_the_defaults_first_and_no_more_than_it_may() -> None:
    tried = choices(SPACE, 5)
    assert tried[0] == {}
    assert len(tried) == 6
    assert choices(SPACE, 5) == tried
    assert len(choices({"window": [4, 8]}, 5)) == 3


def test_settings_of_the_search_are_checked() -> None:
    assert learner_with(LearnerSpec(), {"window": 4}).window == 4
    with pytest.raises((SpecError, ValueError)):
        learner_with(LearnerSpec(), {"window": 0})
    with pytest.raises((SpecError, ValueError)):
        learner_with(LearnerSpec(), {"no_such": 1})


def test_the_score_is_a_mean_of_logarithms() -> None:
    """Half the error at one horizon and twice at another is as good as persistence; a mean square is rooted first."""
    ours = [row(LIQUID, 1.0), row(LIQUID, 4.0, horizon=24)]
    base = [row("persistence", 2.0), row("persistence", 2.0, horizon=24)]
    assert mean_log_ratio(ours, base) == pytest.approx(0.0)
    squares = [row(LIQUID, 1.0, metric="mse")], [row("persistence", 4.0, metric="mse")]
    assert mean_log_ratio(*squares) == pytest.approx(-np.log(2.0))
