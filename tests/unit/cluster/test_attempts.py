"""How often a job is tried, and what its caller is told in the end."""

from __future__ import annotations

from cluster.attempts import after_corrupt_output, after_death
from cluster.errors import EngineFailed, OutputCorrupt
from cluster.queue import Waiting
from tests.unit.cluster.jobs import waiting

CORRUPT = OutputCorrupt("corrupt output in tier fast: the latents after step 2 of 8 are no numbers")


def test_corrupt_output_is_made_again_elsewhere_until_the_attempts_are_used_up():
    job = waiting(1)
    for replica in ("r1", "r2"):
        again = after_corrupt_output(job, replica, CORRUPT, max_attempts=3)
        assert isinstance(again, Waiting)
        job = again
    assert (job.attempts, job.avoids) == (2, {"r1", "r2"})
    end = after_corrupt_output(job, "r1", CORRUPT, max_attempts=3)
    assert isinstance(end, OutputCorrupt)
    assert str(end) == f"{CORRUPT}; attempt 3 was the last, and nothing was sent"


def test_a_job_keeps_its_place_and_its_arrival_however_often_it_is_tried():
    first = waiting(1, due_s=5.0)
    again = after_corrupt_output(first, "r1", CORRUPT, max_attempts=2)
    assert isinstance(again, Waiting)
    assert (again.place, again.arrived_s) == (first.place, first.arrived_s)


def test_a_death_counts_as_an_attempt_and_the_last_one_says_so():
    again = after_death(waiting(1), max_attempts=2)
    assert isinstance(again, Waiting)
    assert (again.attempts, again.avoids) == (1, frozenset())
    end = after_death(again, max_attempts=2)
    assert isinstance(end, EngineFailed)
    assert str(end) == "2 replicas died on this request; it is not tried again"


def test_deaths_after_corrupt_output_are_not_told_as_deaths_alone():
    again = after_corrupt_output(waiting(1), "r1", CORRUPT, max_attempts=2)
    assert isinstance(again, Waiting)
    end = after_death(again, max_attempts=2)
    assert str(end) == (
        "2 attempts failed: 1 gave corrupt output, and a replica died; it is not tried again"
    )
