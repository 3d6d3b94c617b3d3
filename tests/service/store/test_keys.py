"""Where things are in the store."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from redis.crc import key_slot

from service.store.keys import Keys

KEYS = Keys(namespace="liquid", num_shards=64)


@given(st.text(min_size=1, max_size=20).map(lambda text: text.encode("utf-8", "replace").decode()))
def test_all_keys_of_a_shard_are_in_one_slot(stream_id: str) -> None:
    """A script that touches one shard can run on a Redis Cluster, whatever the ids are."""
    shard = KEYS.shard_of(stream_id)
    names = [*KEYS.of_stream(stream_id), *KEYS.of_owner(shard), KEYS.ids(shard)]
    assert len({key_slot(name.encode()) for name in names}) == 1


def test_a_stream_stays_in_its_shard() -> None:
    """The map from ids to shards is part of the format: another release must find the streams."""
    assert [KEYS.shard_of(stream_id) for stream_id in ("pump-7", "a", "wärmepumpe")] == [51, 3, 12]
    assert KEYS.log("pump-7") == "liquid:{s051}:log:pump-7"


def test_streams_spread_over_the_shards() -> None:
    """No shard gets more than twice its share of numbered streams."""
    shards = [KEYS.shard_of(f"sensor-{number:05d}") for number in range(6400)]
    assert max(shards.count(shard) for shard in range(64)) < 200
