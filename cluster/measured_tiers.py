"""The table that `dit-serve calibrate` writes: what tiers really cost and give, and on what.

Values only, in and out of JSON. `why_stale` says when a table speaks of something else than what
runs here; a table that does is never used.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from pydantic import Field, ValidationError

from cluster.config import ModelConfig, config_hash
from cluster.errors import ConfigError
from cluster.pool import PoolConfig, TierName
from cluster.sections import Section, fault_lines


class Platform(Section):
    """The name of a card or processor, and the versions of what decides speed and pictures."""

    device: str
    versions: dict[str, str]


class MeasuredPool(Section):
    """The pool that rows speak of: its shape and settings, and torch's threads where it is on CPU.

    `config_hash` is that of `cluster.config`, which says nothing of the weights behind the source.
    """

    model: str
    pool: str
    shape: str
    threads: int | None
    config_hash: str


class MeasuredTier(Section):
    """What one tier of a pool cost and gave at one size and number of steps, over `pictures`.

    Seconds are of one picture or clip, warm, without HTTP: median and 95th percentile of the whole,
    medians of its stages. `speed_up` is the median, over the rounds, of the seconds of `none` in
    the same round by the tier's own; q25 and q75 are the quartiles. Faithfulness is against `none`
    of the same seed: PSNR (median and least; None where every pixel is equal), SSIM, LPIPS (means).
    `adherence` is facts right and asked. `peak_memory_bytes` is the device's; None on CPU.
    """

    model: str
    pool: str
    tier: TierName
    width: int = Field(ge=1)
    height: int = Field(ge=1)
    num_frames: int | None = Field(None, ge=1)
    steps: int = Field(ge=1)
    guided: bool = False
    pictures: int = Field(ge=1)
    seconds_p50: float = Field(gt=0)
    seconds_p95: float = Field(gt=0)
    encode_s: float = Field(ge=0)
    denoise_s: float = Field(ge=0)
    decode_s: float = Field(ge=0)
    steps_computed: float = Field(ge=1)
    steps_cached: float = Field(ge=0)
    speed_up: float = Field(gt=0)
    speed_up_q25: float = Field(gt=0)
    speed_up_q75: float = Field(gt=0)
    psnr_db: float | None = None
    psnr_least_db: float | None = None
    ssim: float
    lpips: float | None = None
    clip_score: float | None = None
    adherence: tuple[int, int] | None = None
    peak_memory_bytes: int | None = None

    @property
    def size(self) -> str:
        """WIDTHxHEIGHT, and the frames of a clip."""
        frames = "" if self.num_frames is None else f"x{self.num_frames}"
        return f"{self.width}x{self.height}{frames}"

    @property
    def name(self) -> str:
        """The row in words: where and what, without the tier."""
        guided = ", guided" if self.guided else ""
        return f"{self.model}/{self.pool} {self.size}, {self.steps} steps{guided}"


class TiersTable(Section):
    """Everything measured by one calibration. `made_at` is UTC in ISO 8601."""

    format: Literal["dit-serve-tiers/1"] = "dit-serve-tiers/1"
    made_at: str
    platform: Platform
    pools: tuple[MeasuredPool, ...]
    rows: tuple[MeasuredTier, ...]

    def rows_of(self, model: str, pool: str) -> tuple[MeasuredTier, ...]:
        return tuple(row for row in self.rows if (row.model, row.pool) == (model, pool))

    def to_json(self) -> str:
        """Numbers to six digits: no clock that is read here knows more."""
        kept = json.loads(self.model_dump_json(exclude_none=True), parse_float=_six_digits)
        return json.dumps(kept, indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str, source: str) -> TiersTable:
        """The table in a text; `source` begins each line of an error.

        Raises:
            ConfigError: not JSON, or not such a table.
        """
        try:
            return cls.model_validate(json.loads(text))
        except ValidationError as error:
            lines = [f"{source}: {line}" for line in fault_lines(error)]
            raise ConfigError("\n".join(lines)) from error
        except ValueError as error:
            raise ConfigError(f"{source}: not valid JSON: {error}") from error


@dataclass(frozen=True)
class PoolMeasurements:
    """The rows of a pool's table with when and on what they were made, or why there are none.

    Without either the model's config names no table.
    """

    rows: tuple[MeasuredTier, ...] = ()
    made_at: str = ""
    device: str = ""
    refused: str | None = None


def measured_pool(model: ModelConfig, pool: PoolConfig) -> MeasuredPool:
    """What a table says of the pool that its rows are measured on."""
    return MeasuredPool(
        model=model.name,
        pool=pool.name,
        shape=pool.dims.label,
        threads=max(1, int(pool.cpus_per_rank)) if pool.device == "cpu" else None,
        config_hash=config_hash(model, pool),
    )


def why_stale(
    table: TiersTable,
    model: ModelConfig,
    pool: PoolConfig,
    versions: Mapping[str, str],
    device: str | None = None,
) -> str | None:
    """One sentence why the table says nothing of this pool here; None where it fits.

    Without a `device` the card is not compared: only a replica knows it.
    """
    name = f"{model.name}/{pool.name}"
    now = measured_pool(model, pool)
    then = next((p for p in table.pools if (p.model, p.pool) == (model.name, pool.name)), None)
    if then is None:
        return f"it has no rows of {name}"
    if then.config_hash != now.config_hash:
        return (
            f"it was measured with other settings of {name}: config hash {then.config_hash}, "
            f"here {now.config_hash}"
        )
    if then.threads != now.threads:
        return f"it was measured with cpus_per_rank {then.threads}, here {now.threads}"
    measured = table.platform.versions
    for library in sorted({*measured, *versions}):
        there, here = measured.get(library, "none"), versions.get(library, "none")
        if there != here:
            return f"it was measured with {library} {there}, here runs {here}"
    if device is not None and device != table.platform.device:
        return f"it was measured on {table.platform.device}, here is {device}"
    return None


def _six_digits(text: str) -> float:
    return float(f"{float(text):.6g}")
