"""May a job come in: is there room, and can its deadline be promised?"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from operator import attrgetter

from cluster.errors import OutOfReach
from cluster.pool_line import PoolLine
from cluster.queue import Waiting

LONGEST_S = 7 * 86_400.0
"""No deadline beyond this is looked for."""

_HALVINGS = 30


def can_promise(
    waiting: Waiting,
    lines: Mapping[str, PoolLine],
    parts_s: Mapping[str, float],
    now_s: float,
    usable_share: float,
) -> bool:
    """Can this deadline be kept at the least acceptable tier, with all promises that were made?

    `lines` are the pools that may serve it. With one pool, jobs of one priority, no late ones and
    no share to leave, False is certain: the work that must be done by some deadline is more than
    its replicas can do by then, or no replica is free in time. (With several pools the work of each
    job is divided among them in advance, by `parts_s`, or all given to one: a better division may
    exist.) True is not certain: jobs cannot be cut to fill every gap.
    """
    in_time = [
        name
        for name, line in lines.items()
        if line.replicas.first_free_s(now_s) + waiting.offers[name].least_s <= waiting.due_s
    ]
    if not in_time:
        return False
    if all(
        lines[name].has_room_for(waiting, part_s, now_s, usable_share)
        for name, part_s in parts_s.items()
    ):
        return True
    return len(parts_s) > 1 and any(
        lines[name].has_room_for(waiting, waiting.offers[name].least_s, now_s, usable_share)
        for name in in_time
    )


def out_of_reach(
    waiting: Waiting,
    lines: Mapping[str, PoolLine],
    parts_s: Mapping[str, float],
    now_s: float,
    usable_share: float,
) -> OutOfReach:
    """The refusal of a deadline that cannot be promised, with the least one that could be."""

    def promised(deadline_s: float) -> bool:
        later = replace(waiting, due_s=now_s + deadline_s)
        return can_promise(later, lines, parts_s, now_s, usable_share)

    asked_s = waiting.due_s - now_s
    least = max((offer.tiers[-1] for offer in waiting.offers.values()), key=attrgetter("rank"))
    asked = f"deadline_ms: {1000 * asked_s:.0f} ms is out of reach even in {least}"
    out_s, in_s = asked_s, 2 * asked_s
    while not promised(in_s):
        out_s, in_s = in_s, 2 * in_s
        if in_s > LONGEST_S:
            return OutOfReach(
                f"{asked}, and so is any other now", param="deadline_ms", retry_after_s=60.0
            )
    for _ in range(_HALVINGS):
        middle_s = (out_s + in_s) / 2
        out_s, in_s = (out_s, middle_s) if promised(middle_s) else (middle_s, in_s)
        if in_s - out_s < 0.01 * in_s:
            break
    return OutOfReach(
        f"{asked}; the earliest is {math.ceil(1000 * in_s)} ms "
        "(late: accept waits without a promise)",
        param="deadline_ms",
        retry_after_s=max(1.0, in_s - asked_s),
        earliest_feasible_s=math.ceil(1000 * in_s) / 1000,
    )
