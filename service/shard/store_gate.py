"""The gate before the store: shut while it does not answer, so that nobody waits for what is not there.

Whoever finds the store gone shuts it. Only the keeper opens it again, once the store is back and holds what the
streams in memory say that it must.
"""

from __future__ import annotations

import asyncio

import structlog

from service import clock
from service.metrics import Metrics
from service.problems import Problem
from service.store import StoreError, StoreRefused, StoreRewound, StoreUnavailable

log = structlog.get_logger(__name__)

#: Seconds for which a store that refused a write counts as full.
FULL_S = 5.0


class StoreGate:
    """A circuit breaker.

    Parameters
    ----------
    attention
        Set when the gate shuts, for the keeper to look after the store at once.
    """

    def __init__(self, metrics: Metrics, attention: asyncio.Event) -> None:
        self._metrics = metrics
        self._attention = attention
        #: Why it is shut, for people; `None` while it is open.
        self.reason: str | None = None
        #: How often it was told to shut.
        self.times_shut = 0
        self._refused_at = float("-inf")

    @property
    def is_open(self) -> bool:
        return self.reason is None

    @property
    def is_full(self) -> bool:
        """Whether the store has lately refused a write for want of room."""
        return clock.now() < self._refused_at + FULL_S

    def full(self) -> Problem:
        """The problem to answer with where the store had no room for a write; it still reads: the gate stays open."""
        self._refused_at = clock.now()
        return Problem(
            "store_full",
            "the store has no room left; nothing was acknowledged. Send again with the same `seq`.",
            retry_after_s=1.0,
        )

    def has_room(self) -> None:
        """A write went through."""
        self._refused_at = float("-inf")

    def shut(self, reason: str) -> None:
        if self.is_open:
            log.error("store_lost", reason=reason)
        self.reason = reason
        self.times_shut += 1
        self._metrics.store_up.set(0)
        self._attention.set()

    def open(self, *, if_times_shut: int) -> None:
        """Let everybody through again, unless somebody has shut it since `times_shut` was `if_times_shut`."""
        if self.times_shut != if_times_shut:
            return
        if not self.is_open:
            log.info("store_back")
        self.reason = None
        self._metrics.store_up.set(1)

    def check(self) -> None:
        """Raise `Problem` ``store_unavailable`` while it is shut."""
        if not self.is_open:
            raise unavailable()

    def failed(self, error: StoreError) -> Problem:
        """The problem to answer with where a call failed; shuts the gate where the next call would fail as well."""
        if isinstance(error, (StoreUnavailable, StoreRewound, StoreRefused)):
            self.shut(str(error))
        else:
            log.error("store_failed", error=str(error))
        return unavailable()


def unavailable() -> Problem:
    """The refusal of a host whose store does not answer."""
    return Problem(
        "store_unavailable",
        "the store does not answer; nothing was acknowledged. Send again with the same `seq`.",
        retry_after_s=1.0,
    )


__all__ = ["StoreGate", "unavailable"]
