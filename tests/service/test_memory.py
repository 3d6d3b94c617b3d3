"""How much memory this process may have: the machine's, or what its control groups allow."""

from __future__ import annotations

from pathlib import Path

import pytest

from service.memory import limits


@pytest.mark.parametrize(
    ("cgroup", "files", "expected"),
    [
        ("0::/", {"memory.max": "1000"}, [1000]),
        ("0::/", {"memory.max": "max"}, []),
        ("0::/", {}, []),
        ("0::/user/app", {"user/app/memory.max": "max", "user/memory.max": "700"}, [700]),
        ("0::/user/app", {"user/app/memory.max": "500", "user/memory.max": "700"}, [500, 700]),
        ("0::/seen/from/the/host", {"memory.max": "900"}, [900]),
        ("4:memory:/app\n0::/", {"memory/app/memory.limit_in_bytes": "800"}, [800]),
        ("3:cpu,cpuacct:/\n4:memory:/gone", {"memory/memory.limit_in_bytes": "600"}, [600]),
    ],
)
def test_limits_of_control_groups(tmp_path: Path, cgroup: str, files: dict[str, str], expected: list[int]) -> None:
    """Of both versions, of the group and those above it, and in a container that sees another path than it is at."""
    (tmp_path / "cgroup").write_text(cgroup + "\n")
    for name, text in files.items():
        (tmp_path / "fs" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "fs" / name).write_text(text + "\n")
    assert list(limits(tmp_path / "cgroup", tmp_path / "fs")) == expected


def test_a_system_without_control_groups_limits_nothing(tmp_path: Path) -> None:
    """Such as macOS."""
    assert list(limits(tmp_path / "cgroup", tmp_path)) == []
