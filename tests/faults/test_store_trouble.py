"""A store that dies, freezes, forgets its scripts or everything, and comes back."""

from __future__ import annotations

import os
import signal
import subprocess
import time

import httpx
import pytest

from service.child_server import ChildServer
from tests.faults.conftest import Finish, StartServer
from tests.faults.plans import Plan
from tests.faults.proxy import Proxy
from tests.faults.stores import Store
from tests.faults.traffic import Traffic

pytestmark = pytest.mark.timeout(300)


def test_a_killed_embedded_store(start_server: StartServer, made: list[Plan], finish: Finish) -> None:
    """It is killed twice while samples flow; the service starts it again."""
    server = start_server()
    killed: set[int] = set()
    with Traffic([server.url], made) as traffic:
        for _ in traffic.moments(seed=3, count=2):
            pid = _store_pid(server)
            os.kill(pid, signal.SIGKILL)
            killed.add(pid)
            while _store_pid(server, missing=0) in (0, pid):
                time.sleep(0.02)
        finish(traffic, faults=2)

    assert len(killed) == 2


@pytest.mark.matrix
def test_a_killed_store(
    start_server: StartServer, store: Store, proxy: Proxy, made: list[Plan], finish: Finish
) -> None:
    """A store elsewhere is killed three times, and away for a moment."""
    server = start_server(proxy.url)
    with Traffic([server.url], made) as traffic:
        for _ in traffic.moments(seed=5, count=3):
            store.kill()
            time.sleep(0.5)
            store.start()
        finish(traffic, faults=3)


@pytest.mark.matrix
def test_store_and_server_killed_together(
    start_server: StartServer, store: Store, proxy: Proxy, made: list[Plan], finish: Finish
) -> None:
    """Nobody has anything in memory any more; what was acknowledged is in the store's file."""
    server = start_server(proxy.url)
    with Traffic([server.url], made) as traffic:
        for _ in traffic.moments(seed=6, count=2):
            store.kill()
            server.kill()
            store.start()
            server.start()
        finish(traffic, faults=4)


@pytest.mark.parametrize("seconds", [3.0, pytest.param(20.0, marks=pytest.mark.matrix)])
def test_a_frozen_store(
    start_server: StartServer, store: Store, proxy: Proxy, made: list[Plan], finish: Finish, seconds: float
) -> None:
    """While it is frozen the server lives, is not ready, and refuses at once; then it goes on."""
    server = start_server(proxy.url)
    with Traffic([server.url], made) as traffic:
        traffic.wait_for(50)
        store.signal(signal.SIGSTOP)
        try:
            frozen_at = time.monotonic()
            refused = _until_refused(server.url)
            assert refused.json()["code"] == "store_unavailable"
            assert "Retry-After" in refused.headers
            assert httpx.get(f"{server.url}/livez").status_code == 200
            assert httpx.get(f"{server.url}/readyz").status_code == 503
            time.sleep(max(0.0, frozen_at + seconds - time.monotonic()))
        finally:
            store.signal(signal.SIGCONT)
        finish(traffic, faults=1)


@pytest.mark.matrix
def test_a_store_that_comes_back_empty(
    start_server: StartServer, store: Store, proxy: Proxy, made: list[Plan], finish: Finish
) -> None:
    """All its files are gone; the server gives it every stream again, from memory."""
    server = start_server(proxy.url)
    with Traffic([server.url], made) as traffic:
        for _ in traffic.moments(seed=7, count=2):
            store.kill()
            store.forget_everything()
            store.start()
        finish(traffic, faults=2)
        metrics = httpx.get(f"{server.url}/metrics").text

    assert _metric(metrics, "liquid_store_rewound_total") >= 1
    assert _metric(metrics, "liquid_store_mended_records_total") >= 1


@pytest.mark.matrix
def test_a_store_that_forgets_its_scripts(
    start_server: StartServer, store: Store, proxy: Proxy, made: list[Plan], finish: Finish
) -> None:
    """It is sent them again, and no client notices."""
    server = start_server(proxy.url)
    with Traffic([server.url], made) as traffic:
        for _ in traffic.moments(seed=8, count=5):
            store.client.script_flush()
        finish(traffic, faults=5)

    assert all(plan.repeats == 0 for plan in made)


def _until_refused(url: str) -> httpx.Response:
    """The first refusal; samples that come before it wait for the store until they time out."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        answer = httpx.post(f"{url}/v1/streams/dense/samples", json={"t": 4e9, "x": [1.0], "seq": 10**6}, timeout=20)
        if answer.status_code == 503:
            return answer
    raise AssertionError("the server has not noticed that its store is frozen")


def _metric(text: str, name: str) -> float:
    return next(float(line.split()[1]) for line in text.splitlines() if line.startswith(f"{name} "))


def _store_pid(server: ChildServer, missing: int | None = None) -> int:
    """Process id of the store that this server started."""
    listed = subprocess.run(
        ["ps", "-A", "-ww", "-o", "pid=,ppid=,command="], capture_output=True, text=True, check=True
    )
    rows = [line.split(None, 2) for line in listed.stdout.splitlines()]
    pids = [int(pid) for pid, parent, command in rows if int(parent) == server.pid and "valkey-server" in command]
    if not pids and missing is not None:
        return missing
    assert len(pids) == 1, listed.stdout
    return pids[0]
