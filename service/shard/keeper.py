"""The keeper: takes the shards, keeps them, and looks after a store that was lost.

It goes round a few times within each lease, and at once when somebody shuts the store's gate or the shards are lost:

* *standing by*, it tries to take the shards;
* *owning* them, it prolongs the lease, and where the store was away, or has started anew, it lets the healer compare
  all streams in memory with it before anybody is let through again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

import structlog

from service import clock
from service.metrics import Metrics
from service.shard.healing import Healer
from service.shard.ownership import Ownership
from service.shard.store_gate import StoreGate
from service.shard.streams import StreamTable
from service.store import Fenced, ShardsHeld, StoreError, StoreFull, StoreRewound, StreamStore, Superseded

log = structlog.get_logger(__name__)

#: Rounds within one lease: one may fail, and a second, before the lease ends.
ROUNDS_PER_LEASE = 3
#: Pauses between looking whether a lost store is back.
FIRST_PROBE_S, LAST_PROBE_S = 0.1, 1.0


class Keeper:
    """The task that keeps ownership and store in order.

    Parameters
    ----------
    working
        Held while a micro-batch is on its way: streams are compared with the store in between.
    attention
        Set by whoever shuts the gate or loses the shards.
    on_taken, on_lost
        What the host does when it has become the owner, and when it is so no more.
    """

    def __init__(
        self,
        *,
        store: StreamStore,
        ownership: Ownership,
        gate: StoreGate,
        healer: Healer,
        table: StreamTable,
        metrics: Metrics,
        working: asyncio.Lock,
        attention: asyncio.Event,
        on_taken: Callable[[], Awaitable[None]],
        on_lost: Callable[[], Awaitable[None]],
    ) -> None:
        self._store = store
        self._ownership = ownership
        self._gate = gate
        self._healer = healer
        self._table = table
        self._metrics = metrics
        self._working = working
        self._attention = attention
        self._on_taken = on_taken
        self._on_lost = on_lost
        self._run_id = ""
        self._serving = False
        self._former_owner_until = float("-inf")
        self._probe_s = FIRST_PROBE_S

    async def take(self, *, by_force: bool) -> None:
        """Begin to serve if the shards are free, else leave it to `run` to wait for them."""
        self._run_id = await self._store.run_id()
        try:
            await self._ownership.take(by_force=by_force)
        except ShardsHeld as error:
            log.warning("standing_by", owner=error.owner, lease_ends_in_s=round(error.remaining_s, 1))
        else:
            await self._begin()

    async def run(self) -> None:
        """Go round until cancelled."""
        while True:
            await self._pause()
            self._attention.clear()
            try:
                await self._round()
            except (Fenced, ShardsHeld):
                pass  # the ownership knows, and has told
            except StoreFull:
                self._gate.full()
            except StoreError as error:
                self._gate.shut(str(error))
            except Exception:
                log.exception("keeper_failed")
                await asyncio.sleep(LAST_PROBE_S)

    async def _pause(self) -> None:
        if self._gate.is_open:
            self._probe_s = FIRST_PROBE_S
            with suppress(TimeoutError):
                async with asyncio.timeout(self._ownership.lease_s / ROUNDS_PER_LEASE):
                    await self._attention.wait()
        else:
            await asyncio.sleep(self._probe_s)
            self._probe_s = min(2 * self._probe_s, LAST_PROBE_S)

    async def _round(self) -> None:
        if not self._ownership.held and self._serving:
            self._serving = False
            async with self._working:
                await self._on_lost()
        if self._ownership.held:
            await self._keep()
        else:
            await self._stand_by()

    async def _stand_by(self) -> None:
        times_shut = self._gate.times_shut
        try:
            run_id = await self._store.run_id()
            if run_id != self._run_id:
                # A store that has started anew may have lost a lease that is alive, with more. The owner has all that
                # in memory, and goes first.
                self._run_id, self._former_owner_until = run_id, clock.now() + self._ownership.lease_s
            if clock.now() < self._former_owner_until:
                self._gate.open(if_times_shut=times_shut)
                return
            await self._ownership.take()
        except ShardsHeld:
            self._gate.open(if_times_shut=times_shut)  # it has answered
            raise
        self._gate.open(if_times_shut=times_shut)
        await self._begin()

    async def _begin(self) -> None:
        self._serving = True
        await self._on_taken()

    async def _keep(self) -> None:
        run_id = await self._store.run_id()
        needs_new_token = await self._needs_new_token()
        times_shut = self._gate.times_shut
        if needs_new_token:
            await self._ownership.retake()
        if not self._gate.is_open or run_id != self._run_id:
            await self._compare_all()
        self._run_id = run_id
        self._gate.open(if_times_shut=times_shut)

    async def _needs_new_token(self) -> bool:
        """Prolong the lease; whether that is not enough.

        After a time without the store, calls that were given up may still be on their way to it. They carry the token
        of then: with a new one none of them can do anything any more.
        """
        try:
            await self._ownership.renew()
        except StoreRewound as error:
            log.error("store_rewound", emptied=error.emptied)
            self._metrics.store_rewound.inc()
            self._gate.shut(str(error))
            return True
        except Superseded:
            return True
        return not self._gate.is_open

    async def _compare_all(self) -> None:
        async with self._working:
            try:
                await self._healer.reconcile(self._table.hot())
            except Fenced as error:
                self._ownership.lose_to(error)
                raise


__all__ = ["Keeper"]
