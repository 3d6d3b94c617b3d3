"""Snapshots of a stream: what it can go back to."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path
from starlette.requests import Request
from starlette.responses import Response

from service.api.answering import answer
from service.api.openapi import gives
from service.api.seam import services_of
from service.api.stream_id import StreamId

router = APIRouter(tags=["controls"])

_PROBLEMS = ("stream_not_found", "stream_outdated", "stream_id_invalid", "overloaded", "store_unavailable")


@router.post(
    "/v1/streams/{stream_id:stream_id}:snapshot",
    operation_id="pin_snapshot",
    summary="Keep a stream's state, to go back to",
    status_code=201,
    response_class=Response,
    responses=gives(
        {201: ("The snapshot; the same again where nothing has come since.", ["SnapshotInfo"], {})},
        problems=("too_many_snapshots", "state_too_large", "store_full", "fenced", *_PROBLEMS),
    ),
)
async def pin_snapshot(request: Request, stream_id: StreamId) -> Response:
    """Kept until it is deleted. A stream keeps eight; after that, delete one first."""
    return answer(await services_of(request).working_host().verbs.pin(stream_id), 201)


@router.get(
    "/v1/streams/{stream_id:stream_id}/snapshots",
    operation_id="list_snapshots",
    summary="List what a stream can go back to",
    response_class=Response,
    responses=gives({200: ("Its snapshots, oldest first.", ["SnapshotList"], {})}, problems=_PROBLEMS),
)
async def list_snapshots(request: Request, stream_id: StreamId) -> Response:
    """Those that were pinned, and the two newest that the service has written for itself; these soon make way."""
    return answer(await services_of(request).working_host().verbs.snapshots(stream_id))


@router.delete(
    "/v1/streams/{stream_id:stream_id}/snapshots/{position}",
    operation_id="delete_snapshot",
    summary="Delete a pinned snapshot",
    status_code=204,
    response_class=Response,
    responses=gives(
        {204: ("It is gone.", [], {})}, problems=("snapshot_not_found", "invalid", "store_full", "fenced", *_PROBLEMS)
    ),
)
async def delete_snapshot(
    request: Request,
    stream_id: StreamId,
    position: Annotated[int, Path(description="Where the snapshot stands.", ge=0, le=2**53 - 1)],
) -> Response:
    """The stream can no longer go back to it."""
    await services_of(request).working_host().verbs.unpin(stream_id, position)
    return Response(status_code=204)


__all__ = ["router"]
