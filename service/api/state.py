"""A stream's whole state, to take away and to bring."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from service.api.answering import STATE, answer
from service.api.openapi import gives, takes_file
from service.api.seam import services_of
from service.api.stream_id import StreamId
from service.problems import Problem

router = APIRouter(tags=["streams"])

_RESPONSES = gives(
    {200: ("The state: a safetensors file.", [], {})},
    problems=("stream_not_found", "stream_outdated", "stream_id_invalid", "overloaded", "store_unavailable"),
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


_TAKEN = gives(
    {
        200: ("The stream is what the state says.", ["StreamInfo"], {}),
        201: ("The stream was created from the state.", ["StreamInfo"], {}),
    },
    problems=(
        *("state_invalid", "state_too_large", "body_too_large", "media_type", "spec_conflict", "engine_unavailable"),
        *("stream_id_invalid", "overloaded", "store_unavailable", "store_full", "fenced"),
    ),
)


@router.put(
    "/v1/streams/{stream_id:stream_id}/state",
    operation_id="import_state",
    summary="Let a stream be what a state says",
    response_class=Response,
    openapi_extra=takes_file(STATE),
    responses=_TAKEN,
)
async def import_state(request: Request, stream_id: StreamId) -> Response:
    """Takes what `GET` gave, here or on another server: with all that it learned, and with its numbers.

    A stream that is not there is created under the state's spec; one that is there must have that spec, and what it was
    is gone. Nothing in the file is ever executed, and a state that no learner can have made is refused.
    """
    media_type = request.headers.get("content-type", "").lower()
    if media_type not in (STATE, "application/octet-stream"):
        raise Problem("media_type", f"send the state as it came, with `Content-Type: {STATE}`.")
    info, created = await services_of(request).working_host().verbs.import_state(stream_id, await request.body())
    return answer(info, 201 if created else 200)


__all__ = ["router"]
