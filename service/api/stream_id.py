"""Stream ids in paths and messages: which are valid, and where one ends in a path with a `:verb`."""

from __future__ import annotations

import re
from typing import Annotated

from fastapi import Depends, Path
from starlette.convertors import Convertor, register_url_convertor

from service.problems import Problem

#: Safe in paths, file names and the store's keys, whose hash tags need `{` and `}` for themselves.
PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._~-]{0,127}$"
_VALID = re.compile(PATTERN.removeprefix("^").removesuffix("$")).fullmatch


class _StreamIdConvertor(Convertor[str]):
    """One path segment up to a `:verb` at its end, so that ``/v1/streams/pump-7:predict`` is `pump-7`'s `predict`.

    It takes more than valid ids, so that an invalid one gets the problem that says so instead of a 404.
    """

    regex = r"(?:(?!:[a-z]+$)[^/])+"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor("stream_id", _StreamIdConvertor())


def checked(stream_id: str) -> str:
    """`stream_id`, or `Problem` ``stream_id_invalid``."""
    if _VALID(stream_id) is None:
        raise Problem(
            "stream_id_invalid",
            "a stream id has 1 to 128 letters, digits or . _ ~ - and starts with a letter or digit.",
        )
    return stream_id


# Not because it waits for anything: what is no coroutine FastAPI sends to a thread, which takes longer than all else.
async def _from_path(
    stream_id: Annotated[
        str,
        Path(
            description="Name of the stream.",
            openapi_examples={"pump": {"value": "pump-7"}},
            json_schema_extra={"pattern": PATTERN, "minLength": 1, "maxLength": 128},
        ),
    ],
) -> str:
    return checked(stream_id)


#: The id in a route's path ``{stream_id:stream_id}``.
StreamId = Annotated[str, Depends(_from_path)]

__all__ = ["PATTERN", "StreamId", "checked"]
