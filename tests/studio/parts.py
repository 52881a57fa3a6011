"""The parts of the studio, brought to where each has something to show; and their photographs."""

from __future__ import annotations

import io
from pathlib import Path

from PIL import Image

from tests.studio.browser import Visit

PROMPT = "a green star above an orange circle on a black background"
OTHER_PROMPT = "a yellow star above an orange circle on a black background"
IMAGES = Path("docs/images")
COLOURS = 200


def create(visit: Visit) -> None:
    """A finished picture with its receipt."""
    visit.part("Create")
    visit.generate(PROMPT, seed=7)
    visit.receipt.wait_for()


def edit(visit: Visit, picture: bytes) -> None:
    """A picture whose upper half was painted over and redrawn."""
    visit.part("Edit")
    visit.fill("Prompt", OTHER_PROMPT)
    visit.fill("Seed", 7)
    visit.choose_picture(picture)
    visit.panel.get_by_label("Brush", exact=True).fill("0.34")
    visit.paint([(0.36, 0.3), (0.64, 0.3), (0.5, 0.34)])
    visit.press("Redraw")
    visit.receipt.wait_for()


def compare(visit: Visit) -> None:
    """All tiers of a prompt, the first and the last over each other."""
    visit.part("Compare")
    visit.fill("Prompt", PROMPT)
    visit.fill("Seed", 7)
    visit.compare_tiers()


def cluster(visit: Visit) -> None:
    """The queue and the replicas."""
    visit.part("Cluster")
    visit.panel.get_by_role("article").first.wait_for()


def photograph(visit: Visit, name: str) -> None:
    """Writes all of the shown part to `docs/images`, with few enough colours for a small file."""
    page = visit.page
    page.evaluate("scrollTo(0, 0)")
    shown = page.viewport_size
    assert shown is not None
    height = page.evaluate(
        "Math.ceil(document.querySelector('main').getBoundingClientRect().bottom)"
    )
    page.set_viewport_size({"width": shown["width"], "height": height})
    page.mouse.move(0, 0)
    page.evaluate("document.activeElement.blur()")
    taken = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    page.set_viewport_size(shown)
    IMAGES.mkdir(exist_ok=True)
    taken.quantize(COLOURS, Image.Quantize.MEDIANCUT).save(IMAGES / f"{name}.png", optimize=True)
