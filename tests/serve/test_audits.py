"""Audits: served requests are made again at none while nobody waits, and never hold up a caller."""

from __future__ import annotations

import base64
import io
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from PIL import Image

from deployments.fidelity import psnr_db
from tests.serve.faults import PROMPT, draw, until
from tests.serve.server import Server, serving

pytestmark = pytest.mark.ray


@pytest.fixture(scope="module")
def audited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder: Path = tmp_path_factory.mktemp("audits")
    document = yaml.safe_load(Path("configs/demo.yaml").read_text())
    document["applications"][0]["args"]["models"][0]["pools"][0]["audit_fraction"] = 1.0
    config = folder / "config.yaml"
    config.write_text(yaml.safe_dump(document))
    with serving(config, folder) as server:
        yield server


def sample(server: Server, name: str, tier: str) -> float:
    line = f'{name}{{model="shapes",pool="cpu",tier="{tier}"}} '
    text = httpx.get(f"{server.url}/metrics", timeout=30).text
    return float(next((found.split()[-1] for found in text.splitlines() if line in found), "0"))


def picture(answer: dict[str, Any]) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(answer["data"][0]["b64_json"])))


def test_an_audit_tells_how_near_the_tier_is_to_none_and_how_much_faster(audited: Server) -> None:
    served = draw(audited, prompt=PROMPT, tier="fast", seed=3)
    until(lambda: sample(audited, "dit_serve_audits_total", "fast") == 1, 60)
    exact = draw(audited, prompt=PROMPT, tier="none", seed=3)
    found = sample(audited, "dit_serve_tier_psnr_db", "fast")
    assert found == pytest.approx(psnr_db(picture(served), picture(exact)), abs=0.01)
    assert sample(audited, "dit_serve_tier_speedup", "fast") > 1
    assert sample(audited, "dit_serve_audits_total", "none") == 0


def test_a_caller_stops_the_audit_on_its_replica(audited: Server) -> None:
    long: dict[str, Any] = {"prompt": PROMPT, "num_inference_steps": 100, "n": 8}
    again_s = draw(audited, **long, tier="none", seed=5)["receipt"]["denoise_s"]
    before = sample(audited, "dit_serve_audits_total", "ultra")
    draw(audited, **long, tier="ultra", seed=5)
    time.sleep(0.1 * again_s)
    began_s = time.monotonic()
    receipt = draw(audited, prompt=PROMPT, num_inference_steps=8, tier="none")["receipt"]
    assert time.monotonic() - began_s < 0.6 * again_s, "the audit would have taken longer"
    assert receipt["attempts"] == 1
    assert sample(audited, "dit_serve_audits_total", "ultra") == before
