"""The command line against a real server: a file goes in, a table comes out; and the demo from start to end."""

from __future__ import annotations

import csv
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from liquidstream_client import Client
from service.child_server import ChildServer, free_port


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """`liquidstream serve` as a process of its own, on an empty directory."""
    with ChildServer(tmp_path_factory.mktemp("server")) as server:
        yield server


@pytest.fixture(scope="module")
def client(server):
    with Client(server.url) as client:
        yield client


def liquidstream(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command as a user does."""
    return subprocess.run(
        [sys.executable, "-m", "service.cli", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "COLUMNS": "160", **environment},
        check=False,
    )


def write_csv(path: Path, rows: list[dict[str, object]]) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def tides(count: int) -> list[dict[str, object]]:
    """An hourly series with a hole in its values, a repeated time and a late one."""
    rows: list[dict[str, object]] = [
        {"time": f"2022-03-{1 + n // 24:02d}T{n % 24:02d}:00:00Z", "site": "north", "level": round(math.sin(n / 3), 3)}
        for n in range(count)
    ]
    rows[7]["level"] = ""
    rows.insert(9, rows[8])
    rows.insert(20, rows[4])
    return rows


def test_a_file_goes_in_and_a_table_comes_out(server, client, tmp_path):
    """Every row in order becomes a sample; the others are reported; the errors stand beside persistence."""
    path = write_csv(tmp_path / "tides.csv", tides(60))
    done = liquidstream("replay", path, "--url", server.url, "--horizon", "1,3")
    assert done.returncode == 0, done.stderr
    assert "rows skipped for a repeated or late time: 2 (lines 11, 22)" in done.stdout
    assert "missing values, sent as null: 1" in done.stdout
    assert "60 samples in" in done.stdout
    info = client.describe("tides")
    assert (info.samples, info.spec["features"], info.spec["horizon"]) == (60, ["level"], [1, 3])


def test_a_longer_file_goes_on_where_the_shorter_one_stopped(server, client, tmp_path):
    """A second replay sends what is new; a third one finds nothing to do, and says so."""
    liquidstream("replay", write_csv(tmp_path / "more.csv", tides(30)), "--url", server.url)
    path = write_csv(tmp_path / "more.csv", tides(40))
    second = liquidstream("replay", path, "--url", server.url)
    assert "resuming after sample 30: 30 rows are there already" in second.stdout
    assert client.describe("more").samples == 40
    third = liquidstream("replay", path, "--url", server.url)
    assert third.returncode == 1
    assert "already has samples up to the end of this file" in " ".join(third.stderr.split())


def test_labels_go_along_with_their_samples(server, client, tmp_path):
    """Classification: the classes are read from the file, and each label is sent with its row."""
    rows = [{"t": n, "a": n % 2, "kind": "odd" if n % 2 else "even"} for n in range(1, 31)]
    path = write_csv(tmp_path / "parity.csv", rows)
    done = liquidstream("replay", path, "--url", server.url, "--task", "classification", "--targets", "kind")
    assert done.returncode == 0, done.stderr
    info = client.describe("parity")
    assert (info.spec["classes"], info.labels) == (["even", "odd"], 30)


def test_another_spec_for_the_same_stream_is_refused(server, tmp_path):
    """The message names the way out."""
    path = write_csv(tmp_path / "twice.csv", tides(12))
    liquidstream("replay", path, "--url", server.url)
    done = liquidstream("replay", path, "--url", server.url, "--cell", "ltc")
    assert done.returncode == 1
    assert "--stream" in done.stderr
    assert "Traceback" not in done.stderr


def test_streams_lists_what_is_there(server, client):
    """One line a stream."""
    client.create_stream("listed", task="forecast", features=["a"])
    done = liquidstream("streams", "--url", server.url)
    assert done.returncode == 0
    assert "listed" in done.stdout


def test_info_finds_the_server(server):
    """A running server is reported with its durability and its engine, which is this installation's."""
    lines = liquidstream("info", "--url", server.url).stdout.splitlines()
    (found,) = [line for line in lines if line.startswith(f"server at {server.url}: ready")]
    (engine,) = [line.strip() for line in lines if line.startswith("  engine ")]
    assert "durability fsync" in found
    assert found.endswith(engine.partition(":")[0])


def test_the_demo_ends_with_its_table():
    """Server, streams, replay, table, and the server is gone at the end."""
    done = liquidstream("demo", "--samples", 30)
    assert done.returncode == 0, done.stderr
    for stream in ("water-cfc", "water-ltc", "water-ncp", "approval", "phishing"):
        assert stream in done.stdout
    assert "150 samples in" in done.stdout
    assert "persistence" in done.stdout


def test_the_demo_can_leave_its_server_running_until_interrupted(tmp_path):
    """With KEEP=1 the server answers until Ctrl-C, and then ends with everything it started."""
    out = (tmp_path / "out").open("w+")
    process = subprocess.Popen(
        [sys.executable, "-m", "service.cli", "demo", "--samples", "8"],
        stdout=out,
        stderr=subprocess.STDOUT,
        env={**os.environ, "COLUMNS": "160", "KEEP": "1"},
        start_new_session=True,
    )
    try:
        text = ""
        deadline = time.monotonic() + 100
        while "until Ctrl-C" not in text and time.monotonic() < deadline and process.poll() is None:
            time.sleep(0.1)
            text = Path(out.name).read_text()
        assert "until Ctrl-C" in text, text
        url = text.split("it runs at ")[1].split(";")[0]
        with Client(url) as client:
            assert {info.samples for info in client.streams()} == {8}
        os.killpg(process.pid, signal.SIGINT)  # what a terminal does on Ctrl-C
        assert process.wait(60) == 0
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        out.close()


def test_a_second_server_on_the_same_port_is_refused_in_words(server):
    """Exit code 1 and the way out, before a store is started."""
    done = liquidstream("serve", "--port", server.port, "--data-dir", server.directory / "other")
    assert done.returncode == 1
    assert f"port {server.port} on 127.0.0.1 is in use" in " ".join(done.stderr.split())


def test_listening_beyond_loopback_without_a_key_is_refused(tmp_path):
    """Nobody opens a server to the network by accident."""
    done = liquidstream("serve", "--host", "0.0.0.0", "--port", free_port(), "--data-dir", tmp_path)
    assert done.returncode == 2
    assert "--insecure" in done.stderr
