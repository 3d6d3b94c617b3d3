"""Prometheus: its configuration, the alerts, and Grafana's board against a real Prometheus and a real server."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import promql_parser
import pytest
import yaml

DOCKER = Path(__file__).parents[2] / "docker"
BOARD = json.loads((DOCKER / "grafana/dashboards/liquidstream.json").read_text())
ALERTS = yaml.safe_load((DOCKER / "prometheus/alerts.yml").read_text())
RULES = [rule for group in ALERTS["groups"] for rule in group["rules"]]


def program(name: str) -> str:
    """Path of one of Prometheus's programs. CI must have them; a developer's machine may do without these tests."""
    found = shutil.which(name)
    if found is None:
        missing = f"`{name}` is missing: install Prometheus, on Debian with `apt-get install prometheus`"
        raise (pytest.fail if os.environ.get("CI") else pytest.skip).Exception(missing)
    return found


def promtool(*arguments: str) -> None:
    command = [program("promtool"), *arguments]
    result = subprocess.run(command, cwd=DOCKER / "prometheus", capture_output=True, text=True, check=False, timeout=60)
    assert result.returncode == 0, result.stdout + result.stderr


def panel_queries() -> list[tuple[str, str]]:
    """`(panel and target, expression)` for each query of the board, annotations included."""
    queries = [
        (f"{panel['title']} {target['refId']}", target["expr"])
        for panel in BOARD["panels"]
        for target in panel.get("targets", [])
    ]
    return queries + [(f"annotation {note['name']}", note["expr"]) for note in BOARD["annotations"]["list"]]


def filled_in(expression: str) -> str:
    """The expression as Grafana sends it, with every model chosen and a window that suits a scrape a second."""
    filled = expression.replace("$__rate_interval", "30s").replace("$__range", "5m").replace("$model", ".*")
    assert "$" not in filled, f"a variable of Grafana that this test does not know: {filled}"
    return filled


# --- files -----------------------------------------------------------------------------------------------------------


def test_promtool_accepts_the_configuration() -> None:
    """prometheus.yml and the rule file that it names are valid."""
    promtool("check", "config", "prometheus.yml")


def test_alerts_fire_when_they_must_and_only_then() -> None:
    """Each history of tests.yml brings the alerts that it says, with those labels and words."""
    promtool("test", "rules", "tests.yml")


def test_every_alert_has_a_history_for_and_against_it() -> None:
    """No alert is without a test that sets it off and one that does not."""
    cases = yaml.safe_load((DOCKER / "prometheus/tests.yml").read_text())["tests"]
    checks = [check for case in cases for check in case["alert_rule_test"]]
    names = {rule["alert"] for rule in RULES}
    assert {check["alertname"] for check in checks if check["exp_alerts"]} == names
    assert {check["alertname"] for check in checks if not check["exp_alerts"]} == names


def test_every_alert_says_what_it_means_and_how_urgent_it_is() -> None:
    """An alert has a severity, one line that names the place, and one that helps."""
    for rule in RULES:
        assert rule["labels"]["severity"] in {"page", "ticket"}, rule["alert"]
        assert "{{" in rule["annotations"]["summary"], rule["alert"]
        assert len(rule["annotations"]["description"]) > 40, rule["alert"]


@pytest.mark.parametrize(("where", "expression"), panel_queries())
def test_panel_expressions_are_promql(where: str, expression: str) -> None:
    """A second parser, not Prometheus's own, reads every expression of the board."""
    assert promql_parser.parse(filled_in(expression)) is not None, where


def test_board_is_wired_to_the_provisioned_data_source() -> None:
    """Every panel asks the data source that provisioning makes, and the scrape interval is the one that it is told."""
    sources = yaml.safe_load((DOCKER / "grafana/provisioning/datasources/prometheus.yml").read_text())["datasources"]
    scrapes = yaml.safe_load((DOCKER / "prometheus/prometheus.yml").read_text())
    panels = [panel for panel in BOARD["panels"] if panel["type"] != "row"]
    assert {panel["datasource"]["uid"] for panel in panels} == {sources[0]["uid"]}
    assert sources[0]["jsonData"]["timeInterval"] == scrapes["global"]["scrape_interval"]


