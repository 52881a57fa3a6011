"""What an engine is: the recipe to build one, what it is asked and what it answers.

Imports neither torch nor Ray.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Protocol, cast

from cluster.acceleration import CacheConfig, ParallelismConfig, QuantizeConfig
from cluster.config import ModelConfig, config_hash, parse_size
from cluster.errors import ConfigError
from cluster.job import Job
from cluster.picture_metadata import PictureMetadata
from cluster.pool import PoolConfig, Watchdog
from cluster.receipt import Stored
from cluster.results import ResultsConfig
from cluster.tiers import Tier
from placement.parallel import ParallelDims

StepBoundary = Callable[[int, int], bool]
"""Called after each step, or more often, with (steps done, steps in all).

False stops the work at the next boundary between two steps.
"""


Preview = Callable[[bytes], None]
"""Called with the whole file of each preview of a job that wants some; rank 0 only."""


@dataclass(frozen=True)
class World:
    """The place of a rank among the ranks of its replica, and where they meet.

    `host` and `port` are those of the store that rank 0 opens; `timeout_s` bounds every wait of the
    ranks for each other.
    """

    rank: int
    size: int
    host: str
    port: int
    timeout_s: float = 1800.0


@dataclass(frozen=True)
class EngineSpec:
    """Everything that a rank needs to build its engine; frozen and picklable."""

    model: str
    pool: str
    source: str
    device: str
    dtype: str
    generator_device: str
    threads: int
    dims: ParallelDims
    parallelism: ParallelismConfig
    tiers: Mapping[Tier, CacheConfig]
    attention_backend: str | None
    quantize_config: QuantizeConfig | None
    compile: bool
    offload: str
    vae_tiling: bool
    max_sequence_length: int | None
    warm_up_size: tuple[int, int]
    warm_up_frames: int | None
    watchdog: Watchdog
    config_hash: str
    results: ResultsConfig = field(default_factory=ResultsConfig)
    picture_metadata: PictureMetadata = "settings"
    max_batch: int = 4
    kind: str = "diffusers"


@dataclass(frozen=True)
class DeviceMemory:
    """Bytes of a rank's device: the most that was taken of it at once, and all that it has."""

    used: int
    total: int


@dataclass(frozen=True)
class EngineResult:
    """Encoded pictures (or clips) and what making them took. Steps are summed over the pictures.

    A job that says `store_as` has its files in the result store, as `stored` says, and no `images`.
    `residual_diffs` has one mapping per picture: step to the relative L1 difference that DBCache
    measured there. `memory` is that of this rank.
    """

    images: tuple[bytes, ...]
    steps_computed: int
    steps_cached: int
    residual_diffs: tuple[Mapping[int, float], ...]
    encode_s: float
    denoise_s: float
    decode_s: float
    notes: tuple[str, ...] = ()
    stored: tuple[Stored, ...] = ()
    memory: DeviceMemory | None = None

    @property
    def engine_s(self) -> float:
        """Seconds of all stages together."""
        return self.encode_s + self.denoise_s + self.decode_s


class Stopped(Exception):
    """The step boundary said to stop; the engine is ready for the next job."""


def no_preview(file: bytes) -> None:
    """For a job that wants no previews."""


class Engine(Protocol):
    """One rank's pipeline. Not thread-safe: one job at a time.

    The ranks of a group are called with the same job; rank 0's `boundary` decides for all of them,
    and only rank 0's result has pictures.
    """

    def warm_up(self) -> None:
        """Runs a small job, so that the first caller does not pay for lazy initialisation.

        Raises as `generate` does: a rank that cannot do it right serves nobody.
        """

    def generate(
        self, job: Job, tier: Tier, boundary: StepBoundary, preview: Preview = no_preview
    ) -> EngineResult:
        """Does a job in a tier.

        Raises:
            InvalidRequest: the pipeline does not take a field that the job gives.
            Stopped: `boundary` returned False.
            EngineFailed: the pipeline failed.
            OutputCorrupt: what it made cannot be right, in whatever job comes next as well perhaps.
            ResultsUnavailable: the result store did not take the files.
        """
        ...

    def device_name(self) -> str:
        """The card or processor that it runs on; rank 0's, where there are several."""
        ...


_KINDS = {"diffusers": "deployments.engine_diffusers:DiffusersEngine"}


def open_store(host: str) -> Any:
    """Where the ranks of a replica meet; rank 0 opens it on `host`. It has its `port`."""
    return import_module("deployments.collectives").open_store(host)


def build_engine(spec: EngineSpec, world: World | None = None, store: Any = None) -> Engine:
    """The engine of a spec; its heavy imports happen here and not before.

    A rank of a group gives its `world`, and waits here for the others; rank 0 gives the store that
    it opened as well.

    Raises:
        ConfigError: no such kind, or the pipeline cannot be loaded.
    """
    if spec.kind not in _KINDS:
        raise ConfigError(f"unknown engine {spec.kind!r}; the engines are {', '.join(_KINDS)}")
    module, _, name = _KINDS[spec.kind].partition(":")
    return cast(Engine, getattr(import_module(module), name)(spec, world, store))


def engine_spec(
    model: ModelConfig,
    pool: PoolConfig,
    results: ResultsConfig | None = None,
    picture_metadata: PictureMetadata = "settings",
) -> EngineSpec:
    """The recipe of a pool's engine; without `results` the store of the defaults."""
    return EngineSpec(
        model=model.name,
        pool=pool.name,
        source=model.source,
        device=pool.device,
        dtype=pool.dtype,
        generator_device=pool.generator_device,
        threads=max(1, int(pool.cpus_per_rank)),
        dims=pool.dims,
        parallelism=pool.parallelism_config,
        tiers={tier: pool.cache_for(tier) for tier in pool.tiers},
        attention_backend=pool.backend,
        quantize_config=pool.quantize_config,
        compile=pool.compile,
        offload=pool.offload,
        vae_tiling=pool.vae_tiling,
        max_sequence_length=model.max_sequence_length,
        warm_up_size=parse_size(model.default_size),
        warm_up_frames=model.default_frames,
        watchdog=pool.watchdog,
        config_hash=config_hash(model, pool),
        results=results or ResultsConfig(),
        picture_metadata=picture_metadata,
        max_batch=pool.max_batch,
    )
