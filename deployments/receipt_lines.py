"""A receipt in a few lines of text."""

from __future__ import annotations

from collections.abc import Iterator

from cluster.receipt import Receipt


def receipt_lines(receipt: Receipt) -> Iterator[str]:
    """What was made, what it took, what became of the deadline, and what is worth a note."""
    several = f"{receipt.n} of " if receipt.n > 1 else ""
    yield (
        f"{several}{receipt.width}x{receipt.height}, seed {receipt.seed}, "
        f"by {receipt.model}/{receipt.pool} ({receipt.parallelism})"
    )
    steps = receipt.steps_computed + receipt.steps_cached
    yield (
        f"tier {receipt.tier_served}: {receipt.steps_computed} of {steps} steps computed; "
        f"{receipt.tier_reason}"
    )
    work_s = receipt.encode_s + receipt.denoise_s + receipt.decode_s
    forecast = "" if receipt.forecast_s is None else f" (forecast {receipt.forecast_s:.2f} s)"
    kept = {None: "", True: "; in time", False: "; late"}[receipt.deadline_met]
    yield f"{receipt.queue_s:.2f} s in line, {work_s:.2f} s of work{forecast}{kept}"
    if receipt.attempts > 1:
        yield f"begun {receipt.attempts} times, as replicas died"
    yield from receipt.notes
