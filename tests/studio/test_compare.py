"""Compare: one prompt in all tiers, side by side and over each other."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import BrowserContext, expect

from deployments.fidelity import psnr_db
from tests.studio.browser import Visit, visiting
from tests.studio.conftest import script
from tests.studio.fake_server import Fake, error
from tests.studio.fake_work import COMPUTED, picture

PROMPT = "a red circle left of a blue square on a white background"
TIERS = ["none", "slow", "medium", "fast", "ultra"]


@dataclass(frozen=True)
class Compared:
    """A page with all tiers drawn, and the requests that it made for them."""

    visit: Visit
    requests: list[dict[str, Any]]


@pytest.fixture(scope="module")
def compared(kept_profile: BrowserContext, running: Fake) -> Iterator[Compared]:
    running.script = script()
    with visiting(kept_profile, running.url) as visit:
        visit.open(running.url, "compare")
        visit.fill("Prompt", PROMPT)
        visit.fill("Seed", 9)
        visit.compare_tiers()
        yield Compared(visit, running.script.requests)


def made(tier: str) -> Image.Image:
    return Image.open(io.BytesIO(picture(PROMPT, 9, tier, "128x128")))


def engine_s(tier: str) -> float:
    """As the stand-in's receipts have it."""
    return 0.006 + 0.0115 * COMPUTED[tier] + 0.021


def test_every_tier_is_drawn_once_with_the_same_seed_one_after_the_other(
    compared: Compared,
) -> None:
    asked = [(each["tier"], each["seed"], each["n"]) for each in compared.requests]
    assert asked == [(tier, 9, 1) for tier in TIERS]
    assert compared.visit.panel.get_by_role("article").count() == 5


def test_without_a_seed_all_tiers_get_the_same_drawn_one(visit: Visit, fake: Fake) -> None:
    visit.open(fake.url, "compare")
    visit.fill("Prompt", PROMPT)
    visit.compare_tiers()
    seeds = {each["seed"] for each in fake.script.requests}
    assert len(seeds) == 1
    expect(visit.panel.get_by_label("Seed", exact=True)).to_have_value(str(seeds.pop()))


def test_tiles_tell_times_steps_speed_up_and_likeness(compared: Compared) -> None:
    visit = compared.visit
    for tier in TIERS[1:]:
        tile = visit.panel.get_by_role("article", name=tier)
        expect(tile).to_contain_text(f"{engine_s('none') / engine_s(tier):.2f}×")
        expect(tile).to_contain_text(f"{COMPUTED[tier]} computed")
        expect(tile).to_contain_text(f"{psnr_db(made(tier), made('none')):.1f}\u202fdB")
    expect(visit.panel.get_by_role("article", name="none")).to_contain_text("reference")


def test_the_wipe_goes_from_one_tier_to_the_other_by_mouse_and_keyboard(compared: Compared) -> None:
    visit = compared.visit
    slider = visit.panel.get_by_role("slider", name="Wipe")
    over = visit.panel.locator(".wipe-over")
    assert over.evaluate("image => getComputedStyle(image).clipPath") == "inset(0px 50% 0px 0px)"
    slider.focus()
    visit.page.keyboard.press("End")
    assert over.evaluate("image => getComputedStyle(image).clipPath") == "inset(0px 0% 0px 0px)"
    box = slider.bounding_box()
    assert box is not None
    visit.page.mouse.click(box["x"] + box["width"] / 4, box["y"] + box["height"] / 2)
    assert float(slider.input_value()) == pytest.approx(25, abs=2)


def test_the_amplified_difference_is_that_of_the_pixels(compared: Compared) -> None:
    visit = compared.visit
    visit.panel.get_by_label("Left", exact=True).select_option("slow")
    visit.panel.get_by_label("Difference", exact=True).check()
    visit.panel.get_by_label("Amplified").fill("4")
    canvas = visit.panel.get_by_role("img", name="Difference of slow and ultra")
    shown = canvas.evaluate(
        "canvas => [...canvas.getContext('2d').getImageData(0, 0, 128, 128).data]"
    )
    left, right = (np.asarray(made(tier)).astype(int) for tier in ("slow", "ultra"))
    expected = np.minimum(16 * np.abs(left - right), 255)
    assert np.array_equal(np.reshape(shown, (128, 128, 4))[..., :3], expected)
    assert expected.max() > 100


def test_cancel_keeps_what_is_drawn_and_draws_no_more(visit: Visit, fake: Fake) -> None:
    fake.script.holds_at = 2
    visit.open(fake.url, "compare")
    visit.fill("Prompt", PROMPT)
    visit.press("Compare tiers")
    visit.panel.get_by_text("step 2 of 28").wait_for()
    fake.script.holds_at = 20
    visit.panel.get_by_text("step 20 of 28").wait_for()
    visit.press("Cancel")
    expect(visit.panel.get_by_role("button", name="Compare tiers")).to_be_visible()
    expect(visit.panel.get_by_role("article")).to_have_count(0)
    assert len(fake.script.requests) == 1


def test_a_refusal_in_the_middle_shows_beside_what_is_drawn(visit: Visit, fake: Fake) -> None:
    visit.open(fake.url, "compare")
    visit.fill("Prompt", PROMPT)
    fake.script.refuses_tier = "medium"
    fake.script.refusals.append((429, error("Too many wait.", "queue_full"), {}))
    visit.refused.add(429)
    visit.press("Compare tiers")
    expect(visit.failure).to_contain_text("Too many wait.")
    expect(visit.panel.get_by_role("article")).to_have_count(2)


def test_compare_goes_on_from_a_picture_that_was_made(visit: Visit, fake: Fake) -> None:
    visit.open(fake.url)
    visit.generate(PROMPT, seed=9, steps=20)
    visit.press("Compare tiers")
    visit.page.get_by_text("All tiers are drawn").wait_for(state="attached")
    again = fake.script.requests[1:]
    assert {(each["seed"], each["num_inference_steps"]) for each in again} == {(9, 20)}
    assert len(again) == 5
