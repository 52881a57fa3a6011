"""The sections that cache-dit's users know, with its spelling and its defaults.

They are cache, parallelism and quantization. `tests/contract` holds them against the installed
cache-dit. What cache-dit accepts silently and then ignores is refused here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, PlainValidator, field_validator, model_validator

from cluster.sections import Section, shown
from cluster.tiers import Tier
from placement.parallel import ParallelDims, resolve_dims

PRESETS = tuple(tier.value for tier in Tier if tier is not Tier.NONE)
"""The step masks that cache-dit knows by name."""


def _preset_or_numbers(value: Any) -> Any:
    if value is None or (isinstance(value, str) and value in PRESETS):
        return value
    if (
        isinstance(value, tuple)
        and value[:1] == (1,)
        and all(type(step) is int and step in (0, 1) for step in value)
    ):
        return value
    raise ValueError(
        f"must be one of {', '.join(PRESETS)}, or a list of 1 (compute) and 0 (cache) that "
        f"begins with 1, not {shown(repr(value))}"
    )


def _size_or_auto(value: Any) -> Any:
    if value is None or value == "auto" or (type(value) is int and value >= 1):
        return value
    raise ValueError(f"must be auto or a whole number of at least 1, not {shown(repr(value))}")


Mask = Annotated[str | tuple[int, ...] | None, PlainValidator(_preset_or_numbers)]
ParallelSize = Annotated[int | Literal["auto"] | None, PlainValidator(_size_or_auto)]


class CacheConfig(Section):
    """DBCache, TaylorSeer and the step mask of a pool or of one of its tiers."""

    old_names: ClassVar[Mapping[str, str]] = {"enable_sperate_cfg": "enable_separate_cfg"}

    Fn_compute_blocks: int = Field(8, ge=1)
    Bn_compute_blocks: int = Field(0, ge=0)
    residual_diff_threshold: float = Field(0.08, ge=0)
    max_accumulated_residual_diff_threshold: float | None = Field(None, gt=0)
    max_warmup_steps: int = Field(8, ge=0)
    warmup_interval: int = Field(1, ge=1)
    max_cached_steps: int = Field(-1, ge=-1)
    max_continuous_cached_steps: int = Field(-1, ge=-1)
    enable_taylorseer: bool = False
    taylorseer_order: int = Field(1, ge=0, le=4)
    enable_separate_cfg: bool | None = None
    num_inference_steps: int | None = Field(None, ge=1)
    steps_computation_mask: Mask = None
    steps_computation_policy: Literal["dynamic", "static"] = "dynamic"
    scm_compute_bins: tuple[int, ...] | None = None
    scm_cache_bins: tuple[int, ...] | None = None

    @field_validator("scm_compute_bins", "scm_cache_bins")
    @classmethod
    def _bins_count_steps(cls, value: tuple[int, ...] | None) -> tuple[int, ...] | None:
        if value is not None and (not value or min(value) < 1):
            raise ValueError("bins are counts of steps, each at least 1")
        return value

    @model_validator(mode="after")
    def _one_mask(self) -> CacheConfig:
        if (self.scm_compute_bins is None) != (self.scm_cache_bins is None):
            raise ValueError("scm_compute_bins and scm_cache_bins go together: give both or none")
        if self.scm_compute_bins is not None and self.steps_computation_mask is not None:
            raise ValueError(
                "steps_computation_mask and the scm bins both set the step mask: give one of them"
            )
        covered = self.mask_steps_max()
        if covered is not None and self.num_inference_steps not in (None, covered):
            raise ValueError(
                f"the step mask has {covered} steps, "
                f"but num_inference_steps is {self.num_inference_steps}"
            )
        return self

    def overridden(self, other: CacheConfig) -> CacheConfig:
        """These settings, with those that `other` states in their place."""
        return CacheConfig.model_validate(
            self.model_dump(exclude_unset=True) | other.model_dump(exclude_unset=True)
        )

    def mask_steps_max(self) -> int | None:
        """The most steps that a mask given as numbers covers; None where a preset makes it."""
        if isinstance(self.steps_computation_mask, tuple):
            return len(self.steps_computation_mask)
        if self.scm_compute_bins is not None and self.scm_cache_bins is not None:
            return sum(self.scm_compute_bins) + sum(self.scm_cache_bins)
        return None

    def preset_for(self, tier: Tier) -> str:
        """The preset that makes the mask of a tier: the one named here, else the tier's own."""
        return (
            self.steps_computation_mask
            if isinstance(self.steps_computation_mask, str)
            else tier.value
        )


