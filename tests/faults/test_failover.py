"""The store's place is taken by a replica: what it had not got yet comes back from memory."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.conftest import Finish, StartServer
from tests.faults.plans import Plan
from tests.faults.proxy import Proxy
from tests.faults.stores import Store
from tests.faults.traffic import Traffic

pytestmark = [pytest.mark.timeout(300), pytest.mark.matrix]


@pytest.fixture
def replica(store: Store, tmp_path: Path) -> Iterator[Store]:
    """A second server that follows the first."""
    program = "redis" if store.client.info("server").get("server_name") != "valkey" else "valkey"
    with Store(tmp_path / "replica", program) as replica:
        replica.client.replicaof("127.0.0.1", store.port)
        _until(lambda: replica.client.info("replication")["master_link_status"] == "up")
        yield replica


def test_an_orderly_fail_over(
    start_server: StartServer, store: Store, replica: Store, proxy: Proxy, made: list[Plan], finish: Finish
) -> None:
    """The former primary answers READONLY; the service connects anew and finds the new one at the old address."""
    server = start_server(proxy.url)
    with Traffic([server.url], made) as traffic:
        traffic.wait_for(50)
        replica.client.replicaof("NO", "ONE")
        store.client.replicaof("127.0.0.1", replica.port)
        proxy.lead_to(replica.port)
        finish(traffic, faults=1)


def test_a_fail_over_to_a_replica_that_was_behind(
    start_server: StartServer, store: Store, replica: Store, proxy: Proxy, made: list[Plan], finish: Finish
) -> None:
    """It was cut off for thirty answers before the primary died: the service has them, and gives them to it."""
    server = start_server(proxy.url)
    with Traffic([server.url], made) as traffic:
        traffic.wait_for(50)
        replica.client.replicaof("NO", "ONE")  # as far as it got: a partition looks the same
        traffic.wait_for(80)
        store.kill()
        proxy.lead_to(replica.port)
        proxy.reset()
        finish(traffic, faults=1)


def _until(condition: object, within_s: float = 30.0) -> None:
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        if callable(condition) and condition():
            return
        time.sleep(0.05)
    raise TimeoutError("it has not come about")
