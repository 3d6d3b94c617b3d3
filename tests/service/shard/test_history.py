"""The book of recent samples: bounded, whatever happens."""

from __future__ import annotations

from service.messages import HistoryPoint, Prediction
from service.shard.history import MAX_BYTES, MAX_POINTS, MAX_STREAMS, HistoryBook


def point(seq: int) -> HistoryPoint:
    return HistoryPoint(seq=seq, t=float(seq), x=[1.0], y=None, predictions=[])


def test_the_last_points_are_read_oldest_first() -> None:
    """No more than asked for, and no more than are kept."""
    book = HistoryBook()
    for seq in range(1, MAX_POINTS + 11):
        book.sample("pump", point(seq))
    assert [each.seq for each in book.read("pump", 3)] == [MAX_POINTS + 8, MAX_POINTS + 9, MAX_POINTS + 10]
    assert len(book.read("pump", 10 * MAX_POINTS)) == MAX_POINTS


def test_a_label_finds_its_sample() -> None:
    """Class names and numbers alike; one that is no longer there changes nothing."""
    book = HistoryBook()
    for seq in (1, 2, 3):
        book.sample("pump", point(seq))
    book.label("pump", 2, "loud")
    book.label("pump", 99, "loud")
    book.label("nobody", 2, "loud")
    assert [each.y for each in book.read("pump", 3)] == [None, "loud", None]


def test_places_are_bounded() -> None:
    """Who comes too late has none, until somebody asks; then the one not asked for the longest gives way."""
    book = HistoryBook()
    for number in range(MAX_STREAMS + 1):
        book.sample(f"pump-{number}", point(1))
    late = f"pump-{MAX_STREAMS}"
    assert len(book.read("pump-0", 9)) == 1
    assert book.read(late, 9) == []
    book.sample(late, point(2))
    assert [each.seq for each in book.read(late, 9)] == [2]
    assert len(book.read("pump-0", 9)) == 1
    assert book.read("pump-1", 9) == []


def test_wide_streams_keep_fewer_points() -> None:
    """What is bounded is memory: a thousand forecasts in every answer leave room for a few answers."""
    book = HistoryBook()
    wide = Prediction(horizon=1, y=[0.0] * 1000, median=[0.0] * 1000, lower=[0.0] * 1000, upper=[0.0] * 1000)
    for seq in range(1, 101):
        book.sample("pump", HistoryPoint(seq=seq, t=1.0, x=[0.0] * 200, y=None, predictions=[wide]))
    kept = book.read("pump", 100)
    assert [point.seq for point in kept] == [*range(101 - len(kept), 101)]
    assert MAX_BYTES / 2 < len(kept) * 4200 * 8 < MAX_BYTES


def test_what_is_read_is_what_was_written() -> None:
    """Holes, names, numbers to the last bit, and what there was none of."""
    book = HistoryBook()
    made = [
        Prediction(horizon=1, y=[0.1], median=[0.0], lower=[-1e-300], upper=[1e30]),
        Prediction(label="a", probabilities={"a": 1}),
    ]
    written = [
        HistoryPoint(
            seq=1, t=1e9 + 1 / 3, x=[None, 0.1], y=[1.0, 2.0], predictions=made, anomaly=0.3, drift="detector"
        ),
        HistoryPoint(seq=2, t=2e9, x=[], y=3.0, predictions=[]),
    ]
    for point in written:
        book.sample("pump", point)
    assert book.read("pump", 9) == written


def test_a_forgotten_stream_has_no_past() -> None:
    """Also one that never had any."""
    book = HistoryBook()
    book.sample("pump", point(1))
    book.forget("pump")
    book.forget("nobody")
    assert book.read("pump", 9) == []
