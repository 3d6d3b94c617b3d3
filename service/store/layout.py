"""How a store is laid out: decided by its first start, and the same for all that come after."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from service.store import scripts
from service.store.connection import Connection
from service.store.errors import StoreRefused
from service.store.keys import LAYOUT_VERSION, Keys, layout_key


@dataclass(frozen=True, slots=True)
class Layout:
    """What a store is told apart by, and how its keys are named."""

    keys: Keys
    #: Drawn when the store was laid out: two stores are never the same by mistake.
    store_id: str


async def read_or_lay_out(
    connection: Connection, *, namespace: str, num_shards: int, new_store_id: Callable[[], str]
) -> Layout:
    """The store's layout. Where there is none yet, it is one with `num_shards` and a `new_store_id` from now on.

    Raises
    ------
    StoreRefused
        A newer release has laid the store out.
    """
    if not 1 <= num_shards <= 1000:
        raise ValueError("num_shards must be between 1 and 1000")
    key = layout_key(namespace)
    # Read first: so a store that is full, or a replica, can be connected to, and then be told apart by its health.
    stored = await connection.read("HMGET", key, "version", "num_shards", "store_id")
    if None in stored:
        stored = await connection.run(scripts.LAYOUT, [key], [LAYOUT_VERSION, num_shards, new_store_id()])
    version, num_shards, store_id = int(stored[0]), int(stored[1]), stored[2].decode()
    if version != LAYOUT_VERSION:
        raise StoreRefused(
            f"the store is laid out in version {version}, this release knows {LAYOUT_VERSION}; use a newer release"
        )
    return Layout(Keys(namespace=namespace, num_shards=num_shards), store_id)


async def lay_out_again(connection: Connection, layout: Layout) -> None:
    """Give a store that was emptied the layout that it had.

    Raises
    ------
    StoreRefused
        Another store answers there now.
    """
    found = await read_or_lay_out(
        connection,
        namespace=layout.keys.namespace,
        num_shards=layout.keys.num_shards,
        new_store_id=lambda: layout.store_id,
    )
    if found != layout:
        raise StoreRefused(
            f"another store answers at this address (its id is {found.store_id}, ours was {layout.store_id}); "
            "give the service its own store again, or restart it to serve this one"
        )


__all__ = ["Layout", "lay_out_again", "read_or_lay_out"]
