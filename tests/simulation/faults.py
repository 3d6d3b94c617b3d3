"""Faults: which there are, and what becomes of one call to the store."""

from __future__ import annotations

import random
from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum

from tests.simulation.loop import exponential


class Fault(StrEnum):
    """A kind of fault, to be switched on by name."""

    # of one call to the store
    SLOW = "slow"
    LOST_REPLY = "lost-reply"
    LOST_REQUEST = "lost-request"
    APPLIED_LATER = "applied-later"
    # of the store
    STORE_GONE = "store-gone"
    STORE_RESTARTED = "store-restarted"
    STORE_PAUSED = "store-paused"
    READ_ONLY = "read-only"
    FULL = "full"
    SCRIPTS_FORGOTTEN = "scripts-forgotten"
    #: It starts again without its last writes, as after a power loss with its file behind.
    REWOUND = "rewound"
    #: A replica takes its place that had not got its last writes.
    FAILED_OVER = "failed-over"
    EMPTIED = "emptied"
    DAMAGED_SNAPSHOT = "damaged-snapshot"
    # of the servers
    CRASH = "crash"
    ZOMBIE = "zombie"
    # of what clients do
    RECREATED = "recreated"


OF_CALLS = (Fault.SLOW, Fault.LOST_REPLY, Fault.LOST_REQUEST, Fault.APPLIED_LATER)
#: What happens at some moment, rather than to a call.
OF_MOMENTS = tuple(fault for fault in Fault if fault not in OF_CALLS)
ALL = frozenset(Fault)


@dataclass(frozen=True, slots=True)
class Fate:
    """What becomes of a call."""

    #: Seconds to the server and back.
    there_s: float
    back_s: float
    #: The server never gets it, or the client never gets the reply.
    request_lost: bool = False
    reply_lost: bool = False
    #: The connection breaks once the request has left; the server finds it in its buffer all the same.
    breaks: bool = False
    fault: Fault | None = None


class Fates:
    """Draws what becomes of calls.

    Parameters
    ----------
    rate
        Share of the calls that something happens to, while there is trouble at all.
    timeout_s
        How long a caller waits; a slow call may take twice that.
    """

    def __init__(self, seed: str, faults: Collection[Fault], *, rate: float, timeout_s: float) -> None:
        self._random = random.Random(seed)
        self._kinds = [fault for fault in OF_CALLS if fault in faults]
        self._rate = rate
        self._timeout_s = timeout_s
        #: Whether calls fail at the moment.
        self.trouble = False

    def draw(self) -> Fate:
        chance = self._random
        there, back = exponential(chance, 0.0005), exponential(chance, 0.0005)
        if not self.trouble or not self._kinds or chance.random() >= self._rate:
            return Fate(there, back)
        fault = chance.choice(self._kinds)
        match fault:
            case Fault.SLOW:
                slow = chance.uniform(0.0, 2 * self._timeout_s)
                return Fate(slow, back, fault=fault) if chance.random() < 0.5 else Fate(there, slow, fault=fault)
            case Fault.LOST_REPLY:
                return Fate(there, back, reply_lost=True, breaks=chance.random() < 0.5, fault=fault)
            case Fault.LOST_REQUEST:
                return Fate(there, back, request_lost=True, breaks=chance.random() < 0.5, fault=fault)
            case _:
                return Fate(exponential(chance, 3.0), back, breaks=True, fault=fault)


__all__ = ["ALL", "OF_CALLS", "OF_MOMENTS", "Fate", "Fates", "Fault"]
