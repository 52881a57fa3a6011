"""The cluster's config: models, their pools, and limits.

`ClusterConfig.model_validate(args)` is the way in. The same mapping stands under
`applications[].args` of a Serve config file.
"""

from __future__ import annotations

import hashlib
import json
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
PICTURE_MULTIPLE = 16
"""Width and height are multiples of this: the autoencoder's 8 times the transformer patches' 2."""


class Autoscaling(Section):
    """How many replicas a pool may have."""

    min_replicas: int = Field(1, ge=1)
    max_replicas: int = Field(1, ge=1)

    @model_validator(mode="after")
    def _in_order(self) -> Autoscaling:
        if self.min_replicas > self.max_replicas:
            raise ValueError(
                f"min_replicas ({self.min_replicas}) is more than "
                f"max_replicas ({self.max_replicas})"
            )
        return self


class Watchdog(Section):
    """When a replica that makes no step counts as hung, and is replaced.

    It may be silent for `multiple` times the longest silence that jobs like this one have shown,
    and for `min_s` in any case; a job unlike any before for `unknown_s`. All are seconds.
    """

    multiple: float = Field(10.0, gt=1)
    min_s: float = Field(30.0, gt=0)
    unknown_s: float = Field(900.0, gt=0)


class PoolConfig(Section):
    """Replicas of one model in one shape, and the tiers that they serve."""

    name: Name
    tiers: dict[TierName, CacheConfig] = Field(
        default_factory=lambda: {tier: CacheConfig() for tier in Tier}
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
    watchdog: Watchdog = Field(default_factory=Watchdog)
    autoscaling: Autoscaling = Field(default_factory=Autoscaling)

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
    def _tiers_make_sense(cls, value: dict[Tier, CacheConfig]) -> dict[Tier, CacheConfig]:
        if not value:
            raise ValueError(f"name at least one tier of {', '.join(Tier)}")
        none = value.get(Tier.NONE, CacheConfig())
        if none.steps_computation_mask is not None or none.scm_compute_bins is not None:
            raise ValueError("none computes every step, so it takes no step mask")
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
    if pool.offload == "sequential" and pool.device == "cpu":
        return "offload: sequential needs device: cuda; on cpu there is nothing to offload to"
    if pool.offload in ("model", "sequential") and dims.world_size > 1:
        return (
            f"offload: {pool.offload} moves whole modules, which a group of ranks shares; "
            "use none or text_encoder, or one rank"
        )
    return None


class Limits(Section):
    """What one request may ask for."""

    max_prompt_chars: int = Field(2000, ge=1)
    max_side: int = Field(2048, ge=PICTURE_MULTIPLE)
    max_pixels: int = Field(2048 * 2048, ge=PICTURE_MULTIPLE**2)
    max_steps: int = Field(100, ge=1)
    max_images: int = Field(4, ge=1)
    max_frames: int = Field(241, ge=1)


class ModelConfig(Section):
    """One served pipeline and its pools."""

    name: Name
    source: str = Field(min_length=1)
    default_tier: TierName = Tier.MEDIUM
    default_size: str = "1024x1024"
    default_steps: int = Field(28, ge=1)
    default_frames: int | None = Field(None, ge=1)
    default_fps: int = Field(16, ge=1, le=120)
    max_sequence_length: int | None = Field(None, ge=1)
    max_queued: int = Field(64, ge=1)
    no_replica_s: float = Field(600.0, gt=0)
    limits: Limits = Field(default_factory=Limits)
    judge: str | None = Field(None, pattern=r"^[\w.]+:\w+$")
    pools: tuple[PoolConfig, ...]

    @field_validator("default_size")
    @classmethod
    def _is_a_size(cls, value: str) -> str:
        parse_size(value)
        return value

    @model_validator(mode="after")
    def _pools_agree(self) -> ModelConfig:
        if not self.pools:
            raise ValueError("pools: a model needs at least one pool")
        names = [pool.name for pool in self.pools]
        if len(set(names)) < len(names):
            raise ValueError(f"pools: two pools have the same name ({', '.join(sorted(names))})")
        if self.default_tier not in self.tiers:
            raise ValueError(
                f"default_tier: no pool serves {self.default_tier}; "
                f"the pools serve {', '.join(self.tiers)}"
            )
        if problem := size_problem(parse_size(self.default_size), self.limits):
            raise ValueError(f"default_size: {self.default_size} {problem}")
        if self.default_steps > self.limits.max_steps:
            raise ValueError(
                f"default_steps: {self.default_steps} is more than limits.max_steps, "
                f"{self.limits.max_steps}"
            )
        if self.default_frames is not None and self.default_frames > self.limits.max_frames:
            raise ValueError(
                f"default_frames: {self.default_frames} is more than limits.max_frames, "
                f"{self.limits.max_frames}"
            )
        return self

    def pool_named(self, name: str) -> PoolConfig:
        """The pool of that name; raises StopIteration where there is none."""
        return next(pool for pool in self.pools if pool.name == name)

    @property
    def tiers(self) -> tuple[Tier, ...]:
        """The tiers that some pool serves, best first."""
        return tuple(tier for tier in Tier if any(tier in pool.tiers for pool in self.pools))


class ClusterConfig(Section):
    """Everything under `applications[].args`."""

    models: tuple[ModelConfig, ...]
    max_body_bytes: int = Field(1_000_000, ge=1_000)
    max_attempts: int = Field(3, ge=1)

    @model_validator(mode="after")
    def _names_differ(self) -> ClusterConfig:
        if not self.models:
            raise ValueError("models: a cluster serves at least one model")
        names = [model.name for model in self.models]
        if len(set(names)) < len(names):
            raise ValueError(f"models: two models have the same name ({', '.join(sorted(names))})")
        return self

    def model_named(self, name: str) -> ModelConfig | None:
        return next((model for model in self.models if model.name == name), None)


def size_problem(size: tuple[int, int], limits: Limits) -> str | None:
    """Why a size is beyond the limits; None when it is within."""
    if max(size) <= limits.max_side and size[0] * size[1] <= limits.max_pixels:
        return None
    return (
        f"is too large; the limits are {limits.max_side} pixels a side "
        f"and {limits.max_pixels} in all"
    )


def parse_size(text: str) -> tuple[int, int]:
    """ "640x480" as (640, 480); raises ValueError with a sentence that says what a size is."""
    width, _, height = text.partition("x")
    if not (
        width.isascii()
        and width.isdigit()
        and height.isascii()
        and height.isdigit()
        and len(text) <= 11
    ):
        raise ValueError(f"a size is WIDTHxHEIGHT in pixels, such as 1024x1024, not {text!r:.40}")
    size = int(width), int(height)
    if 0 in size or size[0] % PICTURE_MULTIPLE or size[1] % PICTURE_MULTIPLE:
        raise ValueError(
            f"width and height are multiples of {PICTURE_MULTIPLE} and not zero, unlike {text}"
        )
    return size


_NOT_IN_PICTURES = {
    "name",
    "autoscaling",
    "cpus_per_rank",
    "gpus_per_rank",
    "ranks_per_node",
    "watchdog",
    "tiers",
    "cache_config",
}


def config_hash(model: ModelConfig, pool: PoolConfig) -> str:
    """Twelve hex digits that change with any setting that can change a picture.

    They say nothing of the weights behind the source, of library versions or of the machine.
    """
    settings = {
        "source": model.source,
        "max_sequence_length": model.max_sequence_length,
        "pool": pool.model_dump(mode="json", exclude=_NOT_IN_PICTURES),
        "tiers": {tier: pool.cache_for(tier).model_dump(mode="json") for tier in pool.tiers},
    }
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:12]


def _tier_override(value: Any) -> Any:
    """A tier's settings, given bare or under `cache_config` as in a pool."""
    if value is None:
        return {}
    if isinstance(value, Mapping) and "cache_config" in value:
        if others := [shown(key) for key in value if key != "cache_config"]:
            raise ValueError(f"a tier overrides cache_config only, not {', '.join(others)}")
        return value["cache_config"]
    return value


def _first_reason(error: ValueError) -> str:
    if isinstance(error, ValidationError):
        return error.errors(include_url=False)[0]["msg"].removeprefix("Value error, ")
    return str(error)
