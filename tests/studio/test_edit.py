"""Edit: a picture goes up with its mask, and comes back redrawn."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from playwright.sync_api import expect

from tests.studio.browser import Visit
from tests.studio.fake_server import Fake, error
from tests.studio.fake_work import model, picture

PROMPT = "a red circle left of a blue square on a white background"
PICTURE = picture(PROMPT, 1, "none", "128x128")


def pixels(file: bytes) -> npt.NDArray[np.uint8]:
    return np.asarray(Image.open(io.BytesIO(file)))


def png_of(size: tuple[int, int], **settings: Any) -> bytes:
    buffer = io.BytesIO()
    Image.linear_gradient("L").resize(size).convert("RGB").save(buffer, "PNG", **settings)
    return buffer.getvalue()


def begin(visit: Visit, fake: Fake, chosen: bytes = PICTURE) -> None:
    visit.open(fake.url, "edit")
    visit.choose_picture(chosen)
    visit.fill("Prompt", PROMPT)


def redraw(visit: Visit) -> None:
    visit.press("Redraw")
    visit.receipt.wait_for()


def test_the_picture_is_sent_as_it_is_shown_and_all_fields_as_text(
    visit: Visit, fake: Fake
) -> None:
    begin(visit, fake)
    visit.fill("Seed", 3)
    redraw(visit)
    assert fake.script.requests == [
        {
            "prompt": PROMPT,
            "model": "shapes",
            "tier": "medium",
            "seed": "3",
            "n": "1",
            "size": "128x128",
            "stream": "true",
            "partial_images": "3",
        }
    ]
    assert list(fake.script.files) == ["image"]
    assert np.array_equal(pixels(fake.script.files["image"])[..., :3], pixels(PICTURE))


def test_the_mask_is_transparent_where_it_was_painted_and_nowhere_else(
    visit: Visit, fake: Fake
) -> None:
    begin(visit, fake)
    visit.panel.get_by_label("Brush", exact=True).fill("0.2")
    visit.paint([(0.25, 0.5), (0.4, 0.5)])
    redraw(visit)
    alpha = pixels(fake.script.files["mask"])[..., 3]
    assert alpha.shape == (128, 128)
    assert (alpha[64, 32:51] == 0).all()
    radius = 0.2 * 128 / 2
    rows, columns = np.mgrid[0:128, 0:128] + 0.5
    nearest = np.clip(columns, 0.25 * 128, 0.4 * 128)
    distance = np.hypot(columns - nearest, rows - 64)
    assert (alpha[distance < radius - 2] == 0).all()
    assert (alpha[distance > radius + 2] == 255).all()


def test_a_mask_that_was_cleared_is_not_sent(visit: Visit, fake: Fake) -> None:
    begin(visit, fake)
    visit.paint([(0.2, 0.2), (0.8, 0.8)])
    visit.press("Clear mask")
    redraw(visit)
    assert list(fake.script.files) == ["image"]


def test_a_mask_is_painted_with_the_keyboard(visit: Visit, fake: Fake) -> None:
    begin(visit, fake)
    visit.panel.locator(".mask-paint").focus()
    for key in ["ArrowLeft"] * 3 + ["ArrowUp"] * 2 + ["Space"]:
        visit.page.keyboard.press(key)
    redraw(visit)
    alpha = pixels(fake.script.files["mask"])[..., 3]
    radius = 0.16 * 128 / 2
    assert alpha[round(64 - 2 * radius), round(64 - 3 * radius)] == 0
    assert alpha[64, 64] == 255


def test_strength_goes_along_only_when_it_was_touched(visit: Visit, fake: Fake) -> None:
    begin(visit, fake)
    visit.panel.get_by_label("Strength").fill("0.35")
    redraw(visit)
    assert fake.script.requests[0]["strength"] == "0.35"


FITTED = [((600, 400), (144, 96)), ((40, 40), (128, 128)), ((100, 3000), (16, 256))]


def test_a_picture_of_another_size_is_fitted_to_what_the_model_takes(
    visit: Visit, fake: Fake
) -> None:
    fake.script.models[:] = [model("shapes", ["inpainting"], max_side=256)]
    visit.open(fake.url, "edit")
    visit.fill("Prompt", PROMPT)
    for chosen, (width, height) in FITTED:
        visit.choose_picture(png_of(chosen))
        expect(visit.panel.get_by_text(f"Sent as {width}\u202f×\u202f{height}")).to_be_visible()
        redraw(visit)
        assert Image.open(io.BytesIO(fake.script.files["image"])).size == (width, height)
        assert fake.script.requests[-1]["size"] == f"{width}x{height}"


def test_a_model_that_takes_no_mask_shows_no_brush_and_no_strength(
    visit: Visit, fake: Fake
) -> None:
    fake.script.models[:] = [model("editor", ["image-editing"])]
    begin(visit, fake)
    expect(visit.panel.get_by_label("Brush", exact=True)).to_be_hidden()
    expect(visit.panel.get_by_label("Strength")).to_be_hidden()
    redraw(visit)
    assert list(fake.script.files) == ["image"]


def test_without_a_picture_or_with_a_file_that_is_none_the_page_says_so(
    visit: Visit, fake: Fake
) -> None:
    visit.open(fake.url, "edit")
    visit.fill("Prompt", PROMPT)
    visit.press("Redraw")
    alert = visit.panel.get_by_role("alert")
    expect(alert).to_have_text("Choose the picture to begin from.")
    visit.choose_picture(b"no picture")
    expect(alert).to_have_text("This file is not a picture that the browser can read.")
    visit.choose_picture(PICTURE)
    expect(alert).to_be_hidden()
    assert fake.script.requests == []


def test_a_made_picture_is_edited_and_then_edited_further(visit: Visit, fake: Fake) -> None:
    visit.open(fake.url)
    visit.generate(PROMPT, seed=5)
    visit.panel.get_by_role("button", name="Edit").click()
    expect(visit.page.get_by_role("tab", selected=True)).to_have_text("Edit")
    expect(visit.panel.get_by_label("Prompt", exact=True)).to_have_value(PROMPT)
    redraw(visit)
    made = picture(PROMPT, 5, "medium", "128x128")
    assert np.array_equal(pixels(fake.script.files["image"])[..., :3], pixels(made))
    visit.press("Edit further")
    visit.page.get_by_text("The picture is there").wait_for(state="attached")
    visit.fill("Seed", 8)
    redraw(visit)
    redrawn = picture(PROMPT, 4711, "medium", "128x128")
    assert np.array_equal(pixels(fake.script.files["image"])[..., :3], pixels(redrawn))


def test_a_picture_that_the_server_refuses_is_marked(visit: Visit, fake: Fake) -> None:
    fake.script.refusals.append((400, error("images: too dark", "invalid_value", "images"), {}))
    visit.refused.add(400)
    begin(visit, fake)
    visit.press("Redraw")
    expect(visit.failure).to_contain_text("images: too dark")
    expect(visit.panel.locator(".picture-drop")).to_have_class("picture-drop at-fault")
