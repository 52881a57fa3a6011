"""`compile: true` on CUDA: compiled once, and not again when the tier changes."""

from __future__ import annotations

from typing import Any

import pytest

from cluster.tiers import Tier
from tests.gpu.conftest import Tell
from tests.gpu.engines import EMBEDDED, draw, engine_of, job_of, psnr_db

pytestmark = [pytest.mark.gpu, pytest.mark.filterwarnings("ignore")]

QUANTIZED: dict[str, Any] = {"quantize_config": {"quant_type": "float8_per_row"}}


def graphs_compiled() -> int:
    """Graphs that torch has compiled in this process since the counters were cleared."""
    from torch._dynamo.utils import counters

    return int(counters["stats"]["unique_graphs"])


@pytest.mark.parametrize("settings", [{}, QUANTIZED], ids=["bfloat16", "float8_per_row"])
def test_nothing_is_compiled_again_when_the_tier_changes(
    tell: Tell, settings: dict[str, Any]
) -> None:
    from torch._dynamo.utils import counters

    eager = draw(engine_of(EMBEDDED, dtype="bfloat16", **settings))
    counters.clear()
    engine = engine_of(EMBEDDED, dtype="bfloat16", compile=True, **settings)
    compiled = draw(engine)
    first = graphs_compiled()
    drawn = {tier: draw(engine, tier) for tier in reversed(Tier)}
    after_tiers = graphs_compiled()
    draw(engine, job=job_of("96x128"))
    after_size = graphs_compiled()
    draw(engine, Tier.FAST, job_of("96x128"))
    tell(
        graphs=first,
        more_for_tiers=after_tiers - first,
        more_for_a_size=after_size - after_tiers,
        PSNR_dB_to_eager=round(psnr_db(compiled, eager), 1),
        eager_s=round(eager.result.denoise_s, 3),
        compiled_s=round(drawn[Tier.NONE].result.denoise_s, 3),
    )
    assert first > 0
    assert after_tiers == first
    assert after_size <= 2 * first
    assert graphs_compiled() == after_size
    assert psnr_db(compiled, eager) > 25
