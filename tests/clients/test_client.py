"""The sync client: every call, every error, and retries that never apply a sample twice."""

from __future__ import annotations

import socket

import pytest

from liquidstream_client import (
    Client,
    ColdStream,
    Conflict,
    ConnectionFailed,
    Invalid,
    LiquidstreamError,
    NotFound,
    ProtocolError,
    RateLimited,
    RetryPolicy,
    SampleResult,
    Unavailable,
)

PUMP = {"task": "forecast", "features": ["flow", "pressure"]}
OVERLOADED = {"status": 503, "code": "overloaded", "title": "busy", "detail": "come back"}
STORE_AWAY = {"status": 503, "code": "store_unavailable", "title": "away", "detail": "come back"}


@pytest.fixture
def client(server, retry):
    with Client(server.url, retry=retry) as client:
        yield client


def test_send_returns_typed_predictions(client):
    """A sample's answer is a dataclass with one prediction a horizon."""
    client.create_stream("pump-7", PUMP)
    answer = client.send("pump-7", t=1.0, x=[3.1, 0.82], seq=1)
    assert answer.at(1).y == answer.at(1).median == (3.1, 0.82)
    assert (answer.seq, answer.duplicate, answer.durability) == (1, False, "memory")


def test_create_stream_takes_the_spec_as_keywords(client, server):
    """The fields of a spec may be given as keywords instead of a dict."""
    client.create_stream("pump-7", task="forecast", features=["flow"], horizon=[1, 24])
    assert server.streams["pump-7"].spec == {"task": "forecast", "features": ["flow"], "horizon": [1, 24]}


def test_missing_values_travel_as_null(client, server):
    """NaN and None in `x` both reach the server as null."""
    client.create_stream("pump-7", PUMP).send(t=1.0, x=[float("nan"), None])
    assert server.streams["pump-7"].samples[0]["x"] == [None, None]


def test_an_infinite_value_is_refused_before_it_is_sent(client, server):
    """An infinity never leaves the client."""
    stream = client.create_stream("pump-7", PUMP)
    with pytest.raises(ValueError, match="`x` must be finite: got inf"):
        stream.send(t=1.0, x=[1.0, float("inf")])
    assert not server.streams["pump-7"].samples


def test_send_many_returns_answers_and_problems_side_by_side(client):
    """A refused sample of many does not hide the answers to the others."""
    client.create_stream("pump-7", PUMP)
    good, wide = client.send_many("pump-7", [{"t": 1.0, "x": [1.0, 2.0], "seq": 1}, {"t": 2.0, "x": [1.0], "seq": 2}])
    assert isinstance(good, SampleResult)
    assert isinstance(wide, Invalid)
    assert wide.code == "dimension"


def test_labels_are_joined_by_seq(client, server):
    """One label, or many in one request."""
    client.create_stream("pump-7", PUMP)
    client.send_many("pump-7", [{"t": float(n), "x": [1.0, 2.0]} for n in range(3)])
    assert client.label("pump-7", 2, "open").seq == 2
    assert [result.duplicate for result in client.label_many("pump-7", {2: "open", 3: [1.0, 2.0]})] == [True, False]
    assert server.streams["pump-7"].labels == {2: "open", 3: [1.0, 2.0]}


def test_predict_and_state_and_version_of_the_stream(client):
    """A look ahead returns predictions and the state comes as bytes."""
    stream = client.create_stream("pump-7", PUMP)
    assert stream.predict(t=5.0, x=[1.0, None]).predictions[0].y == (1.0, None)
    assert stream.state() == b"safetensors"


def test_streams_follows_the_pages(client):
    """Listing goes through all pages by itself."""
    for name in ("a", "b", "c", "d", "e"):
        client.create_stream(name, PUMP)
    assert [info.id for info in client.streams(limit=2)] == ["a", "b", "c", "d", "e"]


def test_a_stream_in_a_list_may_be_cold(server, client):
    """Then the list has what it is, and its description where it stands."""
    client.create_stream("cold", PUMP)
    client.create_stream("hot", PUMP)
    server.cold.add("cold")
    cold, hot = client.streams()
    assert isinstance(cold, ColdStream)
    assert (cold.id, cold.spec, cold.created_at) == ("cold", client.describe("cold").spec, 5.0)
    assert hot == client.describe("hot")


def test_a_server_that_is_not_ready_says_why(client):
    """`ready` reads the report also where its status is 503."""
    readiness = client.ready()
    assert not readiness.ready
    assert readiness.reasons == ("it is a toy",)


