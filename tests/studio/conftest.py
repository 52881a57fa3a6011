"""One browser and one stand-in server for this package; each test has its own page and script."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext

from tests.studio.browser import Visit, chromium, profile, visiting
from tests.studio.fake_server import Fake, Script, fake_server
from tests.studio.fake_work import model
from tests.studio.loopback import listening

PICTURES = model("shapes", ["text-to-image", "image-to-image", "inpainting"])
CLIPS = model("clips", ["text-to-video", "image-to-video"])


def script() -> Script:
    return Script(models=[PICTURES, CLIPS])


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


@pytest.fixture(scope="package")
def kept_profile(browser: Browser) -> Iterator[BrowserContext]:
    """A profile that keeps the page's files from test to test; tabs share nothing else."""
    with profile(browser) as opened:
        yield opened


@pytest.fixture(scope="package")
def running() -> Iterator[Fake]:
    made = Fake(script())
    with listening(fake_server(made)) as made.url:
        yield made


@pytest.fixture
def fake(running: Fake) -> Fake:
    running.script = script()
    return running


@pytest.fixture
def visit(kept_profile: BrowserContext, fake: Fake) -> Iterator[Visit]:
    with visiting(kept_profile, fake.url) as opened:
        yield opened


@pytest.fixture
def visits(browser: Browser, fake: Fake) -> Iterator[Callable[..., Visit]]:
    """Makes visits in profiles with settings of their own: a phone, a colour scheme."""
    with ExitStack() as stack:

        def make(**settings: Any) -> Visit:
            own = stack.enter_context(profile(browser, **settings))
            return stack.enter_context(visiting(own, fake.url))

        yield make
