"""Every mode of `offload` draws the same picture, and holds less on the card between pictures."""

from __future__ import annotations

import gc

import pytest

from tests.gpu.conftest import Tell
from tests.gpu.engines import EMBEDDED, TOLERANCE, difference, draw, engine_of

pytestmark = [pytest.mark.gpu, pytest.mark.filterwarnings("ignore")]


@pytest.mark.parametrize("mode", ["text_encoder", "model", "sequential"])
def test_a_mode_draws_what_none_draws_and_holds_less(tell: Tell, mode: str) -> None:
    import torch

    before = torch.cuda.memory_allocated()
    engine = engine_of(EMBEDDED)
    held_whole = torch.cuda.memory_allocated() - before
    whole = draw(engine)
    del engine
    gc.collect()
    before = torch.cuda.memory_allocated()
    engine = engine_of(EMBEDDED, offload=mode)
    drawn = draw(engine)
    held = torch.cuda.memory_allocated() - before
    tell(
        difference=difference(drawn, whole),
        held_MB=round(held / 1e6, 1),
        held_MB_without=round(held_whole / 1e6, 1),
    )
    assert difference(drawn, whole) <= TOLERANCE
    assert held < held_whole