def test_the_key_is_sent_as_a_bearer_token(server):
    """`api_key` goes into the Authorization header."""
    with Client(server.url, api_key="secret") as client:
        client.create_stream("pump-7", PUMP)
    assert server.authorization == "Bearer secret"


def test_refusals_are_one_tree_of_exceptions(client):
    """A 404 is a NotFound, with the server's code."""
    with pytest.raises(NotFound, match="stream_not_found") as caught:
        client.describe("nobody")
    assert isinstance(caught.value, LiquidstreamError)
    assert caught.value.status == 404


def test_a_stranger_behind_the_url_is_told(server):
    """An answer that is not JSON of this API names the problem."""
    with Client(f"{server.url}/html?") as client, pytest.raises(ProtocolError, match="not this API's"):
        client.version()


def test_a_server_that_is_not_there_says_how_to_start_it():
    """The message of a failed connection names the command."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    policy = RetryPolicy(max_attempts=2, first_delay_s=0.001)
    client = Client(f"http://127.0.0.1:{port}", retry=policy)
    with client, pytest.raises(ConnectionFailed, match="liquidstream serve"):
        client.describe("pump-7")


# --- retries ---------------------------------------------------------------------------------------------------------


def test_a_lost_answer_is_asked_for_again_and_comes_as_a_duplicate(client, server):
    """A sample with `seq` whose answer got lost is sent again, applied once, and answered as the first time."""
    client.create_stream("pump-7", PUMP)
    server.lose_answers = 2
    answer = client.send("pump-7", t=1.0, x=[3.1, 0.82], seq=1)
    assert answer.duplicate
    assert answer.at(1).y == (3.1, 0.82)
    assert len(server.streams["pump-7"].samples) == 1


def test_a_sample_without_seq_is_not_repeated_after_a_lost_answer(client, server):
    """Without `seq` nobody could tell the repeat from a new sample, so the caller decides."""
    client.create_stream("pump-7", PUMP)
    server.lose_answers = 1
    with pytest.raises(ConnectionFailed, match="ended before the answer came"):
        client.send("pump-7", t=1.0, x=[3.1, 0.82])
    assert len(server.streams["pump-7"].samples) == 1


def test_an_overloaded_server_is_asked_again(client, server):
    """A 503 that certainly changed nothing is repeated even without `seq`."""
    client.create_stream("pump-7", PUMP)
    server.refusals.extend([(OVERLOADED, {"retry-after": "0"})] * 3)
    assert client.send("pump-7", t=1.0, x=[3.1, 0.82]).seq == 1


def test_an_unknown_outcome_is_not_repeated_without_seq(client, server):
    """A failing store may have taken the sample."""
    client.create_stream("pump-7", PUMP)
    server.refusals.append((STORE_AWAY, {}))
    with pytest.raises(Unavailable, match="store_unavailable"):
        client.send("pump-7", t=1.0, x=[3.1, 0.82])


def test_retries_are_bounded(client, server, retry):
    """After the policy's attempts the last refusal comes out."""
    client.create_stream("pump-7", PUMP)
    server.refusals.extend([(OVERLOADED, {})] * 50)
    with pytest.raises(Unavailable, match="overloaded"):
        client.describe("pump-7")
    assert len(server.requests) == 1 + retry.max_attempts


def test_retry_after_beyond_the_policy_is_not_waited_for(client, server):
    """A server that asks for an hour is given up at once, and the error carries the hour."""
    client.create_stream("pump-7", PUMP)
    server.refusals.append(({"status": 429, "code": "rate_limited"}, {"retry-after": "3600"}))
    with pytest.raises(RateLimited) as caught:
        client.describe("pump-7")
    assert caught.value.retry_after_s == 3600


def test_a_refusal_for_good_is_not_repeated(client, server):
    """A 409 is the answer, not a reason to ask again."""
    server.refusals.append(({"status": 409, "code": "spec_conflict"}, {}))
    with pytest.raises(Conflict, match="spec_conflict"):
        client.create_stream("pump-7", PUMP)
    assert len(server.requests) == 1


def test_deleting_twice_by_a_retry_succeeds(client, server):
    """The repeat of a deletion whose answer got lost finds nothing, which is what was wanted."""
    stream = client.create_stream("pump-7", PUMP)
    server.lose_answers = 1
    stream.delete()
    assert not server.streams
    with pytest.raises(NotFound):
        stream.delete()
