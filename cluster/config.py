"""The cluster's config: models, their pools, and limits.

`ClusterConfig.model_validate(args)` is the way in. The same mapping stands under
`applications[].args` of a Serve config file.
"""

from __future__ import annotations

import hashlib
import json
import re

from pydantic import Field, field_validator, model_validator

from cluster.auth import AuthConfig
from cluster.key_limits import KeyLimits
from cluster.picture_address import host_origin
from cluster.picture_metadata import PictureMetadata
from cluster.pool import Name, PoolConfig, TierName
from cluster.results import ResultsConfig
from cluster.secret_reference import variable_of
from cluster.sections import Section
from cluster.tasks import Task, tasks_of
from cluster.tiers import Tier
from cluster.tracing import TracingConfig

PICTURE_MULTIPLE = 16
"""Width and height are multiples of this: the autoencoder's 8 times the transformer patches' 2."""


class Limits(Section):
    """What one request may ask for."""

    max_prompt_chars: int = Field(2000, ge=1)
    max_side: int = Field(2048, ge=PICTURE_MULTIPLE)
    max_pixels: int = Field(2048 * 2048, ge=PICTURE_MULTIPLE**2)
    max_steps: int = Field(100, ge=1)
    max_images: int = Field(4, ge=1)
    max_frames: int = Field(241, ge=1)


class ModelConfig(Section):
    """One served pipeline and its pools.

    `pipeline` is the pipeline's class, where it cannot be read from the source. `default_strength`
    is how far a picture is changed that a request begins from; its own default is diffusers'.
    """

    name: Name
    source: str = Field(min_length=1)
    default_tier: TierName = Tier.MEDIUM
    default_size: str = "1024x1024"
    default_steps: int = Field(28, ge=1)
    default_frames: int | None = Field(None, ge=1)
    default_fps: int = Field(16, ge=1, le=120)
    default_strength: float = Field(0.6, gt=0, le=1)
    max_sequence_length: int | None = Field(None, ge=1)
    default_slo_factor: float = Field(3.0, gt=1)
    max_queued: int = Field(1000, ge=1)
    max_backlog_s: float = Field(1800.0, gt=0)
    no_replica_s: float = Field(600.0, gt=0)
    limits: Limits = Field(default_factory=Limits)
    judge: str | None = Field(None, pattern=r"^[\w.]+:\w+$")
    tiers_table: str | None = Field(None, min_length=1)
    pipeline: str | None = Field(None, pattern=r"^\w+$")
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

    @property
    def makes_videos(self) -> bool:
        return self.default_frames is not None

    @property
    def tasks(self) -> tuple[Task, ...]:
        """What the pipeline's class can do; without it, what works from text alone."""
        return tasks_of(self.pipeline, makes_videos=self.makes_videos)

    def pool_named(self, name: str) -> PoolConfig:
        """The pool of that name; raises StopIteration where there is none."""
        return next(pool for pool in self.pools if pool.name == name)

    @property
    def tiers(self) -> tuple[Tier, ...]:
        """The tiers that some pool serves, best first."""
        return tuple(tier for tier in Tier if any(tier in pool.tiers for pool in self.pools))


class ClusterConfig(Section):
    """Everything under `applications[].args`.

    `public_url` is the address at which callers reach the gateways, where a proxy stands before
    them. `database_url` is one of SQLAlchemy's; SQLite serves the gateways of one machine. As
    `env:NAME` it is what the environment variable NAME holds where a gateway runs. `key_limits` are
    those of every key that has none of its own. From `picture_hosts`, such as
    https://pictures.example.com, gateways fetch pictures that a request names by their addresses;
    from nowhere else.
    """

    models: tuple[ModelConfig, ...]
    gateways: int = Field(1, ge=1)
    public_url: str | None = Field(None, pattern=r"^https?://\S+$")
    results: ResultsConfig = Field(default_factory=ResultsConfig)
    database_url: str = "sqlite:///var/jobs.db"
    picture_metadata: PictureMetadata = "settings"
    max_body_bytes: int = Field(1_000_000, ge=1_000)
    max_upload_bytes: int = Field(50_000_000, ge=1_000)
    picture_hosts: tuple[str, ...] = ()
    max_attempts: int = Field(3, ge=1)
    tracing: TracingConfig | None = None
    auth: AuthConfig = Field(default_factory=AuthConfig)
    key_limits: KeyLimits | None = None

    @field_validator("picture_hosts")
    @classmethod
    def _are_origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(host_origin(each) for each in value)

    @field_validator("database_url")
    @classmethod
    def _is_a_database(cls, value: str) -> str:
        """What is wrong is told without the value: it may hold a password."""
        if variable_of(value) is None and not re.match(r"[a-z0-9+]+://", value):
            raise ValueError(
                "it is no URL of a database, such as sqlite:///var/jobs.db, and names none, "
                "as env:DATABASE_URL does"
            )
        return value

    @model_validator(mode="after")
    def _names_differ(self) -> ClusterConfig:
        if not self.models:
            raise ValueError("models: a cluster serves at least one model")
        names = [model.name for model in self.models]
        if len(set(names)) < len(names):
            raise ValueError(f"models: two models have the same name ({', '.join(sorted(names))})")
        return self

    @model_validator(mode="after")
    def _limits_have_keys(self) -> ClusterConfig:
        if self.key_limits is not None and not self.auth.asks_for_keys:
            raise ValueError("key_limits: there are no keys to limit, as auth says none")
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
    "audit_fraction",
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
