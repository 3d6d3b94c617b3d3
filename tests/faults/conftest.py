"""A server whose store can be reached by the test, and the table of what the faults did."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from service.child_server import ChildServer
from tests.faults.plans import Plan, plans
from tests.faults.proxy import Proxy
from tests.faults.stores import Store
from tests.faults.traffic import Traffic
from tests.faults.verdict import Verdict, judge

#: Set by ``make test-faults``: all of the matrix, and not only what every run of the tests has time for.
WHOLE = os.environ.get("LIQUIDSTREAM_FAULTS") == "all"
#: Snapshots every few records, so that faults fall before, into and after them; and a lease to be waited for.
OFTEN = {
    "LIQUID_SNAPSHOT_EVERY": "8",
    "LIQUID_SNAPSHOT_IDLE_S": "0.5",
    "LIQUID_LEASE_S": "2.0",
    "OMP_NUM_THREADS": "1",
}

StartServer = Callable[..., ChildServer]
Finish = Callable[..., Verdict]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the greater part of the matrix to ``make test-faults``."""
    left_out = [] if WHOLE else [item for item in items if item.get_closest_marker("matrix") is not None]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """A row for each run under faults, and their sum."""
    rows = [
        (report.nodeid.rpartition("::")[2], dict(report.user_properties)["faults"])
        for outcome in ("passed", "failed")
        for report in terminalreporter.getreports(outcome)
        if "faults" in dict(report.user_properties)
    ]
    if not rows:
        return
    columns = ("tried", "acknowledged", "lost", "applied_twice", "identical", "streams")
    rows = [*sorted(rows), ("all", {column: sum(row[column] for _, row in rows) for column in columns})]
    width = max(len(name) for name, _ in rows)
    terminalreporter.section("faults")
    terminalreporter.line(
        f"{'':{width}}  {'faults':>6}  {'acknowledged':>12}  {'lost':>4}  {'twice':>5}  bit-identical streams"
    )
    for name, row in rows:
        terminalreporter.line(
            f"{name:{width}}  {row['tried']:>6}  {row['acknowledged']:>12}  {row['lost']:>4}  "
            f"{row['applied_twice']:>5}  {row['identical']} of {row['streams']}"
        )


@pytest.fixture
def start_server(tmp_path: Path) -> Iterator[StartServer]:
    """Starts servers that are stopped when the test ends, however it does; each has a directory of its own."""
    with ExitStack() as stack:
        count = 0

        def start(url: str | None = None, **variables: str) -> ChildServer:
            nonlocal count
            directory = tmp_path / f"server-{count}"
            directory.mkdir()
            count += 1
            where = {} if url is None else {"LIQUID_REDIS_URL": url}
            return stack.enter_context(ChildServer(directory, OFTEN | where | variables))

        yield start


@pytest.fixture(params=["valkey", pytest.param("redis", marks=pytest.mark.matrix)])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """A server of the test's own: the one that comes with the package, and the machine's."""
    if request.param == "redis" and shutil.which("redis-server") is None:
        pytest.skip("this machine has no redis-server")
    with Store(tmp_path / "store", request.param) as store:
        yield store


@pytest.fixture
def proxy(store: Store) -> Iterator[Proxy]:
    """The way to the store."""
    with Proxy(store.port) as proxy:
        yield proxy


@pytest.fixture
def finish(record_property: Callable[[str, Any], None]) -> Finish:
    """Wait for the traffic's end and hold it against its folds: nothing lost, nothing twice, every bit the same."""

    def finish(traffic: Traffic, *, faults: int) -> Verdict:
        assert faults > 0
        traffic.finish()
        verdict = judge(traffic.plans, traffic.states())
        record_property("faults", {"tried": faults} | verdict.as_dict())
        assert verdict == Verdict(
            acknowledged=sum(len(plan.records) for plan in traffic.plans),
            lost=0,
            applied_twice=0,
            identical=len(traffic.plans),
            streams=len(traffic.plans),
        )
        return verdict

    return finish


@pytest.fixture
def made() -> list[Plan]:
    """Streams that are long enough for faults to fall into the middle."""
    return plans(110)
