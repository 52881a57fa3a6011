"""Puts a real cluster under faults and load, and looks whether it keeps its promises.

Two Ray nodes run the embedded model in two pools of two ranks each (fake GPUs, gloo), a tiny
pipeline for clips, two gateways, keys and jobs in PostgreSQL. While requests come at random times
(pictures, some with deadlines, streams, stored pictures, clips), faults are made one after the
other, in an order drawn from the seed, each once all is back after the one before.

    python -m benchmarks.chaos --out out/chaos.json
    python -m benchmarks.chaos --minutes 2 --faults rank-kill,router-stop --out out/chaos.json

Every request must be answered once: with the picture of the run before the first fault, byte by
byte, or with a documented refusal. No one may hang. At the end as many processes, actors and
placement groups must be there as at the beginning. Exits with 1, and says what is wrong, if not.
With --write the table goes into docs/reliability.md.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from benchmarks import chaos_report, evidence
from benchmarks.chaos_cluster import Stage, stage
from benchmarks.chaos_faults import Fault, faults, lives, missing
from benchmarks.chaos_load import ALL, Caller, Load, Mix
from benchmarks.chaos_report import Run
from benchmarks.chaos_verdict import Shape, Struck, first_right_s
from benchmarks.machine import load_average
from deployments.launch import stop_on_signals

LOOK_S = 0.5
CALM_S = 3.0

LAST_ANSWER_S = 90.0
"""How long the load goes on after the last fault, for an answer of the kind that suffered."""

UNNOTICED_S = 120.0
"""A process that is stopped and lives after this is let go on, and that is told."""

BACK_S = 240.0
"""A fault after which not all is back for so long ends the run."""

SETTLE_S = 60.0


@dataclass(frozen=True)
class Plan:
    """Which faults, under which load. No fault is begun after `minutes` or so many `rounds`.

    `calm_s` passes between the end of one fault and the next, and before the first.
    """

    seed: int
    names: Sequence[str]
    mix: Mix
    per_s: float
    minutes: float
    rounds: int
    calm_s: float = CALM_S


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs, prints, writes; 1 if a promise was broken."""
    options = _parser().parse_args(arguments)
    plan = Plan(options.seed, options.faults, ALL, options.rate, options.minutes, options.rounds)
    stop_on_signals()
    with tempfile.TemporaryDirectory(prefix="chaos-") as name, stage(Path(name)) as running:
        run = under_faults(running, plan)
    found = run.broken()
    where = evidence.where(("ray", "torch"))
    text = chaos_report.part(run, where)
    print(text)
    document = chaos_report.record(run, where)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    for sentence in found:
        print(f"BROKEN: {sentence}")
    if options.write and not found:
        evidence.write_part(chaos_report.PART, text)
    return 1 if found else 0


def under_faults(running: Stage, plan: Plan) -> Run:
    """Draws the references, then makes faults under load until the time is over."""
    references = _undisturbed(running, plan.mix)
    before = running.inventory()
    every = faults()
    why = {name: missing(every[name], running) for name in plan.names}
    not_made = {name: reason for name, reason in why.items() if reason is not None}
    can = {name: every[name] for name in plan.names if why[name] is None}
    chance = random.Random(plan.seed)
    load = Load(running.server.url, running.key, plan.mix.asks(plan.seed, plan.per_s))
    struck: list[Struck] = []
    load.begin()
    for name, fault in _schedule(can, chance, plan.rounds):
        time.sleep(plan.calm_s)
        if load.now_s() > 60 * plan.minutes:
            break
        struck.append(_one(running, load, name, fault, chance, before))
        print(f"{load.now_s():6.1f} s  {_in_short(struck[-1])}", flush=True)
        if struck[-1].back_s is None:
            break
    _let_each_be_answered(load, struck, references)
    seconds = load.now_s()
    sent, answers = load.end()
    return Run(
        seed=plan.seed,
        seconds=seconds,
        per_s=plan.per_s,
        sent=sent,
        answers=answers,
        struck=struck,
        references=references,
        before=before,
        after=_settled(running, before),
        not_made=not_made
        | dict.fromkeys(set(can) - {s.fault for s in struck}, "the time was over"),
        load_average=load_average(),
    )


def _let_each_be_answered(
    load: Load, struck: Sequence[Struck], references: Mapping[Shape, str]
) -> None:
    """Returns when a right answer has come after each fault, or after `LAST_ANSWER_S`."""
    over_s = load.now_s() + LAST_ANSWER_S
    while load.now_s() < over_s:
        answers = load.answers()
        if all(first_right_s(fault, answers, references) is not None for fault in struck):
            return
        time.sleep(1.0)


