"""The plot of a table is a picture that a browser shows, with every tier in it."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from deployments.frontier_plot import frontier_plot
from tests.unit.cluster.measured import row

SVG = "{http://www.w3.org/2000/svg}"
ROWS = [
    row("none", speed_up=1.0, psnr_db=None),
    row("slow", speed_up=1.4, psnr_db=60.0),
    row("fast", speed_up=1.9, psnr_db=45.0),
    row("fast", speed_up=2.4, psnr_db=47.0, steps=50),
]


def drawn(rows: list) -> ElementTree.Element:
    return ElementTree.fromstring(frontier_plot(rows, "a <card>"))


def texts(plot: ElementTree.Element) -> list[str | None]:
    return [text.text for text in plot.iter(f"{SVG}text")]


def test_every_tier_that_differs_from_none_is_a_dot_with_its_name():
    plot = drawn(ROWS)
    assert len(list(plot.iter(f"{SVG}circle"))) == 3
    assert texts(plot).count("fast") == 2
    assert texts(plot).count("slow") == 1
    assert "none" not in texts(plot)


def test_faster_is_right_and_more_faithful_is_up():
    slow, fast, _ = drawn(ROWS).iter(f"{SVG}circle")
    assert float(slow.attrib["cx"]) < float(fast.attrib["cx"])
    assert float(slow.attrib["cy"]) < float(fast.attrib["cy"])


def test_each_work_is_named_and_the_title_may_hold_anything():
    shown = texts(drawn(ROWS))
    assert "a <card>" in shown
    assert "shapes/cpu 128x128, 28 steps" in shown
    assert "shapes/cpu 128x128, 50 steps" in shown


@pytest.mark.parametrize("speed_up", [0.4, 1.0, 12.0])
@pytest.mark.parametrize("psnr_db", [8.0, 45.0, 99.0])
def test_everything_is_inside_the_picture(speed_up: float, psnr_db: float):
    plot = drawn([row(speed_up=speed_up, psnr_db=psnr_db), row(speed_up=1.1, psnr_db=50.0)])
    for dot in plot.iter(f"{SVG}circle"):
        assert 0 < float(dot.attrib["cx"]) < float(plot.attrib["width"])
        assert 0 < float(dot.attrib["cy"]) < float(plot.attrib["height"])


def test_a_table_of_equal_pictures_has_axes_and_no_dots():
    assert list(drawn(ROWS[:1]).iter(f"{SVG}circle")) == []
