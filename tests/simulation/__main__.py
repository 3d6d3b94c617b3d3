"""Play one seed and print its history, or sweep over many.

python -m tests.simulation --seed 1234
python -m tests.simulation --sweep 1000 --from 5000
python -m tests.simulation --seed 7 --faults crash,rewound
"""

# ruff: noqa: T201 -- what it is for

from __future__ import annotations

import argparse
import gc
import time

from tests.simulation.checker import short, violations
from tests.simulation.faults import ALL, Fault
from tests.simulation.history import History
from tests.simulation.sweep import faults_of
from tests.simulation.world import Run, run


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__.partition("\n")[0])
    parser.add_argument("--seed", type=int, help="play this one and print what happens")
    parser.add_argument("--sweep", type=int, metavar="N", help="play N seeds and print those that break a promise")
    parser.add_argument("--from", type=int, default=0, dest="first", help="the sweep's first seed")
    parser.add_argument(
        "--faults",
        help=f"comma-separated, `all` or `none`; by default a few that the seed decides. There are: {', '.join(Fault)}",
    )
    given = parser.parse_args()
    if given.seed is not None:
        return _show(given.seed, _faults(given.faults, given.seed))
    return _sweep(range(given.first, given.first + (given.sweep or 100)), given.faults)


def _faults(names: str | None, seed: int) -> frozenset[Fault]:
    if names is None:
        return faults_of(seed)
    return ALL if names == "all" else frozenset(Fault(name) for name in names.split(",") if name not in ("", "none"))


def _show(seed: int, faults: frozenset[Fault]) -> int:
    played = run(seed, faults)
    print(f"seed {seed}, faults: {', '.join(sorted(faults)) or 'none'}\n")
    for at, line in sorted([*_happened(played), *_told(played.history)]):
        print(f"{at:9.4f}  {line}")
    broken = violations(played.history)
    print(f"\n{len(played.history.acks)} acknowledgements, {len(broken)} violations")
    for sentence in broken:
        print(f"  {sentence}")
    return bool(broken)


def _sweep(seeds: range, names: str | None) -> int:
    gc.freeze()
    begun = time.perf_counter()
    count = acks = 0
    for seed in seeds:
        played = run(seed, _faults(names, seed))
        acks += len(played.history.acks)
        if broken := violations(played.history):
            count += 1
            print(f"seed {seed}: {broken[0]}" + (f", and {len(broken) - 1} more" if broken[1:] else ""), flush=True)
    seconds = time.perf_counter() - begun
    print(f"{count} of {len(seeds)} seeds break a promise; {acks} acknowledgements, {len(seeds) / seconds:.1f} seeds/s")
    return bool(count)


def _happened(played: Run) -> list[tuple[float, str]]:
    return [(at, f"{who:5}  {what}") for at, who, what in played.trace.lines]


def _told(history: History) -> list[tuple[float, str]]:
    """What was written and what clients were told, a line each."""
    lines = [
        (ack.acked_at, f"ack    {ack.stream_id} {short(ack.record)}"
               f"{' again' if ack.duplicate else ''}, sent at {ack.sent_at:.4f}")
        for ack in history.acks
    ]  # fmt: skip
    lines += [
        (written.at, f"log    {life.stream_id} {written.position}: {short(written.record)} "
                     f"by epoch {written.epoch}")
        for life in history.lives
        for written in life.writes
    ]  # fmt: skip
    lines += [(life.born_at, f"store  {life.stream_id} begins") for life in history.lives]
    lines += [(life.died_at, f"store  {life.stream_id} ends") for life in history.lives if life.died_at is not None]
    lines += [(told.at, f"told   {told.stream_id} expects sample {told.expected_seq}") for told in history.told]
    lines += [
        (read.ended_at, f"read   {read.stream_id} has sample {read.last_seq}{' (stale)' if read.stale else ''}")
        for read in history.reads
    ]
    return lines


if __name__ == "__main__":
    raise SystemExit(main())
