"""A job whose output was corrupt goes to another replica where one runs, and to the same else."""

from __future__ import annotations

from dataclasses import replace

from cluster.routing import Dispatch
from cluster.scheduler import Scheduler
from tests.unit.cluster.by_hand import id_of, scheduler, sent
from tests.unit.cluster.jobs import job
from tests.unit.cluster.pools import NONE, ULTRA, TableCosts, model_of, pool


def refused(it: Scheduler, dispatch: Dispatch, now_s: float) -> None:
    """What that replica made was corrupt: the job is put back, and the replica stays busy."""
    waiting = dispatch.waiting
    it.put_back(
        replace(waiting, attempts=1, avoids=waiting.avoids | {dispatch.replica}),
        now_s,
    )


def begun(it: Scheduler) -> Dispatch:
    it.arrive(job("a", tier_requested="none"), 0.0)
    return sent(it)


def test_it_waits_for_the_other_replica_though_its_own_is_free_again():
    it = scheduler(p=2)
    first = begun(it)
    it.arrive(job("busy", tier_requested="none"), 0.0)
    other = sent(it)
    refused(it, first, 1.0)
    it.finished(first, 1.5)
    assert it.next_dispatch(1.5) is None
    it.finished(other, 8.0)
    again = sent(it, 8.0)
    assert (id_of(again), again.replica) == ("a", other.replica)


def test_the_replica_that_it_avoids_serves_others_meanwhile():
    it = scheduler(p=2)
    first = begun(it)
    it.arrive(job("busy", tier_requested="none"), 0.0)
    sent(it)
    refused(it, first, 1.0)
    it.finished(first, 1.5)
    it.arrive(job("b", tier_requested="none"), 2.0)
    next_one = sent(it, 2.0)
    assert (id_of(next_one), next_one.replica) == ("b", first.replica)


def test_it_goes_before_those_that_came_after_it():
    it = scheduler(p=2)
    first = begun(it)
    for name in ("b", "c"):
        it.arrive(job(name, tier_requested="none", deadline_s=60.0), 0.0)
    other = sent(it)
    refused(it, first, 1.0)
    it.finished(other, 8.0)
    assert id_of(it.next_dispatch(8.0)) == "a"


def test_the_only_replica_gets_it_again_once_it_is_free():
    it = scheduler(p=1)
    first = begun(it)
    refused(it, first, 1.0)
    assert it.next_dispatch(1.0) is None
    it.finished(first, 2.0)
    assert sent(it, 2.0).replica == first.replica


def test_the_one_that_stands_in_for_a_dead_replica_gets_it():
    it = scheduler(p=1)
    first = begun(it)
    refused(it, first, 1.0)
    it.replicas_changed("p", [], 1.1)
    it.finished(first, 1.1)
    it.replicas_changed("p", ["new"], 9.0)
    assert sent(it, 9.0).replica == "new"


def test_it_does_not_wait_for_another_that_has_left():
    it = scheduler(p=2)
    first = begun(it)
    it.arrive(job("busy", tier_requested="none"), 0.0)
    sent(it)
    refused(it, first, 1.0)
    it.finished(first, 1.5)
    it.replicas_changed("p", [first.replica], 2.0)
    assert (id_of(it.next_dispatch(2.0))) == "a"


def test_where_all_have_made_it_corrupt_any_may_try_again():
    it = scheduler(p=2)
    first = begun(it)
    refused(it, first, 1.0)
    second = sent(it, 1.0)
    assert second.replica != first.replica
    refused(it, second, 2.0)
    it.finished(first, 2.5)
    assert sent(it, 2.5).replica == first.replica


def test_another_pool_that_would_do_is_elsewhere_too():
    model = model_of(pool("one", [NONE]), pool("two", [NONE, ULTRA]), default_tier="none")
    it = scheduler(model, TableCosts({"one": 4.0}), one=1, two=1)
    first = begun(it)
    assert first.pool == "one"
    refused(it, first, 1.0)
    assert sent(it, 1.0).pool == "two"


def test_a_job_that_is_given_up_while_it_waits_elsewhere_is_gone():
    it = scheduler(p=2)
    first = begun(it)
    it.arrive(job("busy", tier_requested="none"), 0.0)
    other = sent(it)
    refused(it, first, 1.0)
    assert it.leave("a") is not None
    it.finished(other, 8.0)
    assert (len(it), it.next_dispatch(8.0)) == (0, None)
