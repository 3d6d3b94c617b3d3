"""Options that several commands have, and how their text is read."""

from __future__ import annotations

from enum import StrEnum

from service.cli_errors import UserError

#: Where `liquidstream serve` listens if nothing else is asked for; the client has it, too, and takes long to import.
DEFAULT_URL = "http://127.0.0.1:8765"


class Task(StrEnum):
    FORECAST = "forecast"
    REGRESSION = "regression"
    CLASSIFICATION = "classification"


class Engine(StrEnum):
    AUTO = "auto"
    NATIVE = "native"
    TORCH = "torch"


def names_of(text: str | None) -> list[str]:
    """``a, b`` as names."""
    return [name.strip() for name in text.split(",") if name.strip()] if text else []


def horizons_of(text: str) -> list[int]:
    """``1,24`` as numbers of samples; raises `UserError`."""
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise UserError(f"--horizon takes whole numbers of samples, such as 1,24: got '{text}'.", 2) from None


def check_targets(task: str, names: list[str]) -> None:
    """Labels from outside are a column that must be named; raises `UserError`."""
    if task != Task.FORECAST and not names:
        raise UserError(
            f"--task {task} needs --targets: the column of the {'class' if task == Task.CLASSIFICATION else 'label'}.",
            2,
        )
    if task == Task.CLASSIFICATION and len(names) != 1:
        raise UserError("--task classification takes one column in --targets.", 2)


__all__ = ["DEFAULT_URL", "Engine", "Task", "check_targets", "horizons_of", "names_of"]
