"""A refusal is right: whoever is refused could not have been served in time, in any order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.errors import OutOfReach
from cluster.scheduler import Scheduler
from cluster.tiers import Tier
from tests.unit.cluster.jobs import job
from tests.unit.cluster.pools import STEP_S, TableCosts, model_of, pool

cases = st.tuples(
    st.lists(st.integers(1, 16), min_size=1, max_size=3),
    st.lists(
        st.tuples(st.integers(1, 16), st.sampled_from(Tier), st.integers(1, 60)),
        min_size=1,
        max_size=6,
    ),
)


def can_all_be_kept(jobs: Sequence[tuple[float, float]], free_s: Sequence[float]) -> bool:
    """By trying all orders; each next job goes to the replica that is free first.

    Jobs are (seconds, deadline). Whatever schedule keeps all deadlines has an order of beginnings,
    and to take the first free replica for each in that order begins none of them later.
    """
    if not jobs:
        return True
    first_s, *others = sorted(free_s)
    return any(
        first_s + seconds <= due_s
        and can_all_be_kept([*jobs[:number], *jobs[number + 1 :]], [first_s + seconds, *others])
        for number, (seconds, due_s) in enumerate(jobs)
    )


@given(cases)
@settings(max_examples=200)
def test_a_refused_deadline_could_not_have_been_kept_in_any_order(case: Any):
    busy_until, asked = case
    scheduler = Scheduler(model_of(pool("p")), TableCosts())
    scheduler.replicas_changed("p", [str(number) for number in range(len(busy_until))], 0.0)
    for number, seconds in enumerate(busy_until):
        busy = job(f"busy {number}", tier_requested="none", num_inference_steps=seconds)
        scheduler.arrive(busy, 0.0)
        scheduler.next_dispatch(0.0)
    promised: list[tuple[float, float]] = []
    for number, (steps, floor, quarters) in enumerate(asked):
        wish = {"num_inference_steps": steps, "min_tier": floor}
        this = steps * STEP_S[floor], quarters / 4
        refusal = scheduler.arrive(job(str(number), deadline_s=this[1], **wish), 0.0)
        if refusal is None:
            promised.append(this)
            continue
        assert isinstance(refusal, OutOfReach)
        assert not can_all_be_kept([*promised, this], busy_until)
        earliest_s = refusal.earliest_feasible_s
        assert earliest_s is not None
        sooner = scheduler.arrive(job("sooner", deadline_s=0.98 * earliest_s, **wish), 0.0)
        assert isinstance(sooner, OutOfReach)
        assert scheduler.arrive(job("then", deadline_s=earliest_s, **wish), 0.0) is None
        scheduler.leave("then")
