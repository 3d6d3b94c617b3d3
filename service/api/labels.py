"""Labels that come after their sample."""

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
from service.messages import LabelIn, LabelResults, LabelsIn, ProblemItem

router = APIRouter(tags=["labels"])


@router.post(
    "/v1/streams/{stream_id:stream_id}/labels",
    operation_id="send_labels",
    summary="Send one label or several",
    response_class=Response,
    openapi_extra=TIMEOUT | takes(LabelIn, LabelsIn, example=examples.LABELS),
    responses=gives(
        {
            200: (
                "The answer to one label; to several, one answer or problem each, in their order.",
                ["LabelResult", "LabelResults"],
                {"one": examples.LABEL_RESULT, "many": {"results": [examples.LABEL_RESULT]}},
            )
        },
        problems=(
            *(
                "stream_not_found",
                "stream_outdated",
                "stream_id_invalid",
                "label_conflict",
                "label_expired",
                "label_invalid",
            ),
            *("label_unknown", "dimension", "too_many_items"),
            *("rate_limited", "overloaded", "store_unavailable", "store_full", "fenced"),
        ),
        body=True,
    ),
)
async def send_labels(request: Request, stream_id: StreamId) -> Response:
    """A label finds its sample by `seq`, within the spec's `learner.label_horizon`. Repeating one is safe."""
    services = services_of(request)
    host = services.working_host()
    deadline = deadline_of(request)
    labels = decoding.labels(await decoding.json_body(request), services.settings.max_items)
    if isinstance(labels, list):
        return answer(LabelResults(results=list(await host.submit_labels(stream_id, labels, deadline=deadline))))
    (result,) = await host.submit_labels(stream_id, [labels], deadline=deadline)
    if isinstance(result, ProblemItem):
        return problem_response(result.problem, request.state.request_id)
    return answer(result)


__all__ = ["router"]
