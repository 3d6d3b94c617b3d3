"""A stream's whole state, to take away."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from service.api.answering import STATE
from service.api.openapi import gives
from service.api.seam import services_of
from service.api.stream_id import StreamId

router = APIRouter(tags=["streams"])

_RESPONSES = gives(
    {200: ("The state: a safetensors file.", [], {})},
    problems=("stream_not_found", "stream_id_invalid", "overloaded", "store_unavailable"),
)
_RESPONSES[200]["content"] = {STATE: {"schema": {"type": "string", "format": "binary"}}}


@router.get(
    "/v1/streams/{stream_id:stream_id}/state",
    operation_id="export_state",
    summary="Download a stream's state",
    response_class=Response,
    responses=_RESPONSES,
)
async def export_state(request: Request, stream_id: StreamId) -> Response:
    """Weights, hidden state, optimiser, window, scaler and metrics, as of the last sample, in one safetensors file."""
    blob = await services_of(request).working_host().export_state(stream_id)
    headers = {"Content-Disposition": f'attachment; filename="{stream_id}.safetensors"'}
    return Response(blob, headers=headers, media_type=STATE)


__all__ = ["router"]
