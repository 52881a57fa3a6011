"""How the parts look: nothing to scroll sideways, every text and border strong enough to see.

With `--write-docs` videos and the cluster are photographed into `docs/images`. The limits of
contrast are those of WCAG 2.2: 4.5 for text, 3 for large text and for the borders of inputs.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.studio import parts
from tests.studio.browser import PHONE, Visit
from tests.studio.fake_server import Fake
from tests.studio.fake_work import picture

LOOKS: dict[str, dict[str, Any]] = {
    "": {},
    "-dark": {"color_scheme": "dark"},
    "-phone": {"viewport": PHONE, "device_scale_factor": 2, "has_touch": True},
}
PHOTOGRAPHED = ("", "-phone")
"""Of the looks; and of the parts only `videos` and `cluster`: the real server shows the others."""
MEASURE = Path(__file__).with_name("contrast.js").read_text()
STATUS = [
    {
        "model": "shapes",
        "queued": 3,
        "pools": [
            {"pool": "l4", "idle": 1, "busy": 3, "backlog_s": 4.2},
            {"pool": "h100x4", "idle": 0, "busy": 2, "backlog_s": 1.7},
        ],
    },
    {
        "model": "clips",
        "queued": 0,
        "pools": [{"pool": "h100x8", "idle": 1, "busy": 0, "backlog_s": 0.0}],
    },
]


def videos(visit: Visit, fake: Fake) -> None:
    """A video of each status, one of them playing."""
    add, now = fake.script.videos.add, time.monotonic()
    fake.script.videos.takes_s = 1000
    told = {"code": "engine_failed", "message": "the card ran out of memory three times"}
    for prompt, known in [
        ("a red circle on a white background", {"status": "cancelled"}),
        ("a blue star on a black background", {"status": "failed", "error": told}),
        ("a yellow star on a gray background", {"began": now - 2000}),
        ("a purple triangle on a white background", {"began": now - 640}),
        ("a green square on a gray background", {}),
    ]:
        add({"prompt": prompt, "model": "clips", "size": "128x128"}, **known)
    visit.part("Videos")
    visit.press("Play")
    visit.panel.locator("video").wait_for()


def failure(visit: Visit, fake: Fake) -> None:
    fake.script.fails_at_step = 2
    visit.part("Create")
    visit.press("Generate")
    visit.failure.wait_for()


def steps(visit: Visit, fake: Fake) -> list[tuple[str, Callable[[], None]]]:
    chosen = picture(parts.PROMPT, 7, "none", "128x128")
    return [
        ("create", lambda: parts.create(visit)),
        ("edit", lambda: parts.edit(visit, chosen)),
        ("compare", lambda: parts.compare(visit)),
        ("videos", lambda: videos(visit, fake)),
        ("cluster", lambda: parts.cluster(visit)),
        ("failure", lambda: failure(visit, fake)),
    ]


@pytest.mark.parametrize("look", LOOKS)
def test_every_part_can_be_read_and_fits_its_window(
    visits: Callable[..., Visit], fake: Fake, pytestconfig: pytest.Config, look: str
) -> None:
    fake.script.status = STATUS
    visit = visits(**LOOKS[look])
    visit.open(fake.url)
    for part, show in steps(visit, fake):
        show()
        assert visit.page.evaluate(MEASURE) == [], part
        assert (
            visit.page.evaluate("document.documentElement.scrollWidth - window.innerWidth") == 0
        ), part
        wanted = look in PHOTOGRAPHED and part in ("videos", "cluster")
        if pytestconfig.getoption("--write-docs") and wanted:
            parts.photograph(visit, f"studio-{part}{look}")


def test_on_a_phone_the_picture_comes_into_view_and_every_button_is_large_enough(
    visits: Callable[..., Visit], fake: Fake
) -> None:
    visit = visits(**LOOKS["-phone"])
    visit.open(fake.url)
    parts.create(visit)
    expect(visit.panel.get_by_role("img", name=parts.PROMPT)).to_be_in_viewport(ratio=0.9)
    expect(visit.panel.get_by_role("button", name="Generate")).to_be_in_viewport(ratio=1)
    for button in visit.page.locator("button:visible:not(.link), .button:visible").all():
        box = button.bounding_box()
        assert box is not None
        assert min(box["width"], box["height"]) >= 38, button.inner_text()


FOCUS = """() => {
    const focused = document.activeElement;
    if (focused === document.body) return null;
    const shown = focused.closest(".tier-row") ?? focused;
    const { outlineStyle, outlineWidth } = getComputedStyle(shown);
    return [focused.outerHTML, `${outlineStyle} ${outlineWidth}`];
}"""


def test_what_has_the_focus_is_seen_to_have_it(visit: Visit, fake: Fake) -> None:
    visit.open(fake.url)
    visit.page.keyboard.press("Tab")
    seen = {}
    while focused := visit.page.evaluate(FOCUS):
        seen |= [focused]
        visit.page.keyboard.press("Tab")
    assert len(seen) > 10
    assert set(seen.values()) == {"solid 2px"}, seen
