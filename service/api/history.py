"""A stream's recent past, for plots."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from service.api.answering import answer
from service.api.openapi import gives
from service.api.seam import services_of
from service.api.stream_id import StreamId

router = APIRouter(tags=["streams"])


@router.get(
    "/v1/streams/{stream_id:stream_id}/history",
    operation_id="get_history",
    summary="The last samples and their answers",
    response_class=Response,
    responses=gives(
        {200: ("What is in memory of it, oldest first.", ["StreamHistory"], {})},
        problems=(
            "stream_not_found",
            "stream_outdated",
            "stream_id_invalid",
            "invalid",
            "overloaded",
            "store_unavailable",
        ),
    ),
)
async def get_history(
    request: Request,
    stream_id: StreamId,
    limit: Annotated[int, Query(description="Samples at most.", ge=1, le=512)] = 256,
) -> Response:
    """For plots: it is kept in memory only, for the streams that somebody looks at, and is gone after a restart."""
    return answer(await services_of(request).working_host().history(stream_id, limit))


__all__ = ["router"]
