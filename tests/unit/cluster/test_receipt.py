"""The receipt: every documented field, and whole through JSON and across processes."""

from __future__ import annotations

import pickle

import pytest
from pydantic import ValidationError

from cluster.receipt import GenerateResult, Receipt

DOCUMENTED = {
    "request_id",
    "model",
    "pool",
    "tier_requested",
    "tier_served",
    "num_inference_steps",
    "steps_computed",
    "steps_cached",
    "seed",
    "width",
    "height",
    "parallelism",
    "quantization",
    "forecast_s",
    "queue_s",
    "denoise_s",
    "total_s",
    "deadline_met",
    "attempts",
    "config_hash",
}
"""What API.md promises of a receipt."""

RECEIPT = Receipt(
    request_id="r-1",
    model="shapes",
    pool="cpu",
    tier_requested="auto",
    tier_served="medium",
    tier_reason="medium keeps all deadlines",
    num_inference_steps=6,
    steps_computed=4,
    steps_cached=2,
    seed=2**63 - 1,
    n=1,
    width=128,
    height=128,
    parallelism="single",
    quantization=None,
    forecast_s=None,
    queue_s=0.0,
    encode_s=0.1,
    denoise_s=0.2,
    decode_s=0.3,
    total_s=0.6,
    deadline_met=None,
    attempts=1,
    config_hash="0123456789ab",
    notes=("no step mask under 8 steps",),
)


def test_a_receipt_has_every_documented_field():
    assert DOCUMENTED - Receipt.model_fields.keys() == set()


@pytest.mark.parametrize("field", sorted(DOCUMENTED))
def test_a_documented_field_is_never_left_out(field: str):
    with pytest.raises(ValidationError, match=field):
        Receipt.model_validate(RECEIPT.model_dump(exclude={field}))


def test_a_receipt_comes_back_whole_from_json():
    assert Receipt.model_validate_json(RECEIPT.model_dump_json()) == RECEIPT


def test_a_receipt_does_not_change_after_it_is_written():
    with pytest.raises(ValidationError):
        RECEIPT.attempts = 2


def test_a_result_crosses_processes_whole():
    result = GenerateResult((b"\x89PNG", b"\x00"), RECEIPT, "png")
    assert pickle.loads(pickle.dumps(result)) == result
