"""Requests a second over HTTP to replicas that do nothing: our path beside bare Ray Serve."""

from __future__ import annotations

import http.client
import json
import multiprocessing
import statistics
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from typing import Any

from ray import serve

from benchmarks import machine
from benchmarks.measures import shuffled_rounds
from benchmarks.router_bare import BareIngress, NoOpReplica
from benchmarks.router_serving import own_ray
from benchmarks.router_sheet import Sheet
from benchmarks.router_stand_in import TimedReplica
from benchmarks.router_trace import POOL, one_pool
from cluster.auth import AuthConfig
from cluster.config import ClusterConfig
from cluster.simulator.mixes import Kind
from cluster.simulator.results import percentile
from cluster.simulator.table_costs import TableCosts
from deployments.gateway import Gateway
from deployments.options import gateway_options, pool_options, router_options
from deployments.router import Router
from tests.serve.server import free_port

REPLICAS = 8
CONNECTIONS = (1, 16)
SECONDS = 5.0
"""How long each arm is asked in each round, on each number of connections."""

BODY = {"prompt": "nothing", "size": "1024x1024", "num_inference_steps": 28}
PREFIXES = {"dit-serve": "/ours", "bare Ray Serve": "/bare"}
ORDER_SEED = 0


def measure(rounds: int) -> dict[str, Any]:
    """Both arms in every round, in shuffled order, asked by a process of its own."""
    port = free_port()
    arms = [(arm, connections) for arm in PREFIXES for connections in CONNECTIONS]
    runs = []
    with own_ray(port), _client() as client:
        serve.run(_ours(), name="ours", route_prefix=PREFIXES["dit-serve"])
        serve.run(_bare(), name="bare", route_prefix=PREFIXES["bare Ray Serve"])
        for arm, connections in arms:
            client.submit(ask, port, PREFIXES[arm], connections, SECONDS / 5).result()
        for number, order in enumerate(shuffled_rounds(arms, rounds, ORDER_SEED)):
            for arm, connections in order:
                latencies_s = sorted(
                    client.submit(ask, port, PREFIXES[arm], connections, SECONDS).result()
                )
                runs.append(
                    {
                        "round": number,
                        "arm": arm,
                        "connections": connections,
                        "requests_per_s": len(latencies_s) / SECONDS,
                        "p50_ms": 1000 * (percentile(latencies_s, 0.5) or 0.0),
                        "p99_ms": 1000 * (percentile(latencies_s, 0.99) or 0.0),
                        "load_average": machine.load_average()[0],
                    }
                )
    return {"replicas": REPLICAS, "seconds": SECONDS, "rounds": rounds, "runs": runs}


def sheets(found: Mapping[str, Any]) -> list[Sheet]:
    """A row for each arm and number of connections."""
    rows = []
    for connections in CONNECTIONS:
        for arm in PREFIXES:
            runs = [
                run
                for run in found["runs"]
                if (run["arm"], run["connections"]) == (arm, connections)
            ]
            keys = ("requests_per_s", "p50_ms", "p99_ms")
            cells = [_over_rounds([run[key] for run in runs]) for key in keys]
            rows.append((arm, str(connections), *cells))
    headings = ("path", "connections", "requests/s", "p50, ms", "p99, ms")
    loads = [run["load_average"] for run in found["runs"]]
    caption = (
        f"{found['replicas']} replicas that do nothing; each arm asked for {found['seconds']:g} s "
        f"in each of {found['rounds']} rounds. Median [least to most] of the rounds; load average "
        f"of the machine {min(loads):.1f} to {max(loads):.1f}."
    )
    return [Sheet("Over HTTP", headings, rows, caption)]


def ask(port: int, prefix: str, connections: int, seconds: float) -> list[float]:
    """Seconds of each request; every connection sends one after the other for so long.

    Raises:
        RuntimeError: an answer was not 200.
    """
    ends_s = time.monotonic() + seconds
    with ThreadPoolExecutor(connections) as threads:
        asked = [threads.submit(_one_connection, port, prefix, ends_s) for _ in range(connections)]
        return [latency_s for each in asked for latency_s in each.result()]


def _one_connection(port: int, prefix: str, ends_s: float) -> list[float]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    body, headers = json.dumps(BODY), {"Content-Type": "application/json"}
    latencies_s = []
    while (began_s := time.monotonic()) < ends_s:
        connection.request("POST", f"{prefix}/v1/images/generations", body, headers)
        answer = connection.getresponse()
        text = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{prefix} answered {answer.status}: {text[:300]!r}")
        latencies_s.append(time.monotonic() - began_s)
    connection.close()
    return latencies_s


def _client() -> ProcessPoolExecutor:
    return ProcessPoolExecutor(1, multiprocessing.get_context("spawn"))


def _ours() -> serve.Application:
    model = one_pool("nothing", REPLICAS)
    (pool,) = model.pools
    truth = TableCosts([Kind(1024, 1024, 28, none_s=0.0)], {POOL: 1.0})
    replicas = serve.deployment(**pool_options(model, pool))(TimedReplica).bind(truth, pool)
    router = serve.deployment(**router_options(model))(Router).bind(
        model, 1, {POOL: replicas}, tiers=None
    )
    config = ClusterConfig(models=(model,), auth=AuthConfig(keys="none"))
    return serve.deployment(**gateway_options(1))(Gateway).bind(config, {model.name: router})


def _bare() -> serve.Application:
    replicas = serve.deployment(num_replicas=REPLICAS)(NoOpReplica).bind()
    return serve.deployment(max_ongoing_requests=100_000)(BareIngress).bind(replicas)


def _over_rounds(values: Sequence[float]) -> str:
    return f"{statistics.median(values):.1f} [{min(values):.1f} to {max(values):.1f}]"
