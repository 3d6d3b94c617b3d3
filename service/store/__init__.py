"""Where streams outlive the process: a store that speaks the Redis protocol, with every write fenced and repeatable.

`StreamStore` is the one way to it; `EmbeddedStore` runs a server of our own where no other is configured.
"""

from service.store.calls import (
    Append,
    Appended,
    AppendOutcome,
    Mend,
    MendOutcome,
    SnapshotOutcome,
    StoredStream,
    Tail,
)
from service.store.codec import LogEntry, Snapshot, decode_entry, encode_entry
from service.store.embedded import EmbeddedStore
from service.store.errors import (
    BadCursor,
    Fenced,
    ShardsHeld,
    StoreCorrupt,
    StoreError,
    StoreFull,
    StoreRefused,
    StoreRewound,
    StoreUnavailable,
    Superseded,
)
from service.store.health import Durability, StoreHealth
from service.store.ownership import FencingToken
from service.store.pins import Kept, PinOutcome, Pins
from service.store.store import StreamStore

__all__ = [
    "Append",
    "AppendOutcome",
    "Appended",
    "BadCursor",
    "Durability",
    "EmbeddedStore",
    "Fenced",
    "FencingToken",
    "Kept",
    "LogEntry",
    "Mend",
    "MendOutcome",
    "PinOutcome",
    "Pins",
    "ShardsHeld",
    "Snapshot",
    "SnapshotOutcome",
    "StoreCorrupt",
    "StoreError",
    "StoreFull",
    "StoreHealth",
    "StoreRefused",
    "StoreRewound",
    "StoreUnavailable",
    "StoredStream",
    "StreamStore",
    "Superseded",
    "Tail",
    "decode_entry",
    "encode_entry",
]
