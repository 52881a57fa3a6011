"""Thousands of small requests of every kind, and whether anything grows that should not.

    python -m benchmarks.soak --minutes 20

The embedded model and a tiny one that makes clips, with keys, and with little room for stored
results, so that what is bounded is full early. The load is a part of what the server can do, which
is measured first. Ends with 1 where a bar is missed.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import machine
from benchmarks.evidence import in_words, where, write_part
from benchmarks.process_sizes import Sampler, by_role, memory_slopes, sizes
from benchmarks.ray_state import living
from benchmarks.soak_callers import process, soaked
from benchmarks.soak_table import table
from benchmarks.soak_verdict import AtRest, Soak, faults
from cluster.keys import Scope
from deployments.key_file import KeyFile
from deployments.key_store import new_key
from tests.serve.clips import clips_model
from tests.serve.server import Server, serving, write_config

LOAD = 0.6
CALLERS = 4
SAMPLE_S = 10.0
REST_S = 15.0
"""After the last answer, until what comes and goes has gone."""

RESULTS = {"max_bytes": 500_000, "max_age_s": 60.0}
"""What a gateway sweeps every minute: bounds that are reached before the second half."""

UNKNOWN_KEY = "dit_aaaaaaaaaa_" + "a" * 43


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures, prints, writes, and tells by the exit status whether all bars are met."""
    options = _options(arguments)
    with tempfile.TemporaryDirectory(prefix="soak-") as name:
        keys, auth = _keys(Path(name))
        config = write_config(
            Path(name, "config.yaml"),
            more_models=[clips_model(Path(name))],
            cluster={"auth": auth, "results": {"url": str(Path(name, "results")), **RESULTS}},
        )
        with serving(config, Path(name)) as server:
            soak = measured(server, keys, options)
    missed = faults(soak)
    text = table(soak)
    print(text)
    print("\n".join(missed) or "All bars are met.")
    if not options.dry:
        load = f"Load average of the machine at the end {machine.load_average()[0]}."
        write_part("soak", f"{in_words(where())} {load}\n\n{text}")
    return 1 if missed else 0


def measured(server: Server, keys: dict[str, str], options: argparse.Namespace) -> Soak:
    """Warms up as fast as it goes, which is the capacity; then soaks."""
    with process() as callers:
        warm = callers.submit(
            soaked, server.url, keys, options.warm_up, None, CALLERS, options.seed
        ).result()
        print(f"{warm.a_second:.2f} conversations a second at most", file=sys.stderr, flush=True)
        before = _at_rest(server)
        with Sampler(server, options.sample) as sampler:
            heard = callers.submit(
                soaked,
                server.url,
                keys,
                60 * options.minutes,
                LOAD * warm.a_second,
                0,
                options.seed,
            ).result()
        after = _at_rest(server)
    slopes = memory_slopes(sampler.samples, options.minutes / 2)
    return Soak(options.minutes, heard, before, after, sampler.samples, slopes)


def _at_rest(server: Server) -> AtRest:
    time.sleep(REST_S)
    return AtRest(by_role(sizes(server)), living(server.ray_address()))


def _keys(folder: Path) -> tuple[dict[str, str], dict[str, str]]:
    """Keys by the names that the callers have for them, and the section `auth` of the config."""
    file, keys = KeyFile(str(folder / "keys.yaml")), {"unknown": UNKNOWN_KEY}
    for scope in Scope:
        keys[scope.value], kept = new_key(scope.value, [scope], datetime.now(UTC), None)
        file.add(kept)
    return keys, {"keys_file": str(folder / "keys.yaml")}


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--warm-up", type=float, default=60.0, help="seconds")
    parser.add_argument("--sample", type=float, default=SAMPLE_S, help="seconds between samples")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--dry", action="store_true", help="write nothing")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
