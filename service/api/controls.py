"""Commands to a stream: each is a record in its log, behind the samples that were sent before it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from service.api import decoding, examples
from service.api.answering import answer
from service.api.openapi import gives, takes
from service.api.seam import services_of
from service.api.stream_id import StreamId, checked
from service.messages import ControlIn, ForkIn, RollbackIn

router = APIRouter(tags=["controls"])

_PROBLEMS = (
    *("stream_not_found", "stream_outdated", "stream_id_invalid", "seq_conflict"),
    *("overloaded", "store_unavailable", "store_full", "fenced"),
)
_AS_IT_IS: dict[int, tuple[str, Iterable[str], dict[str, Any]]] = {
    200: ("The stream as it is now.", ["StreamInfo"], {})
}
_IF_SEQ = takes(ControlIn, required=False, example=examples.CONTROLS)


@router.post(
    "/v1/streams/{stream_id:stream_id}:reset",
    operation_id="reset_stream",
    summary="Let learning begin anew",
    response_class=Response,
    openapi_extra=_IF_SEQ,
    responses=gives(_AS_IT_IS, problems=_PROBLEMS, body=True),
)
async def reset_stream(request: Request, stream_id: StreamId) -> Response:
    """The stream forgets what it learned and measured, and the forecasts and labels that it waited for.

    Numbers and times of its samples go on, repeated samples are still known, and a frozen stream stays frozen. With
    `if_seq` a retry is safe: once a sample has come, it is refused (`seq_conflict`).
    """
    body = decoding.control(await decoding.json_body(request))
    return answer(await services_of(request).working_host().verbs.reset(stream_id, body.if_seq))


@router.post(
    "/v1/streams/{stream_id:stream_id}:freeze",
    operation_id="freeze_stream",
    summary="Let a stream predict, but not learn",
    response_class=Response,
    openapi_extra=_IF_SEQ,
    responses=gives(_AS_IT_IS, problems=_PROBLEMS, body=True),
)
async def freeze_stream(request: Request, stream_id: StreamId) -> Response:
    """No weight changes any more: not the network's, nor those of the experts and of their mix.

    What is measured goes on: scales, the typical gap, the season, intervals, errors, anomaly scores, drift alarms; and
    so does the hidden state. Freezing twice is freezing once.
    """
    body = decoding.control(await decoding.json_body(request))
    return answer(await services_of(request).working_host().verbs.freeze(stream_id, body.if_seq))


@router.post(
    "/v1/streams/{stream_id:stream_id}:unfreeze",
    operation_id="unfreeze_stream",
    summary="Let a frozen stream learn again",
    response_class=Response,
    openapi_extra=_IF_SEQ,
    responses=gives(_AS_IT_IS, problems=_PROBLEMS, body=True),
)
async def unfreeze_stream(request: Request, stream_id: StreamId) -> Response:
    """From the next record on. Nothing happens to a stream that learns already."""
    body = decoding.control(await decoding.json_body(request))
    return answer(await services_of(request).working_host().verbs.unfreeze(stream_id, body.if_seq))


@router.post(
    "/v1/streams/{stream_id:stream_id}:rollback",
    operation_id="roll_back_stream",
    summary="Let a stream go back to a snapshot",
    response_class=Response,
    openapi_extra=takes(RollbackIn, example=examples.ROLLBACKS),
    responses=gives(
        _AS_IT_IS,
        problems=("snapshot_not_found", "state_invalid", "state_too_large", "engine_unavailable", *_PROBLEMS),
        body=True,
    ),
)
async def roll_back_stream(request: Request, stream_id: StreamId) -> Response:
    """It predicts and learns as if nothing had come since, under the spec that it had then.

    Numbers and times of samples go on from where they are now, and a frozen stream stays frozen. What it may go back to
    is listed under `snapshots`.
    """
    body = decoding.rollback(await decoding.json_body(request))
    return answer(await services_of(request).working_host().verbs.rollback(stream_id, body.to, body.if_seq))


@router.post(
    "/v1/streams/{stream_id:stream_id}:fork",
    operation_id="fork_stream",
    summary="Make a second stream of one",
    status_code=201,
    response_class=Response,
    openapi_extra=takes(ForkIn, example=examples.FORKS),
    responses=gives(
        {201: ("The new stream.", ["StreamInfo"], {})},
        problems=("stream_exists", "spec_conflict", "state_too_large", *_PROBLEMS),
        body=True,
    ),
)
async def fork_stream(request: Request, stream_id: StreamId) -> Response:
    """The new one begins as this one is now, with all that it learned and with its numbers, and goes its own way.

    A stream that is there and has had no record yet becomes the fork: so a retry heals what a crash left half done.
    """
    body = decoding.fork(await decoding.json_body(request))
    info = await services_of(request).working_host().verbs.fork(stream_id, checked(body.id))
    return answer(info, 201)


__all__ = ["router"]
