"""The command line: what it says when something is wrong, and its exit codes."""

from __future__ import annotations

import socket
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from service.cli import app
from service.csv_samples import CsvError
from service.replay import stream_name


@pytest.fixture
def run():
    """Runs a command; `result.stderr` has what a user sees as an error."""
    runner = CliRunner(env={"COLUMNS": "200", "LIQUID_URL": None})
    return lambda *arguments: runner.invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def busy_port():
    """A port on which somebody listens."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


@pytest.fixture
def data(tmp_path):
    path = tmp_path / "pump 7.csv"
    path.write_text("time,flow,kind\n1,1.0,a\n2,1.1,b\n")
    return path


def test_help_names_every_command(run):
    """Who asks for help finds all commands."""
    text = run("--help").output
    assert all(command in text for command in ("serve", "replay", "demo", "streams", "version", "info"))


def test_version_is_the_packages(run):
    """The version comes from the installed package."""
    assert run("version").output.strip().count(".") == 2


def test_info_says_that_nobody_answers(run):
    """Information about the installation does not need a server."""
    result = run("info", "--url", "http://127.0.0.1:9")
    assert result.exit_code == 0
    assert "torch" in result.output
    assert "no server" in result.output


def test_info_names_the_engine_and_what_it_lacks(run, monkeypatch):
    """Who wonders why the server is slow finds the reason here, and what to do."""
    monkeypatch.setenv("LIQUID_ISA", "z80")
    result = run("info", "--url", "http://127.0.0.1:9")
    assert result.exit_code == 0
    (line,) = [line for line in result.output.splitlines() if line.strip().startswith("engine")]
    assert line.strip().startswith("engine torch: ")
    assert len(line) > 40


@pytest.mark.parametrize("command", ["streams", "replay"])
def test_without_a_server_the_message_says_how_to_start_one(run, data, command):
    """Exit code 3 means that nobody is there."""
    result = run(command, *([data] if command == "replay" else []), "--url", "http://127.0.0.1:9")
    assert result.exit_code == 3
    assert "liquidstream serve" in result.stderr


def test_a_port_in_use_is_said_before_anything_starts(run, busy_port):
    """The message names the port and the option."""
    result = run("serve", "--port", busy_port)
    assert result.exit_code == 1
    assert f"port {busy_port} on 127.0.0.1 is in use" in result.stderr
    assert "--port" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--features", "flwo"], "no column 'flwo'. It has: time, flow, kind."),
        (["--horizon", "soon"], "--horizon takes whole numbers"),
        (["--task", "regression"], "--task regression needs --targets"),
        (["--task", "classification", "--targets", "flow,kind"], "one column in --targets"),
        (["--targets", "kind"], "must be among its features: kind"),
        (["--time", "kind"], "column 'kind' cannot be read as times"),
    ],
)
def test_wrong_usage_of_replay_is_explained(run, data, arguments, message):
    """Exit code 2 means that the command or the file must be corrected; nothing was sent."""
    result = run("replay", data, *arguments)
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())


def test_a_bad_line_is_named(run, tmp_path):
    """The error of a file has its line number."""
    path = tmp_path / "bad.csv"
    path.write_text("time,flow\n1,1.0\n2\n")
    result = run("replay", path)
    assert (result.exit_code, "bad.csv, line 3: 1 cells" in result.stderr) == (2, True)


def test_no_traceback_for_a_file_that_is_not_there(run):
    """A user's mistake is a sentence."""
    result = run("replay", "nothing.csv")
    assert result.exit_code == 2
    assert "Traceback" not in result.output
    assert not isinstance(result.exception, CsvError)


@pytest.mark.parametrize(
    ("text", "name"), [("pump 7", "pump-7"), ("..Äpfel", "pfel"), ("???", "replay"), ("a" * 200, "a" * 128)]
)
def test_a_files_name_becomes_a_valid_id(text, name):
    """What an id may not hold is replaced."""
    assert stream_name(text) == name


def test_help_does_not_wait_for_what_only_commands_need():
    """Nor does a server wait for its clients."""
    program = """
import sys
import service.cli
slow = {"torch", "numpy", "httpx", "fastapi", "redis", "liquidstream_client"} & sys.modules.keys()
assert not slow, slow
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
