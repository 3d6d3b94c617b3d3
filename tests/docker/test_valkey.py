"""The store of the Compose file: the shipped configuration in a real Valkey, used by the real store."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis
from redis.exceptions import ConnectionError as NotThere
from redis.exceptions import NoPermissionError

from liquid_core.engine.records import Sample
from service.store import Append, Appended, Mend, Snapshot, StoredStream, StreamStore, Tail, encode_entry
from service.store.binaries import find_server

CONFIG = Path(__file__).parents[2] / "docker/valkey/valkey.conf"


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The configuration as it is shipped, except for where it listens and keeps its file."""
    folder = tmp_path_factory.mktemp("valkey")
    shipped, socket = CONFIG.read_text(), folder / "s"
    assert "\ndir /data\n" in shipped
    (folder / "valkey.conf").write_text(shipped.replace("\ndir /data\n", f"\ndir {folder}\n"))
    command = [str(find_server().path), str(folder / "valkey.conf"), "--port", "0", "--unixsocket", str(socket)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as server:
        try:
            with Redis(unix_socket_path=str(socket)) as client:
                while not _answers(client):
                    assert server.poll() is None, "valkey does not start with docker/valkey/valkey.conf"
                    time.sleep(0.02)
            yield f"unix://{socket}"
        finally:
            server.terminate()


def _answers(client: Redis) -> bool:
    try:
        return bool(client.ping())
    except NotThere:
        return False


async def test_the_configuration_keeps_what_is_acknowledged(url: str) -> None:
    """The store finds it fsync-durable and has nothing to warn about."""
    store = await StreamStore.connect(url)
    health = await store.self_check()
    await store.close()
    assert (health.durability, health.warnings) == ("fsync", ())


async def test_the_store_may_do_all_that_it_does(url: str) -> None:
    """No command that the store sends is among those that the configuration locks away."""
    store = await StreamStore.connect(url)
    await store.acquire(range(store.num_shards), lease_s=10)
    incarnation = await store.create("pump", b"{}")
    assert incarnation
    entry = encode_entry(Sample(seq=1, t=1.0, x=(0.5,)), 1, store.epoch_of("pump"))
    assert await store.append([Append("pump", incarnation, 1, [entry])]) == [Appended("appended", tail=1)]
    snapshot = Snapshot("pump", incarnation, 1, b"state")
    assert await store.write_snapshots([snapshot]) == ["written"]
    assert await store.read_streams(["pump"]) == [StoredStream("pump", incarnation, b"{}", snapshot, [])]
    assert await store.tails(["pump"]) == [Tail(incarnation, 1)]
    assert await store.mend([Mend("pump", incarnation, b"{}", 1, b"state", entry)]) == ["fine"]
    await store.renew()
    await store.run_id()
    assert await store.list_ids(None, 10) == (["pump"], None)
    assert await store.delete("pump")
    await store.release()
    await store.close()


@pytest.mark.parametrize(
    "command", ["FLUSHALL", "KEYS *", "CONFIG SET appendonly no", "SHUTDOWN", "ACL SETUSER other on"]
)
def test_what_could_destroy_streams_is_locked_away(url: str, command: str) -> None:
    """Nobody empties, reconfigures or stops the store over the network."""
    with Redis.from_url(url) as client, pytest.raises(NoPermissionError):
        client.execute_command(*command.split())
