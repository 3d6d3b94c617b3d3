"""Streams: create, describe, list, delete."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from liquid_core.errors import SpecError
from liquid_core.spec import ModelSpec
from service.api import decoding, examples
from service.api.answering import answer
from service.api.openapi import gives, takes, takes_any
from service.api.seam import services_of
from service.api.stream_id import StreamId
from service.problems import Problem

router = APIRouter(tags=["streams"])

_STORE = ("store_unavailable",)
_ONE = ("stream_not_found", "stream_outdated", "stream_id_invalid", *_STORE)
_LOGGED = ("overloaded", "store_full", "fenced")


@router.put(
    "/v1/streams/{stream_id:stream_id}",
    operation_id="create_stream",
    summary="Create a stream, or confirm that it is there",
    response_class=Response,
    openapi_extra=takes(ModelSpec, example=examples.SPECS),
    responses=gives(
        {
            200: ("The stream was there, with this spec.", ["StreamInfo"], {}),
            201: ("The stream was created.", ["StreamInfo"], {}),
        },
        problems=(
            "spec_conflict",
            "stream_outdated",
            "spec_invalid",
            "stream_id_invalid",
            "store_full",
            "overloaded",
            *_STORE,
        ),
        body=True,
    ),
)
async def create_stream(request: Request, stream_id: StreamId) -> Response:
    """Safe to repeat. Another spec than the stream has is refused: `PATCH` changes it."""
    host = services_of(request).working_host()
    spec = decoding.spec(await decoding.json_body(request))
    try:
        info, created = await host.create(stream_id, spec)
    except SpecError as error:
        raise Problem("spec_invalid", str(error)) from None
    return answer(info, 201 if created else 200)


@router.get(
    "/v1/streams/{stream_id:stream_id}",
    operation_id="get_stream",
    summary="Describe a stream",
    response_class=Response,
    responses=gives({200: ("The stream.", ["StreamInfo"], {})}, problems=("overloaded", *_ONE)),
)
async def get_stream(request: Request, stream_id: StreamId) -> Response:
    """Its spec, where it stands, and how well it predicts, beside the naive prediction."""
    return answer(await services_of(request).working_host().describe(stream_id))


@router.patch(
    "/v1/streams/{stream_id:stream_id}",
    operation_id="change_spec",
    summary="Change a stream's spec",
    response_class=Response,
    openapi_extra=takes_any(example=examples.PATCHES),
    responses=gives(
        {200: ("The stream as it is now.", ["StreamInfo"], {})},
        problems=("spec_conflict", "spec_invalid", "engine_unavailable", *_LOGGED, *_ONE),
        body=True,
    ),
)
async def change_spec(request: Request, stream_id: StreamId) -> Response:
    """The body is merged into the spec (RFC 7396: `null` sets a field to its default).

    What the stream has learned goes on where only the learner's rates, its warm-up, the drift detector, `late` or
    `gaps` change. Anything else makes another network of it, which begins anew. Numbers of samples go on either way.
    """
    patch = decoding.patch(await decoding.json_body(request))
    return answer(await services_of(request).working_host().verbs.change_spec(stream_id, patch))


@router.delete(
    "/v1/streams/{stream_id:stream_id}",
    operation_id="delete_stream",
    summary="Delete a stream",
    status_code=204,
    response_class=Response,
    responses=gives({204: ("It is gone.", [], {})}, problems=_ONE),
)
async def delete_stream(request: Request, stream_id: StreamId) -> Response:
    """Deletes all that it has learned, for good."""
    await services_of(request).working_host().delete(stream_id)
    return Response(status_code=204)


@router.get(
    "/v1/streams",
    operation_id="list_streams",
    summary="List the streams",
    response_class=Response,
    responses=gives({200: ("One page of them.", ["StreamPage"], {})}, problems=("invalid", "overloaded", *_STORE)),
)
async def list_streams(
    request: Request,
    cursor: Annotated[
        str | None, Query(description="`next_cursor` of the page before.", min_length=1, max_length=512)
    ] = None,
    limit: Annotated[int, Query(description="Streams a page.", ge=1, le=1000)] = 100,
) -> Response:
    """Pages in a stable order; streams that come or go meanwhile may be missed."""
    return answer(await services_of(request).working_host().list(cursor, limit))


__all__ = ["router"]
