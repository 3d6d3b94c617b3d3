"""Where streams outlive the process: a store that speaks the Redis protocol, with every write fenced and repeatable.

`StreamStore` is the one way to it; `EmbeddedStore` runs a server of our own where no other is configured.
"""

from service.store.codec import LogEntry, Snapshot, decode_entry, encode_entry
from service.store.embedded import EmbeddedStore
from service.store.errors import (
    BadCursor,
    Fenced,
    StoreCorrupt,
    StoreError,
    StoreFull,
    StoreRefused,
    StoreUnavailable,
)
from service.store.health import Durability, StoreHealth
from service.store.store import Append, AppendOutcome, FencingToken, StreamStore

__all__ = [
    "Append",
    "AppendOutcome",
    "BadCursor",
    "Durability",
    "EmbeddedStore",
    "Fenced",
    "FencingToken",
    "LogEntry",
    "Snapshot",
    "StoreCorrupt",
    "StoreError",
    "StoreFull",
    "StoreHealth",
    "StoreRefused",
    "StoreUnavailable",
    "StreamStore",
    "decode_entry",
    "encode_entry",
]
