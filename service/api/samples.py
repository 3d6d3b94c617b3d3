"""Samples: predict, then learn."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from service.api import decoding, examples
from service.api.answering import answer, problem_response
from service.api.deadline import deadline_of
from service.api.openapi import TIMEOUT, gives, takes
from service.api.seam import services_of
from service.api.stream_id import StreamId
from service.messages import ProblemItem, SampleIn, SampleResults, SamplesIn

router = APIRouter(tags=["samples"])


@router.post(
    "/v1/streams/{stream_id:stream_id}/samples",
    operation_id="send_samples",
    summary="Send one sample or several",
    response_class=Response,
    openapi_extra=TIMEOUT | takes(SampleIn, SamplesIn, example=examples.SAMPLES),
    responses=gives(
        {
            200: (
                "The answer to one sample; to several, one answer or problem each, in their order.",
                ["SampleResult", "SampleResults"],
                {"one": examples.SAMPLE_RESULT, "many": {"results": [examples.SAMPLE_RESULT]}},
            )
        },
        problems=(
            *(
                "stream_not_found",
                "stream_outdated",
                "stream_id_invalid",
                "seq_gap",
                "seq_conflict",
                "late_sample",
                "dimension",
            ),
            *("label_invalid", "too_many_items", "rate_limited", "overloaded"),
            *("store_unavailable", "store_full", "fenced"),
        ),
        body=True,
    ),
)
async def send_samples(request: Request, stream_id: StreamId) -> Response:
    """Each is answered with predictions made before its own label was looked at, then learned from.

    An answered sample is in the log. With `seq` a retry is safe: what was applied before comes back as a duplicate.
    Of several samples the good ones are applied, whatever is wrong with others.
    """
    services = services_of(request)
    host = services.working_host()
    deadline = deadline_of(request)
    samples = decoding.samples(await decoding.json_body(request), services.settings.max_items)
    if isinstance(samples, list):
        return answer(SampleResults(results=list(await host.submit_samples(stream_id, samples, deadline=deadline))))
    (result,) = await host.submit_samples(stream_id, [samples], deadline=deadline)
    if isinstance(result, ProblemItem):
        return problem_response(result.problem, request.state.request_id)
    return answer(result)


__all__ = ["router"]
