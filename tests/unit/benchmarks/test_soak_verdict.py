"""What a soak must show, and how processes are told apart by their command lines."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from benchmarks.growth import Slope
from benchmarks.process_sizes import Sample, Size, Total, by_role, memory_slopes, role_of
from benchmarks.soak_callers import Came, Heard
from benchmarks.soak_table import table
from benchmarks.soak_verdict import AtRest, Soak, faults

REST = AtRest(
    {"gateway": Total(frozenset({7}), 200.0, 50, 30)}, {"actor Proxy": 1, "placement groups": 2}
)
GOOD = Soak(
    minutes=20.0,
    heard=Heard({"edit": Came(100)}, Counter({200: 100}), 5.0),
    before=REST,
    after=REST,
    samples=[],
    memory={"gateway": Slope(0.2, 0.1, 0.3)},
)


def gateway(pid: int = 7, files: int = 50) -> AtRest:
    return replace(REST, totals={"gateway": Total(frozenset({pid}), 200.0, files, 30)})


def test_a_good_run_has_no_fault() -> None:
    assert faults(GOOD) == []


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"memory": {"gateway": Slope(1.5, 1.2, 1.8)}}, "gateway grows by 1.50 MB a minute"),
        ({"after": gateway(files=60)}, "gateway: 60 open files after 50"),
        ({"after": gateway(pid=8)}, "gateway: not the same processes"),
        ({"after": replace(REST, totals={})}, "gateway: not the same processes"),
        ({"after": replace(REST, living={"actor Proxy": 2})}, "in Ray lives"),
        ({"heard": Heard({"edit": Came(9, 1, ["edit: 500"])}, Counter(), 5.0)}, "edit: 500"),
    ],
)
def test_each_bar_that_is_missed_has_its_sentence(change: dict[str, object], sentence: str) -> None:
    soak = replace(GOOD, **change)  # type: ignore[arg-type]
    (found,) = faults(soak)
    assert sentence in found
    assert found in table(soak)


@pytest.mark.parametrize(
    ("command", "role"),
    [
        ("ray::ServeReplica:dit-serve:gateway.handle_request", "gateway"),
        ("ray::ServeReplica:dit-serve:router-shapes", "router-shapes"),
        ("ray::ServeReplica:dit-serve:pool-shapes-cpu.generate", "pool-shapes-cpu"),
        ("ray::RankWorker.run", "rank"),
        ("ray::ProxyActor", "Serve's proxy"),
        ("/x/ray/core/src/ray/raylet/raylet --raylet_socket_name=/y", "raylet"),
        ("ray::IDLE", None),
    ],
)
def test_a_process_is_known_by_its_command_line(command: str, role: str | None) -> None:
    assert role_of(command) == role


def test_sizes_are_summed_by_role_and_ours_come_first() -> None:
    found = by_role(
        [Size(1, "raylet", 10, 5, 5), Size(2, "gateway", 100, 20, 9), Size(3, "gateway", 50, 1, 1)]
    )
    assert list(found) == ["gateway", "raylet"]
    assert found["gateway"] == Total(frozenset({2, 3}), 150, 21, 10)


def test_slopes_are_of_the_roles_that_were_there_all_along_from_a_minute_on() -> None:
    samples = [
        Sample(
            minute,
            {
                "gateway": Total(frozenset({1}), 50.0 * minute if minute < 5 else 250.0, 1, 1),
                **({"rank": Total(frozenset({2}), 9.0, 1, 1)} if minute != 7 else {}),
            },
        )
        for minute in range(10)
    ]
    slopes = memory_slopes(samples, 5.0)
    assert list(slopes) == ["gateway"]
    assert slopes["gateway"].a_minute == 0.0
