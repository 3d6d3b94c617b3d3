"""Which shards this process owns, and the calls that only their owner may make.

Two things are kept apart. The *token* decides safety: every call carries it, and the store refuses any but the newest.
The *lease* decides liveness: as long as it runs, nobody takes the shard over by mistake. A lease is no proof of
anything, and nothing is safe because of it.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass

import structlog

from service.store import owner, scripts
from service.store.connection import Connection, Reply
from service.store.errors import Fenced, ShardsHeld, StoreError, StoreRewound
from service.store.keys import Keys

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class FencingToken:
    """Proof of owning a shard. The newest token of a shard is the only one whose calls go through."""

    shard: int
    epoch: int
    owner: str

    def __str__(self) -> str:
        # The name is part of it: should a store lose its last second and count an epoch twice, both tokens differ.
        return f"{self.epoch}:{self.owner}"


class Ownership:
    """The shards that one owner has acquired.

    Parameters
    ----------
    name
        A name that no other owner has.
    """

    def __init__(self, connection: Connection, keys: Keys, name: str) -> None:
        self._connection = connection
        self._keys = keys
        self._name = name
        self._lease_ms = 0
        self._tokens: dict[int, FencingToken] = {}
        #: The highest epoch that was ever ours, by shard: one that a rewound store counts again must not be.
        self._highest: dict[int, int] = {}

    @property
    def shards(self) -> list[int]:
        return sorted(self._tokens)

    def token(self, shard: int) -> FencingToken:
        """Raises `Fenced` for a shard that was not acquired."""
        token = self._tokens.get(shard)
        if token is None:
            raise Fenced(shard)
        return token

    # --- taking and giving back --------------------------------------------------------------------------------------

    async def acquire(
        self, shards: Iterable[int], *, lease_s: float, by_force: bool = False
    ) -> dict[int, FencingToken]:
        """See `StreamStore.acquire`."""
        self._lease_ms = max(1, math.ceil(1000 * lease_s))
        taken: dict[int, FencingToken] = {}
        try:
            for some in self._calls(sorted(set(shards))):
                taken |= await self._take(some, by_force=by_force)
        except StoreError:
            # Several calls there are on a Redis Cluster only: what the first of them took must not stay ours.
            with suppress(StoreError):
                await self._give_up(taken.values())
            raise
        self._tokens |= taken
        return taken

    async def _take(self, shards: list[int], *, by_force: bool) -> dict[int, FencingToken]:
        keys = [key for shard in shards for key in self._keys.of_owner(shard)]
        lowest = [self._highest.get(shard, 0) + 1 for shard in shards]
        gone: list[str] = []
        while True:
            args: list[str | bytes | int] = [self._name, self._lease_ms, int(by_force), len(gone), *gone, *lowest]
            reply = await self._connection.run(scripts.ACQUIRE, keys, args)
            if not reply or reply[0] != b"held":
                break
            holder = reply[1].decode()
            if holder in gone or not owner.is_gone(holder):
                raise ShardsHeld(holder, remaining_s=max(0, reply[2]) / 1000)
            log.info("owner_is_gone", owner=holder)
            gone.append(holder)
        tokens = {
            shard: FencingToken(shard=shard, epoch=epoch, owner=self._name)
            for shard, epoch in zip(shards, reply, strict=True)
        }
        self._highest |= {shard: token.epoch for shard, token in tokens.items()}
        return tokens

    async def renew(self) -> None:
        """See `StreamStore.renew`."""

        async def renew(shards: list[int]) -> None:
            leases = [self._keys.lease(shard) for shard in shards]
            await self.run(scripts.RENEW, shards, leases, [self._name, self._lease_ms])

        await asyncio.gather(*map(renew, self._calls(self.shards)))

    async def release(self) -> None:
        """See `StreamStore.release`."""
        tokens, self._tokens = self._tokens, {}
        await self._give_up(tokens.values())

    async def _give_up(self, tokens: Iterable[FencingToken]) -> None:
        by_shard = {token.shard: token for token in tokens}

        async def give_up(shards: list[int]) -> None:
            keys = [key for shard in shards for key in (self._keys.owner(shard), self._keys.lease(shard))]
            await self._connection.run(scripts.RELEASE, keys, [str(by_shard[shard]) for shard in shards])

        await asyncio.gather(*map(give_up, self._calls(sorted(by_shard))))

    def _calls(self, shards: list[int]) -> list[list[int]]:
        """All shards in one script call, or, as a cluster wants it, each in one of its own."""
        if self._connection.is_cluster:
            return [[shard] for shard in shards]
        return [shards] if shards else []

    # --- fenced calls ------------------------------------------------------------------------------------------------

    async def run(
        self, script: scripts.Script, shards: Sequence[int], keys: Sequence[str], args: Sequence[str | bytes | int]
    ) -> Reply:
        """Run a script that begins with `fence.lua`.

        Parameters
        ----------
        shards
            All that the keys belong to.

        Raises
        ------
        Fenced, StoreRewound
            The store knows another owner of one of the shards, or does not know of us any more.
        """
        tokens = [self.token(shard) for shard in shards]
        owners = [self._keys.owner(shard) for shard in shards]
        reply = await self._connection.run(script, [*owners, *keys], [len(shards), *map(str, tokens), *args])
        if reply and reply[0] == b"fenced":
            raise _refusal(tokens[reply[1] - 1], there=reply[2].decode())
        return reply


def _refusal(ours: FencingToken, *, there: str) -> Fenced | StoreRewound:
    """Why a store that has this token does not take ours: epochs only grow, unless the store has lost some."""
    epoch, _, name = there.partition(":")
    if not there or int(epoch) < ours.epoch:
        return StoreRewound(ours.shard, emptied=not there)
    return Fenced(ours.shard, owner=name)


__all__ = ["FencingToken", "Ownership"]
