"""Python client of Liquidstream: REST and WebSocket, sync and async. Start with `Client` or `AsyncClient`."""

from liquidstream_client.async_client import AsyncClient
from liquidstream_client.async_session import AsyncSession
from liquidstream_client.async_stream import AsyncStream
from liquidstream_client.client import Client
from liquidstream_client.errors import (
    BadRequest,
    Conflict,
    ConnectionFailed,
    Forbidden,
    Gone,
    Invalid,
    LiquidstreamError,
    NotFound,
    ProblemError,
    ProtocolError,
    RateLimited,
    ServerError,
    Unauthorized,
    Unavailable,
)
from liquidstream_client.retry import RetryPolicy
from liquidstream_client.session import Session
from liquidstream_client.stream import Stream
from liquidstream_client.types import (
    ColdStream,
    ErrorSummary,
    LabelResult,
    Prediction,
    PredictResult,
    Readiness,
    SampleResult,
    Snapshot,
    StreamInfo,
)
from liquidstream_client.values import Sample

__version__ = "0.1.0"

__all__ = [
    "AsyncClient",
    "AsyncSession",
    "AsyncStream",
    "BadRequest",
    "Client",
    "ColdStream",
    "Conflict",
    "ConnectionFailed",
    "ErrorSummary",
    "Forbidden",
    "Gone",
    "Invalid",
    "LabelResult",
    "LiquidstreamError",
    "NotFound",
    "PredictResult",
    "Prediction",
    "ProblemError",
    "ProtocolError",
    "RateLimited",
    "Readiness",
    "RetryPolicy",
    "Sample",
    "SampleResult",
    "ServerError",
    "Session",
    "Snapshot",
    "Stream",
    "StreamInfo",
    "Unauthorized",
    "Unavailable",
    "__version__",
]
