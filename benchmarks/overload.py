"""Five times as many requests as the server can serve, for minutes, over HTTP.

    python -m benchmarks.overload --minutes 5

First the capacity: callers that ask again when they have their picture, in several windows, of
which some follow after the overload. Then requests at random times at a multiple of that rate,
every second one with a deadline, from a process of its own. Ends with 1 where a bar is missed.
"""

from __future__ import annotations

import argparse
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks import machine
from benchmarks.evidence import in_words, where, write_part
from benchmarks.overload_table import table
from benchmarks.overload_verdict import Latencies, Overload, faults, goodput, refusals_in
from benchmarks.picture_calls import (
    PROMPT,
    Asked,
    Asking,
    as_fast_as_made,
    caller,
    faster,
    right_pictures,
)
from benchmarks.process_sizes import Sampler, memory_slopes
from cluster.simulator.results import percentile
from tests.serve.server import Server, serving, write_config

MAX_QUEUED = 32
WANTED_S = 0.5
"""What a picture is to take: the steps are chosen by it. Refusals are then cheap beside pictures,
and a machine of two cores has room for five times the requests that it can serve."""

TRIAL_STEPS = 20
CALLERS = (1, 2, 4)
"""How many may ask at once where the capacity is measured: the best of these."""

DEADLINE_PICTURES = 12
"""The deadlines are so many pictures long: less than the line."""

TRIAL_WINDOW_S = 8.0
SAMPLE_S = 5.0
WARM_UP_SHARE = 0.2
"""Of the overload, before memory is looked at."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures, prints, writes, and tells by the exit status whether all bars are met."""
    options = _options(arguments)
    with tempfile.TemporaryDirectory(prefix="overload-") as name:
        folder = Path(name)
        config = write_config(folder / "config.yaml", max_queued=options.queued)
        with serving(config, folder) as server:
            run, steps, callers = measured(server, options)
    missed = faults(run)
    text = table(run, options.times, steps, callers, options.queued)
    print(text)
    print("\n".join(missed) or "All bars are met.")
    if not options.dry:
        load = f"Load average of the machine at the end {machine.load_average()[0]}."
        write_part("overload", f"{in_words(where())} {load}\n\n{text}")
    return 1 if missed else 0


def measured(server: Server, options: argparse.Namespace) -> tuple[Overload, int, int]:
    """The run, and the steps and the number of callers that were chosen for it."""
    steps = options.steps or _steps_for(server)
    asking = _asking(server, steps)
    seconds = 60 * options.minutes
    with caller() as process:

        def capacity(callers: int, window_s: float) -> float:
            asked = process.submit(as_fast_as_made, asking, callers, window_s).result()
            return goodput(asked.calls, window_s)

        def windows(callers: int) -> list[float]:
            return [capacity(callers, options.window) for _ in range(options.windows)]

        best = max(CALLERS, key=lambda callers: capacity(callers, TRIAL_WINDOW_S))
        before = windows(best)
        _say(f"{steps} steps, {best} callers: {statistics.median(before):.2f} pictures a second")
        rate = options.times * statistics.median(before)
        deadline_s = DEADLINE_PICTURES / statistics.median(before)
        crowd = Asking(asking.url, asking.fields, asking.right, deadline_s)
        with Sampler(server, SAMPLE_S) as sampler:
            mark = _mark(server)
            asked: Asked = process.submit(faster, crowd, rate, seconds, options.seed).result()
            in_server = _refusals_in_proxy(server, mark)
        after = windows(best)
    lags = sorted(call.lag_s for call in asked.calls)
    samples = [each for each in sampler.samples if each.minutes <= options.minutes]
    run = Overload(
        before,
        after,
        seconds,
        asked.calls,
        Latencies.of(in_server),
        percentile(lags, 0.99) or 0.0,
        asked.cpu_share,
        memory_slopes(samples, WARM_UP_SHARE * options.minutes),
    )
    return run, steps, best


def _asking(server: Server, steps: int) -> Asking:
    fields = {"prompt": PROMPT, "tier": "none", "min_tier": "none", "num_inference_steps": steps}
    return Asking(server.url, fields, right_pictures(server.url, fields))


def _steps_for(server: Server) -> int:
    """So many that a picture takes about `WANTED_S` on this machine."""
    fields = {"prompt": PROMPT, "tier": "none", "num_inference_steps": TRIAL_STEPS}
    right_pictures(server.url, fields)
    began_s = time.monotonic()
    pictures = len(right_pictures(server.url, fields))
    took_s = (time.monotonic() - began_s) / pictures
    return max(4, min(100, round(TRIAL_STEPS * WANTED_S / took_s)))


def _proxy_logs(server: Server) -> list[Path]:
    (session,) = {
        found[1]
        for line in server.processes().values()
        if (found := re.search(r"--session[-_]dir=(\S+)", line))
    }
    return sorted(Path(session).glob("logs/serve/proxy_*.log"))


def _mark(server: Server) -> dict[Path, int]:
    """How long the proxies' logs are."""
    return {log: log.stat().st_size for log in _proxy_logs(server)}


def _refusals_in_proxy(server: Server, mark: dict[Path, int]) -> list[float]:
    """Seconds that Serve's proxy took for each refusal since then, as its log says.

    Raises:
        ValueError: the log has grown beyond what it keeps in one file.
    """
    seconds = []
    for log in _proxy_logs(server):
        if log.stat().st_size < mark.get(log, 0):
            raise ValueError(f"{log} was begun anew: the run is too long for its log")
        with log.open(errors="replace") as lines:
            lines.seek(mark.get(log, 0))
            seconds += refusals_in(lines.read())
    return seconds


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.overload", description=__doc__)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--times", type=float, default=5.0, help="the capacity")
    parser.add_argument("--windows", type=int, default=4, help="of capacity, before and after")
    parser.add_argument("--window", type=float, default=12.0, help="seconds of each")
    parser.add_argument("--queued", type=int, default=MAX_QUEUED, help="max_queued of the model")
    parser.add_argument("--steps", type=int, help="of a picture, in place of those it chooses")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--dry", action="store_true", help="write nothing")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
