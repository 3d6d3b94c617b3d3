"""Ownership: whether this host may work on the shards, and how long it may believe so without asking.

Two things guard a shard. Its *fencing token* is checked inside every write script and read script: whoever lost the
shard can write nothing, whatever it believes. Its *lease* decides who may take it: a host that starts beside another
one stands by until that one stops, dies, or is silent for longer than its lease.
"""

from __future__ import annotations

import asyncio

import structlog

from service import clock
from service.metrics import Metrics
from service.problems import Problem
from service.store import Fenced, ShardsHeld, StreamStore

log = structlog.get_logger(__name__)

#: Part of the lease after which the host asks before it answers from memory: by the end of the lease another may own.
FRESH_SHARE = 2 / 3


class Ownership:
    """The shards of a store: held, or held by somebody else.

    Parameters
    ----------
    lease_s
        How long a silent owner is waited for.
    attention
        Set when the shards are lost, for the keeper to clean up at once.
    """

    def __init__(self, store: StreamStore, metrics: Metrics, attention: asyncio.Event, *, lease_s: float) -> None:
        self._store = store
        self._metrics = metrics
        self._attention = attention
        self._renewed_at = float("-inf")
        self._renewing = asyncio.Lock()
        self.lease_s = lease_s
        self.held = False
        #: The owner that is in our way, as far as it is known.
        self.other: str | None = None

    @property
    def is_fresh(self) -> bool:
        """Whether nobody else can have taken the shards meanwhile."""
        return self.held and clock.now() < self._renewed_at + FRESH_SHARE * self.lease_s

    def check(self) -> None:
        """Raise `Problem` ``fenced`` where the shards are another host's."""
        if not self.held:
            raise fenced()

    async def take(self, *, by_force: bool = False) -> None:
        """Become the owner; raises `ShardsHeld` while another one is alive, unless `by_force`."""
        asked_at = clock.now()
        try:
            await self._store.acquire(range(self._store.num_shards), lease_s=self.lease_s, by_force=by_force)
        except ShardsHeld as error:
            self.other = error.owner
            raise
        self._hold(asked_at)
        log.info("shards_taken", shards=self._store.num_shards)

    async def retake(self) -> None:
        """Become the owner of what the store has forgotten that we own; raises `ShardsHeld` where we are too late."""
        asked_at = clock.now()
        try:
            await self._store.reacquire(lease_s=self.lease_s)
        except ShardsHeld as error:
            self.lose(error.owner)
            raise
        self._hold(asked_at)
        log.info("shards_retaken", shards=self._store.num_shards)

    async def renew(self) -> None:
        """Prolong the lease.

        Raises
        ------
        Fenced
            Somebody else owns a shard by now; all are given up.
        StoreRewound
            The store does not know any more that we own them.
        StoreUnavailable
            It does not answer.
        """
        asked_at = clock.now()
        try:
            await self._store.renew()
        except Fenced as error:
            self.lose_to(error)
            raise
        except Exception:
            self._metrics.lease_renew_failures.inc()
            raise
        self._renewed_at = asked_at

    async def confirm(self) -> None:
        """Make sure that the shards are still ours, asking only where that is not certain; raises as `renew` does."""
        async with self._renewing:
            if self.held and not self.is_fresh:
                await self.renew()
        self.check()

    def lose_to(self, error: Fenced) -> None:
        """A call was refused because somebody else has taken over."""
        self._metrics.fenced_writes.inc()
        self.lose(error.owner)

    def lose(self, other: str | None) -> None:
        """From now on nothing is taken, read or written here."""
        if self.held:
            log.error("fenced", owner=other)
        self.held = False
        self.other = other
        self._metrics.shards_owned.set(0)
        self._attention.set()

    async def release(self) -> None:
        """Let whoever stands by have the shards at once."""
        if self.held:
            self.held = False
            self._metrics.shards_owned.set(0)
            await self._store.release()

    def _hold(self, asked_at: float) -> None:
        self.held, self.other = True, None
        self._renewed_at = asked_at
        self._metrics.shards_owned.set(self._store.num_shards)


def fenced() -> Problem:
    """The refusal of a host that owns nothing."""
    return Problem(
        "fenced", "another server owns the streams; send there, or again when it has stopped.", retry_after_s=1.0
    )


__all__ = ["FRESH_SHARE", "Ownership", "fenced"]
