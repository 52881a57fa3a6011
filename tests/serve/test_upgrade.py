"""What is served changes under a steady load: nothing is lost, only what changed is replaced."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.serve.faults import until
from tests.serve.upgrades import (
    Change,
    SteadyLoad,
    another_pool,
    asked,
    changed,
    deployed,
    hashes,
    misspelt,
    other_tiers,
    refused,
    terminated,
    upgradable,
)

pytestmark = [pytest.mark.ray, pytest.mark.timeout(300)]

CALLERS = 4
GATEWAY_S = 30.0
"""How long a gateway may take to end when nobody calls it any more."""


@dataclass(frozen=True)
class Changes:
    """What happened, the one after the other; and the args before and after the first."""

    old: dict[str, Any]
    new: dict[str, Any]
    upgrade: Change
    bad: Change
    good_again: Change
    refusal: str
    gateway: Change
    gateway_ended_s: float
    router: Change
    replica: Change

    @property
    def all(self) -> tuple[Change, ...]:
        signals = (self.gateway, self.router, self.replica)
        return (self.upgrade, self.bad, self.good_again, *signals)


@pytest.fixture(scope="module")
def changes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Changes]:
    folder: Path = tmp_path_factory.mktemp("upgrade")
    with upgradable(folder) as (up, old):
        new = changed(changed(old, other_tiers), another_pool)
        with SteadyLoad(up.server, CALLERS) as load:
            upgrade = deployed(up, load, "tiers and a pool", new)
            bad = refused(up, load, "a bad config", changed(new, misspelt))
            refusal = up.status()["message"]
            good_again = deployed(up, load, "the good config again", new)
            gateways = set(up.server.replica_pids("gateway"))
            gateway = terminated(up, load, "gateway", comes_back=False)
            router = terminated(up, load, "router-shapes", comes_back=True)
            replica = terminated(up, load, "pool-shapes-careful", comes_back=True)
        ended = min(gateways)
        ended_s = until(lambda: ended not in up.server.replica_pids("gateway"), GATEWAY_S)
        with up.server.client() as client:
            assert not asked(client, "medium").fault
        yield Changes(
            old, new, upgrade, bad, good_again, refusal, gateway, ended_s, router, replica
        )


def test_every_request_is_answered(changes: Changes) -> None:
    for change in changes.all:
        assert change.faults == [], change.name
        assert {each.tier for each in change.answers} == {"none", "ultra"}, change.name


def test_each_answer_is_right_by_the_old_or_by_the_new_settings(changes: Changes) -> None:
    before, after = hashes(changes.old), hashes(changes.new)
    assert before["quick"] != after["quick"]
    assert {each for each, _ in changes.upgrade.made_by("none")} == {before["careful"]}
    made = changes.upgrade.made_by("ultra")
    assert {each for each, _ in made} == {before["quick"], after["quick"]}
    assert len(made) == 2, "each config has one picture"
    assert changes.replica.made_by("ultra") == {each for each in made if each[0] == after["quick"]}


def test_only_what_changed_is_replaced(changes: Changes) -> None:
    kept, now = changes.upgrade.kept, changes.upgrade.now
    assert (kept["pool-shapes-careful"], now["pool-shapes-careful"]) == (1, 1)
    assert (kept["pool-shapes-quick"], now["pool-shapes-quick"]) == (0, 1)
    assert (kept["pool-shapes-extra"], now["pool-shapes-extra"]) == (0, 1)


def test_a_pool_of_one_replica_has_one_all_the_time_where_there_is_room(changes: Changes) -> None:
    assert not changes.upgrade.without_s.keys() - {"extra"}


def test_a_bad_config_touches_nothing_and_says_what_is_wrong(changes: Changes) -> None:
    assert changes.bad.kept == changes.bad.now
    assert "args.models[0].pools[0]: unknown key tierz; did you mean tiers?" in changes.refusal
    assert changes.good_again.kept == changes.good_again.now


def test_a_terminated_process_finishes_or_hands_over(changes: Changes) -> None:
    assert changes.gateway_ended_s < GATEWAY_S
    assert changes.router.kept["router-shapes"] == 0
    assert changes.replica.kept["pool-shapes-careful"] == 0
    assert changes.replica.kept["pool-shapes-quick"] == 1
