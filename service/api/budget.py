"""Bytes that clients have sent and that are still held: bounded over all of them, or for one connection."""

from __future__ import annotations

import asyncio
from collections import deque


class ByteBudget:
    """So many bytes may be held at a time; whoever brings more waits, or is told that there is no room.

    One piece larger than the whole budget is let in when nothing else is held: what bounds a single piece is decided
    elsewhere, and waiting for room that never comes would help nobody.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()
        #: Bytes that are held now.
        self.held = 0

    def try_take(self, size: int) -> bool:
        """Hold `size` bytes more; False where there is no room, or others wait for it."""
        if self._waiting or not self._has_room(size):
            return False
        self.held += size
        return True

    async def take(self, size: int) -> None:
        """Hold `size` bytes more, as soon as there is room; first come, first served."""
        if self.try_take(size):
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((size, turn))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.give_back(size)
            self._let_in()
            raise

    def give_back(self, size: int) -> None:
        """Hold `size` bytes less."""
        self.held -= size
        self._let_in()

    def _has_room(self, size: int) -> bool:
        return self.held == 0 or self.held + size <= self._limit

    def _let_in(self) -> None:
        while self._waiting:
            size, turn = self._waiting[0]
            if not turn.done():
                if not self._has_room(size):
                    return
                self.held += size
                turn.set_result(None)
            self._waiting.popleft()


class Share:
    """What one connection or request holds of a budget; its `close` gives all of it back.

    Parameters
    ----------
    whole
        The budget that all share.
    limit
        Bytes that this one may hold.
    """

    def __init__(self, whole: ByteBudget, limit: int) -> None:
        self._whole = whole
        self._own = ByteBudget(limit)
        self._closed = False

    async def take(self, size: int) -> None:
        """Hold `size` bytes more, as soon as there is room in both."""
        await self._own.take(size)
        try:
            await self._whole.take(size)
        except BaseException:
            self._own.give_back(size)
            raise

    def try_take(self, size: int) -> bool:
        """Hold `size` bytes more; False where there is no room in one of the two."""
        if not self._own.try_take(size):
            return False
        if self._whole.try_take(size):
            return True
        self._own.give_back(size)
        return False

    def give_back(self, size: int) -> None:
        """Hold `size` bytes less; nothing, once all has been given back."""
        if not self._closed:
            self._own.give_back(size)
            self._whole.give_back(size)

    def close(self) -> None:
        """Hold nothing any more."""
        if not self._closed:
            self._closed = True
            self._whole.give_back(self._own.held)


__all__ = ["ByteBudget", "Share"]
