"""Create: the request, its progress, its result, and the choice of a tier."""

from __future__ import annotations

import io
import re
import time
from collections.abc import Callable

import pytest
from PIL import Image
from playwright.sync_api import expect

from tests.studio import fake_work
from tests.studio.browser import Visit
from tests.studio.conftest import PICTURES
from tests.studio.fake_server import Fake

PROMPT = "a red circle left of a blue square on a white background"
PATIENCE_S = 10.0


def wait_until(happened: Callable[[], bool]) -> None:
    give_up = time.monotonic() + PATIENCE_S
    while not happened():
        assert time.monotonic() < give_up, "it does not happen"
        time.sleep(0.02)


def test_what_is_left_open_is_left_to_the_server(visit: Visit, fake: Fake) -> None:
    visit.open(fake.url)
    visit.generate(PROMPT)
    visit.receipt.wait_for()
    assert fake.script.requests == [
        {
            "prompt": PROMPT,
            "model": "shapes",
            "tier": "medium",
            "size": "128x128",
            "n": 1,
            "stream": True,
            "partial_images": 3,
        }
    ]


def test_every_field_is_sent(visit: Visit, fake: Fake) -> None:
    visit.open(fake.url)
    visit.choose_tier("ultra")
    visit.panel.get_by_label("Size", exact=True).select_option("other…")
    visit.fill("Width in pixels", 64)
    visit.fill("Height in pixels", 96)
    visit.panel.get_by_label("Deadline", exact=True).check()
    visit.fill("Deadline in seconds", "2.5")
    visit.panel.get_by_text("More").click()
    visit.fill("Negative prompt", "blue")
    visit.fill("Guidance", "3.5")
    visit.fill("True CFG", "2")
    visit.generate(PROMPT, seed=12, steps=10, pictures=3)
    visit.receipt.wait_for()
    assert fake.script.requests[0].items() >= {
        ("tier", "ultra"),
        ("size", "64x96"),
        ("deadline_ms", 2500),
        ("negative_prompt", "blue"),
        ("guidance_scale", 3.5),
        ("true_cfg_scale", 2),
        ("seed", 12),
        ("num_inference_steps", 10),
        ("n", 3),
    }
    assert visit.panel.locator("figure").count() == 3
    expect(visit.receipt).to_contain_text("The deadline was kept.")


def test_the_queue_the_steps_and_previews_show_while_it_is_made(visit: Visit, fake: Fake) -> None:
    fake.script.holds_at = 0
    visit.open(fake.url)
    visit.generate(PROMPT)
    bar, told = visit.panel.get_by_role("progressbar"), visit.page.locator("#announcements")
    expect(visit.panel.get_by_text("queued", exact=True)).to_be_visible()
    expect(bar).not_to_have_attribute("value", re.compile(r"\d"))
    expect(told).to_have_text("Queued")
    expect(visit.panel.get_by_role("img", name="Preview")).to_have_count(0)
    fake.script.holds_at = 9
    expect(visit.panel.get_by_text("step 9 of 28")).to_be_visible()
    expect(bar).to_have_attribute("value", "9")
    expect(told).to_have_text("Step 7 of 28 steps")
    first = visit.panel.get_by_role("img", name="Preview").get_attribute("src")
    fake.script.holds_at = 16
    expect(visit.panel.get_by_text("step 16 of 28")).to_be_visible()
    assert visit.panel.get_by_role("img", name="Preview").get_attribute("src") != first
    fake.script.holds_at = None
    visit.receipt.wait_for()
    expect(bar).to_have_count(0)


def test_the_result_is_the_servers_picture_and_can_be_downloaded(visit: Visit, fake: Fake) -> None:
    visit.open(fake.url)
    visit.generate(PROMPT, seed=5)
    with visit.page.expect_download() as download:
        visit.panel.get_by_role("link", name="Download").click()
    assert download.value.suggested_filename == "shapes-medium-5.png"
    file = download.value.path().read_bytes()
    assert file == fake_work.picture(PROMPT, 5, "medium", "128x128")
    shown = visit.panel.get_by_role("img", name=PROMPT)
    assert shown.evaluate("image => image.naturalWidth") == Image.open(io.BytesIO(file)).width
    box = shown.bounding_box()
    assert box is not None
    assert box["width"] == box["height"] == 4 * 128


def test_the_receipt_tells_what_was_done(visit: Visit, fake: Fake) -> None:
    fake.script.receipt = {"forecast_s": 0.1, "denoise_s": 0.173, "attempts": 2, "notes": ("N.",)}
    visit.open(fake.url)
    visit.choose_tier("auto")
    visit.generate(PROMPT)
    for told in (
        "medium, where auto was asked",
        "medium keeps all deadlines",
        "15 steps computed, 13 cached",
        "denoise 0.17\u202fs",
        "Forecast 0.10\u202fs, the engine took 0.20\u202fs: 100 % more than forecast.",
        "9687e10b9bda",
        "N.",
    ):
        expect(visit.receipt).to_contain_text(told)
    bars = visit.receipt.locator(".bar").first.locator(".segment")
    computed, cached = (bars.nth(place).bounding_box() for place in (0, 1))
    assert computed is not None
    assert cached is not None
    assert computed["width"] / cached["width"] == pytest.approx(15 / 13, rel=0.02)
    visit.receipt.get_by_role("button", name="reuse").click()
    expect(visit.panel.get_by_label("Seed", exact=True)).to_have_value("4711")


