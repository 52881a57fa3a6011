"""A pool: replicas of one model in one shape, the tiers that they serve, and how."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, ValidationError, field_validator, model_validator

from cluster.acceleration import (
    CacheConfig,
    ParallelismConfig,
    QuantizeConfig,
    known_attention_backend,
)
from cluster.sections import Section, shown
from cluster.tiers import Tier
from placement.layout import check_ranks_per_node
from placement.parallel import ParallelDims, PlacementError

TierName = Annotated[Tier, Field(strict=False)]


def _is_a_name(value: str) -> str:
    if not re.fullmatch(r"[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?", value):
        raise ValueError(
            "must be at most 63 lower-case letters, digits, dots and hyphens, with a letter or "
            f"digit at both ends, not {shown(repr(value))}"
        )
    return value


Name = Annotated[str, AfterValidator(_is_a_name)]


class Autoscaling(Section):
    """How many replicas a pool may have, and when it gets more or fewer. All times are seconds.

    Replicas are to be busy for `target_utilisation` of the time. What waits when a new one is
    ready is to be worked off in `catch_up_s`; `cold_start_s` is how long one takes to load, until
    that has been measured. A replica goes when fewer were needed for `downscale_delay_s`, and the
    last one, where `min_replicas` is 0, after `idle_to_zero_s` without work.
    """

    min_replicas: int = Field(1, ge=0)
    max_replicas: int = Field(1, ge=1)
    target_utilisation: float = Field(0.8, gt=0, le=1)
    catch_up_s: float = Field(60.0, gt=0)
    cold_start_s: float = Field(60.0, ge=0)
    downscale_delay_s: float = Field(300.0, ge=0)
    idle_to_zero_s: float = Field(600.0, ge=0)

    @model_validator(mode="after")
    def _in_order(self) -> Autoscaling:
        if self.min_replicas > self.max_replicas:
            raise ValueError(
                f"min_replicas ({self.min_replicas}) is more than "
                f"max_replicas ({self.max_replicas})"
            )
        return self

    @property
    def scales(self) -> bool:
        """The number of replicas is not fixed."""
        return self.min_replicas < self.max_replicas


class Watchdog(Section):
    """When a replica that makes no step counts as hung, and is replaced.

    It may be silent for `multiple` times the longest silence that jobs like this one have shown,
    and for `min_s` in any case; a job unlike any before for `unknown_s`. All are seconds.
    """

    multiple: float = Field(10.0, gt=1)
    min_s: float = Field(30.0, gt=0)
    unknown_s: float = Field(900.0, gt=0)


class TierConfig(CacheConfig):
    """A tier's own cache settings, and its contract: what `dit-serve calibrate` must find.

    `min_speedup` is over `none`; `min_psnr_db` is the median PSNR against `none` of the same seed.
    The contract changes no picture, so it is in no dump of the settings.
    """

    min_speedup: float | None = Field(None, gt=0, exclude=True)
    min_psnr_db: float | None = Field(None, gt=0, exclude=True)


class PoolConfig(Section):
    """Replicas of one model in one shape, and the tiers that they serve.

    `max_batch` bounds the pictures of one job that are made together. It is in the hash of what
    can change a picture: a batch rounds otherwise than a single picture, in the last bits.
    """

    name: Name
    tiers: dict[TierName, TierConfig] = Field(
        default_factory=lambda: {tier: TierConfig() for tier in Tier}
    )
    num_ranks: int = Field(1, ge=1)
    ranks_per_node: int | None = Field(None, ge=1)
    device: Literal["cpu", "cuda"] = "cuda"
    dtype: Literal["float32", "bfloat16", "float16"] = "bfloat16"
    generator_device: Literal["cpu", "cuda"] = "cpu"
    cpus_per_rank: float = Field(1.0, gt=0)
    gpus_per_rank: float | None = Field(None, ge=0)
    cache_config: CacheConfig = Field(default_factory=CacheConfig)
    parallelism_config: ParallelismConfig = Field(default_factory=ParallelismConfig)
    quantize_config: QuantizeConfig | None = None
    attention_backend: str | None = None
    compile: bool = False
    offload: Literal["none", "text_encoder", "model", "sequential"] = "none"
    vae_tiling: bool = False
    max_batch: int = Field(4, ge=1)
    watchdog: Watchdog = Field(default_factory=Watchdog)
    autoscaling: Autoscaling = Field(default_factory=Autoscaling)
    audit_fraction: float = Field(0.0, ge=0, le=1)

    @field_validator("tiers", mode="before")
    @classmethod
    def _names_are_a_map_without_overrides(cls, value: Any) -> Any:
        if isinstance(value, tuple | list):
            if not all(isinstance(name, str) for name in value):
                raise ValueError(f"must be tiers by name: {', '.join(Tier)}")
            if len(set(value)) < len(value):
                raise ValueError("names a tier twice")
            return {name: {} for name in value}
        if isinstance(value, Mapping):
            return {name: _tier_override(override) for name, override in value.items()}
        raise ValueError("must be a list of tiers, or a map from tier to settings")

    @field_validator("tiers")
    @classmethod
    def _tiers_make_sense(cls, value: dict[Tier, TierConfig]) -> dict[Tier, TierConfig]:
        if not value:
            raise ValueError(f"name at least one tier of {', '.join(Tier)}")
        none = value.get(Tier.NONE, TierConfig())
        if none.steps_computation_mask is not None or none.scm_compute_bins is not None:
            raise ValueError("none computes every step, so it takes no step mask")
        if none.min_speedup is not None or none.min_psnr_db is not None:
            raise ValueError("none is what the others are measured against, so it has no contract")
        return {tier: value[tier] for tier in Tier if tier in value}

    @field_validator("attention_backend")
    @classmethod
    def _known_backend(cls, value: str | None) -> str | None:
        return known_attention_backend(value)

    @model_validator(mode="after")
    def _whole(self) -> PoolConfig:
        for tier, override in self.tiers.items():
            try:
                self.cache_config.overridden(override)
            except ValueError as error:
                raise ValueError(
                    f"tier {tier} together with the pool's cache_config: {_first_reason(error)}"
                ) from error
        try:
            dims = self.dims
        except PlacementError as error:
            raise ValueError(f"parallelism_config: {error}") from error
        if problem := _shape_problem(self, dims):
            raise ValueError(problem)
        if self.generator_device == "cuda" and self.device == "cpu":
            raise ValueError("generator_device: cuda needs device: cuda")
        backends = {self.attention_backend, self.parallelism_config.attention_backend} - {None}
        if len(backends) > 1:
            raise ValueError(
                "attention_backend is given twice with different values: "
                f"{' and '.join(sorted(str(b) for b in backends))}"
            )
        return self

    @property
    def gpus(self) -> float:
        """GPUs of each rank: as given, else one on cuda and none on cpu."""
        return float(self.device == "cuda") if self.gpus_per_rank is None else self.gpus_per_rank

    @property
    def dims(self) -> ParallelDims:
        """The parallel sizes, `auto` filled in."""
        return self.parallelism_config.dims(self.num_ranks)

    @property
    def backend(self) -> str | None:
        """The attention backend, wherever it is given."""
        return self.attention_backend or self.parallelism_config.attention_backend

    def cache_for(self, tier: Tier) -> CacheConfig:
        """The cache settings of a tier: the pool's, with the tier's own in their place."""
        return self.cache_config.overridden(self.tiers[tier])


def _shape_problem(pool: PoolConfig, dims: ParallelDims) -> str | None:
    """What cannot go together in the pool's shape; None when all can."""
    parallelism, quantize = pool.parallelism_config, pool.quantize_config
    if pool.gpus_per_rank == 0 and pool.device == "cuda":
        return "gpus_per_rank: device cuda needs a GPU, or a part of one, for each rank"
    if pool.ranks_per_node is not None:
        try:
            check_ranks_per_node(dims, pool.ranks_per_node)
        except PlacementError as error:
            return f"ranks_per_node: {error}"
    if problem := parallelism.problem(dims):
        return f"parallelism_config: {problem}"
    if pool.device == "cpu" and parallelism.ulysses_float8:
        return "parallelism_config: ulysses_float8 needs CUDA (its kernels are Triton's)"
    if quantize is not None and (problem := quantize.problem(pool.device, pool.dtype, dims)):
        return f"quantize_config: {problem}"
    if pool.audit_fraction and Tier.NONE not in pool.tiers:
        return "audit_fraction: audits make requests again at none, which the pool does not serve"
    if pool.offload == "sequential" and pool.device == "cpu":
        return "offload: sequential needs device: cuda; on cpu there is nothing to offload to"
    if pool.offload in ("model", "sequential") and dims.world_size > 1:
        return (
            f"offload: {pool.offload} moves whole modules, which a group of ranks shares; "
            "use none or text_encoder, or one rank"
        )
    return None


def _tier_override(value: Any) -> Any:
    """A tier's settings, its cache's given bare or under `cache_config` as in a pool."""
    if value is None:
        return {}
    if not isinstance(value, Mapping) or "cache_config" not in value:
        return value
    cache = {} if value["cache_config"] is None else value["cache_config"]
    if not isinstance(cache, Mapping):
        return cache
    own = {key: setting for key, setting in value.items() if key != "cache_config"}
    if twice := [shown(key) for key in own if key in cache]:
        raise ValueError(f"a tier gives {', '.join(twice)} beside cache_config and in it")
    return {**cache, **own}


def _first_reason(error: ValueError) -> str:
    if isinstance(error, ValidationError):
        return error.errors(include_url=False)[0]["msg"].removeprefix("Value error, ")
    return str(error)
