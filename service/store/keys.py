"""Where things are in the store.

=================================  ======  ======================================================================
``liquid:layout``                  hash    `version` of this layout, `num_shards`, `store_id`; set by the first start
``liquid:{s007}:epoch``            int     of the last acquisition; only grows
``liquid:{s007}:owner``            string  token of its owner, ``epoch:name``
``liquid:{s007}:lease``            string  name of the owner, as long as its lease is alive
``liquid:{s007}:ids``              zset    ids of its streams, all with score 0 and so in the order of their bytes
``liquid:{s007}:meta:<id>``        hash    `incarnation` of the stream; `meta`, what else the service keeps of it;
                                           `position` of the newest snapshot
``liquid:{s007}:log:<id>``         list    entries since the older snapshot, at least one once there was one
``liquid:{s007}:snap:<id>``        hash    snapshots `a` and `b`; which of them is `newest`; position of the `older`;
                                           states that are pinned: `pin:` and `info:`, each with the position
=================================  ======  ======================================================================

The braces are a hash tag: all keys of a shard are in one slot of a Redis Cluster.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from functools import lru_cache

LAYOUT_VERSION = 1


@dataclass(frozen=True, slots=True)
class Keys:
    """Names of the keys of one namespace."""

    namespace: str
    num_shards: int

    def shard_of(self, stream_id: str) -> int:
        """The shard of a stream; never changes, because `num_shards` is fixed by the store's first start."""
        return zlib.crc32(stream_id.encode()) % self.num_shards

    def epoch(self, shard: int) -> str:
        return f"{self._tag(shard)}epoch"

    def owner(self, shard: int) -> str:
        return f"{self._tag(shard)}owner"

    def lease(self, shard: int) -> str:
        return f"{self._tag(shard)}lease"

    def of_owner(self, shard: int) -> tuple[str, str, str]:
        """Epoch, owner and lease: what an acquisition writes."""
        return self.epoch(shard), self.owner(shard), self.lease(shard)

    def ids(self, shard: int) -> str:
        return f"{self._tag(shard)}ids"

    def meta(self, stream_id: str) -> str:
        return f"{self._tag(self.shard_of(stream_id))}meta:{stream_id}"

    def log(self, stream_id: str) -> str:
        return f"{self._tag(self.shard_of(stream_id))}log:{stream_id}"

    def snapshots(self, stream_id: str) -> str:
        return f"{self._tag(self.shard_of(stream_id))}snap:{stream_id}"

    def of_log(self, stream_id: str) -> tuple[str, str]:
        """Meta and log: all of a stream that an append needs to know."""
        tag = self._tag(self.shard_of(stream_id))
        return f"{tag}meta:{stream_id}", f"{tag}log:{stream_id}"

    def of_stream(self, stream_id: str) -> tuple[str, str, str]:
        """Meta, log and snapshots: the keys of a stream in the order in which the scripts take them."""
        tag = self._tag(self.shard_of(stream_id))
        return f"{tag}meta:{stream_id}", f"{tag}log:{stream_id}", f"{tag}snap:{stream_id}"

    def _tag(self, shard: int) -> str:
        return _tag(self.namespace, shard)


@lru_cache(maxsize=1024)
def _tag(namespace: str, shard: int) -> str:
    """Begins every key of a shard."""
    return f"{namespace}:{{s{shard:03d}}}:"


def layout_key(namespace: str) -> str:
    return f"{namespace}:layout"


__all__ = ["LAYOUT_VERSION", "Keys", "layout_key"]
