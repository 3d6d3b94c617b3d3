"""Liveness, readiness, version, metrics."""

from __future__ import annotations

from pathlib import Path

import httpx
from prometheus_client.parser import text_string_to_metric_families

from service.settings import Settings

KEY = "0123456789abcdef0123456789abcdef"


async def test_a_live_server_may_be_unready(client: httpx.AsyncClient, host) -> None:
    """`/livez` asks for the loop only; `/readyz` says why nothing is taken."""
    assert (await client.get("/readyz")).json()["ready"] is True
    host.unready = ["the store does not answer"]
    unready = await client.get("/readyz")
    assert (unready.status_code, unready.json()["reasons"]) == (503, ["the store does not answer"])
    assert (await client.get("/livez")).status_code == 200


async def test_strangers_hear_only_whether_it_is_ready(open_app, host, tmp_path: Path) -> None:
    """With keys, details need one."""
    host.unready = ["the store does not answer"]
    host.engine_fallback = "no kernels were built"
    async with open_app(Settings(data_dir=tmp_path, api_keys=(KEY,))) as client:
        stranger = (await client.get("/readyz")).json()
        friend = (await client.get("/readyz", headers={"Authorization": f"Bearer {KEY}"})).json()
    assert (stranger["ready"], stranger["store"], stranger["engine"], stranger["reasons"]) == (False, "", "", [])
    assert stranger["engine_fallback"] is None
    assert (friend["store"], friend["reasons"]) == ("fake", host.unready)


async def test_a_slower_engine_is_ready_and_says_why(client: httpx.AsyncClient, host) -> None:
    """That kernels are missing keeps nobody from sending samples."""
    host.engine_fallback = "no kernels were built"
    readiness = (await client.get("/readyz")).json()
    assert (readiness["ready"], readiness["engine"], readiness["reasons"]) == (True, "fake", [])
    assert readiness["engine_fallback"] == "no kernels were built"


async def test_the_version_is_told(client: httpx.AsyncClient) -> None:
    """Also of what decides the numbers."""
    assert (await client.get("/version")).json().keys() == {"version", "python", "torch"}


async def test_metrics_are_prometheus_text(client: httpx.AsyncClient, pump: str) -> None:
    """Requests are counted under their route's template, never under their path."""
    await client.get(f"{pump}")
    await client.get("/v1/streams/other")
    await client.get("/nothing/here")
    answer = await client.get("/metrics")
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    samples = [sample for family in text_string_to_metric_families(answer.text) for sample in family.samples]
    counts = {
        (sample.labels["method"], sample.labels["route"], sample.labels["code"]): sample.value
        for sample in samples
        if sample.name == "liquid_http_request_duration_seconds_count"
    }
    assert counts["GET", "/v1/streams/{stream_id}", "200"] == 1
    assert counts["GET", "/v1/streams/{stream_id}", "404"] == 1
    assert counts["GET", "other", "404"] == 1
    assert "pump-7" not in answer.text


async def test_an_unknown_method_is_no_label(client: httpx.AsyncClient) -> None:
    """What clients invent does not become a time series."""
    await client.request("BREW", "/livez")
    text = (await client.get("/metrics")).text
    assert 'method="other"' in text
    assert "BREW" not in text
