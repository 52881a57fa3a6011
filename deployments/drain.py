"""Drains a node of the Ray cluster: asks Ray's head, waits, and says what still runs there.

It asks the head's GCS and is no driver of the cluster: a driver would die with the node's Ray,
which ends itself when nothing runs on a draining node any more. What it uses is what the hidden
command `ray drain-node` of Ray 2.60 uses, which is outside of Ray's promise of stability.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from ray._private.services import canonicalize_bootstrap_address_or_die, find_node_ids
from ray._raylet import GcsClient  # type: ignore[attr-defined]
from ray.core.generated import autoscaler_pb2
from ray.core.generated.gcs_pb2 import GcsNodeInfo
from ray.exceptions import RayError, RpcError

from cluster.draining import Patience, Step, name_of
from cluster.errors import ConfigError, DitServeError

LOOK_S = 0.5
CALL_S = 10.0
"""How long Ray's head may take to answer."""

AWAY_S = 30.0
"""How long Ray's head may be away, as one that restarts is; then the cluster is taken for gone."""

STATES = ("ALIVE", "PENDING_CREATION")


class HeadAway(DitServeError):
    """Ray's head does not answer any more."""


@dataclass(frozen=True)
class RayNode:
    """A node of the cluster at `address`, as its GCS sees it."""

    address: str
    node_id: str
    is_head: bool
    _gcs: Any

    def drain(self, deadline_ms: int, why: str) -> None:
        """Nothing new comes to the node from now on; for `deadline_ms`, see `cluster.draining`.

        In milliseconds since the epoch, 0 for none. Ray itself ends nothing at the deadline.

        Raises:
            DitServeError: Ray refuses, or its head does not answer.
        """
        reason = autoscaler_pb2.DrainNodeReason.Value("DRAIN_NODE_REASON_PREEMPTION")
        with self._head_answers():
            accepted, refusal = self._gcs.drain_node(
                self.node_id, reason, why, deadline_ms, timeout=CALL_S
            )
        if not accepted:
            raise DitServeError(f"Ray does not drain node {self.node_id}: {refusal}")

    def running(self) -> tuple[str, ...]:
        """What of ours runs on the node, by names; nothing when the node's Ray has ended.

        Raises:
            HeadAway.
        """
        with self._head_answers():
            if self.node_id not in _nodes(self._gcs):
                return ()
            actors = [actor for state in STATES for actor in _actors(self._gcs, state)]
        here = [actor for actor in actors if actor.address.node_id.hex() == self.node_id]
        named = (name_of(actor.name, actor.class_name, actor.repr_name) for actor in here)
        return tuple(sorted(name for name in named if name is not None))

    @contextmanager
    def _head_answers(self) -> Iterator[None]:
        try:
            yield
        except RpcError as error:
            raise HeadAway(f"Ray's head at {self.address} does not answer: {error}") from error


def drain(node: RayNode, patience: Patience, tell: Callable[[str], None]) -> tuple[str, ...]:
    """Drains a node, and returns what still runs on it in the end: nothing, if all went well.

    Raises:
        DitServeError: Ray refuses, or its head does not answer, for `AWAY_S` once it has begun.
    """
    node.drain(0, "dit-serve drain")
    began_s = answered_s = time.monotonic()
    left: tuple[str, ...] = ()
    finishing = False
    while True:
        now_s = time.monotonic()
        waited = f"after {now_s - began_s:.0f} s"
        try:
            before, left = left, node.running()
            answered_s = now_s
            if left not in (before, ()):
                tell(f"{waited} on this node: {', '.join(left)}")
            match patience.next_step(left, now_s - began_s, finishing):
                case Step.DRAINED | Step.GIVE_UP:
                    return left
                case Step.FINISH:
                    tell(f"{waited} all that is left takes no more work, and finishes what it has")
                    node.drain(_now_ms(), "dit-serve drain: time to finish")
                    finishing = True
                case Step.WAIT:
                    pass
        except HeadAway:
            if now_s - answered_s > AWAY_S:
                raise
        time.sleep(LOOK_S)


def find_node(address: str | None, node_id: str | None) -> RayNode:
    """The node of that id, or without one the node of this machine, in the cluster at `address`.

    Without an address that of RAY_ADDRESS, or of the Ray that runs here.

    Raises:
        ConfigError: there is no such cluster, no such node, or more than one node here.
    """
    try:
        found = canonicalize_bootstrap_address_or_die(address)
    except (ConnectionError, ValueError) as error:
        raise ConfigError(f"address: no Ray cluster: {' '.join(str(error).split())}") from error
    host, _, port = found.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=CALL_S).close()
        gcs = GcsClient(address=found)
        alive = _nodes(gcs)
    except (OSError, ValueError, RayError) as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"address: no Ray cluster answers at {found}: {reason}") from error
    wanted = {node_id} if node_id else set(find_node_ids())
    chosen = sorted(wanted & alive.keys())
    if len(chosen) != 1:
        raise ConfigError(_no_node(found, node_id, chosen, list(alive)))
    return RayNode(found, chosen[0], bool(alive[chosen[0]].is_head_node), gcs)


def _no_node(address: str, node_id: str | None, chosen: list[str], alive: list[str]) -> str:
    if node_id is not None:
        return f"node-id: {address} has no node {node_id}; its nodes are {', '.join(sorted(alive))}"
    if chosen:
        return f"node-id: several nodes of {address} run here: {', '.join(chosen)}; name one"
    return f"node-id: no node of {address} runs on this machine; name one: {', '.join(alive)}"


def _nodes(gcs: Any) -> dict[str, Any]:
    """The nodes that live, by their ids in hex."""
    nodes = gcs.get_all_node_info(timeout=CALL_S, state_filter=GcsNodeInfo.GcsNodeState.ALIVE)
    return {node_id.hex(): node for node_id, node in nodes.items()}


def _actors(gcs: Any, state: str) -> list[Any]:
    async def ask() -> list[Any]:
        found = await gcs.async_get_all_actor_info(actor_state_name=state, timeout=CALL_S)
        return list(found.values())

    return asyncio.run(ask())


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
