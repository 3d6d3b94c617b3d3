"""Problems: every refusal that a client can see, by its stable code (RFC 9457).

Code below the edge raises (or returns, for one item of many) a `Problem`; the edge turns it into
``application/problem+json``. A message never echoes the values that a client sent.
"""

from __future__ import annotations

from typing import Any

#: code -> (HTTP status, title). The codes are part of the API: they are added to, never renamed.
CATALOGUE: dict[str, tuple[int, str]] = {
    "malformed": (400, "The body cannot be read"),
    "unauthorized": (401, "A valid key is required"),
    "forbidden": (403, "This is not allowed"),
    "not_found": (404, "There is nothing here"),
    "stream_not_found": (404, "There is no such stream"),
    "snapshot_not_found": (404, "There is no such snapshot"),
    "method_not_allowed": (405, "This resource does not know that method"),
    "too_slow": (408, "The request came too slowly"),
    "seq_gap": (409, "The sample skips sequence numbers"),
    "seq_conflict": (409, "Another sample already has this sequence number"),
    "late_sample": (409, "The sample is not newer than the last one"),
    "label_conflict": (409, "Another label was already given for this sample"),
    "spec_conflict": (409, "The stream exists with another spec"),
    "stream_outdated": (409, "Another release has written the stream"),
    "stream_exists": (409, "The stream is there already"),
    "too_many_snapshots": (409, "The stream keeps as many snapshots as it may"),
    "label_expired": (410, "The label comes too late"),
    "body_too_large": (413, "The body is too large"),
    "state_too_large": (413, "The state is too large"),
    "media_type": (415, "The media type is not supported"),
    "invalid": (422, "The body does not fit the schema"),
    "spec_invalid": (422, "The model spec is invalid"),
    "state_invalid": (422, "The state cannot be taken"),
    "stream_id_invalid": (422, "The stream id is invalid"),
    "not_finite": (422, "A value is not finite"),
    "out_of_range": (422, "A value is too large"),
    "dimension": (422, "The number of values is wrong"),
    "engine_unavailable": (422, "The engine of this server does not know this model"),
    "label_invalid": (422, "The label does not fit the stream"),
    "label_unknown": (422, "The label names a sample that is not known"),
    "too_many_items": (422, "There are too many items in one request"),
    "rate_limited": (429, "Too many requests"),
    "internal": (500, "The server failed; this is a bug"),
    "overloaded": (503, "The server is overloaded"),
    "store_unavailable": (503, "The store cannot be reached"),
    "store_full": (503, "The store is full"),
    "fenced": (503, "Another owner has taken over this shard"),
    "failed": (503, "The server cannot go on"),
    "draining": (503, "The server is shutting down"),
}


_MEMBERS = ("type", "title", "status", "code", "detail")


class Problem(Exception):  # noqa: N818 - a problem is what RFC 9457 calls it
    """A refusal with a stable code.

    Parameters
    ----------
    code
        A key of `CATALOGUE`.
    detail
        What was wrong here and what to do about it, for people.
    retry_after_s
        Where the same request may succeed later: in how many seconds.
    extensions
        Further members of the problem, such as ``expected_seq`` or ``errors``.
    """

    def __init__(self, code: str, detail: str, *, retry_after_s: float | None = None, **extensions: Any) -> None:
        super().__init__(detail)
        self.code = code
        self.status, self.title = CATALOGUE[code]
        self.detail = detail
        self.retry_after_s = retry_after_s
        self.extensions = extensions

    @classmethod
    def of(cls, members: dict[str, Any]) -> Problem:
        """The problem whose members these are: for one that came as an item's answer and is the whole request's."""
        more = {name: value for name, value in members.items() if name not in _MEMBERS}
        retry_after_ms = more.pop("retry_after_ms", None)
        after = None if retry_after_ms is None else retry_after_ms / 1000
        return cls(members["code"], members["detail"], retry_after_s=after, **more)

    def as_dict(self) -> dict[str, Any]:
        """The members of the problem+json object, without `instance` and `request_id`, which only the edge knows."""
        members: dict[str, Any] = {
            "type": f"urn:liquidstream:problem:{self.code}",
            "title": self.title,
            "status": self.status,
            "code": self.code,
            "detail": self.detail,
        }
        if self.retry_after_s is not None:
            members["retry_after_ms"] = round(self.retry_after_s * 1000)
        return members | self.extensions


__all__ = ["CATALOGUE", "Problem"]
