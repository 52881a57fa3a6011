"""A real browser, and what a person does with the studio in it.

Playwright keeps an event loop in the thread that started it, so nothing else in that thread may
run one of its own meanwhile: open `chromium` for one package or module of tests at a time.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Locator,
    Page,
    sync_playwright,
)

CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PATIENCE_MS = 20_000
DESKTOP = {"width": 1280, "height": 900}
PHONE = {"width": 360, "height": 740}


@contextmanager
def chromium() -> Iterator[Browser]:
    """A headless Chromium with a fresh profile; without one the tests are skipped, in CI failed."""
    if not CHROMIUM.exists():
        missing = f"no {CHROMIUM} (Debian: apt-get install chromium): the studio is NOT tested"
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


class Visit:
    """One visit to the page. `problems` has what a page must never do, as it happened."""

    def __init__(self, page: Page, origin: str) -> None:
        self.page = page
        self.problems: list[str] = []
        self.refused: set[int] = set()
        """HTTP statuses that the test provokes; the browser tells of each in its console."""
        page.set_default_timeout(PATIENCE_MS)
        page.on("console", self._listen)
        page.on("pageerror", lambda error: self.problems.append(f"error: {error}"))
        page.on("dialog", lambda dialog: self.problems.append(f"dialog: {dialog.message}"))
        page.on("request", lambda request: self._watch(request.url, origin))

    def _listen(self, message: ConsoleMessage) -> None:
        told = any(f"with a status of {code}" in message.text for code in self.refused)
        if message.type in ("error", "warning") and not told:
            self.problems.append(f"console: {message.text}")

    def _watch(self, url: str, origin: str) -> None:
        if not url.startswith((origin, "blob:")):
            self.problems.append(f"request: {url}")

    def open(self, address: str, part: str = "") -> None:
        """Opens the page, at one of its parts, and waits until it is built."""
        self.page.goto(f"{address}#{part}" if part else address)
        self.page.locator("[role=tabpanel]:not([hidden])").wait_for()

    @property
    def panel(self) -> Locator:
        """The part that is shown."""
        return self.page.locator("[role=tabpanel]:not([hidden])")

    def part(self, name: str) -> None:
        self.page.get_by_role("tab", name=name).click()

    def fill(self, label: str, text: Any) -> None:
        self.panel.get_by_label(label, exact=True).fill(str(text))

    def press(self, name: str) -> None:
        self.panel.get_by_role("button", name=name, exact=True).click()

    def choose_tier(self, tier: str) -> None:
        self.panel.get_by_role("radio", name=tier).check()

    def generate(self, prompt: str, **numbers: int) -> None:
        """Fills in Create and presses Generate."""
        self.fill("Prompt", prompt)
        for label, number in numbers.items():
            self.fill(label.capitalize(), number)
        self.press("Generate")

    def choose_picture(self, picture: bytes) -> None:
        file = {"name": "picture.png", "mimeType": "image/png", "buffer": picture}
        self.panel.locator("input[type=file]").set_input_files(file)

    def paint(self, points: list[tuple[float, float]]) -> None:
        """Draws the mask's brush through points, in shares of the picture's sides."""
        canvas = self.panel.locator(".mask-paint")
        canvas.scroll_into_view_if_needed()
        box = canvas.bounding_box()
        assert box is not None
        places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in points]
        self.page.mouse.move(*places[0])
        self.page.mouse.down()
        for place in places:
            self.page.mouse.move(*place, steps=4)
        self.page.mouse.up()

    def compare_tiers(self) -> None:
        """Presses Compare tiers and waits until all are drawn."""
        self.press("Compare tiers")
        self.page.get_by_text("All tiers are drawn").wait_for(state="attached")

    @property
    def receipt(self) -> Locator:
        return self.panel.get_by_role("region", name="Receipt")

    @property
    def failure(self) -> Locator:
        return self.panel.locator(".failure")


@contextmanager
def profile(browser: Browser, **settings: Any) -> Iterator[BrowserContext]:
    """A fresh profile, as for a desktop unless the settings say otherwise."""
    opened = browser.new_context(**{"viewport": DESKTOP, "reduced_motion": "reduce"} | settings)
    yield opened
    opened.close()


@contextmanager
def visiting(opened: BrowserContext, address: str) -> Iterator[Visit]:
    """A visit in a tab of its own; at its end the page must have done nothing wrong."""
    visit = Visit(opened.new_page(), origin="/".join(address.split("/")[:3]))
    yield visit
    visit.page.close()
    assert not visit.problems, visit.problems
