"""When a preview is planned, due, and worth its time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.preview_steps import (
    PREVIEW_SHARE,
    RECENT_S,
    PreviewCost,
    choose_scale,
    plan_previews,
)


@pytest.mark.parametrize(
    ("steps", "wanted", "planned"),
    [
        (28, 1, (14,)),
        (28, 2, (9, 19)),
        (28, 3, (7, 14, 21)),
        (4, 3, (2, 3)),
        (3, 3, (2,)),
        (2, 3, ()),
        (1, 1, ()),
        (28, 0, ()),
    ],
)
def test_previews_are_spread_over_the_schedule(
    steps: int, wanted: int, planned: tuple[int, ...]
) -> None:
    assert plan_previews(steps, wanted).planned == planned


@given(steps=st.integers(1, 200), wanted=st.integers(0, 3))
def test_none_is_planned_before_it_can_be_predicted_or_after_the_picture(
    steps: int, wanted: int
) -> None:
    plan = plan_previews(steps, wanted)
    assert len(plan.planned) <= wanted
    assert all(2 <= step < steps for step in plan.planned)


@given(
    steps=st.integers(1, 60),
    wanted=st.integers(0, 3),
    affordable=st.lists(st.booleans(), min_size=60, max_size=60),
)
def test_however_long_they_are_put_off_there_are_no_more_than_wanted(
    steps: int, wanted: int, affordable: list[bool]
) -> None:
    plan = plan_previews(steps, wanted)
    shown: list[int] = []
    for step in range(1, steps + 1):
        if plan.is_due(step, max(shown, default=0)) and affordable[step - 1]:
            shown.append(step)
    assert len(shown) <= wanted
    assert steps not in shown
    if all(affordable[:steps]):
        assert tuple(shown) == plan.planned


def test_one_that_was_put_off_gives_way_to_the_next() -> None:
    plan = plan_previews(28, 3)
    assert [step for step in range(1, 29) if plan.is_due(step, 0)] == list(range(7, 28))
    assert not plan.is_due(15, shown_after=15)
    assert not plan.is_due(20, shown_after=15)
    assert plan.is_due(21, shown_after=15)


@pytest.mark.parametrize(
    ("spent_s", "denoised_s", "scale", "reason"),
    [
        (0.0, 1.0, 2, "it takes 0.020 s of 0.040 s"),
        (0.0, 2.0, 1, "it takes 0.080 s of 0.080 s"),
        (0.03, 1.0, None, "it would take 0.020 s, and 0.010 s are left of 4% of 1.000 s"),
        (0.2, 1.0, None, "it would take 0.020 s, and 0.000 s are left of 4% of 1.000 s"),
    ],
)
def test_the_finest_that_fits_its_share_of_the_time_is_chosen(
    spent_s: float, denoised_s: float, scale: int | None, reason: str
) -> None:
    choice = choose_scale({1: 0.08, 2: 0.02}, spent_s, denoised_s)
    assert (choice.scale, choice.reason) == (scale, reason)


def test_what_is_of_unknown_cost_is_not_made() -> None:
    choice = choose_scale({}, spent_s=0.0, denoised_s=100.0)
    assert (choice.scale, choice.reason) == (
        None,
        "what one takes is not known: none was made yet",
    )


@given(
    costs_s=st.dictionaries(st.sampled_from((1, 2)), st.floats(0.001, 1), min_size=1),
    denoised_s=st.floats(0, 100),
    spent_s=st.floats(0, 10),
)
def test_previews_never_take_more_than_their_share(
    costs_s: dict[int, float], denoised_s: float, spent_s: float
) -> None:
    choice = choose_scale(costs_s, spent_s, denoised_s)
    if choice.scale is not None:
        assert spent_s + costs_s[choice.scale] <= PREVIEW_SHARE * denoised_s + 1e-9


def test_a_preview_takes_what_the_last_ones_took() -> None:
    cost = PreviewCost()
    assert cost.expected(now_s=0.0) is None
    for number, seconds in enumerate((1.0, 9.0, 2.0, 3.0, 4.0, 5.0)):
        cost.learn(seconds, now_s=float(number))
    assert cost.expected(now_s=6.0) == 4.0


def test_what_was_too_dear_is_tried_again_after_a_while() -> None:
    cost = PreviewCost()
    cost.learn(1.0, now_s=0.0)
    for number in range(5):
        cost.learn(50.0, now_s=100.0 + number)
    assert cost.expected(now_s=110.0) == 50.0
    assert cost.expected(now_s=105.0 + RECENT_S) == 1.0
