"""A flipped bit in a snapshot: the one before it, and a longer replay, give the same state; or it is said."""

from __future__ import annotations

import httpx
import pytest

from tests.faults.conftest import Finish, StartServer
from tests.faults.plans import Plan
from tests.faults.proxy import Proxy
from tests.faults.stores import Store
from tests.faults.traffic import Traffic

pytestmark = [pytest.mark.timeout(300), pytest.mark.matrix]


def flip_a_bit(store: Store, stream_id: str, generation: bytes) -> None:
    key = store.key_of("snap", stream_id)
    data = bytearray(store.client.hget(key, generation))
    data[len(data) // 2] ^= 1
    store.client.hset(key, generation, bytes(data))


def test_a_damaged_snapshot(
    start_server: StartServer, store: Store, proxy: Proxy, made: list[Plan], finish: Finish
) -> None:
    """The newest snapshot of every stream, while the server is down."""
    server = start_server(proxy.url)
    with Traffic([server.url], made) as traffic:
        traffic.wait_for(100)
        server.kill()
        for plan in made:
            flip_a_bit(store, plan.stream_id, store.client.hget(store.key_of("snap", plan.stream_id), "newest"))
        server.start()
        finish(traffic, faults=len(made))

    assert "snapshot_corrupt" in server.log.read_text()


def test_a_stream_beyond_repair_harms_no_other(
    start_server: StartServer, store: Store, proxy: Proxy, made: list[Plan]
) -> None:
    """Both its snapshots are damaged: it is refused, never begun anew in silence, and the others go on."""
    server = start_server(proxy.url)
    with Traffic([server.url], made) as traffic:
        traffic.finish()
    server.kill()
    for generation in (b"a", b"b"):
        flip_a_bit(store, "dense", generation)
    server.start()

    answers = {plan.stream_id: httpx.get(f"{server.url}/v1/streams/{plan.stream_id}", timeout=20) for plan in made}
    assert answers["dense"].status_code == 500
    assert "dense" in server.log.read_text()
    assert [answers[other].status_code for other in ("wired", "sites")] == [200, 200]