def test_without_a_forecast_the_receipt_says_so(visit: Visit, fake: Fake) -> None:
    fake.script.receipt = {"forecast_s": None, "deadline_met": False}
    visit.open(fake.url)
    visit.generate(PROMPT)
    expect(visit.receipt).to_contain_text("there was no forecast")
    expect(visit.receipt).to_contain_text("The deadline was missed.")


def test_cancel_stops_the_work_and_the_next_request_runs(visit: Visit, fake: Fake) -> None:
    fake.script.holds_at = 3
    visit.open(fake.url)
    visit.generate(PROMPT)
    visit.panel.get_by_text("step 3 of 28").wait_for()
    visit.press("Cancel")
    expect(visit.panel.get_by_text("Cancelled.")).to_be_visible()
    wait_until(lambda: fake.script.left_early == 1)
    assert fake.script.steps_made == 3
    fake.script.holds_at = None
    visit.press("Generate")
    visit.receipt.wait_for()


def test_tiers_show_what_was_measured_at_the_steps_and_size_asked_for(
    visit: Visit, fake: Fake
) -> None:
    visit.open(fake.url)
    fast = visit.panel.locator(".tier-row").filter(has_text="fast")
    expect(fast).to_contain_text("1.92×")
    expect(fast).to_contain_text("46.1\u202fdB")
    note = visit.panel.locator(".tier-choice .hint")
    expect(note).to_contain_text("measured at 28 steps")
    visit.fill("Steps", 50)
    visit.page.keyboard.press("Tab")
    expect(fast).to_contain_text("20 of 50 steps")
    expect(fast).to_contain_text("1.96×")
    visit.fill("Steps", 40)
    visit.page.keyboard.press("Tab")
    expect(note).to_contain_text("Not measured at 40 steps.")


def test_where_nothing_was_measured_the_page_says_so(visit: Visit, fake: Fake) -> None:
    fake.script.measured = False
    visit.open(fake.url)
    for tier in ("none", "slow", "medium", "fast", "ultra"):
        row = visit.panel.locator(".tier-row").filter(has_text=tier).first
        expect(row).to_contain_text("not measured")
    expect(visit.panel.locator(".tier-choice .hint")).to_contain_text("it was measured on H100")


def test_the_choice_of_a_tier_survives_a_change_of_steps_and_falls_with_the_model(
    visit: Visit, fake: Fake
) -> None:
    other = PICTURES | {"id": "other", "tiers": ["none", "slow"], "default_tier": "slow"}
    fake.script.models.append(other)
    visit.open(fake.url)
    visit.choose_tier("ultra")
    visit.fill("Steps", 50)
    visit.page.keyboard.press("Tab")
    expect(visit.panel.get_by_role("radio", name="ultra")).to_be_checked()
    visit.panel.get_by_label("Model").select_option("other")
    expect(visit.panel.get_by_role("radio")).to_have_count(3)
    expect(visit.panel.get_by_role("radio", name="slow")).to_be_checked()


def test_a_picture_is_made_with_the_keyboard_alone(visit: Visit, fake: Fake) -> None:
    visit.open(fake.url)
    keys = visit.page.keyboard
    visit.page.get_by_role("tab", selected=True).focus()
    while not visit.page.evaluate("document.activeElement.tagName === 'TEXTAREA'"):
        keys.press("Tab")
    keys.type(PROMPT)
    keys.press("Tab")
    keys.press("ArrowDown")
    expect(visit.panel.get_by_role("radio", name="fast")).to_be_focused()
    fake.script.holds_at = 3
    keys.press("Control+Enter")
    visit.panel.get_by_text("step 3 of 28").wait_for()
    keys.press("Control+Enter")
    fake.script.holds_at = None
    visit.receipt.wait_for()
    assert [each["tier"] for each in fake.script.requests] == ["fast"]


def test_the_focus_stays_where_generate_was(visit: Visit, fake: Fake) -> None:
    fake.script.holds_at = 3
    visit.open(fake.url)
    visit.fill("Prompt", PROMPT)
    visit.panel.get_by_role("button", name="Generate").focus()
    visit.page.keyboard.press("Enter")
    expect(visit.panel.get_by_role("button", name="Cancel")).to_be_focused()
    fake.script.holds_at = None
    visit.receipt.wait_for()
    expect(visit.panel.get_by_role("button", name="Generate")).to_be_focused()


def test_the_dice_draw_a_seed(visit: Visit, fake: Fake) -> None:
    visit.open(fake.url)
    seed = visit.panel.get_by_label("Seed", exact=True)
    visit.press("Draw a seed")
    drawn = seed.input_value()
    assert 0 <= int(drawn) < 1_000_000
    visit.press("Draw a seed")
    expect(seed).not_to_have_value(drawn)
