"""A server that is asked to stop leaves nothing undone, and another one goes on at once."""

from __future__ import annotations

import threading
from pathlib import Path

import httpx
import numpy as np
import pytest

from service.child_server import ChildServer
from tests.faults.conftest import OFTEN, Finish, StartServer
from tests.faults.plans import Plan, plans
from tests.faults.stores import Store
from tests.faults.traffic import Traffic

pytestmark = pytest.mark.timeout(300)


def test_a_stopped_server_leaves_nothing_to_replay(tmp_path: Path) -> None:
    """SIGTERM writes every stream's snapshot, so a start after it replays no record."""
    made = plans(20)
    seldom = {"LIQUID_SNAPSHOT_EVERY": "1000", "LIQUID_SNAPSHOT_IDLE_S": "600"}
    with ChildServer(tmp_path, OFTEN | seldom) as server:
        with Traffic([server.url], made) as traffic:
            traffic.finish()
            before = traffic.states()
        server.stop()
        server.start()
        after = Traffic([server.url], made).states()
        metrics = httpx.get(f"{server.url}/metrics").text

    assert "liquid_replay_entries_total 0.0" in metrics
    for plan in made:
        for name, array in before[plan.stream_id].items():
            np.testing.assert_array_equal(after[plan.stream_id][name], array)


def test_a_rolling_restart(start_server: StartServer, store: Store, made: list[Plan], finish: Finish) -> None:
    """While samples flow a second server stands by, and the first is stopped: nobody gets more than "send again"."""
    url = f"redis://127.0.0.1:{store.port}/0"
    first = start_server(url, LIQUID_LEASE_S="600")
    urls = [first.url]
    second: list[ChildServer] = []
    standby = threading.Thread(target=lambda: second.append(start_server(url, LIQUID_LEASE_S="600")))
    with Traffic(urls, made) as traffic:
        traffic.wait_for(30)
        standby.start()
        traffic.wait_for(60)
        first.stop()
        standby.join()  # it waits for no lease: the first one has given it back
        urls.append(second[0].url)
        finish(traffic, faults=1)
