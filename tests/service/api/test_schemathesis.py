"""Requests made up from our own OpenAPI document, good and bad; every answer is held to the document."""

from __future__ import annotations

from pathlib import Path

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance

from liquid_core.spec import ModelSpec
from service.api.answering import STATE
from service.app import create_app
from service.settings import Settings


@schemathesis.serializer("application/x-ndjson")
def as_it_is(_: object, value: object) -> bytes:
    """The lines of an ingest are text for the document."""
    return str(value).encode(errors="surrogatepass")


@schemathesis.serializer(STATE)
def as_a_file(_: object, value: object) -> bytes:
    """A state is any bytes for the document."""
    return value if isinstance(value, bytes) else str(value).encode(errors="surrogatepass")


documented = create_app(Settings())
schema = schemathesis.openapi.from_dict(documented.openapi())
schema.app = documented
OPERATIONS = {result.ok().definition.raw["operationId"]: result.ok() for result in schema.get_all_operations()}
WITH_INPUT = [name for name, operation in OPERATIONS.items() if operation.body or list(operation.iter_parameters())]
#: Any text is lines, which are refused one by one.
TAKES_ANYTHING = {"ingest"}


bounded = settings(
    max_examples=20,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.parametrize(
    ("name", "mode"),
    [(name, GenerationMode.POSITIVE) for name in OPERATIONS]
    + [(name, GenerationMode.NEGATIVE) for name in WITH_INPUT if name not in TAKES_ANYTHING],
)
def test_answers_are_as_documented(host, tmp_path: Path, name: str, mode: GenerationMode) -> None:
    """Status, media type and schema of every answer are documented; what does not fit the document is refused."""
    host.spec_of_all = ModelSpec(task="forecast", features=("x",))
    app = create_app(Settings(data_dir=tmp_path, allowed_hosts=("localhost", "testserver")), host)

    @bounded
    @given(OPERATIONS[name].as_strategy(generation_mode=mode))
    def holds(case: schemathesis.Case) -> None:
        # What a spec or a sample must fulfil beyond its schema no schema can say.
        case.call_and_validate(app=app, excluded_checks=[positive_data_acceptance])

    holds()
