"""What the README shows is what happens."""

from __future__ import annotations

import json
import re
from pathlib import Path

import httpx
import pytest

from service.child_server import ChildServer

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
DEFAULT_URL = "http://127.0.0.1:8765"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with ChildServer(tmp_path_factory.mktemp("server")) as server:
        yield server


def test_the_loop_runs_as_it_stands(server, capsys):
    """The first block of Python, with three readings and this server's address."""
    (loop,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert DEFAULT_URL in loop
    readings = [(1.0, 3.1, 0.82), (2.0, 3.2, 0.81), (3.5, None, 0.80)]
    exec(compile(loop.replace(DEFAULT_URL, server.url), "README.md", "exec"), {"readings": readings})
    assert len(capsys.readouterr().out.splitlines()) == 3


def test_the_request_gets_the_answer_that_is_shown(server):
    """Each number is that of the README, as exact as other processors allow."""
    spec, sample = (json.loads(body) for body in re.findall(r"-d '(\{.*?\})'", README))
    shown = json.loads(re.search(r"```json\n(.*?)```", README, re.DOTALL)[1])
    httpx.put(f"{server.url}/v1/streams/readme", json=spec).raise_for_status()
    answer = httpx.post(f"{server.url}/v1/streams/readme/samples", json=sample).json()
    for ours, theirs in zip(answer.pop("predictions"), shown.pop("predictions"), strict=True):
        assert ours.keys() == theirs.keys()
        for name, values in theirs.items():
            assert ours[name] == pytest.approx(values, abs=1e-4)
    assert answer == shown


def test_every_file_that_is_named_is_there():
    """Links and paths of the README and the guide lead somewhere."""
    for page in ("README.md", "CONTRIBUTING.md", "clients/python/README.md"):
        text = (ROOT / page).read_text()
        links = [link for link in re.findall(r"\]\(([^)]+)\)", text) if not link.startswith("http")]
        assert all(((ROOT / page).parent / link).exists() for link in links), page
    for path in re.findall(r"`((?:liquid_core|service|tests|clients)/[\w/.]+)`", README):
        assert (ROOT / path).exists(), path


def test_every_option_that_is_named_is_known():
    """The table of the configuration speaks of options that `serve` has."""
    table = README.split("## Configuration")[1].split("## Limits")[0]
    source = (ROOT / "service" / "cli.py").read_text()
    for option in re.findall(r"`--([a-z-]+)`", table):
        assert option.replace("-", "_") in source, option
