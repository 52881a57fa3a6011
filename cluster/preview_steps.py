"""After which steps a preview is shown, and whether it is worth its time. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median

PREVIEW_SHARE = 0.04
"""Of the seconds of denoising: the most that previews may take.

Less than the 0.05 by which they may slow a group down: the step after one finds cold caches, which
made 0.05 of the embedded model's time 0.056 (`benchmarks.previews`).
"""

EARLIEST_STEP = 2
"""The prediction of a finished picture needs the latents after two steps."""

RECENT_S = 60.0
"""How long a cost is taken for what the next preview will take as well."""

_KEPT = 5


@dataclass(frozen=True, slots=True)
class Choice:
    """The scale by which the latents of a preview are averaged down; None for no preview now."""

    scale: int | None
    reason: str


@dataclass(frozen=True, slots=True)
class PreviewPlan:
    """The previews of one picture of so many steps, and after which of them they are planned."""

    steps: int
    planned: tuple[int, ...]

    def is_due(self, steps_done: int, shown_after: int) -> bool:
        """Whether one is due after a step; the last was shown after `shown_after`, 0 for none.

        One that was put off stays due until the next is, whose place it then takes.
        """
        if not EARLIEST_STEP <= steps_done < self.steps:
            return False
        return any(shown_after < step <= steps_done for step in self.planned)


def plan_previews(steps: int, wanted: int) -> PreviewPlan:
    """At most `wanted` previews, evenly over the schedule.

    None is right at its beginning, where there is nothing to see, and none after the last step,
    where the picture itself comes.
    """
    evenly = (round(steps * number / (wanted + 1)) for number in range(1, wanted + 1))
    later = {max(EARLIEST_STEP, step) for step in evenly}
    return PreviewPlan(steps, tuple(sorted(step for step in later if step < steps)))


def choose_scale(costs_s: Mapping[int, float], spent_s: float, denoised_s: float) -> Choice:
    """The finest preview that keeps all previews within their share of the time.

    `costs_s` are the seconds of one by its scale, 1 for full size. `spent_s` went into previews of
    this picture so far, and `denoised_s` into denoising.
    """
    if not costs_s:
        return Choice(None, "what one takes is not known: none was made yet")
    left_s = PREVIEW_SHARE * denoised_s - spent_s
    for scale, cost_s in sorted(costs_s.items()):
        if cost_s <= left_s:
            return Choice(scale, f"it takes {cost_s:.3f} s of {left_s:.3f} s")
    least_s = min(costs_s.values())
    return Choice(
        None,
        f"it would take {least_s:.3f} s, and {max(left_s, 0.0):.3f} s are left of "
        f"{PREVIEW_SHARE:.0%} of {denoised_s:.3f} s",
    )


class PreviewCost:
    """What previews of one scale take, in seconds a pixel."""

    def __init__(self) -> None:
        self._lately: deque[tuple[float, float]] = deque(maxlen=_KEPT)
        self._least: float | None = None

    def learn(self, seconds_a_pixel: float, now_s: float) -> None:
        """Takes the cost of one that was made."""
        self._lately.append((now_s, seconds_a_pixel))
        self._least = min(seconds_a_pixel, self._least or seconds_a_pixel)

    def expected(self, now_s: float) -> float | None:
        """What the next will take: as lately, so as busy as the machine is now.

        When none was made for a while, perhaps since they had become too dear, it is the least ever
        known, so that they are tried again. None where none was made yet.
        """
        lately = [cost for at_s, cost in self._lately if now_s - at_s <= RECENT_S]
        return median(lately) if lately else self._least
