"""The page of the API in a real browser: every request, as the server's own document tells it."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI
from playwright.sync_api import Browser, BrowserContext

from cluster.config import ClusterConfig
from cluster.load import load_config
from deployments.job_store import JobStore
from deployments.results import ResultStore
from tests.studio.browser import PHONE, Visit, profile, visiting
from tests.studio.loopback import behind_prefix, listening

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # Ray's own, while it is imported
    from deployments.http_app import http_app
    from deployments.router_calls import RouterCalls
    from deployments.video_runner import VideoRunner


def app_of(config: ClusterConfig, folder: Path) -> FastAPI:
    """The gateway's own application; nothing is asked of its routers."""
    calls, results = RouterCalls({}, 1), ResultStore(config.results)
    store = JobStore(f"sqlite:///{folder}/jobs.db", keep_s=1.0)
    return http_app(config, calls, store, results, VideoRunner(config, calls, store, results))


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> FastAPI:
    return app_of(load_config(Path("configs/demo.yaml")), tmp_path_factory.mktemp("api"))


@pytest.fixture(scope="module")
def url(app: FastAPI) -> Iterator[str]:
    with listening(app) as address:
        yield address


def opened(visit: Visit, address: str) -> Visit:
    visit.page.goto(f"{address}/docs")
    visit.page.locator("section").first.wait_for()
    return visit


def test_every_request_of_the_document_is_shown_and_listed(
    kept_profile: BrowserContext, url: str, app: FastAPI
) -> None:
    with visiting(kept_profile, url) as visit:
        page = opened(visit, url).page
        listed = page.get_by_role("navigation").get_by_role("link").all_inner_texts()
        shown = page.locator("section h3").all_inner_texts()
        told = [
            operation["summary"]
            for methods in app.openapi()["paths"].values()
            for operation in methods.values()
        ]
        assert sorted(listed) == sorted(shown) == sorted(told)
        assert "[object" not in page.locator("main").inner_text()


def test_a_request_tells_its_fields_its_answers_and_how_to_send_it(
    kept_profile: BrowserContext, url: str
) -> None:
    with visiting(kept_profile, url) as visit:
        page = opened(visit, url).page
        page.get_by_role("link", name="Make pictures").click()
        making = page.get_by_role("region", name="Make pictures")
        assert making.get_by_text("What is to be seen.").is_visible()
        assert f"curl '{url}/v1/images/generations'" in making.locator("pre").inner_text()
        answer = making.locator("details", has_text="application/json Images").first
        receipt = answer.get_by_text("steps_computed").first
        assert not receipt.is_visible()
        answer.locator("summary").first.click()
        answer.locator("details", has_text="Receipt").first.locator("summary").first.click()
        assert receipt.is_visible()


def test_a_link_to_a_request_leads_there(kept_profile: BrowserContext, url: str) -> None:
    with visiting(kept_profile, url) as visit:
        visit.page.goto(f"{url}/docs#delete_video")
        deleting = visit.page.get_by_role("region", name="Delete a video")
        deleting.wait_for()
        box = deleting.bounding_box()
        assert box is not None
        assert 0 <= box["y"] < 500


def test_it_works_behind_a_prefix_and_examples_have_it(
    kept_profile: BrowserContext, url: str
) -> None:
    with behind_prefix(url, "/gpu/dit") as address, visiting(kept_profile, address) as visit:
        page = opened(visit, address).page
        listing = page.get_by_role("region", name="List the models")
        assert listing.locator("pre").inner_text() == f"curl '{address}/v1/models'"


def test_where_keys_are_asked_for_the_page_needs_none_and_its_examples_send_one(
    kept_profile: BrowserContext, tmp_path: Path
) -> None:
    config = load_config(Path("configs/flux-dev.yaml"))
    with (
        listening(app_of(config, tmp_path)) as url,
        visiting(kept_profile, url) as visit,
    ):
        page = opened(visit, url).page
        listing = page.get_by_role("region", name="List the models").locator("pre")
        assert '-H "Authorization: Bearer $DIT_SERVE_API_KEY"' in listing.inner_text()
        health = page.get_by_role("region", name="See whether it lives").locator("pre")
        assert "Authorization" not in health.inner_text()


def test_it_fits_a_phone(browser: Browser, url: str) -> None:
    with profile(browser, viewport=PHONE) as phone, visiting(phone, url) as visit:
        page = opened(visit, url).page
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


def test_a_server_that_does_not_tell_its_document_is_said_to(
    kept_profile: BrowserContext, url: str
) -> None:
    with visiting(kept_profile, url) as visit:
        visit.refused = {503}
        visit.page.route("**/openapi.json", lambda route: route.fulfill(status=503))
        visit.page.goto(f"{url}/docs")
        alert = visit.page.get_by_role("alert")
        alert.wait_for()
        assert alert.inner_text().endswith("cannot be shown: it answered 503")
