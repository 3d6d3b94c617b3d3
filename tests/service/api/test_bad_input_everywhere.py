"""Bad samples, labels and names, by every way into a real server: a problem with its code, and nothing changed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.client import HTTPConnection
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from service.child_server import ChildServer
from service.problems import CATALOGUE
from tests.service.api.bad_inputs import HISTORY, LABELS, SAMPLES, SECRET, STREAM_IDS, STREAMS, TEXTS, Case

JSON = {"Content-Type": "application/json"}
NDJSON = {"Content-Type": "application/x-ndjson"}
#: How a WebSocket ends where a text is not JSON at all: it cannot be told which message it was meant to be.
NOT_JSON = "closed with 1007"


@pytest.fixture(scope="module")
def http(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A server with the table's streams."""
    with ChildServer(tmp_path_factory.mktemp("server")) as server, httpx.Client(base_url=server.url) as client:
        for name, spec in STREAMS.items():
            client.put(f"/v1/streams/{name}", json=spec).raise_for_status()
            answer = client.post(f"/v1/streams/{name}/samples", json={"samples": HISTORY[name]}).json()
            assert [result["seq"] for result in answer["results"]] == [sample["seq"] for sample in HISTORY[name]]
        yield client


# --- the ways in -----------------------------------------------------------------------------------------------------
# Each tells the code with which a sample or label of a stream was refused, after looking at the shape of the refusal.


def alone(http: httpx.Client, kind: str, stream: str, members: bytes) -> str:
    path = f"/v1/streams/{quote(stream, safe='')}/{kind}s"
    return _code_of(http.post(path, content=b"{" + members + b"}", headers=JSON))


def among_others(http: httpx.Client, kind: str, stream: str, members: bytes) -> str:
    path = f"/v1/streams/{quote(stream, safe='')}/{kind}s"
    body = b'{"' + kind.encode() + b's": [{' + members + b"}]}"
    answer = http.post(path, content=body, headers=JSON)
    if answer.status_code != 200:
        return _code_of(answer)
    (result,) = answer.json()["results"]
    return _checked(result["problem"])


def in_a_line(http: httpx.Client, kind: str, stream: str, members: bytes) -> str:
    answer = http.post("/v1/ingest", content=_message(kind, stream, members), headers=NDJSON)
    assert answer.status_code == 200
    (line,) = answer.text.splitlines()
    return _nacked(line)


def in_a_frame(http: httpx.Client, kind: str, stream: str, members: bytes) -> str:
    return _say(http, _message(kind, stream, members))


WAYS = [alone, among_others, in_a_line, in_a_frame]


def _message(kind: str, stream: str, members: bytes) -> bytes:
    return b'{"type": "' + kind.encode() + b'", "stream": ' + json.dumps(stream).encode() + b", " + members + b"}"


def _say(http: httpx.Client, text: bytes) -> str:
    with connect(str(http.base_url.join("/v1/ws")).replace("http", "ws"), max_size=None) as socket:
        try:
            socket.send(text, text=True)
            return _nacked(str(socket.recv(timeout=30)))
        except ConnectionClosed as closed:
            return f"closed with {closed.rcvd and closed.rcvd.code}"


def _nacked(text: str) -> str:
    message = json.loads(text)
    assert message["type"] == "nack", message
    return _checked(message["problem"])


def _code_of(answer: httpx.Response) -> str:
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == answer.status_code
    return _checked(problem)


def _checked(problem: dict[str, Any]) -> str:
    assert problem.keys() >= {"type", "title", "detail"}
    assert problem["status"] == CATALOGUE[problem["code"]][0]
    assert 400 <= problem["status"] < 500
    text = json.dumps(problem)
    assert len(text) < 1000
    # The name of a field that is not known is told, so that a slip of the pen is found; no value ever is.
    assert SECRET not in text.replace(f"the field `{SECRET}`", "")
    return str(problem["code"])


