"""A mend of tensor parallelism in Qwen-Image, on CPU and CUDA, until cache-dit has it.

cache-dit 1.5 divides `heads` of the attention by `tp_size`; diffusers 0.42 takes the head size for
`inner_dim / heads`, so `inner_dim` must be divided as well.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from cache_dit.distributed.transformers.register import TensorParallelismPlannerRegister
from torch.distributed.device_mesh import DeviceMesh


@cache
def mend_qwen_tensor_parallelism() -> None:
    """Done once, for the whole process, after cache-dit has registered its planners."""
    planner: Any = TensorParallelismPlannerRegister.get_planner("QwenImageTransformer2DModel")
    unmended = planner.parallelize_transformer

    def parallelize_transformer(self: Any, transformer: Any, tp_mesh: DeviceMesh) -> Any:
        for block in transformer.transformer_blocks:
            block.attn.inner_dim //= tp_mesh.size()
        return unmended(self, transformer, tp_mesh)

    planner.parallelize_transformer = parallelize_transformer
