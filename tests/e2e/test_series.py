"""From a stream's history to the plot: `series.js`, run in the browser that it is written for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Route

from service.dashboard import STATIC

FORECAST = {"task": "forecast", "features": ["a", "b"], "targets": ["b"], "horizon": [1, 2]}
CLASSES = {"task": "classification", "features": ["a"], "targets": [], "classes": ["calm", "loud"]}
REGRESSION = {"task": "regression", "features": ["a"], "targets": ["y"]}

Call = Callable[..., Any]


@pytest.fixture(scope="module")
def call(browser: Browser) -> Iterator[Call]:
    """Call a function of series.js."""

    def serve(route: Route) -> None:
        name = route.request.url.rpartition("/")[2]
        if name == "blank":
            route.fulfill(content_type="text/html", body="<!doctype html>")
        else:
            route.fulfill(content_type="text/javascript", body=(STATIC / name).read_text())

    page = browser.new_page()
    page.route("**/*", serve)
    page.goto("http://series.test/blank")
    script = "([name, given]) => import('/series.js').then((module) => module[name](...given))"
    yield lambda name, *given: page.evaluate(script, [name, list(given)])
    page.close()


def point(seq: int, t: float, x: list[float | None], *predictions: dict[str, Any], **extra: Any) -> dict[str, Any]:
    return {"seq": seq, "t": t, "x": x, "y": None, "predictions": list(predictions), "drift": None} | extra


def forecast(horizon: int, value: float) -> dict[str, Any]:
    return {"horizon": horizon, "y": [value], "lower": [value - 1], "upper": [value + 1]}


def test_a_forecast_stands_at_the_sample_that_it_was_made_for(call: Call) -> None:
    """What was said at sample s about h samples ahead is drawn at s + h, beyond the last sample too."""
    points = [point(s, 10.0 * s, [0.0, s], forecast(1, s + 0.1), forecast(2, s + 0.2)) for s in (1, 2, 3)]
    series = call("align", points, FORECAST, "0", 2)
    assert series["seq"] == [1, 2, 3, 4, 5]
    assert series["x"] == [10, 20, 30, 40, 50]
    assert series["truth"] == [1, 2, 3, None, None]
    assert series["predicted"] == [None, None, 1.2, 2.2, 3.2]
    assert series["lower"] == pytest.approx([None, None, 0.2, 1.2, 2.2])
    assert series["upper"] == pytest.approx([None, None, 2.2, 3.2, 4.2])


def test_a_gap_in_seq_does_not_shift_forecasts(call: Call) -> None:
    """A forecast whose sample never came is not drawn at another one."""
    points = [point(s, float(s), [0.0, s], forecast(1, s + 0.1)) for s in (1, 2, 4, 5)]
    series = call("align", points, FORECAST, "0", 1)
    assert series["seq"] == [1, 2, 4, 5, 6]
    assert series["predicted"] == [None, 1.1, None, 4.1, 5.1]


def test_missing_values_and_predictions_leave_holes(call: Call) -> None:
    """Nothing is drawn where a value was `null` or a repeated sample had no answer."""
    points = [point(1, 1.0, [0.0, None], forecast(1, 7.0)), point(2, 2.0, [0.0, 5.0]), point(3, 3.0, [0.0, 6.0])]
    points[1]["predictions"] = None
    series = call("align", points, FORECAST, "0", 1)
    assert series["truth"] == [None, 5, 6, None]
    assert series["predicted"] == [None, 7, None, None]


def test_times_that_do_not_grow_make_way_for_seq(call: Call) -> None:
    """A stream that clamps late samples is drawn by sample number."""
    points = [point(s, t, [0.0, 1.0], forecast(1, 1.0)) for s, t in ((7, 5.0), (8, 5.0), (9, 6.0))]
    series = call("align", points, FORECAST, "0", 1)
    assert (series["byTime"], series["x"]) == (False, [7, 8, 9, 10])


def test_drift_alarms_stand_at_their_samples(call: Call) -> None:
    """A mark has the time of the sample that set the detector off, and the detector's name."""
    points = [point(1, 1.0, [0.0, 1.0]), point(2, 2.0, [0.0, 1.0], drift="page_hinkley")]
    assert call("align", points, FORECAST, "0", 1)["drifts"] == [{"x": 2, "detector": "page_hinkley"}]


@pytest.mark.parametrize("given", ["loud", 1, [1.0]], ids=["name", "index", "index in a list"])
def test_a_true_class_may_come_as_name_or_index(call: Call, given: Any) -> None:
    """The plot of the true class shows the probability that it was given before its label was known."""
    answer = {"label": "calm", "probabilities": {"calm": 0.75, "loud": 0.25}}
    points = [point(1, 1.0, [0.0], answer, y=given), point(2, 2.0, [0.0], answer)]
    series = call("align", points, CLASSES, "true", 0)
    assert series["predicted"] == [0.25, None]
    assert series["truth"] == [None, None]
    assert call("verticalRange", series) == pytest.approx([-0.04, 1.04])


def test_one_class_is_drawn_against_whether_it_came_true(call: Call) -> None:
    """A chosen class has its probability at every sample, and 1 or 0 where the label is known."""
    answer = {"label": "calm", "probabilities": {"calm": 0.75, "loud": 0.25}}
    points = [point(1, 1.0, [0.0], answer, y=[0.0]), point(2, 2.0, [0.0], answer)]
    series = call("align", points, CLASSES, "=calm", 0)
    assert (series["predicted"], series["truth"]) == ([0.75, 0.75], [1, None])


def test_a_regression_stands_at_its_own_sample(call: Call) -> None:
    """Labels that are yet to come leave the truth open."""
    answer = {"y": [2.0], "lower": [1.0], "upper": [3.0]}
    series = call("align", [point(1, 1.0, [0.0], answer, y=[2.5]), point(2, 2.0, [0.0], answer)], REGRESSION, "0", 0)
    assert (series["truth"], series["predicted"], series["upper"]) == ([2.5, None], [2, 2], [3, 3])


def test_wild_intervals_do_not_flatten_the_truth(call: Call) -> None:
    """The axis shows all of the truth, and no more of a young stream's intervals than leaves it legible."""
    columns = {"truth": [0.0, 1.0], "predicted": [0.5, 0.5], "lower": [-500.0, 0.0], "upper": [500.0, 1.0]}
    low, high = call("verticalRange", columns)
    assert -1.5 < low < 0.0
    assert 1.0 < high < 2.5


def test_an_empty_history_is_an_empty_plot(call: Call) -> None:
    """No points, no columns, and an axis all the same."""
    series = call("align", [], FORECAST, "0", 1)
    assert series["x"] == []
    assert call("verticalRange", series) == [0, 1]
