"""The dashboard and the documentation."""

from __future__ import annotations

import re
from pathlib import Path

import httpx
import pytest

from service.settings import Settings


async def test_the_page_may_only_run_its_own_scripts(client: httpx.AsyncClient) -> None:
    """The policy has no exception for inline scripts or styles, and no other page may frame it."""
    answer = await client.get("/")
    policy = answer.headers["content-security-policy"]
    assert answer.headers["content-type"].startswith("text/html")
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert answer.headers["x-content-type-options"] == "nosniff"


async def test_all_files_that_the_page_names_are_there(client: httpx.AsyncClient) -> None:
    """The page brings all its scripts, styles and pictures."""
    page = (await client.get("/")).text
    files = re.findall(r'(?:src|href)="(dashboard/[^"]+)"', page)
    assert files
    for file in files:
        assert (await client.get(f"/{file}")).status_code == 200


@pytest.mark.parametrize("path", ["dashboard/none.js", "dashboard/../app.py", "dashboard/%2e%2e/%2e%2e/app.py"])
async def test_other_files_are_not_there(client: httpx.AsyncClient, path: str) -> None:
    """Nothing outside the page's directory can be reached."""
    answer = await client.get(f"/{path}")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


async def test_a_stranger_gets_the_page_and_no_data(open_app, tmp_path: Path) -> None:
    """The page is code without data; it asks for the key."""
    async with open_app(Settings(data_dir=tmp_path, api_keys=("0123456789abcdef",))) as client:
        assert (await client.get("/")).status_code == 200
        assert (await client.get("/dashboard/app.js")).status_code == 200
        assert (await client.get("/docs")).status_code == 401


async def test_the_documentation_may_not_run_other_scripts(client: httpx.AsyncClient) -> None:
    """Its inline script is allowed by its hash alone."""
    answer = await client.get("/docs")
    scripts = answer.headers["content-security-policy"].split(";")[1]
    assert "'sha256-" in scripts
    assert "unsafe-inline" not in scripts
