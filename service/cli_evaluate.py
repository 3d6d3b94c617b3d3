"""`liquidstream evaluate`: whether a stream would be worth having on a file, without a server."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from service.cli_errors import UserError, helpful
from service.cli_options import Engine, Task, check_targets, horizons_of, names_of

if TYPE_CHECKING:
    import numpy as np

    from service.csv_samples import CsvPlan

console = Console(highlight=False)


@helpful
def evaluate_command(
    file: Annotated[Path, typer.Argument(help="A CSV file whose first line names its columns.", metavar="FILE.csv")],
    time_column: Annotated[
        str | None, typer.Option("--time", help="Column of the time, or year,month,day,hour.", show_default="guessed")
    ] = None,
    features: Annotated[str | None, typer.Option(help="Columns of values: a,b.", show_default="all numbers")] = None,
    targets: Annotated[
        str | None, typer.Option(help="Columns to predict: a,b.", show_default="a forecast's features")
    ] = None,
    task: Annotated[Task | None, typer.Option(help="What to predict.", show_default="forecast")] = None,
    horizon: Annotated[
        str | None, typer.Option(help="Forecast: how many rows ahead, such as 1,24.", show_default="1")
    ] = None,
    label_delay: Annotated[int, typer.Option(help="Rows by which labels come later than their rows.", min=0)] = 0,
    spec_file: Annotated[
        Path | None, typer.Option("--spec", help="A model's spec as JSON; other options go before it.")
    ] = None,
    warmup: Annotated[int, typer.Option(help="The first rows, which are not scored.", min=0)] = 0,
    score: Annotated[
        str | None, typer.Option(help="Rows whose targets are scored: 3600:14400.", show_default="all")
    ] = None,
    normalise_by: Annotated[
        str | None, typer.Option(help="Rows whose mean and deviation are the units: 0:2880.", show_default="none")
    ] = None,
    peers: Annotated[bool, typer.Option("--peers", help="Run models of river too; that takes minutes.")] = False,
    seed: Annotated[int | None, typer.Option(help="Seed of the initial weights.", min=0, show_default="0")] = None,
    engine: Annotated[Engine, typer.Option(help="Native kernels, or the torch reference.")] = Engine.AUTO,
    plot: Annotated[Path | None, typer.Option(help="Draw it into this file, such as out.png.")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the results into this file.")] = None,
) -> None:
    """Find out whether it works on your data: predict every row of a CSV file before learning from it, and compare."""
    given = _read_spec(spec_file)
    kind = str(task or given.get("task", Task.FORECAST))
    target_names = names_of(targets) or ([] if kind == Task.CLASSIFICATION else list(given.get("targets", ())))
    check_targets(kind, target_names)
    score_rows, unit_rows = _rows(score, "--score"), _rows(normalise_by, "--normalise-by")
    if json_file is not None and not json_file.parent.is_dir():
        raise UserError(f"--json: there is no folder {json_file.parent}.", 2)
    if plot is not None:
        from service.evaluation.plot import check_can_plot

        check_can_plot(plot)
    from service.csv_samples import plan_csv

    plan = plan_csv(
        file,
        time_column=time_column,
        features=names_of(features) or list(given.get("features", ())),
        labels=() if kind == Task.FORECAST else target_names,
        is_class=kind == Task.CLASSIFICATION,
    )
    unknown = sorted(set(target_names) - set(plan.features)) if kind == Task.FORECAST else []
    if unknown:
        raise UserError(f"--targets of a forecast must be among its features: {', '.join(unknown)} is not.", 2)

    # Only after the file and the options were found good: numpy, and for some models torch, take long to import.
    import numpy as np

    from liquid_core.errors import LiquidError
    from service.evaluation import read_series
    from service.evaluation.evaluation import evaluate
    from service.evaluation.peers import has_river
    from service.evaluation.report import as_json, caption, results_table, verdict

    series = read_series(plan, targets=target_names, classes=given.get("classes", ()), label_delay=label_delay)
    late = int((series.t[1:] <= np.maximum.accumulate(series.t)[:-1]).sum())
    _describe(plan, series.t, int(np.isnan(series.x).sum()), late)
    model = {**given, "task": kind, "features": list(plan.features), "late": "clamp"}
    if kind == Task.FORECAST:
        model["horizon"] = horizons_of(horizon) if horizon is not None else given.get("horizon", 1)
    elif horizon is not None:
        raise UserError("--horizon belongs to --task forecast; labels from outside are of their own row.", 2)
    model |= {"classes": list(series.classes)} if series.classes else {"targets": list(series.targets)}
    if seed is not None:
        model["seed"] = seed
    if peers and not has_river():
        console.print("  [yellow]no peers:[/] river is not installed; pip install 'liquidstream[peers]'", markup=True)
    started = time.monotonic()
    try:
        spec = _spec(model)
        with _progress() as begin:
            found = evaluate(
                series,
                spec,
                engine=engine.value,
                peers=peers and has_river(),
                normalise_by=_within(unit_rows, len(series)),
                rows=_within(score_rows, len(series)),
                warmup=warmup,
                begin=begin,
            )
    except LiquidError as error:
        raise UserError(str(error), 2) from error
    except ValueError as error:
        raise UserError(f"--normalise-by: {error}", 2) from error
    took = time.monotonic() - started
    console.print(f"  {found.liquid.num_params:,} parameters, engine {found.liquid.engine}, {took:.1f} s\n")
    console.print(results_table(found))
    if (needed := caption(found)) is not None:
        console.print(f"[dim]{escape(needed)}[/]")
    drift = len(found.liquid.drift_rows)
    console.print(f"\ndrift was seen {drift:,} time{'' if drift == 1 else 's'}")
    console.print(f"[bold]{escape(verdict(found))}[/]")
    if json_file is not None:
        about = {"file": file.name, "late_rows": late, "label_delay": label_delay, "seed": spec.seed}
        json_file.write_text(json.dumps(as_json(found, **about), indent=1, allow_nan=False) + "\n", encoding="utf-8")
    if plot is not None:
        from service.evaluation.plot import plot as draw

        draw(found, plot)


def _read_spec(path: Path | None) -> dict[str, Any]:
    """What the file says, which may be a part of a spec only."""
    if path is None:
        return {}
    try:
        spec = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"--spec: {path} cannot be read: {error.strerror}", 2) from error
    except ValueError as error:
        raise UserError(f"--spec: {path.name} is not JSON: {error}", 2) from error
    if not isinstance(spec, dict):
        raise UserError(f'--spec: {path.name} must hold an object, such as {{"cell": "ltc"}}.', 2)
    return spec


def _spec(model: dict[str, Any]) -> Any:
    import msgspec

    from liquid_core.spec import ModelSpec

    return ModelSpec.from_json(msgspec.json.encode(model))


def _rows(text: str | None, option: str) -> tuple[int, int | None] | None:
    """``start:stop``, either of which may be left out."""
    if text is None:
        return None
    first, colon, last = text.partition(":")
    try:
        start, stop = int(first or 0), int(last) if last else None
    except ValueError:
        start, stop = -1, None
    if not colon or start < 0 or (stop is not None and stop <= start):
        raise UserError(f"{option} takes rows as START:STOP, such as 0:2880, counted from 0: got '{text}'.", 2)
    return start, stop


def _within(rows: tuple[int, int | None] | None, count: int) -> tuple[int, int] | None:
    return None if rows is None else (rows[0], count if rows[1] is None else min(rows[1], count))


def _describe(plan: CsvPlan, t: np.ndarray[Any, Any], missing: int, late: int) -> None:
    from service.replay import describe_columns

    describe_columns(plan, len(t), (float(t.min()), float(t.max())), missing, console)
    if late:
        rows = f"rows whose time does not lie after the last: {late:,}"
        console.print(f"  [yellow]{rows}[/] (they count as if no time had passed: late = clamp)")


@contextmanager
def _progress() -> Iterator[Any]:
    """Bars on stderr, one for each model."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    shown = Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )

    def begin(name: str, rows: int) -> Any:
        bar = shown.add_task(name, total=rows)
        return lambda done: shown.advance(bar, done)

    with shown:
        yield begin


__all__ = ["evaluate_command"]
