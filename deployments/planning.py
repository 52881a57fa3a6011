"""What the pools of a config ask of a cluster and of its cards, and whether it has that.

Torch is imported where memory is counted, and Ray where a running cluster is asked.
"""

from __future__ import annotations

import math
import re
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cluster.batching import largest_batch
from cluster.config import PICTURE_MULTIPLE, ClusterConfig, ModelConfig
from cluster.errors import ConfigError
from cluster.pool import PoolConfig
from deployments.options import pool_group
from placement.bundles import GroupPlan
from placement.capacity import Demand, Fit, fits
from placement.memory import MemoryPlan, Run, memory_per_rank

CARD_MARGIN = 0.9
"""The share of a card's memory that weights and activations may fill; see `placement.memory`."""

_CPUS_PER_GPU = 8
_DTYPE_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
_TEXT_TOKENS = 512
_CACHE_STATES = 2
"""Residuals of hidden states that DBCache keeps from step to step for one call."""


@dataclass(frozen=True)
class PoolPlan:
    """One pool: its placement group, how many replicas, and the memory of a rank.

    `memory` is None where it cannot be told; `unknown` then says why.
    """

    model: ModelConfig
    pool: PoolConfig
    group: GroupPlan
    memory: MemoryPlan | None
    unknown: str = ""

    @property
    def replicas(self) -> str:
        """ "2", or "1 to 4"."""
        scaling = self.pool.autoscaling
        if scaling.max_replicas > scaling.min_replicas:
            return f"{scaling.min_replicas} to {scaling.max_replicas}"
        return str(scaling.min_replicas)

    def overflow_bytes(self, gpu_memory_gb: float) -> int:
        """How far a rank goes over its share of a card; 0 where it fits or cannot be told."""
        if self.memory is None or self.pool.device != "cuda":
            return 0
        share = min(1.0, self.pool.gpus) * gpu_memory_gb * 1e9 * CARD_MARGIN
        return max(0, math.ceil(self.memory.peak_bytes - share))


def plan_pools(config: ClusterConfig) -> list[PoolPlan]:
    """The plan of every pool; an architecture that cannot be had leaves its memory unknown."""
    return [_plan(model, pool) for model in config.models for pool in model.pools]


def cluster_fit(plans: Sequence[PoolPlan], nodes: Sequence[Mapping[str, float]]) -> Fit:
    """Whether the least replicas of every pool fit on nodes with these resources."""
    return fits(
        [
            Demand(
                f"{plan.model.name}/{plan.pool.name}",
                plan.group,
                plan.pool.autoscaling.min_replicas,
            )
            for plan in plans
        ],
        nodes,
    )


def declared_nodes(text: str) -> list[dict[str, float]]:
    """Nodes from words such as "2x8": two nodes of 8 GPUs; "2x8x96" says the CPUs too.

    Kinds are listed with commas. A node has 8 CPUs for each GPU unless it says otherwise.

    Raises:
        ConfigError: the text is no such list.
    """
    nodes: list[dict[str, float]] = []
    for word in text.split(","):
        if not (found := re.fullmatch(r"\s*(\d+)x(\d+)(?:x(\d+))?\s*", word)):
            raise ConfigError(
                f'nodes: {word!r} is not COUNTxGPUS or COUNTxGPUSxCPUS, such as "2x8" or "2x8x96"'
            )
        count, gpus = int(found[1]), int(found[2])
        cpus = int(found[3]) if found[3] else gpus * _CPUS_PER_GPU
        nodes += [{"GPU": float(gpus), "CPU": float(cpus)}] * count
    return nodes


def running_nodes(address: str) -> list[dict[str, float]]:
    """The resources of the nodes of a running Ray cluster, used or not.

    Raises:
        ConfigError: no cluster answers there.
    """
    import ray

    _refuse_silence(address)
    try:
        ray.init(address=address, logging_level="ERROR", log_to_driver=False)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise ConfigError(
            f"address: no Ray cluster answers at {address}: {' '.join(str(error).split())[:200]}"
        ) from error
    try:
        return [dict(node["Resources"]) for node in ray.nodes() if node["Alive"]]
    finally:
        ray.shutdown()


def _refuse_silence(address: str) -> None:
    """Ray asks a dead address again for minutes; one attempt to connect is enough."""
    host, colon, port = address.rpartition(":")
    if not colon or "://" in address or not port.isdigit():
        return
    try:
        socket.create_connection((host, int(port)), timeout=10).close()
    except OSError as error:
        raise ConfigError(f"address: no Ray cluster answers at {address}: {error}") from error


def largest_run(model: ModelConfig, pool: PoolConfig) -> Run:
    """The largest request that the limits allow, as this pool runs it.

    Clips are made one at a time, pictures in batches where a tier allows it. The cache is counted
    as if guidance ran in a call of its own, which keeps its states twice.
    """
    side = math.isqrt(model.limits.max_pixels - 1) + 1
    side = -(-side // PICTURE_MULTIPLE) * PICTURE_MULTIPLE
    caches = {tier: pool.cache_for(tier) for tier in pool.tiers}
    orders = [cache.taylorseer_order + 1 for cache in caches.values() if cache.enable_taylorseer]
    quantize, extra = pool.quantize_config, pool.parallelism_config.extra_parallel_modules
    return Run(
        width=side,
        height=side,
        frames=model.limits.max_frames if model.makes_videos else 1,
        pictures=1
        if model.makes_videos
        else largest_batch(caches, pool.max_batch, model.limits.max_images),
        text_tokens=model.max_sequence_length or _TEXT_TOKENS,
        dtype_bytes=_DTYPE_BYTES[pool.dtype],
        quantization=None if quantize is None else quantize.quant_type,
        exclude_layers=() if quantize is None else quantize.exclude_layers,
        num_ranks=pool.num_ranks,
        tp_size=pool.dims.tp_size,
        sequence_parallel=pool.dims.ulysses_size * pool.dims.ring_size,
        text_encoder_parallel="text_encoder" in extra,
        vae_parallel="vae" in extra,
        vae_tiling=pool.vae_tiling,
        offload=pool.offload,
        cached_states=2 * (_CACHE_STATES + max(orders, default=0)),
    )


def _plan(model: ModelConfig, pool: PoolConfig) -> PoolPlan:
    from deployments.architecture import pipeline_shape

    try:
        memory = memory_per_rank(pipeline_shape(model.source), largest_run(model, pool))
    except ConfigError as error:
        return PoolPlan(model, pool, pool_group(pool), None, str(error))
    return PoolPlan(model, pool, pool_group(pool), memory)
