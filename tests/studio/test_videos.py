"""Videos as jobs, and the cluster at a glance."""

from __future__ import annotations

import time

from playwright.sync_api import expect

from tests.studio.browser import Visit
from tests.studio.fake_server import Fake
from tests.studio.fake_work import clip, model, picture

PROMPT = "a red circle on a white background"
HIDE = """(hidden) => {
    Object.defineProperty(document, "hidden", { configurable: true, get: () => hidden });
    document.dispatchEvent(new Event("visibilitychange"));
}"""
STATUS = [
    {
        "model": "shapes",
        "queued": 3,
        "pools": [{"pool": "cpu", "idle": 1, "busy": 2, "backlog_s": 4.2}],
    },
    {
        "model": "clips",
        "queued": 0,
        "pools": [{"pool": "h100x4", "idle": 0, "busy": 0, "backlog_s": 0.0}],
    },
]


def add(fake: Fake, prompt: str = PROMPT, **known: object) -> None:
    fake.script.videos.add({"prompt": prompt, "model": "clips", "size": "128x128"}, **known)


def stop_the_clock(visit: Visit) -> None:
    """The page's time stands still from here on, but for what a test lets pass."""
    visit.page.clock.install(time=0)
    visit.page.clock.pause_at(1)


def let_pass(visit: Visit, seconds: float) -> None:
    """Lets the page's time pass in steps, so that answers can come between them."""
    for _ in range(round(seconds * 4)):
        visit.page.clock.run_for(250)
        visit.page.wait_for_timeout(5)


def test_a_video_is_made_watched_played_and_deleted(visit: Visit, fake: Fake) -> None:
    visit.open(fake.url, "videos")
    expect(visit.panel.get_by_text("No videos yet.")).to_be_visible()
    visit.fill("Prompt", PROMPT)
    visit.fill("Seconds", "1.5")
    visit.press("Make the video")
    row = visit.panel.get_by_role("article")
    expect(row).to_contain_text("queued")
    expect(row.locator(".status")).to_have_text("completed")
    row.get_by_role("button", name="Play").click()
    video = row.locator("video")
    video.evaluate("video => new Promise((done) => { video.oncanplay = done; video.load(); })")
    assert video.evaluate("video => [video.videoWidth, video.duration]") == [128, 2]
    with visit.page.expect_download() as download:
        row.get_by_role("button", name="Download").click()
    assert download.value.path().read_bytes() == clip(PROMPT, "128x128")
    row.get_by_role("button", name="Delete").click()
    assert fake.script.videos.videos
    row.get_by_role("button", name="Really delete").click()
    expect(row).to_have_count(0)
    assert fake.script.videos.requests == [
        {
            "prompt": PROMPT,
            "model": "clips",
            "tier": "medium",
            "size": "128x128",
            "seconds": "1.5",
        }
    ]
    assert len(fake.script.videos.idempotency_keys[0] or "") == 32


def test_a_video_shows_its_progress_and_can_be_cancelled(visit: Visit, fake: Fake) -> None:
    fake.script.videos.takes_s = 1000
    add(fake, began=time.monotonic() - 400)
    visit.open(fake.url, "videos")
    row = visit.panel.get_by_role("article")
    expect(row.locator(".status")).to_have_text("in progress 40\u202f%")
    expect(row.get_by_role("progressbar")).to_have_attribute("value", "40")
    row.get_by_role("button", name="Cancel").click()
    expect(row.locator(".status")).to_have_text("cancelled")
    expect(row.get_by_role("progressbar")).to_be_hidden()


def test_a_failed_video_says_why(visit: Visit, fake: Fake) -> None:
    told = {"code": "out_of_memory", "message": "The card was full, <b>three times</b>."}
    add(fake, status="failed", error=told)
    visit.open(fake.url, "videos")
    expect(visit.panel.get_by_role("article")).to_contain_text(told["message"])


