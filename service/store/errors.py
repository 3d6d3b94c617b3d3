"""What can go wrong with the store, and what to do about it.

StoreError
├── StoreUnavailable    no answer in time, or no connection
├── StoreFull           the store takes no writes: memory or disk
├── Fenced              another owner has the shard now
├── ShardsHeld          another owner's lease is alive
├── StoreRewound        the store has lost what it had acknowledged
├── StoreRefused        a store that must not be used as it is configured, or is not ours
├── StoreCorrupt        bytes that are not what was written
└── BadCursor           a listing's cursor that this store did not give out
"""

# ruff: noqa: N818 -- Fenced is what the literature says

from __future__ import annotations


class StoreError(Exception):
    """Base of all errors of the store."""


class StoreUnavailable(StoreError):
    """The store did not answer in time, or cannot be reached.

    Parameters
    ----------
    message
        What happened and what to do.
    outcome_unknown
        Whether the command may have been carried out all the same. Then repeat it as it was: every write of the store
        gives the same result when it is repeated.
    """

    def __init__(self, message: str, *, outcome_unknown: bool) -> None:
        super().__init__(message)
        self.outcome_unknown = outcome_unknown


class StoreFull(StoreError):
    """The store takes no writes because its memory or its disk is full; nothing of the call was written."""


class Fenced(StoreError):
    """Another owner took over a shard of this call; nothing was read or written. Stop serving the shard.

    Parameters
    ----------
    shard
        The first shard of the call whose token is out of date.
    owner
        Name of the new owner; `None` where the shard was never acquired here.
    """

    def __init__(self, shard: int, owner: str | None = None) -> None:
        super().__init__(
            f"shard {shard} belongs to another owner now; drop what is in memory of it and acquire it again"
        )
        self.shard = shard
        self.owner = owner


class ShardsHeld(StoreError):
    """A shard is another owner's, whose lease is alive: nothing was acquired.

    Parameters
    ----------
    owner
        Its name.
    remaining_s
        Seconds until its lease ends, if it is not renewed.
    """

    def __init__(self, owner: str, *, remaining_s: float) -> None:
        super().__init__(
            f"another server, {owner}, serves the streams of this store, and its lease runs for {remaining_s:.1f} s "
            "more; stop that server, wait until its lease has ended, or take over by force"
        )
        self.owner = owner
        self.remaining_s = remaining_s


class StoreRewound(StoreError):
    """The store came back without our acquisition, and so without whatever came after it; nothing was written.

    It was restarted from an older state, or a replica that lagged behind has taken its place. `StreamStore.reacquire`,
    then compare its `tails` with what is in memory and `mend` what it has lost.

    Parameters
    ----------
    shard
        The first shard of the call that it has forgotten.
    emptied
        Whether it knows of no owner at all: it has come back without anything.
    """

    def __init__(self, shard: int, *, emptied: bool) -> None:
        lost = "has come back empty" if emptied else "has come back older than it was"
        super().__init__(f"the store {lost}: shard {shard} was acquired, and it does not know; acquire it again")
        self.shard = shard
        self.emptied = emptied


class StoreRefused(StoreError):
    """The store answers but must not be used like this: wrong password, replica, a configuration that loses data, or
    another store than before."""


class StoreCorrupt(StoreError):
    """Stored bytes fail their checksum, or belong to a format that this release cannot read."""


class BadCursor(StoreError, ValueError):
    """A cursor that no listing of this store gave out. Start the listing again without one."""


__all__ = [
    "BadCursor",
    "Fenced",
    "ShardsHeld",
    "StoreCorrupt",
    "StoreError",
    "StoreFull",
    "StoreRefused",
    "StoreRewound",
    "StoreUnavailable",
]
