"""Who may still come in where there is room for so many: one rule for the edge and for the shard's queue."""

from __future__ import annotations

from typing import Literal

#: ``rate_limited``: it is the caller's own doing. ``overloaded``: it is that of others.
Objection = Literal["rate_limited", "overloaded"]


def objection(*, own: int, more: int, taken: int, room: int, sharers: int) -> Objection | None:
    """What speaks against taking `more`, if anything does.

    One half of the room is for whoever comes first. In the other half only those are taken who keep within their fair
    share of a half: so a few who bring much cannot shut out the many who bring little.

    Parameters
    ----------
    own
        What the one who asks has taken already.
    taken, room
        What all have taken, and how much may be taken in all. Into an empty room anything may come, however large.
    sharers
        How many have taken something, this one included.
    """
    if not taken:
        return None
    if taken + more > room:
        return "overloaded"
    half = room // 2
    if taken + more > half and own + more > max(1, half // sharers):
        return "rate_limited" if own else "overloaded"
    return None


__all__ = ["Objection", "objection"]
