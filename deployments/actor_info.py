"""What Ray's GCS knows of an actor."""

from __future__ import annotations

from typing import Any

from ray import ActorID
from ray.experimental.internal_kv import internal_kv_get_gcs_client

ASK_S = 5.0
"""How long the GCS may take."""


async def actor_info(actor: str) -> Any:
    """Ray's record of the actor with that id, in hex: `state`, `DEAD` to compare it, and others.

    Raises:
        RpcError: the GCS does not answer.
    """
    actor_id = ActorID.from_hex(actor)
    found = await internal_kv_get_gcs_client().async_get_all_actor_info(
        actor_id=actor_id, timeout=ASK_S
    )
    return found[actor_id]