class ParallelismConfig(Section):
    """How a replica's ranks divide the work; one size may be `auto`."""

    old_names: ClassVar[Mapping[str, str]] = {
        "ulysses": "ulysses_size",
        "ring": "ring_size",
        "tp": "tp_size",
    }

    ulysses_size: ParallelSize = None
    ring_size: ParallelSize = None
    tp_size: ParallelSize = None
    attention_backend: str | None = None
    ulysses_anything: bool = False
    ulysses_float8: bool = False
    ulysses_async: bool = False
    extra_parallel_modules: tuple[
        Literal["text_encoder", "vae", "image_encoder", "controlnet"], ...
    ] = ()

    @field_validator("attention_backend")
    @classmethod
    def _known_backend(cls, value: str | None) -> str | None:
        return known_attention_backend(value)

    def problem(self, dims: ParallelDims) -> str | None:
        """What cache-dit cannot do together, or would ignore; None when all is well."""
        options = [
            name
            for name in ("ulysses_anything", "ulysses_float8", "ulysses_async")
            if getattr(self, name)
        ]
        if options and dims.ulysses_size == 1:
            return f"{options[0]} needs ulysses_size of at least 2, and it is 1"
        if self.ulysses_anything and dims.ring_size > 1:
            return f"ulysses_anything does not go with ring_size {dims.ring_size}"
        if self.extra_parallel_modules and dims.world_size == 1:
            return "extra_parallel_modules needs at least 2 ranks, and there is 1"
        return None

    def dims(self, num_ranks: int) -> ParallelDims:
        """The sizes for `num_ranks`; raises `placement.parallel.PlacementError`."""
        return resolve_dims(num_ranks, self.ulysses_size, self.ring_size, self.tp_size)


class QuantizeConfig(Section):
    """Which linear layers are quantized, and how.

    Names that cache-dit has since changed are translated.
    """

    old_types: ClassVar[Mapping[str, str]] = {
        "float8": "float8_per_row",
        "float8_blockwise": "float8_per_block",
        "int8": "int8_per_row",
    }

    quant_type: Literal[
        "float8_per_row",
        "float8_per_tensor",
        "float8_per_block",
        "float8_weight_only",
        "int8_per_row",
        "int8_per_tensor",
        "int8_weight_only",
    ] = "float8_per_row"
    exclude_layers: tuple[str, ...] = ("embedder", "embed", "modulation", "mod")
    verbose: bool = False

    def problem(self, device: str, dtype: str, dims: ParallelDims) -> str | None:
        """Why these layers cannot be quantized there; None when they can."""
        if device == "cpu" and self.quant_type not in CPU_QUANT_TYPES:
            return f"{self.quant_type} needs CUDA; on cpu there are {', '.join(CPU_QUANT_TYPES)}"
        if self.quant_type == "float8_per_row" and dtype != "bfloat16":
            return f"float8_per_row needs dtype bfloat16, not {dtype}"
        if dims.tp_size > 1 and self.quant_type.startswith("int8_per"):
            return (
                f"{self.quant_type} has no rule for sharding by tp_size {dims.tp_size}; "
                "int8_weight_only has one"
            )
        return None

    @field_validator("quant_type", mode="before")
    @classmethod
    def _todays_name(cls, value: Any) -> Any:
        return cls.old_types.get(value, value) if isinstance(value, str) else value


CPU_QUANT_TYPES = ("float8_per_row", "float8_weight_only", "int8_per_row", "int8_weight_only")
"""What torchao runs on CPU as well."""

ATTENTION_BACKENDS = (
    "native",
    "flash",
    "flash_varlen",
    "sage",
    "sage3",
    "_flash_3",
    "_sdpa_cudnn",
    "ffpa",
    "ffpa_fp8",
    "ffpa_fp4",
    "ffpa_fp8_per_block",
    "_native_npu",
    "_npu_fia",
    "_mindiesd_laser",
)


def known_attention_backend(value: str | None) -> str | None:
    """The name itself if cache-dit has such a backend; raises ValueError otherwise."""
    if value is not None and value not in ATTENTION_BACKENDS:
        raise ValueError(
            f"unknown attention backend {value!r}; the backends are {', '.join(ATTENTION_BACKENDS)}"
        )
    return value
