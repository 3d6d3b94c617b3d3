"""A server that was frozen until another took its place writes nothing when it comes back, and says why."""

from __future__ import annotations

import os
import signal
import time

import httpx
import pytest

from service.store.codec import decode_entry
from tests.faults.conftest import Finish, StartServer
from tests.faults.plans import Plan
from tests.faults.stores import Store
from tests.faults.traffic import Traffic

pytestmark = pytest.mark.timeout(300)


def test_a_zombie_writes_nothing_and_says_so(
    start_server: StartServer, store: Store, made: list[Plan], finish: Finish
) -> None:
    """SIGSTOP past the lease, a second server takes over, SIGCONT: no entry of the first follows one of the second."""
    url = f"redis://127.0.0.1:{store.port}/0"
    first = start_server(url)
    urls = [first.url]
    with Traffic(urls, made) as traffic:
        traffic.wait_for(40)
        os.kill(first.pid, signal.SIGSTOP)
        try:
            second = start_server(url)  # ready as soon as the lease of the first has ended
            urls.append(second.url)
            traffic.wait_for(80)
        finally:
            os.kill(first.pid, signal.SIGCONT)
        finish(traffic, faults=1)

        refused = _until_it_stands_by(first.url)
        assert refused["code"] == "fenced"
        assert any("standby" in reason for reason in httpx.get(f"{first.url}/readyz").json()["reasons"])
    for plan in made:
        entries = [decode_entry(data) for data in store.client.lrange(store.key_of("log", plan.stream_id), 0, -1)]
        epochs = [entry.token_epoch for entry in entries]
        assert epochs == sorted(epochs)


def _until_it_stands_by(url: str) -> dict[str, str]:
    """What the server answers to a sample once it knows."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        answer = httpx.post(f"{url}/v1/streams/dense/samples", json={"t": 4e9, "x": [1.0]}, timeout=20)
        assert answer.status_code != 200, "it has taken a sample though another server has the streams"
        if answer.json()["code"] == "fenced":
            break
        time.sleep(0.1)
    found: dict[str, str] = answer.json()
    return found