def test_panels_do_not_overlap() -> None:
    """Each cell of the board's grid belongs to one panel, and ids are unique."""
    taken: set[tuple[int, int]] = set()
    for panel in BOARD["panels"]:
        place = panel["gridPos"]
        xs, ys = range(place["x"], place["x"] + place["w"]), range(place["y"], place["y"] + place["h"])
        cells = {(x, y) for x in xs for y in ys}
        assert not cells & taken, panel["title"]
        assert max(xs) < 24, panel["title"]
        taken |= cells
    assert len({panel["id"] for panel in BOARD["panels"]}) == len(BOARD["panels"])


# --- live ------------------------------------------------------------------------------------------------------------


class Prometheus:
    """A running Prometheus."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client

    def get(self, path: str, **params: str) -> Any:
        answer = self._client.get(path, params=params)
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]

    def query(self, expression: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.get("/api/v1/query", query=expression)["result"]
        return found

    def ready(self) -> bool:
        try:
            return self._client.get("/-/ready").status_code == 200
        except httpx.TransportError:
            return False


def wait_until(condition: Any, what: str, timeout_s: float = 60.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"still waiting after {timeout_s:g} s for {what}"
        time.sleep(0.2)


@pytest.fixture(scope="module")
def prometheus(fed_service: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """Prometheus with the shipped configuration, its target and interval set for the test."""
    directory = tmp_path_factory.mktemp("prometheus")
    config = yaml.safe_load((DOCKER / "prometheus/prometheus.yml").read_text())
    config["global"] |= {"scrape_interval": "1s", "evaluation_interval": "1s"}
    config["scrape_configs"] = [job for job in config["scrape_configs"] if job["job_name"] == "liquidstream"]
    config["scrape_configs"][0]["static_configs"][0]["targets"] = [fed_service.removeprefix("http://")]
    (directory / "prometheus.yml").write_text(yaml.safe_dump(config))
    shutil.copy(DOCKER / "prometheus/alerts.yml", directory)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    command = [
        program("prometheus"),
        f"--config.file={directory / 'prometheus.yml'}",
        f"--storage.tsdb.path={directory / 'tsdb'}",
        f"--web.listen-address={address}",
    ]
    log = directory / "log"
    with (
        log.open("wb") as output,
        httpx.Client(base_url=f"http://{address}", timeout=5) as client,
        subprocess.Popen(command, stdout=output, stderr=output) as process,
    ):
        try:
            server = Prometheus(client)
            wait_until(lambda: process.poll() is not None or server.ready(), "Prometheus to be ready")
            assert process.poll() is None, log.read_text()
            yield server
        finally:
            process.terminate()
            process.wait(timeout=20)


def test_prometheus_scrapes_the_server(prometheus: Prometheus) -> None:
    """A real Prometheus reads /metrics and finds its format in order."""
    wait_until(lambda: bool(prometheus.query('up{job="liquidstream"} == 1')), "a successful scrape")
    assert {target["health"] for target in prometheus.get("/api/v1/targets")["activeTargets"]} == {"up"}


def test_every_panel_has_data_while_streams_are_fed(prometheus: Prometheus) -> None:
    """No query of a panel comes back empty or not-a-number only, nor names a metric that the server lacks."""
    waiting = {where: expression for where, expression in panel_queries() if not where.startswith("annotation")}

    def all_answered() -> bool:
        for where, expression in list(waiting.items()):
            answer = prometheus.query(filled_in(expression))
            if any(series["value"][1] != "NaN" for series in answer):
                del waiting[where]
        return not waiting

    try:
        wait_until(all_answered, "every panel to have data", timeout_s=120)
    except AssertionError:
        pytest.fail(f"panels without data: {waiting}")
    known = set(prometheus.get("/api/v1/label/__name__/values"))
    named = set(re.findall(r"\bliquid_\w+", json.dumps([expression for _, expression in panel_queries()])))
    assert named <= known


def test_alerts_name_metrics_that_the_server_has(prometheus: Prometheus) -> None:
    """The rules are loaded and healthy; what they watch exists, or will once it goes wrong for the first time."""
    wait_until(lambda: bool(prometheus.query("liquid_samples_total")), "the first scrape")
    metadata = prometheus.get("/api/v1/targets/metadata")
    families = {entry["metric"] for entry in metadata}
    for rule in RULES:
        for metric in re.findall(r"\bliquid_\w+", rule["expr"]):
            family = re.sub(r"_(bucket|count|sum)$", "", metric)
            assert families & {family, family.removesuffix("_total")}, f"{rule['alert']}: {metric}"
    wait_until(
        lambda: (
            {rule["health"] for group in prometheus.get("/api/v1/rules")["groups"] for rule in group["rules"]} == {"ok"}
        ),
        "every rule to have been evaluated",
    )
