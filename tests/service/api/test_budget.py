"""Byte budgets: never more held than the limit, nobody overtaken, and nothing kept by those who leave."""

from __future__ import annotations

import asyncio

from service.api.budget import ByteBudget, Share


async def test_who_finds_no_room_waits_for_it() -> None:
    """First come, first served: a small piece does not slip past a large one."""
    budget = ByteBudget(10)
    await budget.take(8)
    order: list[int] = []

    async def taker(size: int) -> None:
        await budget.take(size)
        order.append(size)

    waiting = [asyncio.create_task(taker(size)) for size in (9, 1)]
    await asyncio.sleep(0)
    assert (order, budget.try_take(1)) == ([], False)
    budget.give_back(8)
    await asyncio.gather(*waiting)
    assert (order, budget.held) == ([9, 1], 10)


async def test_a_piece_larger_than_all_is_let_in_alone() -> None:
    """It would wait for ever otherwise."""
    budget = ByteBudget(10)
    assert budget.try_take(50)
    assert not budget.try_take(1)
    budget.give_back(50)
    assert budget.try_take(1)
    assert not budget.try_take(10)


async def test_who_gives_up_waiting_holds_nothing_up() -> None:
    """Whether it was its turn already or not."""
    budget = ByteBudget(10)
    await budget.take(10)
    first, second, third = (asyncio.create_task(budget.take(size)) for size in (10, 10, 10))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.sleep(0)
    budget.give_back(10)  # the second one's turn, which it does not live to see
    second.cancel()
    await third
    assert budget.held == 10


async def test_a_share_is_bounded_and_given_back_whole() -> None:
    """One connection cannot hold all, and what it held is free when it ends, once."""
    whole = ByteBudget(100)
    one, other = Share(whole, 30), Share(whole, 90)
    assert one.try_take(30)
    assert not one.try_take(1)
    assert not other.try_take(80)
    await other.take(70)
    one.close()
    one.give_back(30)
    one.close()
    assert whole.held == 70