def _undisturbed(running: Stage, mix: Mix) -> dict[Shape, str]:
    """The digest of every picture and clip that the load will ask for."""
    caller = Caller(running.server.url, running.key)
    found = {}
    for ask in mix.each():
        answer = caller.ask(ask)
        assert answer.shape is not None, answer
        found[answer.shape] = answer.digest
    return found


def _schedule(
    can: Mapping[str, Fault], chance: random.Random, rounds: int
) -> Iterator[tuple[str, Fault]]:
    """Rounds of all faults, in a new order each."""
    for _ in range(rounds):
        names = sorted(can)
        chance.shuffle(names)
        yield from ((name, can[name]) for name in names)


def _one(
    running: Stage,
    load: Load,
    name: str,
    fault: Fault,
    chance: random.Random,
    before: Mapping[str, int],
) -> Struck:
    """Makes a fault and watches until all is back."""
    wanted = {kind: count for kind, count in before.items() if not kind.endswith("in Ray")}
    began_s = load.now_s()
    strike = fault.strike(running, chance)
    gone_s, undone, note = None, strike.undo is None, strike.note
    while (took_s := load.now_s() - began_s) < BACK_S:
        if strike.victims and gone_s is None and not any(map(lives, strike.victims)):
            gone_s = load.now_s()
        if not undone and took_s >= strike.held_s:
            assert strike.undo is not None
            strike.undo()
            undone = True
        if undone and (gone_s or not strike.victims) and running.running() == wanted:
            return _told(name, fault, began_s, gone_s, load.now_s(), strike.hits, note)
        if gone_s is None and undone and took_s > UNNOTICED_S and not note:
            note = f"not noticed in {UNNOTICED_S:.0f} s, then let go on"
            for pid in strike.victims:
                with suppress(ProcessLookupError):
                    _go_on(pid)
            strike.victims = ()
        time.sleep(LOOK_S)
    differs = {kind: now for kind, now in running.running().items() if wanted.get(kind) != now}
    note = f"{note} {differs} where {wanted} is wanted"
    return _told(name, fault, began_s, gone_s, None, strike.hits, note)


def _told(
    name: str,
    fault: Fault,
    began_s: float,
    gone_s: float | None,
    back_s: float | None,
    hits: str,
    note: str,
) -> Struck:
    return Struck(name, fault.what, began_s, gone_s, back_s, fault.cuts, hits, note)


def _in_short(struck: Struck) -> str:
    def after(moment_s: float | None) -> str:
        return "-" if moment_s is None else f"{moment_s - struck.began_s:.1f} s"

    gone, back = after(struck.gone_s), after(struck.back_s)
    return f"{struck.fault}: gone {gone}, back {back} {struck.hits} {struck.note}".rstrip()


def _go_on(pid: int) -> None:
    os.kill(pid, signal.SIGCONT)


def _settled(running: Stage, before: Mapping[str, int]) -> dict[str, int]:
    """What runs without load, once it is what ran before, or after a while."""
    give_up_s = time.monotonic() + SETTLE_S
    while (now := running.inventory()) != before and time.monotonic() < give_up_s:
        time.sleep(LOOK_S)
    return now


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.chaos",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="faults:\n"
        + "\n".join(f"  {name:16} {fault.what}" for name, fault in faults().items()),
    )
    parser.add_argument("--seed", type=int, default=1, help="of faults and load (default: 1)")
    parser.add_argument(
        "--rounds", type=int, default=1, help="how often each fault is made (default: 1)"
    )
    parser.add_argument(
        "--minutes", type=float, default=15, help="after which no fault is begun (default: 15)"
    )
    parser.add_argument(
        "--faults", type=_names, default=list(faults()), help="names by commas (default: all)"
    )
    parser.add_argument("--rate", type=float, default=0.6, help="requests a second (default: 0.6)")
    parser.add_argument("--out", type=Path, required=True, help="the JSON file to write")
    parser.add_argument(
        "--write", action="store_true", help="put the table into docs/reliability.md if all is kept"
    )
    return parser


def _names(text: str) -> list[str]:
    names = text.split(",")
    if wrong := [name for name in names if name not in faults()]:
        raise argparse.ArgumentTypeError(
            f"no fault is named {wrong[0]!r}; there are {', '.join(faults())}"
        )
    return names


if __name__ == "__main__":
    sys.exit(main())
