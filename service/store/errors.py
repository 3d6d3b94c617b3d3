"""What can go wrong with the store, and what to do about it.

StoreError
├── StoreUnavailable    no answer in time, or no connection
├── StoreFull           the store takes no writes: memory or disk
├── Fenced              another process owns the shard now
├── StoreRefused        a store that must not be used as it is configured
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
    """Another process took over a shard of this call; nothing was written. Stop serving the shard.

    Parameters
    ----------
    shard
        The first shard of the call whose token is out of date.
    """

    def __init__(self, shard: int) -> None:
        super().__init__(
            f"shard {shard} belongs to another owner now; drop what is in memory of it and acquire it again"
        )
        self.shard = shard


class StoreRefused(StoreError):
    """The store answers but must not be used like this: wrong password, replica, or a configuration that loses data."""


class StoreCorrupt(StoreError):
    """Stored bytes fail their checksum, or belong to a format that this release cannot read."""


class BadCursor(StoreError, ValueError):
    """A cursor that no listing of this store gave out. Start the listing again without one."""


__all__ = ["BadCursor", "Fenced", "StoreCorrupt", "StoreError", "StoreFull", "StoreRefused", "StoreUnavailable"]
