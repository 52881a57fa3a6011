"""What cache-dit 1.5 gets wrong on any device, mended until it has it right itself.

`deployments.acceleration` calls `mend_cache_dit` once per process, before it builds anything.
"""

from __future__ import annotations

import gc
from functools import cache
from typing import Any

import cache_dit.attention.backends.native as native
import cache_dit.distributed.dispatch as distributed
import cache_dit.quantization.torchao.quantize_ao as quantization
import torch
from cache_dit.distributed.transformers import planners
from cache_dit.distributed.transformers.register import TensorParallelismPlannerRegister
from torch.distributed.device_mesh import DeviceMesh


@cache
def mend_cache_dit() -> None:
    """Mends the installed cache-dit, for the whole process."""
    _know_all_planners()
    _divide_qwens_inner_dim()
    _refuse_masks_in_rings()
    _start_without_pauses()


def _know_all_planners() -> None:
    """Has cache-dit register its planners of both kinds.

    By itself it does so when the first is asked for, and only if none of that kind is registered;
    but modules that hold both kinds have then registered some, and the others stay unknown.
    """
    planners._activate_cp_planners()
    planners._activate_tp_planners()


def _divide_qwens_inner_dim() -> None:
    """Tensor parallelism of Qwen-Image.

    cache-dit divides `heads` of the attention by `tp_size`; diffusers 0.42 takes the head size for
    `inner_dim / heads`, so `inner_dim` must be divided as well.
    """
    planner: Any = TensorParallelismPlannerRegister.get_planner("QwenImageTransformer2DModel")
    unmended = planner.parallelize_transformer

    def parallelize_transformer(self: Any, transformer: Any, tp_mesh: DeviceMesh) -> Any:
        for block in transformer.transformer_blocks:
            block.attn.inner_dim //= tp_mesh.size()
        return unmended(self, transformer, tp_mesh)

    planner.parallelize_transformer = parallelize_transformer


def _refuse_masks_in_rings() -> None:
    """Ring attention takes no mask, which its operator says after keys and values have been sent.

    Their receivers then wait for ever, in this request or in the next: so it is said before.
    """
    unmended = native._context_parallel_attention

    def attention(
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        attn_mask: torch.Tensor | None = None,
        *rest: Any,
        _cp_config: Any,
        **named: Any,
    ) -> Any:
        if attn_mask is not None and _cp_config.ring_degree > 1:
            raise ValueError("`attn_mask`: ring attention takes no mask")
        return unmended(query, key, value, attn_mask, *rest, _cp_config=_cp_config, **named)

    native._context_parallel_attention = attention


def _start_without_pauses() -> None:
    """cache-dit sleeps one or two seconds before it collects what it has freed, in every start."""
    distributed.maybe_empty_cache = quantization.maybe_empty_cache = _empty_cache


def _empty_cache() -> None:
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
