"""Numbering: which `seq` the next sample of a stream gets, also after a call whose outcome nobody knows.

One writer a stream: two `Stream` handles on the same id would take each other's numbers, and one of them gets
`seq_conflict`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from liquidstream_client.errors import Conflict, LiquidstreamError, ProblemError
from liquidstream_client.types import SampleResult


class Numbering:
    """The count of one stream. `last_seq` is `None` until the server's is known."""

    def __init__(self, last_seq: int | None = None) -> None:
        self.last_seq = last_seq
        self._in_doubt: tuple[int, Mapping[str, Any]] | None = None

    def number(self, sample: Mapping[str, Any]) -> int | None:
        """The `seq` of this sample; `None`: ask the server for its `last_seq` first, and call `resume`.

        A sample whose outcome is unknown and that is sent again gets the same number again, so that the server
        recognises it.
        """
        if self._in_doubt is not None:
            seq, earlier = self._in_doubt
            return seq if earlier == sample else None
        return None if self.last_seq is None else self.last_seq + 1

    def resume(self, last_seq: int) -> None:
        """Count on from what the server has."""
        self.last_seq = last_seq
        self._in_doubt = None

    def applied(self, seq: int) -> None:
        """The server has this sample."""
        self.last_seq = seq if self.last_seq is None else max(self.last_seq, seq)
        self._in_doubt = None

    def failed(self, seq: int, sample: Mapping[str, Any], error: LiquidstreamError) -> None:
        """The sample was refused, or nobody knows."""
        if isinstance(error, Conflict) and error.code.startswith("seq_"):
            self.last_seq = None  # somebody else writes, or the server lost samples: look again before the next one
        elif not isinstance(error, ProblemError) or error.is_temporary or error.status >= 500:
            # Also after `overloaded`: that was the last try's answer, and one before may have arrived.
            self._in_doubt = (seq, dict(sample))


class Batch:
    """Many samples of one stream on their way, in order, in as many requests as it takes.

    A refused sample takes no number: those behind it, which the server then sees as a gap, are numbered anew and sent
    again. After a temporary refusal the rest is sent again as it was, with the same numbers: what the server did take
    of it comes back as a duplicate.
    """

    def __init__(self, samples: Sequence[Mapping[str, Any]], first_seq: int) -> None:
        self.results: list[SampleResult | ProblemError] = []
        self._samples = samples
        self._chunk = chunk_size(samples)
        self._next_seq = first_seq

    @property
    def last_seq(self) -> int:
        """`seq` of the last sample that was certainly applied."""
        return self._next_seq - 1

    def numbered(self) -> list[dict[str, Any]]:
        """The next request's samples; empty when all are done."""
        start = len(self.results)
        part = self._samples[start : start + self._chunk]
        return [{**sample, "seq": self._next_seq + offset} for offset, sample in enumerate(part)]

    def take(self, answers: Sequence[SampleResult | ProblemError]) -> ProblemError | None:
        """Keep what is final. Returns the temporary refusal to wait for, if one came."""
        refused = False
        for answer in answers:
            if isinstance(answer, SampleResult):
                self._next_seq = answer.seq + 1
            elif answer.is_temporary:
                return answer
            elif answer.code == "seq_gap" and refused:
                return None
            else:
                refused = True
            self.results.append(answer)
        return None


def chunk_size(samples: Sequence[Mapping[str, Any]]) -> int:
    """Samples in one request: at most 512 and fewer wide ones, well under the server's limit on a body."""
    width = max((len(sample["x"]) for sample in samples), default=1)
    return max(1, min(512, 16_384 // max(1, width)))


__all__ = ["Batch", "Numbering"]
