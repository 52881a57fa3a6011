"""Attention backends that torch brings along: the one that a pool names is the one that works."""

from __future__ import annotations

import pytest

from tests.gpu.conftest import Tell
from tests.gpu.engines import EMBEDDED, draw, engine_of, psnr_db

pytestmark = [pytest.mark.gpu, pytest.mark.filterwarnings("ignore")]


@pytest.mark.parametrize("backend", ["native", "_sdpa_cudnn"])
def test_a_backend_is_used_and_keeps_the_picture(tell: Tell, backend: str) -> None:
    plain = draw(engine_of(EMBEDDED, dtype="bfloat16"))
    engine = engine_of(EMBEDDED, dtype="bfloat16", attention_backend=backend)
    drawn = draw(engine)
    (cached,) = engine._cached
    used = {
        getattr(module.processor._attention_backend, "value", None)
        for module in cached.module.modules()
        if hasattr(module, "processor")
    }
    tell(PSNR_dB=round(psnr_db(drawn, plain), 1))
    assert used == {backend}
    assert psnr_db(drawn, plain) > 25
