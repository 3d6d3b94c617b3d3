"""What a user of the command line sees when something is wrong: one message that says what to do, and an exit code.

0 done · 1 refused or failed · 2 wrong usage or unreadable file · 3 no server · 130 interrupted.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import typer
from rich.console import Console
from rich.markup import escape

P = ParamSpec("P")
T = TypeVar("T")

errors_to = Console(stderr=True, highlight=False)

#: What to do about a refusal, by its code.
_CURES = {
    "spec_conflict": "Choose another name with --stream, or delete the stream first.",
    "unauthorized": "Pass the server's key with --api-key or LIQUID_API_KEY.",
    "late_sample": "The stream has newer samples already; choose another name with --stream.",
}


class UserError(Exception):
    """A mistake that the user can correct; the message says how."""

    def __init__(self, message: str, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def helpful(command: Callable[P, T]) -> Callable[P, T]:
    """Turn the errors that a user can do something about into a message and an exit code, without a traceback."""

    @functools.wraps(command)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return command(*args, **kwargs)
        except KeyboardInterrupt:
            message, code = "interrupted", 130
        except Exception as error:
            explained = _explained(error)
            if explained is None:
                raise
            message, code = explained
        errors_to.print(f"[bold red]error:[/] {escape(message)}")
        raise typer.Exit(code)

    return guarded


def _explained(error: Exception) -> tuple[str, int] | None:
    """What to say of an error, and the exit code; `None` where a user can do nothing about it."""
    from liquidstream_client import ConnectionFailed, LiquidstreamError, ProblemError
    from service.csv_samples import CsvError

    match error:
        case UserError():
            return str(error), error.exit_code
        case CsvError():
            return str(error), 2
        case ConnectionFailed():
            return str(error), 3
        case ProblemError():
            cure = _CURES.get(error.code, "")
            return f"the server refused: {error.detail or error.title} [{error.code}] {cure}".rstrip(), 1
        case LiquidstreamError():
            return str(error), 1
    return None


__all__ = ["UserError", "errors_to", "helpful"]
