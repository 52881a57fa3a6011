"""What is done next with a node that drains, and what of ours is known to run there."""

from __future__ import annotations

import pytest

from cluster.draining import Patience, Step, name_of

PATIENCE = Patience(deadline_s=840, replace_s=300)
LEFT = ("pool-shapes-cpu abc",)


def test_a_node_is_drained_when_nothing_is_left_however_late() -> None:
    for waited_s in (0, 299, 840, 2000):
        assert PATIENCE.next_step((), waited_s, finishing=False) is Step.DRAINED


def test_replicas_take_work_while_others_are_started_then_finish_then_are_given_up() -> None:
    told = [PATIENCE.next_step(LEFT, waited_s, finishing=False) for waited_s in (0, 299.9, 300)]
    assert told == [Step.WAIT, Step.WAIT, Step.FINISH]
    told = [PATIENCE.next_step(LEFT, waited_s, finishing=True) for waited_s in (300, 839.9, 840)]
    assert told == [Step.WAIT, Step.WAIT, Step.GIVE_UP]


def test_half_of_a_short_deadline_is_left_to_finish_in() -> None:
    assert Patience(deadline_s=60, replace_s=300).finish_after_s == 30
    assert Patience(deadline_s=60, replace_s=0).next_step(LEFT, 0, finishing=False) is Step.FINISH


@pytest.mark.parametrize(
    ("actor", "kind", "told", "name"),
    [
        (
            "SERVE_REPLICA::dit-serve#pool-a-b#x1",
            "ServeReplica:dit-serve:pool-a-b",
            "",
            "pool-a-b x1",
        ),
        ("SERVE_PROXY_ACTOR-0f3a", "ProxyActor", "", "HTTP proxy"),
        ("", "RankWorker", "a/b x1 rank 2", "a/b x1 rank 2"),
        ("", "RankWorker", "", "rank"),
        ("SERVE_CONTROLLER_ACTOR", "ServeController", "", None),
        ("trainer", "Trainer", "", None),
    ],
)
def test_actors_of_ours_have_names_that_an_operator_knows(
    actor: str, kind: str, told: str, name: str | None
) -> None:
    assert name_of(actor, kind, told) == name
