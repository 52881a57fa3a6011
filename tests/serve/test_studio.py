"""The studio in a real browser before the real server. `tests/studio` has the page's own logic.

With `--write-docs` the parts are photographed into `docs/images`.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Browser, expect

from tests.serve.server import Server
from tests.studio import parts
from tests.studio.browser import PHONE, Visit, chromium, profile, visiting
from tests.studio.loopback import behind_prefix

pytestmark = pytest.mark.ray

MANY = {"steps": 100, "pictures": 8}
"""Work of several seconds, of which little is to be done."""

STOPPED_S = 5.0


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


@pytest.fixture
def visit(browser: Browser, server: Server) -> Iterator[Visit]:
    with profile(browser) as opened, visiting(opened, server.url) as made:
        made.open(server.url)
        yield made


def drawn(http: httpx.Client) -> bytes:
    fields = {"prompt": parts.PROMPT, "seed": 7, "model": "shapes"}
    answer = http.post("/v1/images/generations", json=fields)
    return base64.b64decode(answer.json()["data"][0]["b64_json"])


def busy(http: httpx.Client) -> int:
    """Jobs of the model of pictures that wait or run."""
    models = http.get("/v1/status").json()["models"]
    shapes = next(each for each in models if each["model"] == "shapes")
    return int(shapes["queued"] + sum(pool["busy"] for pool in shapes["pools"]))


def test_the_picture_in_the_page_is_that_of_the_api(visit: Visit, http: httpx.Client) -> None:
    parts.create(visit)
    with visit.page.expect_download() as download:
        visit.panel.get_by_role("link", name="Download").click()
    assert download.value.path().read_bytes() == drawn(http)
    expect(visit.receipt).to_contain_text("15 steps computed, 13 cached")


def test_the_page_shows_steps_and_previews_of_a_picture_in_the_making(visit: Visit) -> None:
    visit.generate(parts.PROMPT, steps=100)
    expect(visit.panel.get_by_text("of 100")).to_be_visible()
    expect(visit.panel.get_by_role("img", name="Preview")).to_be_visible()
    visit.receipt.wait_for()


def test_cancel_in_the_page_frees_the_replica(visit: Visit, http: httpx.Client) -> None:
    visit.choose_tier("none")
    visit.generate(parts.PROMPT, **MANY)
    visit.panel.get_by_text("of 800").wait_for()
    assert busy(http) == 1
    visit.press("Cancel")
    give_up = time.monotonic() + STOPPED_S
    while busy(http):
        assert time.monotonic() < give_up, "the replica still works"
        time.sleep(0.1)


def test_all_tiers_are_compared(visit: Visit) -> None:
    parts.compare(visit)
    expect(visit.panel.get_by_role("article")).to_have_count(5)
    for tier, computed in [("none", 28), ("slow", 18), ("medium", 15), ("fast", 11), ("ultra", 8)]:
        tile = visit.panel.get_by_role("article", name=tier)
        expect(tile).to_contain_text(f"{computed} computed")
        expect(tile).to_contain_text("reference" if tier == "none" else "dB")


def test_a_masked_part_is_redrawn_and_the_rest_stays(visit: Visit, http: httpx.Client) -> None:
    parts.edit(visit, drawn(http))
    expect(visit.panel.get_by_role("img", name=parts.OTHER_PROMPT)).to_be_visible()


def test_an_error_of_the_server_shows_in_its_words(visit: Visit) -> None:
    visit.refused.add(400)
    visit.generate("a star " * 100)
    expect(visit.failure).to_contain_text("shapes takes at most 500")
    expect(visit.panel.get_by_label("Prompt", exact=True)).to_have_attribute("aria-invalid", "true")


def test_a_deadline_out_of_reach_becomes_one_that_is_kept(visit: Visit) -> None:
    for _ in range(2):
        visit.generate(parts.PROMPT, steps=100, pictures=2)
        visit.receipt.wait_for()
    visit.refused.add(429)
    visit.panel.get_by_label("Deadline", exact=True).check()
    visit.fill("Deadline in seconds", "0.1")
    visit.press("Generate")
    visit.failure.get_by_role("button", name="Use").click()
    visit.receipt.wait_for()
    expect(visit.receipt).to_contain_text("The deadline was")


def test_it_works_behind_a_prefix(browser: Browser, server: Server) -> None:
    with behind_prefix(server.url, "/gpu/dit") as address:
        for opened in (f"{address}/", address):
            with profile(browser) as fresh, visiting(fresh, address) as visit:
                visit.refused |= set() if opened.endswith("/") else {404}
                visit.open(opened)
                parts.create(visit)


def test_a_video_is_made_and_played(visit: Visit) -> None:
    prompt = f"seen at {time.time()}"
    visit.part("Videos")
    visit.fill("Prompt", prompt)
    visit.press("Make the video")
    row = visit.panel.get_by_role("article").filter(has_text=prompt)
    expect(row.locator(".status")).to_have_text("completed", timeout=60_000)
    row.get_by_role("button", name="Play").click()
    video = row.locator("video")
    video.evaluate("video => new Promise((done) => { video.oncanplay = done; video.load(); })")
    assert video.evaluate("video => video.videoWidth") == 64


def test_the_link_to_the_documentation_of_the_api_leads_there(visit: Visit) -> None:
    link = visit.page.get_by_role("link", name="API")
    address = link.evaluate("link => link.href")
    assert httpx.get(address).status_code == 200


def test_the_cluster_shows_the_replicas_that_run(visit: Visit) -> None:
    parts.cluster(visit)
    expect(visit.panel.get_by_role("article", name="shapes")).to_contain_text("of 1 replica busy")


@pytest.mark.parametrize("look", ["", "-phone"])
def test_photographs_for_the_documents(
    browser: Browser, server: Server, http: httpx.Client, pytestconfig: pytest.Config, look: str
) -> None:
    if not pytestconfig.getoption("--write-docs"):
        pytest.skip("only with --write-docs")
    settings = {"viewport": PHONE, "device_scale_factor": 2} if look else {}
    picture = drawn(http)
    with profile(browser, **settings) as opened, visiting(opened, server.url) as visit:
        visit.open(server.url)
        for part, show in [
            ("create", lambda: parts.create(visit)),
            ("edit", lambda: parts.edit(visit, picture)),
            ("compare", lambda: parts.compare(visit)),
        ]:
            show()
            parts.photograph(visit, f"studio-{part}{look}")
