"""What cache-dit 1.5 lacks on CPU: ring attention, sharded modules, quantization.

`deployments.acceleration` calls `mend_for_cpu` on CPU and nowhere else; on CUDA nothing here runs.
The mends are to modules of cache-dit and torch, for the whole process, and done once.
`tests/contract` holds that what is mended is still there, and `tests/engine` that the results are
right.
"""

from __future__ import annotations

import importlib
from functools import cache
from typing import Any

import cache_dit.attention.backends.native as native
import cache_dit.distributed.core._context_parallel as context_parallel
import cache_dit.distributed.core._templated_ring as ring
import torch
import torch.distributed as dist
import torch.distributed._functional_collectives as functional_collectives
from cache_dit.distributed.autoencoders.register import AutoEncoderDataParallelismPlanner
from cache_dit.distributed.text_encoders.register import TextEncoderTensorParallelismPlanner
from cache_dit.distributed.transformers.register import TensorParallelismPlanner
from cache_dit.utils import check_quantized
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh


@cache
def mend_for_cpu() -> None:
    """Lets tensor, ring, text encoder and VAE parallelism and quantization run on CPU."""
    _merge_rings_with_torch()
    _attend_with_lse()
    _gather_uneven_shares()
    _gather_one_after_another()
    _mesh_on_cpu()
    _normalize_wan_anywhere()
    _quantize_on_cpu()


def _merge_rings_with_torch() -> None:
    """Without the Triton kernel `RingAttention` takes its own branch in plain torch."""
    ring.fused_merge_attn_states = None


def _attend_with_lse() -> None:
    """Ring attention wants the log-sum-exp, which torch gives on CPU by another operator.

    The name stays: cache-dit knows by it which operators take a mask.
    """
    elsewhere = native._native_attention_forward_op

    def _native_attention_forward_op(
        ctx: Any,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        attn_mask: torch.Tensor | None = None,
        dropout_p: float = 0.0,
        is_causal: bool = False,
        scale: float | None = None,
        enable_gqa: bool = False,
        return_lse: bool = False,
        **rest: Any,
    ) -> Any:
        """Tensors are batch x sequence x heads x head size; so is the result."""
        if not return_lse:
            return elsewhere(
                ctx,
                query,
                key,
                value,
                attn_mask,
                dropout_p,
                is_causal,
                scale,
                enable_gqa,
                return_lse,
                **rest,
            )
        assert attn_mask is None, "refused before: see `cache_dit_mends._refuse_masks_in_rings`"
        out, lse = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
            query.transpose(1, 2),
            key.transpose(1, 2),
            value.transpose(1, 2),
            dropout_p,
            is_causal,
            scale=scale,
        )
        return out.transpose(1, 2), lse.transpose(1, 2).unsqueeze(-1)

    native._native_attention_forward_op = _native_attention_forward_op


def _gather_uneven_shares() -> None:
    """`ulysses_anything` gathers shares of unequal length, which gloo does not take.

    They are gathered at the length of the longest, and cut.
    """

    def gather(tensor: torch.Tensor, dim: int, group: dist.ProcessGroup) -> torch.Tensor:
        sizes = context_parallel._gather_size(tensor.shape[dim], group)
        shape = list(tensor.shape)
        shape[dim] = max(sizes)
        padded = tensor.new_zeros(shape)
        padded.narrow(dim, 0, tensor.shape[dim]).copy_(tensor)
        shares = [torch.empty_like(padded) for _ in sizes]
        dist.all_gather(shares, padded, group=group)
        pairs = zip(shares, sizes, strict=True)
        return torch.cat([share.narrow(dim, 0, size) for share, size in pairs], dim)

    context_parallel._all_gather_anything = gather


def _gather_one_after_another() -> None:
    """Waits for a gather before anything else is begun.

    Two of torch 2.13's functional gathers that are under way on one gloo group at the same time
    spoil the heap: the process dies, sooner or later, in `malloc` or `free`. Tensor parallelism of
    Qwen-Image has two in every block, those of its modulations.
    """
    begun = functional_collectives.all_gather_single

    def all_gather_single(*args: Any, **named: Any) -> torch.Tensor:
        gathered = begun(*args, **named)
        is_under_way = isinstance(gathered, functional_collectives.AsyncCollectiveTensor)
        return gathered.wait() if is_under_way else gathered

    functional_collectives.all_gather_single = all_gather_single


def _mesh_on_cpu() -> None:
    """The planners ask for the accelerator's name, of which there is none."""

    def tensor_mesh(self: Any, parallelism_config: Any, **rest: Any) -> DeviceMesh:
        if parallelism_config.hybrid_enabled():
            return parallelism_config._tp_mesh
        return init_device_mesh("cpu", [parallelism_config.tp_size])

    def text_encoder_mesh(self: Any, parallelism_config: Any, **rest: Any) -> DeviceMesh:
        return init_device_mesh("cpu", [parallelism_config.text_encoder_world_size])

    def vae_mesh(self: Any, parallelism_config: Any, **rest: Any) -> DeviceMesh:
        return init_device_mesh("cpu", [parallelism_config.auto_encoder_world_size])

    TensorParallelismPlanner.mesh = tensor_mesh
    TextEncoderTensorParallelismPlanner.mesh = text_encoder_mesh
    AutoEncoderDataParallelismPlanner.mesh = vae_mesh


def _normalize_wan_anywhere() -> None:
    """Wan's norm over sharded channels asserts that it is not on CPU, after doing its work.

    Its module is imported here and not above: see `cache_dit_mends._know_all_planners`.
    """
    wan = importlib.import_module("cache_dit.distributed.transformers.wan")

    def forward(self: Any, x: torch.Tensor) -> torch.Tensor:
        mean_square = torch.mean(x * x, dim=-1, keepdim=True)
        dist.all_reduce(mean_square, op=dist.ReduceOp.AVG, group=self.tp_mesh.get_group())
        normed = x / torch.sqrt(mean_square + self.eps)
        return normed * self.weight if self.elementwise_affine else normed

    wan.DistributedRMSNorm.forward = forward


class _CpuPlatform:
    """What the quantization asks of a platform; torchao's own kernels run on CPU."""

    device_type = "cpu"

    @staticmethod
    def get_device_capability(device: Any = None) -> tuple[int, int]:
        """That of the first cards with float8."""
        return 8, 9

    @staticmethod
    def is_accelerator_available() -> bool:
        return False


def _quantize_on_cpu() -> None:
    """cache-dit asserts CUDA before it calls torchao, and torchao a card with float8.

    What torch multiplies on CPU all the same is `cluster.acceleration.CPU_QUANT_TYPES`.
    """
    quant_api = importlib.import_module("torchao.quantization.quant_api")
    quant_api._check_hardware_support = lambda granularity: None  # type: ignore[attr-defined]
    quantize_ao = importlib.import_module("cache_dit.quantization.torchao.quantize_ao")
    quantize_ao.current_platform = _CpuPlatform  # type: ignore[attr-defined]
    quantize_ao._check_if_module_can_quantized = _not_yet_quantized  # type: ignore[attr-defined]


def _not_yet_quantized(module: torch.nn.Module) -> bool:
    return not check_quantized(module)
