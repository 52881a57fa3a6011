"""`python -m tests.fuzz`: bad input by the thousand; its numbers go to docs/reliability.md."""

from __future__ import annotations

import argparse
import logging
import tempfile
import warnings
from pathlib import Path

from benchmarks.evidence import REPORT, where, write_part


def main() -> None:
    """Ends with a traceback, and writes nothing, where an input makes something go wrong."""
    arguments = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    arguments.add_argument("--most", type=int, default=2000, help="requests to each operation")
    arguments.add_argument("--seed", type=int, default=1, help="another gives other inputs")
    arguments.add_argument("--dry", action="store_true", help="write nothing")
    given = arguments.parse_args()
    logging.getLogger("python_multipart").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Ray's own, while it is imported
        from tests.fuzz.report import table
        from tests.fuzz.runs import all_kinds
    trials = []
    with tempfile.TemporaryDirectory() as folder:
        for trial in all_kinds(Path(folder), given.most, given.seed):
            print(f"{trial.what}: {trial.inputs} in {trial.seconds:.0f} s", flush=True)
            trials.append(trial)
    if not given.dry:
        found_with = where(("schemathesis", "hypothesis", "fastapi", "pillow"))
        write_part("fuzz", table(found_with, trials))
        print(f"Written to {REPORT}")


if __name__ == "__main__":
    main()
