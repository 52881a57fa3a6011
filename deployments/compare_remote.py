"""A prompt in all tiers of a running server's model, compared by the receipts."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

from cluster.tiers import Tier
from deployments.generate_remote import Delivery, Order, RemoteModel, RemoteServer, Told
from deployments.tier_rows import Made, TierRow, tier_rows


def compare_remote(
    server: RemoteServer,
    model: RemoteModel,
    order: Order,
    rounds: int,
    progress: Callable[[Tier], AbstractContextManager[Told]],
) -> list[TierRow]:
    """One row per tier; every round does every tier once, one after the other.

    Seconds are medians over the rounds of what the receipts say the engine took, without the wait
    in line and the way back. `progress(tier)` is entered for each picture or clip.

    Raises:
        RemoteError: the server says no to one of them, or cannot be asked.
    """
    made: dict[Tier, list[Delivery]] = {tier: [] for tier in model.tiers}
    for _ in range(rounds):
        for tier, deliveries in made.items():
            with progress(tier) as told:
                deliveries.append(server.make(model, order.with_field("tier", tier), told))
    rows = {tier: _made(deliveries) for tier, deliveries in made.items()}
    return tier_rows(rows, str(order.fields["prompt"]))


def _made(deliveries: Sequence[Delivery]) -> Made:
    first = deliveries[0]
    receipts = [delivery.receipt for delivery in deliveries]
    return Made(
        file=first.files[0],
        suffix=first.suffix,
        steps_computed=first.receipt.steps_computed,
        steps=first.receipt.steps_computed + first.receipt.steps_cached,
        seconds=statistics.median(
            receipt.encode_s + receipt.denoise_s + receipt.decode_s for receipt in receipts
        ),
    )
