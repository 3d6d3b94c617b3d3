"""The dashboard: a real browser on a real server whose streams are being fed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from service.child_server import ChildServer
from service.dashboard import STATIC

RED, GREEN, BLUE = range(3)


class Watched:
    """A page, with everything that the browser complained about."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.complaints: list[str] = []
        page.on(
            "console", lambda said: self.complaints.append(said.text) if said.type in {"error", "warning"} else None
        )
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("requestfailed", self._failed)
        page.add_init_script(
            "addEventListener('securitypolicyviolation', ({ violatedDirective, blockedURI }) =>"
            " console.error(`CSP: ${violatedDirective} ${blockedURI}`))"
        )

    def _failed(self, request: object) -> None:
        # Leaving a stream or the page takes back what was asked for it.
        failure = str(getattr(request, "failure", ""))
        if "ERR_ABORTED" not in failure:
            self.complaints.append(f"{request}: {failure}")


@pytest.fixture
def opened(browser: Browser, fed_service: str) -> Iterator[Watched]:
    """The dashboard on a desktop; a test that used it fails if the browser complained."""
    watched = Watched(browser.new_page(viewport={"width": 1280, "height": 900}))
    watched.page.goto(fed_service)
    yield watched
    watched.page.close()
    assert watched.complaints == []


def colours(page: Page) -> set[str]:
    """The colours that the plot has drawn with, as `r,g,b` of its opaque pixels."""
    page.wait_for_function("document.querySelector('.chart canvas')?.width > 0")
    found: list[str] = page.evaluate(
        """() => {
            const canvas = document.querySelector('.chart canvas');
            const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
            const seen = new Set();
            for (let at = 0; at < data.length; at += 4)
                if (data[at + 3] > 250) seen.add(data.slice(at, at + 3).join());
            return [...seen];
        }"""
    )
    return set(found)


def wanted(page: Page, name: str) -> str:
    """A colour of style.css as `r,g,b`."""
    value: str = page.evaluate("(name) => getComputedStyle(document.body).getPropertyValue(name).trim()", f"--{name}")
    return ",".join(str(int(value[at : at + 2], 16)) for at in (1, 3, 5))


def sample_of(page: Page) -> int:
    """Number of the sample that the line under the plot speaks of."""
    found = re.search(r"sample (\d+)", page.locator("figcaption").inner_text())
    assert found
    return int(found.group(1))


def test_the_page_lists_every_stream_with_its_errors(opened: Watched) -> None:
    """Name, task, cell, samples, recent error, ratio to naive and drift alarms of each, and the server's health."""
    page = opened.page
    rows = page.locator("table.streams tbody tr")
    expect(rows).to_have_count(3)
    number, some, ratio = re.compile(r"^[\d,]+$"), re.compile(r"^[\d.e-]+$"), re.compile(r"^\d+\.\d\d$")
    for stream, task, cell in (
        ("pump-7", "forecast", "cfc"),
        ("valve", "classification", "cfc"),
        ("meter", "regression", "ltc"),
    ):
        cells = rows.filter(has_text=stream).locator("td")
        expect(cells).to_have_text([task, cell, number, some, ratio, number])
    expect(page.get_by_role("status")).to_contain_text("Ready")
    expect(page.get_by_role("status")).to_contain_text("engine")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_plot_draws_truth_and_prediction(opened: Watched, scheme: str) -> None:
    """The canvas is not blank: the colours of both lines are on it, in light and in dark."""
    page = opened.page
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    page.goto(f"{page.url}#pump-7")
    expect(page.locator(".chart canvas")).to_be_visible()
    expect(page.locator("figcaption")).to_contain_text("predicted")
    drawn = colours(page)
    assert wanted(page, "truth") in drawn
    assert wanted(page, "prediction") in drawn


def test_the_plot_follows_the_stream(opened: Watched) -> None:
    """New samples appear without reloading."""
    page = opened.page
    expect(page.locator("figcaption")).to_contain_text("sample")
    first = sample_of(page)
    page.wait_for_function(
        "(first) => Number(document.querySelector('figcaption').innerText.match(/sample (\\d+)/)?.[1]) > first",
        arg=first,
    )


def test_a_stream_a_value_and_a_horizon_can_be_chosen(opened: Watched) -> None:
    """The address names the stream; features and horizons of its spec are on offer; drift alarms are marked."""
    page = opened.page
    page.get_by_role("link", name="pump-7").click()
    expect(page.get_by_role("heading", level=1, name="pump-7")).to_be_visible()
    assert page.url.endswith("#pump-7")
    page.get_by_label("Value", exact=True).select_option("pressure")
    page.get_by_label("Horizon", exact=True).select_option("6 ahead")
    expect(page.locator(".chart")).to_have_attribute("aria-label", re.compile("Prediction and truth of pressure"))
    page.get_by_label("Show", exact=True).select_option("last 480")
    expect(page.locator(".legend .drift")).to_be_visible()
    assert wanted(page, "drift") in colours(page)


