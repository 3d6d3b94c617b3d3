"""A server of which more is asked than it can do: it does what it can, and nobody else has to suffer."""

from __future__ import annotations

import asyncio
import multiprocessing
from concurrent.futures import ProcessPoolExecutor

import httpx
import pytest

from benchmarks.overload import resident_mib
from benchmarks.traffic import Tally, open_loop
from tests.faults.conftest import Finish, StartServer
from tests.faults.plans import plans
from tests.faults.traffic import Traffic

pytestmark = pytest.mark.timeout(300)


def test_a_flood(start_server: StartServer, finish: Finish) -> None:
    """One stream is sent to over hundreds of connections at once: beside it others are answered, and learn the same.

    The flood itself gets answers, or hears when to come back; no connection breaks, and memory stays as it is.
    """
    server = start_server()
    httpx.put(f"{server.url}/v1/streams/greedy", json={"task": "forecast", "features": ["x"], "late": "clamp"})
    before = resident_mib(server.pid)
    # From a process of its own: how busy the flood is must not hold up the others.
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        flood = pool.submit(_flood, server.url.removeprefix("http://"))
        with Traffic([server.url], plans(60)) as traffic:
            finish(traffic, faults=1)
        tally = flood.result()

    assert set(tally.refused) <= {429, 503}
    assert min(len(tally.seconds), tally.refused.total()) > 100
    assert (tally.without_retry_after, tally.lost) == (0, 0)
    assert resident_mib(server.pid) < before + 128


def _flood(address: str) -> Tally:
    """More than any server can do, for some seconds; as many at a time as there may be connections."""
    return asyncio.run(open_loop(address, ["greedy"], 6000.0, 6.0))