def test_a_picture_to_begin_from_goes_along(visit: Visit, fake: Fake) -> None:
    visit.open(fake.url, "videos")
    visit.choose_picture(picture(PROMPT, 1, "none", "128x128"))
    visit.fill("Prompt", PROMPT)
    visit.press("Make the video")
    visit.panel.get_by_role("article").wait_for()
    assert (fake.script.videos.reference or b"").startswith(b"\x89PNG")
    assert fake.script.videos.requests[0]["size"] == "128x128"


def test_a_model_that_needs_a_picture_asks_for_it(visit: Visit, fake: Fake) -> None:
    fake.script.models[:] = [model("mover", ["image-to-video"])]
    visit.open(fake.url, "videos")
    visit.fill("Prompt", PROMPT)
    visit.press("Make the video")
    expect(visit.panel.get_by_role("alert")).to_contain_text("This model begins from a picture.")
    assert fake.script.videos.requests == []


def test_older_videos_come_when_they_are_asked_for(visit: Visit, fake: Fake) -> None:
    for number in range(25):
        add(fake, f"number {number}", status="cancelled")
    visit.open(fake.url, "videos")
    rows = visit.panel.get_by_role("article")
    expect(rows).to_have_count(20)
    expect(rows.first).to_contain_text("number 24")
    visit.press("Show older")
    expect(rows).to_have_count(25)
    expect(visit.panel.get_by_role("button", name="Show older")).to_be_hidden()


def test_nothing_is_asked_while_nothing_can_change_or_nobody_looks(
    visit: Visit, fake: Fake
) -> None:
    videos = fake.script.videos
    stop_the_clock(visit)
    add(fake, status="cancelled")
    visit.open(fake.url, "videos")
    visit.panel.get_by_role("article").wait_for()
    visit.page.clock.run_for(60_000)
    assert videos.lists_asked == 1
    videos.takes_s = 1000
    add(fake)
    visit.part("Cluster")
    visit.part("Videos")
    expect(visit.panel.get_by_role("article")).to_have_count(2)
    visit.page.evaluate(HIDE, True)
    visit.page.clock.run_for(60_000)
    assert videos.lists_asked == 2
    visit.page.evaluate(HIDE, False)
    let_pass(visit, 10)
    assert videos.lists_asked > 2


def test_polls_grow_rare_while_nothing_changes(visit: Visit, fake: Fake) -> None:
    videos = fake.script.videos
    videos.takes_s = 10**6
    stop_the_clock(visit)
    add(fake)
    visit.open(fake.url, "videos")
    visit.panel.get_by_role("article").wait_for()
    let_pass(visit, 60)
    # Nine: after 1, 1.5, 2.25 seconds and so on; without growing rare they would be sixty.
    assert 4 <= videos.lists_asked <= 12


def test_the_cluster_shows_who_waits_and_who_works(visit: Visit, fake: Fake) -> None:
    fake.script.status = STATUS
    visit.open(fake.url, "cluster")
    card = visit.panel.get_by_role("article", name="shapes")
    expect(card).to_contain_text("3 waiting")
    expect(card).to_contain_text("2 of 3 replicas busy")
    expect(card).to_contain_text("4.20\u202fs of work")
    states = card.locator(".dot").evaluate_all("dots => dots.map((dot) => dot.dataset.state)")
    assert states == ["busy", "busy", "idle"]
    expect(visit.panel.get_by_role("article", name="clips")).to_contain_text("no replica runs")


def test_the_cluster_is_asked_every_two_seconds_and_only_while_it_shows(
    visit: Visit, fake: Fake
) -> None:
    fake.script.status = STATUS
    stop_the_clock(visit)
    visit.open(fake.url, "cluster")
    visit.panel.get_by_role("article").first.wait_for()
    let_pass(visit, 20)
    assert 4 <= fake.script.status_asked <= 11
    asked = fake.script.status_asked
    visit.part("Create")
    visit.page.clock.run_for(20_000)
    assert fake.script.status_asked <= asked + 1
