"""A look ahead that changes nothing."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from service.api import decoding, examples
from service.api.answering import answer
from service.api.openapi import gives, takes
from service.api.seam import services_of
from service.api.stream_id import StreamId
from service.messages import PredictIn

router = APIRouter(tags=["samples"])


@router.post(
    "/v1/streams/{stream_id:stream_id}:predict",
    operation_id="predict",
    summary="Look ahead without learning",
    response_class=Response,
    openapi_extra=takes(PredictIn, required=False, example=examples.PEEKS),
    responses=gives(
        {200: ("What the stream would answer.", ["PredictResult"], {"forecast": examples.PREDICT_RESULT})},
        problems=(
            *("stream_not_found", "stream_outdated", "stream_id_invalid", "late_sample", "dimension"),
            *("overloaded", "store_unavailable"),
        ),
        body=True,
    ),
)
async def predict(request: Request, stream_id: StreamId) -> Response:
    """What would be answered if this sample came next. The stream stays as it is, and nothing is logged."""
    host = services_of(request).working_host()
    peek = decoding.peek(await decoding.json_body(request))
    return answer(await host.predict(stream_id, peek))


__all__ = ["router"]
