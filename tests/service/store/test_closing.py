"""A store that is closed while somebody talks to it leaves nothing open behind."""

from __future__ import annotations

import asyncio
import gc

import pytest

from service.store import StoreError, StoreUnavailable
from service.store.connection import open_connection


@pytest.mark.parametrize("steps", range(8))
async def test_connections_that_are_just_being_opened_are_closed_too(store_url: str, steps: int) -> None:
    """Whatever step on its way a call has reached when the store is closed."""
    watching = await open_connection(store_url, timeout_s=5.0)
    others = await _num_clients(watching)
    connection = await open_connection(store_url, timeout_s=5.0)
    calls = [asyncio.create_task(connection.read("PING")) for _ in range(4)]  # one connection is there, three are not
    for _ in range(steps):
        await asyncio.sleep(0)

    await connection.close()

    for outcome in await asyncio.gather(*calls, return_exceptions=True):
        assert outcome in (b"PONG", True) or isinstance(outcome, StoreError)
    async with asyncio.timeout(5.0):
        while await _num_clients(watching) > others:
            await asyncio.sleep(0.01)
    await watching.close()
    gc.collect()  # what was left open would warn here


async def test_who_calls_a_closed_store_is_told(store_url: str) -> None:
    """Its connection would be nobody's to close."""
    connection = await open_connection(store_url, timeout_s=5.0)
    await connection.close()

    with pytest.raises(StoreUnavailable, match="closed") as refused:
        await connection.read("PING")
    assert not refused.value.outcome_unknown
    await connection.close()


async def _num_clients(connection: object) -> int:
    listed = await connection.read("CLIENT", "LIST")  # type: ignore[attr-defined]
    return len(listed) if isinstance(listed, list) else len(listed.splitlines())
