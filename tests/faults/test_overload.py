"""A server of which more is asked than it can do: it does what it can, and nobody else has to suffer."""

from __future__ import annotations

import subprocess

import httpx
import pytest

from service.child_server import ChildServer
from tests.faults.conftest import Finish, StartServer
from tests.faults.flood import Flood
from tests.faults.plans import plans
from tests.faults.traffic import Traffic

pytestmark = pytest.mark.timeout(300)


def test_a_flood(start_server: StartServer, finish: Finish) -> None:
    """One stream is sent to over hundreds of connections at once: beside it others are answered, and learn the same.

    The flood itself gets answers, or hears when to come back; no connection breaks, and memory stays as it is.
    """
    server = start_server()
    httpx.put(f"{server.url}/v1/streams/greedy", json={"task": "forecast", "features": ["x"], "late": "clamp"})
    before = _resident_mib(server)
    with Traffic([server.url], plans(60)) as traffic, Flood(server.url, "greedy", at_a_time=400) as flood:
        finish(traffic, faults=1)

    outcome = flood.outcome
    assert set(outcome.statuses) <= {200, 429, 503}
    assert min(outcome.statuses[200], outcome.statuses[429] + outcome.statuses[503]) > 100
    assert (outcome.without_retry_after, outcome.lost) == (0, 0)
    assert _resident_mib(server) < before + 128


def _resident_mib(server: ChildServer) -> float:
    return int(subprocess.check_output(["ps", "-o", "rss=", "-p", str(server.pid)])) / 1024
