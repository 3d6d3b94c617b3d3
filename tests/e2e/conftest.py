"""A real browser."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Error, sync_playwright

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
MAC = Path("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome")


def installed() -> str | None:
    """Path of a Chromium of this machine; `None` lets Playwright take its own, if it was downloaded."""
    found = filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome")))
    return next(found, str(MAC) if MAC.exists() else None)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium, for one file of tests: while Playwright is open its event loop runs in this thread, and the asyncio
    tests of other files could not start theirs.
    """
    with sync_playwright() as playwright:
        try:
            started = playwright.chromium.launch(executable_path=installed(), args=FLAGS)
        except Error as error:
            # CI must have one; a developer's machine may do without these tests.
            missing = (
                f"no Chromium could be started; `apt-get install chromium` or `playwright install chromium`.\n{error}"
            )
            pytest.fail(missing) if os.environ.get("CI") else pytest.skip(missing)
        yield started
        started.close()
