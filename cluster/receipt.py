"""What was done for a request: the receipt, and the result that carries it."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict


class Receipt(BaseModel):
    """Goes with every result. Times are in seconds; steps are summed over the `n` pictures.

    `forecast_s` is what the engine's work was expected to take, None where nothing like it had been
    measured. `tier_reason` says why the router chose the tier, `notes` what was done otherwise than
    the tier's name suggests.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    request_id: str
    model: str
    pool: str
    tier_requested: str
    tier_served: str
    tier_reason: str
    num_inference_steps: int
    steps_computed: int
    steps_cached: int
    seed: int
    n: int
    width: int
    height: int
    parallelism: str
    quantization: str | None
    forecast_s: float | None
    queue_s: float
    encode_s: float
    denoise_s: float
    decode_s: float
    total_s: float
    deadline_met: bool | None
    attempts: int
    config_hash: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Stored:
    """A file in the result store: its key and its length in bytes."""

    key: str
    size: int


@dataclass(frozen=True)
class GenerateResult:
    """The pictures, each a whole file in `output_format`, and the receipt.

    Those of a job with `store_as` are in the result store, as `stored` says, and not in `images`.
    """

    images: tuple[bytes, ...]
    receipt: Receipt
    output_format: str
    stored: tuple[Stored, ...] = ()
