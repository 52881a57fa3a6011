"""What the server of `worlds` imports and works out once, in place of every rank that it forks."""

from __future__ import annotations

import gc
import warnings

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import cache_dit.attention.backends.flash_varlen
    import cache_dit.quantization.torchao.quantize_ao  # noqa: F401
    import diffusers.guiders
    import pytest  # noqa: F401
    import torch.distributed.tensor.parallel  # noqa: F401
    from transformers.conversion_mapping import get_checkpoint_conversion_mapping

    import deployments.engine_diffusers  # noqa: F401
    from deployments.cache_dit_mends import mend_cache_dit
    from tests.families import FAMILIES

    mend_cache_dit()
    for family in FAMILIES.values():
        if family.needs is None:
            getattr(diffusers, family.pipeline)

# Some 900 regular expressions, compiled at the first model that a process loads.
get_checkpoint_conversion_mapping("t5")
# Else every collection in a rank would go through all of this, and copy its pages.
gc.freeze()
