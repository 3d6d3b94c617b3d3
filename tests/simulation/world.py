"""One run: servers, a store, clients and a nemesis, on virtual time and by one seed."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Collection
from dataclasses import dataclass
from unittest import mock

from liquid_core.engine.engine import Engine
from liquid_core.engine.records import Freeze, Reset, Unfreeze
from liquid_core.spec import ModelSpec
from service.problems import Problem
from service.settings import Settings
from service.shard import models
from service.store import StoreError, StreamStore
from service.store.codec import entry_position
from service.store.connection import Connection
from service.store.keys import Keys
from tests.simulation.archive import Archive
from tests.simulation.checker import SETTLED_S
from tests.simulation.clients import Feeder, Reader, Remover, Shadow, Tinkerer
from tests.simulation.faults import Fates, Fault
from tests.simulation.fold import engine_of
from tests.simulation.history import History, Loss
from tests.simulation.loop import Process, VirtualLoop, exponential
from tests.simulation.memory_server import MemoryServer
from tests.simulation.nemesis import Nemesis
from tests.simulation.plans import draw_plan
from tests.simulation.server import Server
from tests.simulation.trace import Trace
from tests.simulation.transport import Client, Machine

_NUM_SHARDS = 2
LEASES_S = (1.501, 3.001, 6.001)
_STORE_TIMEOUT_S = 2.0
_STORM_S = 15.0
#: Time after the storm in which every client must get through.
_PATIENCE_S = 300.0
#: Time after which a server that has just begun has every stream in memory.
_WARM_S = 3.0


@dataclass(slots=True)
class Run:
    """What a run was, for people and for the checker."""

    seed: int
    history: History
    trace: Trace


def run(seed: int, faults: Collection[Fault]) -> Run:
    """Play one history; the same arguments always give the same one."""
    return World(seed, faults).play()


class World:
    """Everything that takes part in a run.

    Parameters
    ----------
    seed
        Decides everything: plans, delays, faults. Each part draws from a generator of its own, so that another choice
        of faults leaves the plans as they are.
    """

    def __init__(self, seed: int, faults: Collection[Fault]) -> None:
        self._seed = seed
        self._faults = frozenset(faults)
        self._chance = self._random("world")
        work = self._random("work")
        self._loop = VirtualLoop(lambda: exponential(work, 0.001))
        server = MemoryServer(self._loop.time)
        self.store = Machine(server, Process(self._loop, "store"))
        self.fates = Fates(f"{seed}/fates", faults, rate=0.25, timeout_s=_STORE_TIMEOUT_S)
        self.clients = Process(self._loop, "clients")
        self.history = History()
        self._keys = Keys("sim", _NUM_SHARDS)
        self._archive = Archive(server, self._keys, self._loop.time)
        self._servers: list[Server] = []
        self._losses: list[float] = []
        #: Each stream bears it once: there are two snapshots.
        self._damaged: set[str] = set()
        self._unsettled: list[float] = []
        self._trace = Trace(self._loop.time, self.history.failures.append)
        self._settings = Settings(
            snapshot_every=self._chance.choice([3, 5, 8]),
            snapshot_idle_s=self._chance.choice([1.0, 4.0, 30.0]),
            shutdown_timeout_s=5.0,
            lease_s=self._chance.choice(LEASES_S),
            max_queue_delay_ms=60_000,
        )

    def _random(self, part: str) -> random.Random:
        return random.Random(f"{self._seed}/{part}")

    def play(self) -> Run:
        with (
            asyncio.Runner(loop_factory=lambda: self._loop) as runner,
            self._trace.of_the_log(),
            mock.patch.object(models, "build_engine", _cached_engine),
        ):
            try:
                runner.run(self._play())
            finally:
                self._clear_away(runner)
        self.history.losses = [Loss(at, self._can_be_healed(at)) for at in self._losses]
        return Run(self._seed, self.history, self._trace)

    async def _play(self) -> None:
        await self.start_server()
        nemesis = Nemesis(self, f"{self._seed}/nemesis", self._faults)
        raging = asyncio.create_task(nemesis.rage(_STORM_S))
        streams = [
            self.clients.spawn(self._live(f"s{number}", self._random(f"stream {number}")))
            for number in range(self._chance.choice([1, 2, 2, 3]))
        ]
        await raging
        self.note("the storm is over")
        self.fates.trouble = False
        if self.owner() is None:
            await self.start_server()
        _, unfinished = await asyncio.wait(streams, timeout=_PATIENCE_S)
        for task in streams:
            if task in unfinished:
                self.history.failures.append(f"a client has not got through {_PATIENCE_S:.0f} s after the last fault")
            elif (error := task.exception()) is not None:
                raise error
        await self._look_at_the_end()

    # --- servers -----------------------------------------------------------------------------------------------------

    async def start_server(self) -> None:
        """Start the service, again and again until it comes up."""
        delays = self._random(f"delays of server {len(self._servers)}")
        for _ in range(200):
            process = Process(self._loop, f"server {len(self._servers)}")
            server = Server(
                process,
                self._settings,
                self._open_store,
                lambda: exponential(delays, 0.0005),
                self.history.failures.append,
            )
            self._servers.append(server)
            self.note(f"{process.name} starts")
            self.unsettle()
            try:
                await asyncio.wait({server.started}, timeout=30.0)
                if server.started.done() and server.started.exception() is None:
                    self.note(f"{process.name} serves")
                    self.unsettle()
                    return
                why = repr(server.started.exception()) if server.started.done() else "nothing for 30 s"
                if server.started.done() and not isinstance(server.started.exception(), StoreError):
                    self.history.failures.append(f"{process.name} did not start: {why}")
            finally:
                if not server.serves:
                    process.end()
            self.note(f"{process.name} did not start: {why}")
            await asyncio.sleep(0.5)

    async def _open_store(self, process: Process) -> StreamStore:
        client = Client(self.store, process, self.fates, _STORE_TIMEOUT_S)
        connection = Connection(client, is_cluster=False)  # type: ignore[arg-type]
        names = self._random(f"names of {process.name}")
        return await StreamStore.open(
            connection,
            namespace=self._keys.namespace,
            num_shards=self._keys.num_shards,
            names=lambda: f"{names.getrandbits(128):032x}",
        )

    def owner(self) -> Server | None:
        """The server that has the streams, or believes so."""
        return next((server for server in reversed(self._servers) if server.serves and server.owns), None)

    def pick(self, random_: random.Random) -> Server | None:
        """Mostly the one that is ready, as a balancer would; sometimes one that stands by, or believes it need not."""
        ready = self.owner()
        started = [server for server in self._servers if server.serves]
        return ready if random_.random() < 0.7 or not started else random_.choice(started)

    # --- clients -----------------------------------------------------------------------------------------------------

    async def _live(self, stream_id: str, chance: random.Random) -> None:
        """One stream's lives, one after the other, each with its clients."""
        lives = chance.choice([1, 2, 3])  # drawn in any case, so that plans do not depend on faults
        lives = lives if Fault.RECREATED in self._faults else 1
        haunting: list[asyncio.Task[None]] = []
        for number in range(lives):
            plan = draw_plan(chance, stream_id, number)
            self.history.sent.setdefault(stream_id, [Freeze(), Unfreeze(), Reset()]).extend(plan.records)
            ends = asyncio.Event()
            seed = f"{self._seed}/{stream_id}/{number}"
            feeder = Feeder(self, f"{seed}/feeder", plan, ends)
            await feeder.create()
            shadow = Shadow(self, f"{seed}/shadow", plan, feeder)
            reader = Reader(self, f"{seed}/reader")
            haunting.append(asyncio.create_task(shadow.haunt()))
            haunting.append(asyncio.create_task(reader.look(stream_id, chance.randrange(6), 3.0)))
            tinkerer = Tinkerer(self, f"{seed}/tinkerer")
            haunting.append(asyncio.create_task(tinkerer.tinker(stream_id, chance.choice([0, 0, 1, 3]), 4.0)))
            feeding = asyncio.create_task(feeder.feed())
            if number < lives - 1:
                await asyncio.wait({feeding}, timeout=chance.uniform(0.0, 8.0))
                ends.set()
                await Remover(self, f"{seed}/remover").remove(stream_id)
            await feeding
        await asyncio.gather(*haunting)

    # --- the end -----------------------------------------------------------------------------------------------------

    async def _look_at_the_end(self) -> None:
        """Every stream's state as it is served, and as another server finds it in the store."""
        await asyncio.sleep(SETTLED_S)
        self.note("looking at the end")
        self.history.lives = self._archive.lives()
        await self._keep_states("in memory")
        owner = self.owner()
        if owner is not None and self._chance.random() < 0.5:
            await owner.drain()
        for server in self._servers:
            server.process.end()
        await self.start_server()
        await self._keep_states("after a start")

    async def _keep_states(self, where: str) -> None:
        for life in self.history.lives:
            if life.died_at is not None or life.position == 0:
                continue
            reader = Reader(self, f"{self._seed}/{where}")
            for _ in range(50):
                state = await self.clients.spawn(reader.call("export_state", life.stream_id))
                if isinstance(state, bytes):
                    self.note(f"{life.stream_id}, {life.position} records in the log, was read {where}")
                    life.states[where] = state
                    break
                await asyncio.sleep(0.5)
            else:
                self.history.failures.append(f"{life.stream_id} cannot be read {where}: {_words(state)}")

    def _clear_away(self, runner: asyncio.Runner) -> None:
        """Bring every task to its end, those of dead servers too."""
        self.fates.trouble = False
        self.store.go_down()
        for server in self._servers:
            server.process.clear_away()

        async def end_all() -> None:
            while tasks := asyncio.all_tasks() - {asyncio.current_task()}:
                for task in tasks:
                    task.cancel()
                await asyncio.wait(tasks, timeout=5.0)

        runner.run(end_all())

    # --- what the nemesis does ---------------------------------------------------------------------------------------

    def unsettle(self) -> None:
        """Note that servers came, went, or lost time just now."""
        self._unsettled.append(self._loop.time())

    def _can_be_healed(self, at: float) -> bool:
        """Whether a server had all streams in memory before a loss, and went on undisturbed after it."""
        return not any(at - _WARM_S < moment < at + SETTLED_S for moment in self._unsettled)

    def lose(self, fault: Fault, writes: int) -> None:
        if fault is Fault.EMPTIED:
            self.store.server.lose_everything()
            self.note("the store has lost everything")
        else:
            lost = self.store.server.lose(writes)
            self.note(f"the store has lost {lost} writes")
        owner = self.owner()
        if owner is None or not owner.process.running:
            self.unsettle()
        self._losses.append(self._loop.time())

    def damage_a_snapshot(self, random_: random.Random) -> None:
        """Damage the newest snapshot of a stream that can do without."""
        there = [life.stream_id for life in self._archive.lives() if life.died_at is None]
        able = [stream_id for stream_id in there if self._bears_damage(stream_id)]
        if able:
            key = self._keys.snapshots(random_.choice(able))
            self._damaged.add(key)
            self.store.server.damage(key, self._snapshots(key)[b"newest"].decode())
            self.note(f"the newest snapshot in {key} is damaged")

    def _bears_damage(self, stream_id: str) -> bool:
        """Whether there is another snapshot, or the whole log; and it was not damaged before."""
        key = self._keys.snapshots(stream_id)
        known = self._snapshots(key)
        log = self.store.server.value(self._keys.log(stream_id))
        whole = isinstance(log, list) and entry_position(log[0]) == 1
        return b"newest" in known and key not in self._damaged and (whole or known[b"older"] != b"0")

    def _snapshots(self, key: str) -> dict[bytes, bytes]:
        value = self.store.server.value(key)
        return value if isinstance(value, dict) else {}

    # --- what is written down ----------------------------------------------------------------------------------------

    def now(self) -> float:
        return self._loop.time()

    def note(self, event: str) -> None:
        self._trace.note(event)


def _cached_engine(spec: ModelSpec, *_: object, **__: object) -> Engine:
    return engine_of(spec)


def _words(answer: object) -> str:
    return f"{answer.code}: {answer.detail}" if isinstance(answer, Problem) else "no answer"


__all__ = ["LEASES_S", "Run", "World", "run"]