def _states(http: httpx.Client) -> dict[str, bytes]:
    return {name: http.get(f"/v1/streams/{name}/state").raise_for_status().content for name in STREAMS}


# --- the table -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
@pytest.mark.parametrize(
    ("kind", "case"),
    [("sample", case) for case in SAMPLES] + [("label", case) for case in LABELS],
    ids=lambda value: value.name if isinstance(value, Case) else value,
)
def test_a_mistake_is_named_and_changes_nothing(http: httpx.Client, way: Any, kind: str, case: Case) -> None:
    """The same code by every way in, and not a bit of the stream's state is another than before."""
    before = http.get(f"/v1/streams/{case.stream}/state").content
    code = way(http, kind, case.stream, case.members)
    expected = NOT_JSON if way is in_a_frame and _ends_a_session(case) else case.code
    assert code == expected
    assert http.get(f"/v1/streams/{case.stream}/state").content == before


def _ends_a_session(case: Case) -> bool:
    """Whether nobody can tell what message a frame was: Python's own reader, which knows NaN, cannot read it either."""
    try:
        json.loads((b"{" + case.members + b"}").decode(), parse_int=lambda _: 0)
    except (RecursionError, ValueError):
        return True
    return False


@pytest.mark.parametrize(("text", "code"), TEXTS)
def test_what_is_no_object_is_no_sample_either(http: httpx.Client, text: bytes, code: str) -> None:
    """As a body, as a line and as a frame."""
    before = _states(http)
    assert _code_of(http.post("/v1/streams/pump/samples", content=text, headers=JSON)) == code
    (line,) = http.post("/v1/ingest", content=text + b"\n", headers=NDJSON).text.splitlines()
    assert _nacked(line) == code
    assert _say(http, text) in (code, NOT_JSON)
    assert _states(http) == before


@pytest.mark.parametrize("stream", STREAM_IDS)
def test_a_hostile_name_reaches_nothing(http: httpx.Client, stream: str) -> None:
    """Neither as a path, where it may look like another one, nor in a message; and no stream of that name is made."""
    before = _states(http)
    members = b'"t": 1, "x": [1, 2]'
    for way in (in_a_line, in_a_frame):
        assert way(http, "sample", stream, members) == "stream_id_invalid"
    path = f"/v1/streams/{quote(stream, safe='')}"
    for method, target, body in (
        ("POST", f"{path}/samples", b"{" + members + b"}"),
        ("PUT", path, json.dumps(STREAMS["pump"]).encode()),
        ("GET", f"{path}/state", b""),
        ("DELETE", path, b""),
    ):
        assert _code_of(_as_it_is(http, method, target, body)) in ("stream_id_invalid", "not_found"), (method, target)
    assert _states(http) == before
    assert {info["id"] for info in http.get("/v1/streams").json()["streams"]} == set(STREAMS)


def _as_it_is(http: httpx.Client, method: str, target: str, body: bytes) -> httpx.Response:
    """A request whose path nobody has tidied up before it is sent."""
    connection = HTTPConnection(http.base_url.host, http.base_url.port)
    connection.request(method, target, body, JSON)
    answer = connection.getresponse()
    response = httpx.Response(answer.status, headers=answer.getheaders(), content=answer.read())
    connection.close()
    return response


def test_fifty_megabytes_are_refused_by_every_way_in(http: httpx.Client) -> None:
    """The ways that count bytes say so; a frame of that size is not even read."""
    before = _states(http)
    body = b" " * 50_000_000
    for path in ("/v1/streams/pump/samples", "/v1/streams/pump/labels"):
        assert _too_large(http, path, body, JSON)
    (line,) = http.post("/v1/ingest", content=body, headers=NDJSON).text.splitlines()
    assert _nacked(line) == "body_too_large"
    # What is left of it meets a closed connection, which may take the reason with it.
    assert _say(http, body) in ("closed with 1009", "closed with None")
    assert _states(http) == before


