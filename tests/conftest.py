"""What several parts of the suite share: a real store, and a real server whose streams never run dry."""

from __future__ import annotations

import asyncio
import json
import math
import random
import tempfile
import threading
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import hypothesis
import pytest
from websockets.sync.client import connect

from service.child_server import ChildServer
from service.store import EmbeddedStore, StreamStore

# A busy machine must not fail a property for being slow.
hypothesis.settings.register_profile(
    "liquidstream", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("liquidstream")

#: Of owners that keep what they have acquired for a whole test.
LEASE_S = 600.0

#: Sensitive, so that a jump of the values sets it off within a few samples.
DRIFT = {"kind": "page_hinkley", "min_samples": 30, "threshold": 4.0}

SPECS: dict[str, dict[str, Any]] = {
    "pump-7": {
        "task": "forecast",
        "features": ["flow", "pressure"],
        "horizon": [1, 6],
        "learner": {"window": 4, "drift": DRIFT},
    },
    "valve": {"task": "classification", "features": ["noise"], "classes": ["calm", "loud"], "learner": {"window": 4}},
    "meter": {
        "task": "regression",
        "features": ["noise"],
        "targets": ["load"],
        "cell": "ltc",
        "wiring": {"kind": "auto_ncp", "units": 8, "outputs": 2},
        "learner": {"window": 4},
    },
}


class Feeder:
    """Sends samples to the streams of `SPECS`, over HTTP and WebSocket, in a thread of its own until it is stopped."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="feeder")
        self._random = random.Random(7)
        self._sent = 0
        self.failure: Exception | None = None

    def start(self) -> None:
        with httpx.Client(base_url=self._url, timeout=60) as http:
            for stream_id, spec in SPECS.items():
                http.put(f"/v1/streams/{stream_id}", json=spec).raise_for_status()
            # Enough for forecasts to be settled, weights to be updated and, at a jump, a drift to be found.
            for _ in range(30):
                self._round(http)
            # A refusal of each kind that costs nothing.
            wrong = http.post("/v1/streams/pump-7/samples", json={"t": 1e12, "x": [1.0]})
            assert wrong.status_code == 422, wrong.text
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(timeout=60)

    def _run(self) -> None:
        try:
            address = self._url.replace("http", "ws", 1) + "/v1/ws"
            # No keepalive: its pings draw from the global generator, which hypothesis forbids while it makes examples.
            socket = connect(address, ping_interval=None)
            with httpx.Client(base_url=self._url, timeout=60) as http, socket:
                while not self._stop.wait(0.2):
                    self._round(http)
                    socket.send(json.dumps({"type": "sample", "stream": "valve", **self._valve(self._time(0.5))}))
                    socket.recv(timeout=60)
        except Exception as error:
            self.failure = error

    def _time(self, fraction: float = 0.0) -> float:
        return 1_732_406_400.0 + 60.0 * (self._sent + fraction)

    def _valve(self, t: float) -> dict[str, Any]:
        noise = self._random.random()
        return {"t": t, "x": [noise], "y": "loud" if noise > 0.5 else "calm"}

    def _round(self, http: httpx.Client) -> None:
        """A few samples for each stream, and a label that comes later than its sample."""
        pump, valve, meter = [], [], []
        for _ in range(5):
            self._sent += 1
            jump = 4.0 * (self._sent // 100 % 2)
            flow = 3.0 + math.sin(self._sent / 8) + jump + self._random.gauss(0.0, 0.05)
            missing = self._sent % 23 == 0
            pump.append({"t": self._time(), "x": [flow, None if missing else 0.8 + 0.1 * math.cos(self._sent / 8)]})
            valve.append(self._valve(self._time()))
            meter.append({"t": self._time(), "x": [self._random.random()]})
        self._post(http, "pump-7", "samples", pump)
        self._post(http, "valve", "samples", valve)
        results = self._post(http, "meter", "samples", meter)
        labels = [
            {"seq": result["seq"], "y": 2 * sample["x"][0]} for result, sample in zip(results, meter, strict=True)
        ]
        self._post(http, "meter", "labels", labels)

    @staticmethod
    def _post(http: httpx.Client, stream_id: str, kind: str, items: list[dict[str, Any]]) -> list[dict[str, Any]]:
        answer = http.post(f"/v1/streams/{stream_id}/{kind}", json={kind: items})
        answer.raise_for_status()
        results: list[dict[str, Any]] = answer.json()["results"]
        assert not any("problem" in result for result in results), results
        return results


@pytest.fixture(scope="session")
def fed_service() -> Iterator[str]:
    """URL of a real server in a process of its own, with one stream of each task that samples keep coming to."""
    with tempfile.TemporaryDirectory(prefix="liquid-") as directory, ChildServer(Path(directory)) as server:
        feeder = Feeder(server.url)
        feeder.start()
        try:
            yield server.url
        finally:
            feeder.stop()
        assert feeder.failure is None, feeder.failure


@contextmanager
def running_server(folder: Path) -> Iterator[str]:
    """An embedded store for tests that each have their own event loop: it has one too, in a thread."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    embedded = EmbeddedStore(folder)
    try:
        yield asyncio.run_coroutine_threadsafe(embedded.start(), loop).result(60)
    finally:
        asyncio.run_coroutine_threadsafe(embedded.stop(), loop).result(60)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@pytest.fixture(scope="session")
def store_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of a server that this test process has for itself."""
    with running_server(tmp_path_factory.mktemp("store")) as url:
        yield url


@pytest.fixture
def namespace() -> str:
    """A namespace that no other test uses."""
    return f"test-{uuid.uuid4().hex}"


@pytest.fixture
async def store(store_url: str, namespace: str) -> AsyncIterator[StreamStore]:
    """An empty store of eight shards, all acquired."""
    store = await StreamStore.connect(store_url, namespace=namespace, num_shards=8)
    await store.acquire(range(store.num_shards), lease_s=LEASE_S)
    yield store
    await store.close()
