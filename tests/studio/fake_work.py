"""What the stand-in server answers with: models, drawn pictures, receipts and clips."""

from __future__ import annotations

import io
import random
import zlib
from pathlib import Path
from typing import Any

import av
import numpy as np
from PIL import Image, ImageFilter

from cluster.config import ClusterConfig
from cluster.measured_tiers import PoolMeasurements, TiersTable
from cluster.receipt import Receipt
from cluster.tiers import Tier
from demo.draw import draw
from demo.world import parse, random_scene
from deployments.openai_api import tiers_response

STEPS = 28
FPS = 8
TABLE = TiersTable.from_json(Path("configs/demo.tiers.json").read_text(), "configs/demo.tiers.json")

COMPUTED = {
    row.tier: round(row.steps_computed) for row in TABLE.rows_of("shapes", "cpu") if row.steps == 28
}
"""Steps that a tier computes of 28."""

_BLUR = {"none": 0.0, "slow": 0.02, "medium": 0.05, "fast": 0.12, "ultra": 0.3, "auto": 0.05}


def model(name: str, tasks: list[str], **limits: int) -> dict[str, Any]:
    """A model as `GET /v1/models` has it."""
    known = {
        "max_side": 128,
        "max_pixels": 16384,
        "max_images": 8,
        "max_steps": 100,
        "max_frames": 81,
        "max_prompt_chars": 500,
    }
    return {
        "id": name,
        "object": "model",
        "created": 0,
        "owned_by": "dit-serve",
        "tasks": tasks,
        "tiers": list(Tier),
        "default_tier": "medium",
        "default_size": "128x128",
        "limits": known | limits,
    }


def tiers(models: list[dict[str, Any]], *, measured: bool) -> dict[str, Any]:
    """`GET /v1/tiers` of the models; of them `shapes` may have been measured."""
    pool = {"name": "cpu", "device": "cpu", "tiers": list(Tier)}
    config = ClusterConfig.model_validate(
        {"models": [{"name": each["id"], "source": "x", "pools": [pool]} for each in models]}
    )
    rows = PoolMeasurements(TABLE.rows_of("shapes", "cpu"), TABLE.made_at, TABLE.platform.device)
    others = {
        each["id"]: {"cpu": PoolMeasurements(refused="it was measured on H100, here is AMD EPYC")}
        for each in models
    }
    return tiers_response(config, others | ({"shapes": {"cpu": rows}} if measured else {}))


def picture(prompt: str, seed: int, tier: str, size: str, done: float = 1.0) -> bytes:
    """A PNG of what the prompt says; `done` is the share of steps, before which noise is left."""
    scene = parse(prompt) or random_scene(random.Random(zlib.crc32(prompt.encode())))
    width, height = (int(side) for side in size.split("x"))
    drawn = draw(scene, random.Random(seed)).resize((width, height), Image.Resampling.BICUBIC)
    drawn = Image.blend(drawn, drawn.filter(ImageFilter.GaussianBlur(1.5)), _BLUR[tier])
    noise = np.random.default_rng(seed).normal(128, 70, (height, width, 3))
    mixed = np.asarray(drawn) * done + noise * (1 - done)
    return _png(Image.fromarray(mixed.clip(0, 255).astype("uint8")))


def receipt(fields: dict[str, Any], seed: int, name: str, **more: Any) -> dict[str, Any]:
    """The receipt of a request, as one of the embedded model."""
    asked = fields.get("tier", "medium")
    served = "medium" if asked == "auto" else asked
    steps, n = int(fields.get("num_inference_steps", STEPS)), int(fields.get("n", 1))
    computed = max(1, round(steps * COMPUTED[served] / STEPS)) * n
    width, height = (int(side) for side in fields["size"].split("x"))
    reason = "keeps all deadlines" if asked == "auto" else "is the only choice"
    denoise_s = 0.0115 * computed
    facts: dict[str, Any] = {
        "request_id": name,
        "model": fields["model"],
        "pool": "cpu",
        "tier_requested": asked,
        "tier_served": served,
        "tier_reason": f"{served} {reason}",
        "num_inference_steps": steps,
        "steps_computed": computed,
        "steps_cached": steps * n - computed,
        "seed": seed,
        "n": n,
        "width": width,
        "height": height,
        "parallelism": "single",
        "quantization": None,
        "forecast_s": denoise_s * 1.08 + 0.027,
        "queue_s": 0.012,
        "encode_s": 0.006,
        "denoise_s": denoise_s,
        "decode_s": 0.021,
        "total_s": denoise_s + 0.041,
        "deadline_met": True if "deadline_ms" in fields else None,
        "attempts": 1,
        "config_hash": "9687e10b9bda",
    }
    return Receipt(**(facts | more)).model_dump(mode="json")


def clip(prompt: str, size: str) -> bytes:
    """Two seconds of H.264 in MP4: the drawn picture, passing by."""
    width, height = (int(side) for side in size.split("x"))
    still = Image.open(io.BytesIO(picture(prompt, 1, "none", size)))
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for shift in range(2 * FPS):
            moved = Image.fromarray(np.roll(np.asarray(still), 4 * shift, axis=1))
            container.mux(stream.encode(av.VideoFrame.from_image(moved)))
        container.mux(stream.encode(None))
    return buffer.getvalue()


def _png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()