def _too_large(http: httpx.Client, path: str, body: bytes, headers: dict[str, str]) -> bool:
    """The refusal may come before the body is sent, and then the rest of it meets a closed connection."""
    try:
        return _code_of(http.post(path, content=body, headers=headers)) == "body_too_large"
    except (httpx.WriteError, httpx.ReadError):
        return True


# --- what looks wrong and is right -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "x",
    [
        pytest.param(b"[5e-324, -5e-324]", id="denormal"),
        pytest.param(b"[1e-400, 0]", id="too small to be anything"),
        pytest.param(b"[-0.0, -0]", id="minus zero"),
        pytest.param(b"[1e30, -1e30]", id="as large as may be"),
        pytest.param(b"[null, null]", id="nothing known"),
        pytest.param(b"[0.1000000000000000055511151231257827021181583404541015625, 1]", id="many digits"),
    ],
)
def test_strange_numbers_are_numbers(http: httpx.Client, x: bytes) -> None:
    """They are taken, in a body as in a line, and every answer after them is finite."""
    http.put("/v1/streams/strange", json=STREAMS["pump"]).raise_for_status()
    first = http.post("/v1/streams/strange/samples", content=b'{"t": 60, "x": ' + x + b"}", headers=JSON)
    assert (first.status_code, first.json()["seq"]) == (200, 1)
    line = b'{"stream": "strange", "t": 120, "x": ' + x + b"}"
    assert http.post("/v1/ingest", content=line, headers=NDJSON).json()["seq"] == 2
    for seq in range(3, 13):
        answer = http.post("/v1/streams/strange/samples", json={"t": 60.0 * seq, "x": [1.0, 2.0], "seq": seq})
        assert answer.status_code == 200, answer.text
        assert json.loads(answer.text, parse_constant=pytest.fail)["predictions"][0]["y"]
    http.delete("/v1/streams/strange").raise_for_status()


@pytest.mark.parametrize("gap", [1e-300, 1e-9, 1e14])
def test_gaps_of_any_length_are_gaps(http: httpx.Client, gap: float) -> None:
    """From no time at all to longer than anything has lasted: answers stay finite, then and later."""
    http.put("/v1/streams/gaps", json=STREAMS["pump"]).raise_for_status()
    times = [0.0, gap, gap + 60.0, gap + 120.0, gap + 180.0]
    samples = [{"t": t, "x": [1.0, 2.0], "seq": seq} for seq, t in enumerate(times, 1)]
    answer = http.post("/v1/streams/gaps/samples", json={"samples": samples})
    results = json.loads(answer.text, parse_constant=pytest.fail)["results"]
    assert [result["seq"] for result in results if "problem" not in result] == [1, 2, 3, 4, 5]
    http.delete("/v1/streams/gaps").raise_for_status()


def test_a_repeat_is_answered_again_and_changes_nothing(http: httpx.Client) -> None:
    """With its prediction as long as that is kept; then without one, because there is no telling what was sent.

    A number whose answer is no longer kept cannot be told from another sample under the same number, so the repeat is
    confirmed as what it says it is, and nothing more.
    """
    before = _states(http)
    kept = http.post("/v1/streams/pump/samples", json=HISTORY["pump"][79]).json()
    assert (kept["seq"], kept["duplicate"], kept["predictions"] is None) == (80, True, False)
    for forgotten in (HISTORY["pump"][9], {"seq": 10, "t": 1.0, "x": [7.0, 7.0]}):
        answer = http.post("/v1/streams/pump/samples", json=forgotten).json()
        assert (answer["seq"], answer["duplicate"], answer["predictions"]) == (10, True, None)
    label = http.post("/v1/streams/meter/labels", json={"seq": 20, "y": 3.5}).json()
    assert (label["seq"], label["duplicate"]) == (20, True)
    assert _states(http) == before
