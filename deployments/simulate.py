"""What `dit-serve simulate` runs: its traces, replicas and policies, and its files."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from cluster.config import ClusterConfig
from cluster.errors import ConfigError
from cluster.simulator.comparison import summaries
from cluster.simulator.fleet import Fleet, equal_replicas, fleet_of
from cluster.simulator.policies import check_policy_name
from cluster.simulator.results import RunResult
from cluster.simulator.study import run_policy
from cluster.simulator.trace_files import RecordedTrace, read_trace, trace_lines
from cluster.simulator.trace_names import parse_trace_name
from cluster.simulator.traces import Trace

DEFAULT_REPLICAS = 8
DEFAULT_TRACES = ("poisson:C",)
DEFAULT_POLICIES = ("ours", "power-of-two", "fifo", "edf-hopeless-last")


@dataclass(frozen=True)
class PlannedRun:
    """A policy on the trace of one seed."""

    label: str
    trace: Trace
    policy: str
    seed: int

    def result(self, fleet: Fleet, ended: Callable[[str, int], None]) -> RunResult:
        """Runs it; `ended(policy, requests)` is told how many more requests ended.

        Raises:
            ConfigError: the trace asks for what the model does not serve.
        """
        told = partial(ended, self.policy)
        return run_policy(self.label, self.trace, fleet, self.policy, self.seed, told)


def chosen_fleet(
    config: ClusterConfig | None, model: str | None, replicas: int | None, efficiency: float
) -> Fleet:
    """The pools of a model of the config, its first if none is named; else equal replicas.

    Raises:
        ConfigError: no such model.
    """
    if config is None:
        if model is not None:
            raise ConfigError("--model names a model of --config; give both")
        return equal_replicas(replicas or DEFAULT_REPLICAS)
    served = config.models[0] if model is None else config.model_named(model)
    if served is None:
        names = ", ".join(each.name for each in config.models)
        raise ConfigError(f"no model {model!r} in the config; the models are {names}")
    return fleet_of(served, efficiency, replicas)


def chosen_traces(texts: Sequence[str], requests: int, fleet: Fleet) -> dict[str, Trace]:
    """Traces by their texts: a file where there is one of that name, else as the text spells.

    Raises:
        ConfigError: a text is neither, or a file is wrong.
    """
    return {text: _chosen_trace(text, requests, fleet) for text in texts}


def planned_runs(
    traces: Mapping[str, Trace], policies: Sequence[str], seeds: int
) -> list[PlannedRun]:
    """Every policy on every trace with every seed; a trace from a file has one.

    Raises:
        ConfigError: no such policy.
    """
    for policy in policies:
        check_policy_name(policy)
    return [
        PlannedRun(label, trace, policy, seed)
        for label, trace in traces.items()
        for policy in dict.fromkeys(policies)
        for seed in range(1 if isinstance(trace, RecordedTrace) else seeds)
    ]


def save_trace(trace: Trace, path: Path) -> None:
    """Writes the requests of the first seed, to be read again or changed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as file:
        file.writelines(f"{line}\n" for line in trace_lines(trace, seed=0))


def save_runs(runs: Sequence[RunResult], path: Path) -> None:
    """Writes all runs, and their summaries by trace and policy."""
    document = {
        "runs": [
            asdict(run) | {"misses": run.misses, "attainment": run.attainment} for run in runs
        ],
        "summaries": [asdict(summary) for summary in summaries(runs)],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def _chosen_trace(text: str, requests: int, fleet: Fleet) -> Trace:
    path = Path(text)
    if not path.is_file():
        return parse_trace_name(text).trace(requests, fleet.capacity)
    try:
        with path.open(encoding="utf-8") as lines:
            return read_trace(lines, text)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{text}: cannot be read: {error}") from error
