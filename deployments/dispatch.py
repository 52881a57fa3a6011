"""Serve's request router for pools: it sends each call to the replica that the call names."""

from __future__ import annotations

from ray.serve.request_router import PendingRequest, ReplicaID, RequestRouter, RunningReplica


class NamedReplicaRouter(RequestRouter):
    """Routes by the keyword argument `replica`, and tells this process's directory which ones run.

    Serve pickles this class by value, so its module's globals are copies: the directory is imported
    inside. When the named replica is gone, the call goes to any other one, which answers that it is
    not meant.
    """

    async def choose_replicas(
        self,
        candidate_replicas: list[RunningReplica],
        pending_request: PendingRequest | None = None,
    ) -> list[list[RunningReplica]]:
        if pending_request is None:
            return [candidate_replicas]
        pending_request.routing_context.should_backoff = True
        wanted = pending_request.kwargs["replica"]
        named = [
            replica for replica in candidate_replicas if replica.replica_id.unique_id == wanted
        ]
        return [named or candidate_replicas[:1]]

    def update_replicas(self, replicas: list[RunningReplica]) -> None:
        super().update_replicas(replicas)
        self._publish()

    def on_replica_actor_died(self, replica_id: ReplicaID) -> None:
        super().on_replica_actor_died(replica_id)
        self._publish()

    def _publish(self) -> None:
        """Tells who runs, and fails the calls whose replica went before they reached it.

        Serve would let these wait for any replica, for ever where none comes. Calls that have
        reached a replica are not touched: it may be draining.
        """
        from deployments import replica_directory

        running = {
            replica_id.unique_id: replica.actor_id.hex()
            for replica_id, replica in self.curr_replicas.items()
        }
        for pending in list(self._pending_requests_by_id.values()):
            if pending.kwargs["replica"] not in running and not pending.future.done():
                pending.future.set_exception(replica_directory.ReplicaGone())
                self._remove_pending_request_from_indices(pending)
        replica_directory.publish(self._deployment_id.name, running)