def test_a_classification_shows_probabilities(opened: Watched) -> None:
    """The probability that the true class was given, or that of a chosen class."""
    page = opened.page
    page.get_by_role("link", name="valve").click()
    expect(page.locator("figcaption")).to_contain_text("probability")
    page.get_by_label("Class", exact=True).select_option("loud")
    expect(page.locator(".legend .truth")).to_be_visible()
    assert wanted(page, "prediction") in colours(page)


def test_the_keyboard_is_enough(opened: Watched) -> None:
    """Streams are opened with Enter, and the arrow keys read the plot sample by sample."""
    page = opened.page
    link = page.get_by_role("link", name="meter")
    link.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1, name="meter")).to_be_visible()
    expect(page.locator("figcaption")).to_contain_text("sample")
    page.locator(".chart").focus()
    page.keyboard.press("ArrowLeft")
    expect(page.locator("figcaption")).to_have_attribute("aria-live", "polite")
    at = sample_of(page)
    page.keyboard.press("ArrowLeft")
    page.wait_for_function(
        "(at) => document.querySelector('figcaption').innerText.includes(`sample ${at}`)", arg=at - 1
    )


@pytest.mark.parametrize("stream", ["pump-7", "valve", "meter"])
def test_a_phone_needs_no_sideways_scrolling(browser: Browser, fed_service: str, stream: str) -> None:
    """At 390 pixels everything fits, and what is touched is large enough for a finger."""
    page = browser.new_page(viewport={"width": 390, "height": 844})
    page.goto(f"{fed_service}#{stream}")
    expect(page.locator(".chart canvas")).to_be_visible()
    expect(page.locator("table.errors")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    heights = page.evaluate("[...document.querySelectorAll('select, button')].map((e) => e.offsetHeight)")
    assert min(heights) >= 44
    page.close()


def test_a_key_is_asked_for_and_kept_in_the_tab(browser: Browser, tmp_path: Path) -> None:
    """A server with a key lets the page in once it has it; a server without streams says how to make one."""
    with ChildServer(tmp_path, {"LIQUID_API_KEYS": "sesame"}) as server:
        page = browser.new_page()
        page.goto(server.url)
        page.get_by_label("Key", exact=True).fill("wrong")
        page.get_by_role("button", name="Open").click()
        expect(page.get_by_role("alert")).to_contain_text("does not accept")
        page.get_by_label("Key", exact=True).fill("sesame")
        page.get_by_role("button", name="Open").click()
        expect(page.get_by_role("heading", name="No streams yet")).to_be_visible()
        expect(page.locator("#example")).to_contain_text(f"curl -X PUT {server.url}/v1/streams/pump-7")
        page.reload()
        expect(page.get_by_role("heading", name="No streams yet")).to_be_visible()
        page.close()


# --- without a browser -----------------------------------------------------------------------------------------------


def test_nothing_is_inline_or_from_elsewhere() -> None:
    """The page's own files hold no inline script or style and load nothing from another server."""
    page = (STATIC / "index.html").read_text()
    assert not re.search(r"<style|style=|\son\w+=|<script(?![^>]*\ssrc=)", page)
    for path in [*STATIC.glob("*.html"), *STATIC.glob("*.js"), *STATIC.glob("*.css")]:
        assert not re.search(r"(?:src|href|import|url|from)\W{0,3}(?:https?:)?//", path.read_text()), path.name


def test_vendored_code_has_its_licences() -> None:
    """Each vendored directory has the licences beside the files."""
    for directory in (path for path in (STATIC / "vendor").iterdir() if path.is_dir()):
        assert list(directory.glob("LICENSE*")), directory.name


def luminance(colour: str) -> float:
    """Relative luminance of `#rrggbb` (WCAG 2.2)."""
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
    return 0.2126 * linear[RED] + 0.7152 * linear[GREEN] + 0.0722 * linear[BLUE]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_is_legible(scheme: str) -> None:
    """Every text colour keeps WCAG's contrast of 4.5 to every ground that it may stand on; lines keep 3."""
    light, dark = re.findall(r":root \{(.*?)\}", (STATIC / "style.css").read_text(), re.DOTALL)[:2]
    names = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", light if scheme == "light" else dark))
    for least, fronts in (
        (4.5, ("text", "muted", "accent", "good", "bad", "warn")),
        (3.0, ("truth", "prediction", "drift")),
    ):
        for front in fronts:
            for ground in ("ground", "card", "selected"):
                pair = sorted((luminance(names[front]), luminance(names[ground])))
                assert (pair[1] + 0.05) / (pair[0] + 0.05) >= least, f"{front} on {ground}"
