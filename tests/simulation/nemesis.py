"""The nemesis: what goes wrong, and when, by a seed."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Collection
from typing import Protocol

from tests.simulation.faults import OF_CALLS, OF_MOMENTS, Fates, Fault
from tests.simulation.loop import exponential
from tests.simulation.server import Server
from tests.simulation.transport import Machine

#: Callbacks after which a crash comes: about as many as a few micro-batches take.
_CRASH_WITHIN = 120


class Victims(Protocol):
    """What the nemesis does harm to."""

    store: Machine
    fates: Fates

    def owner(self) -> Server | None:
        """The server that has the streams."""

    async def start_server(self) -> None: ...

    def note(self, event: str) -> None: ...

    def unsettle(self) -> None:
        """A server has just begun, ended, or lost time."""

    def lose(self, fault: Fault, writes: int) -> None:
        """Let the store forget its last writes, or with `Fault.EMPTIED` all."""

    def damage_a_snapshot(self, random_: random.Random) -> None: ...


class Nemesis:
    """Does harm for a while, then leaves everything as it was.

    Parameters
    ----------
    faults
        Kinds of harm that it may do.
    """

    def __init__(self, victims: Victims, seed: str, faults: Collection[Fault]) -> None:
        self._victims = victims
        self._random = random.Random(seed)
        self._kinds = [fault for fault in OF_MOMENTS if fault in faults and fault is not Fault.RECREATED]
        self._calls_fail = any(fault in faults for fault in OF_CALLS)

    async def rage(self, for_s: float) -> None:
        """Do harm at random moments, one after the other, sometimes two at a time."""
        async with asyncio.TaskGroup() as group:
            if self._calls_fail:
                group.create_task(self._trouble(for_s))
            for _ in range(self._random.choice([1, 1, 2, 3, 4]) if self._kinds else 0):
                at = self._random.uniform(1.0, for_s)
                group.create_task(self._do_at(at, self._random.choice(self._kinds)))

    async def _trouble(self, for_s: float) -> None:
        """Times in which calls fail, and quiet ones between them."""
        end = asyncio.get_running_loop().time() + for_s
        while asyncio.get_running_loop().time() < end:
            self._victims.fates.trouble = False
            await asyncio.sleep(exponential(self._random, 3.0))
            self._victims.fates.trouble = True
            await asyncio.sleep(exponential(self._random, 2.0))
        self._victims.fates.trouble = False

    async def _do_at(self, at: float, fault: Fault) -> None:
        await asyncio.sleep(at)
        self._victims.note(f"fault: {fault}")
        await self._do(fault)
        self._victims.note(f"over:  {fault}")

    async def _do(self, fault: Fault) -> None:
        victims, store, chance = self._victims, self._victims.store, self._random
        match fault:
            case Fault.STORE_GONE:
                store.go_down()
                await self._wait(4.0)
                store.down = False
            case Fault.STORE_RESTARTED:
                await self._restart()
            case Fault.STORE_PAUSED:
                store.process.pause()
                await self._wait(5.0)
                store.process.resume()
            case Fault.READ_ONLY:
                store.server.read_only = True
                await self._wait(3.0)
                store.server.read_only = False
            case Fault.FULL:
                store.server.full = True
                await self._wait(3.0)
                store.server.full = False
            case Fault.SCRIPTS_FORGOTTEN:
                store.server.forget_scripts()
            case Fault.REWOUND | Fault.FAILED_OVER | Fault.EMPTIED:
                store.go_down()
                victims.lose(fault, chance.randint(1, 12))
                if fault is not Fault.FAILED_OVER:
                    await self._wait(1.0)
                store.server.restart()
                store.down = False
            case Fault.DAMAGED_SNAPSHOT:
                victims.damage_a_snapshot(chance)
            case Fault.CRASH:
                await self._crash()
            case Fault.ZOMBIE:
                await self._freeze()

    async def _restart(self) -> None:
        store = self._victims.store
        store.go_down()
        await self._wait(1.0)
        store.server.restart()
        if self._random.random() < 0.5:
            store.down, store.server.loading = False, True
            await self._wait(1.0)
        store.down = store.server.loading = False

    async def _crash(self) -> None:
        server = self._victims.owner()
        if server is None:
            return
        server.process.end_after(self._random.randrange(_CRASH_WITHIN))
        await self._wait(1.5)
        server.process.end()
        self._victims.unsettle()
        await self._victims.start_server()

    async def _freeze(self) -> None:
        """Stop a server, often until another one has taken its place, and let it come back."""
        server = self._victims.owner()
        if server is None:
            return
        server.process.pause()
        self._victims.unsettle()
        await self._wait(6.0)
        if self._random.random() < 0.7:
            await self._victims.start_server()
            await self._wait(2.0)
        server.process.resume()
        self._victims.unsettle()

    async def _wait(self, mean_s: float) -> None:
        await asyncio.sleep(exponential(self._random, mean_s))


__all__ = ["Nemesis"]
