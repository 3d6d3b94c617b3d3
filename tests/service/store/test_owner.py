"""Names of owners, and whether the kernel knows that one is gone."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from service.store import owner
from service.store.owner import is_gone, own_name

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has /proc, and elsewhere nobody is gone")

_PRINT_NAME = "from service.store.owner import own_name; print(own_name(), flush=True); input()"


def test_no_name_is_given_twice() -> None:
    """Two owners in one process have two names that tell the process."""
    names = {own_name() for _ in range(100)}
    assert len(names) == 100
    assert {name.split("/")[1] for name in names} == {str(os.getpid())}


def test_who_lives_is_not_gone() -> None:
    assert not is_gone(own_name())


def test_a_process_is_gone_when_it_has_ended() -> None:
    """Already before its parent has asked how it ended, and ever after."""
    with _named_process() as (process, name):
        assert not is_gone(name)
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # it is a zombie now
        assert is_gone(name)
        process.wait()
        assert is_gone(name)


def test_a_process_that_got_the_same_id_is_another_one() -> None:
    """It is told by when it started."""
    machine, pid, start, random = own_name().split("/")
    assert is_gone(f"{machine}/{pid}/{int(start) - 1}/{random}")


@pytest.mark.parametrize(
    "name", ["", "f3a9", "a/b/c/d", "{machine}/0/5/x", "{machine}/-1/5/x", "{machine}/4194000/5", "b/{rest}"]
)
def test_of_others_nothing_is_certain(name: str) -> None:
    """Another machine, another namespace of processes, and names that are not ours."""
    machine, _, _ = own_name().partition("/")
    assert not is_gone(name.format(machine=machine, rest="4194000/5/x"))


def test_a_process_that_may_not_be_asked_is_there() -> None:
    """Process 1 is somebody else's, or ours: in any case it lives."""
    machine, _, _ = own_name().partition("/")
    start = Path("/proc/1/stat").read_text().rpartition(")")[2].split()[19]
    assert not is_gone(f"{machine}/1/{start}/x")


def test_without_proc_nobody_is_gone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Names are given all the same, and are in nobody's way."""
    with _named_process() as (process, name):
        process.kill()
        process.wait()
        monkeypatch.setattr(owner, "_PROC", tmp_path)
        assert not is_gone(name)
        assert own_name() != own_name()
        assert not is_gone(own_name())


@contextmanager
def _named_process() -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A process, and the name of an owner in it."""
    command = [sys.executable, "-c", _PRINT_NAME]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process, process.stdout.readline().strip()
