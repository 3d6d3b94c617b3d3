"""What an evaluation says: a table, a sentence in plain words, and JSON for programs."""

from __future__ import annotations

import math
from typing import Any

import msgspec
from rich.table import Table
from rich.text import Text

from service.evaluation.evaluation import Evaluation, Result
from service.report import number, ratio

#: Errors that differ by less are called equal.
SAME = 0.005


def results_table(evaluation: Evaluation) -> Table:
    """A line for each horizon and model: the stream first, the others by their error."""
    is_class = bool(evaluation.series.classes)
    unit = ", errors in standard deviations" if evaluation.normalise_by else ""
    table = Table(
        title=f"Test, then train: {_counted(evaluation)}{unit}",
        title_justify="left",
        box=None,
        pad_edge=False,
        padding=(0, 2, 0, 0),
    )
    if not is_class and evaluation.series.y is None:
        table.add_column("ahead", justify="right", no_wrap=True)
    table.add_column("model", no_wrap=True)
    values = ("accuracy", "kappa", "AUC", "log loss") if is_class else ("MSE", "MAE")
    keys = ("accuracy", "kappa", "auc", "log_loss") if is_class else ("mse", "mae")
    tail = () if is_class else (f"in {evaluation.spec.learner.coverage:.0%}\ninterval", "its\nwidth")
    for heading in (*values, "÷ per-\nsistence", *tail):
        table.add_column(heading, justify="right", no_wrap=True)
    for horizon in evaluation.horizons:
        for line, result in enumerate(_in_order(evaluation.at(horizon))):
            cells: list[str | Text] = [] if horizon is None else [str(horizon) if line == 0 else ""]
            cells.append(Text(result.model, style="bold" if result.model == "liquid" else ""))
            cells += [number(result.scores[key]) for key in keys]
            cells.append(ratio(result.relative_error))
            if not is_class:
                coverage = result.scores["coverage"]
                cells += [f"{coverage:.1%}" if coverage is not None else "", _or_blank(result.scores["width"])]
            table.add_row(*cells)
    return table


def caption(evaluation: Evaluation) -> str | None:
    """What must be known to read the table."""
    if evaluation.series.classes:
        return None
    return "liquid's MSE is that of `y`, its MAE that of `median`; the others say one number only"


def verdict(evaluation: Evaluation) -> str:
    """Whether it works on this data, in words."""
    parts, better, best = [], [], []
    for horizon in evaluation.horizons:
        results = {result.model: result for result in evaluation.at(horizon)}
        ours, naive = results.pop("liquid").error, results.pop("persistence").error
        where = "" if horizon is None else f" at horizon {horizon}"
        if ours is None or naive is None:
            parts.append(f"nothing could be scored{where}")
            continue
        rivals = {model: result.error for model, result in results.items() if result.error is not None}
        rival = min(rivals, key=lambda model: rivals[model], default=None)
        told = f"liquid is {_compared(ours, naive)} persistence"
        if rival is not None:
            told += f" and {_compared(ours, rivals[rival])} the best of the others ({rival})"
        parts.append(told + where + _by_square(evaluation, horizon))
        better.append(ours < naive * (1 - SAME))
        best.append(rival is None or ours <= rivals[rival] * (1 + SAME))
    opening = "Nothing can be said"
    if better and all(better):
        opening = "It works on this data" if all(best) else "It works on this data, though a simpler model does better"
        if not all(best) and any(best):
            opening = "It works on this data, though at some horizons another model does better"
        elif not all(best) and _best_is_river(evaluation):
            opening = "It works on this data, though another model does better"
    elif any(better):
        opening = "It works at some horizons only"
    elif better:
        opening = "It does not work on this data"
    return f"{opening}: {'; '.join(parts)}."


def _by_square(evaluation: Evaluation, horizon: int | None) -> str:
    """How squares compare with persistence, where they say otherwise than absolute errors do."""
    scores = {result.model: result.scores for result in evaluation.at(horizon)}
    ours, naive = scores["liquid"], scores["persistence"]
    if "mse" not in ours or ours["mse"] is None or naive["mse"] is None or ours["mae"] is None or naive["mae"] is None:
        return ""
    if (ours["mse"] < naive["mse"]) == (ours["mae"] < naive["mae"]):
        return ""
    return f" (by squared error it is {_compared(ours['mse'], naive['mse'])} persistence)"


def _best_is_river(evaluation: Evaluation) -> bool:
    bests = [_in_order(evaluation.at(horizon))[1:2] for horizon in evaluation.horizons]
    return any(result.model.startswith("river") for best in bests for result in best)


def _compared(ours: float, other: float) -> str:
    if other == 0.0:
        return "as good as" if ours == 0.0 else "worse than"
    change = 1.0 - ours / other
    if abs(change) < SAME:
        return "as good as"
    return f"{abs(change):.0%} {'better' if change > 0 else 'worse'} than".replace("%", " %")


def as_json(evaluation: Evaluation, **about: Any) -> dict[str, Any]:
    """All of it for a program; `about` says where it came from. `None` stands for what cannot be said."""
    series, liquid = evaluation.series, evaluation.liquid
    document: dict[str, Any] = {
        **about,
        "task": series.task,
        "rows": len(series),
        "features": list(series.features),
        "targets": list(series.targets),
        "classes": list(series.classes),
        "spec": msgspec.json.decode(evaluation.spec.to_json()),
        "engine": liquid.engine,
        "parameters": liquid.num_params,
        "normalise_by": list(evaluation.normalise_by) if evaluation.normalise_by else None,
        "score": list(evaluation.rows) if evaluation.rows else None,
        "warmup": evaluation.warmup,
        "results": [
            {
                "model": result.model,
                "horizon": result.horizon,
                **{key: _finite(value) for key, value in result.scores.items()},
                "normalised_error": _finite(result.relative_error),
            }
            for result in evaluation.results
        ],
        "drift_rows": liquid.drift_rows.tolist(),
        "verdict": verdict(evaluation),
    }
    return document


def _in_order(results: list[Result]) -> list[Result]:
    return sorted(
        results,
        key=lambda result: (result.model != "liquid", result.error if result.error is not None else math.inf),
    )


def _counted(evaluation: Evaluation) -> str:
    counts = [result.scores["count"] or 0 for result in evaluation.results if result.model == "liquid"]
    low, high = min(counts), max(counts)
    return f"{low:,} values" if low == high else f"{low:,} to {high:,} values"


def _or_blank(value: float | None) -> str:
    return "" if value is None else number(value)


def _finite(value: float | int | None) -> float | int | None:
    return value if value is not None and math.isfinite(value) else None


__all__ = ["as_json", "caption", "results_table", "verdict"]
