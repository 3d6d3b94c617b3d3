"""A store without room: refused and said so, nothing by halves, and over when there is room again."""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.faults.conftest import Finish, StartServer
from tests.faults.plans import Plan
from tests.faults.proxy import Proxy
from tests.faults.stores import Store
from tests.faults.traffic import Traffic

pytestmark = [pytest.mark.timeout(300), pytest.mark.matrix]


def test_a_store_without_memory(
    start_server: StartServer, store: Store, proxy: Proxy, made: list[Plan], finish: Finish
) -> None:
    """At `maxmemory` samples are refused with `store_full`, and taken when the limit is raised."""
    server = start_server(proxy.url)
    with Traffic([server.url], made) as traffic:
        traffic.wait_for(50)
        store.client.config_set("maxmemory", 1)
        assert _until_refused(server.url) == "store_full"
        assert httpx.get(f"{server.url}/v1/streams/dense", timeout=20).status_code == 200
        store.client.config_set("maxmemory", 0)
        finish(traffic, faults=1)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 24 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(folder)], capture_output=True)
    if mounted.returncode != 0:
        pytest.skip(f"this machine does not let us mount: {mounted.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.parametrize("appendfsync", ["everysec", "always"])
def test_a_store_without_disk(
    start_server: StartServer, small_disk: Path, made: list[Plan], finish: Finish, appendfsync: str
) -> None:
    """With `everysec` the last batch is given back from memory; with `always` the store ends, and is started again."""
    with Store(small_disk / "store", options=["--appendfsync", appendfsync]) as store, Proxy(store.port) as proxy:
        server = start_server(proxy.url)
        ballast = small_disk / "ballast"
        with Traffic([server.url], made) as traffic:
            traffic.wait_for(50)
            _fill(ballast)
            assert _until_refused(server.url) in ("store_full", "store_unavailable")
            ballast.unlink()
            if store.ended:
                store.start()
            finish(traffic, faults=1)
            # What a file could not hold a start must not miss either.
            store.kill()
            store.start()
            finish(traffic, faults=2)


def _fill(ballast: Path) -> None:
    """Take all room that is left."""
    with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(b"\0" * 4096):
            pass


def _until_refused(url: str) -> str:
    """Code of the first refusal of a sample."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        described = httpx.get(f"{url}/v1/streams/filler", timeout=20)
        if described.status_code == 404:
            spec = {"task": "forecast", "features": ["a"], "horizon": [1]}
            made = httpx.put(f"{url}/v1/streams/filler", json=spec, timeout=20)
            if made.status_code == 503:
                return str(made.json()["code"])
        last = described.json().get("last_seq", 0)
        answer = httpx.post(f"{url}/v1/streams/filler/samples", json={"t": float(last + 1), "x": [1.0]}, timeout=20)
        if answer.status_code == 503:
            return str(answer.json()["code"])
    raise AssertionError("the store takes everything")
