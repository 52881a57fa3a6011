"""Tiny pipelines with random weights, one per family of models that dit-serve knows.

They are made in code, offline, in seconds, and hold what the parallel and the caching tests need: at
least four heads and four blocks, and sequences of text and of pixels that eight ranks can share out.
What they draw is noise; that it is always the same noise is the point. Imports no torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

PROMPT = "a red circle left of a blue square on white background"
NEGATIVE_PROMPT = "a green star"


@dataclass(frozen=True)
class Family:
    """One family: how to build its tiny pipeline, and a small request that it can do.

    `guidance` are the arguments that make two calls per step, and `single` those that make one;
    a family whose `guidance` is empty never makes two.
    """

    name: str
    pipeline: str
    builder: str
    arguments: Mapping[str, Any]
    guidance: Mapping[str, Any]
    text_tokens: int
    image_tokens: int
    single: Mapping[str, Any] = field(default_factory=dict)
    takes_image: bool = False
    notes: str = ""

    @property
    def makes_video(self) -> bool:
        return "num_frames" in self.arguments

    @property
    def transformers(self) -> tuple[str, ...]:
        """The names of the pipeline's transformers."""
        return ("transformer", "transformer_2") if self.name == "wan2.2" else ("transformer",)

    def build(self, folder: Path) -> None:
        """Makes the pipeline and saves it, as safetensors, in `folder`."""
        module, _, function = self.builder.partition(":")
        make: Callable[[], Any] = getattr(import_module(f"tests.families.{module}"), function)
        make().save_pretrained(str(folder), safe_serialization=True)

    def call_arguments(self, *, guided: bool) -> dict[str, Any]:
        """Everything that the pipeline's call needs but steps, generator and type of output."""
        arguments = {"prompt": PROMPT} | dict(self.arguments)
        arguments |= self.guidance if guided else self.single
        if self.takes_image:
            from PIL import Image

            arguments["image"] = Image.linear_gradient("L").convert("RGB").resize((64, 64))
        return arguments


_PICTURE = {"width": 64, "height": 64, "max_sequence_length": 16}
_VIDEO = _PICTURE | {"num_frames": 5}
_TRUE_CFG = {"true_cfg_scale": 3.0, "negative_prompt": NEGATIVE_PROMPT}
_CFG = {"guidance_scale": 3.0, "negative_prompt": NEGATIVE_PROMPT}
_UNGUIDED = {"guidance_scale": 1.0}

_ALL = (
    Family(
        name="flux",
        pipeline="FluxPipeline",
        builder="flux:flux",
        arguments=_PICTURE,
        guidance=_TRUE_CFG,
        text_tokens=16,
        image_tokens=16,
        notes="guidance_scale is embedded and costs no second call; true_cfg_scale makes one",
    ),
    Family(
        name="flux2-klein",
        pipeline="Flux2KleinPipeline",
        builder="flux:flux2_klein",
        arguments=_PICTURE | {"max_sequence_length": 32},
        guidance={"guidance_scale": 3.0},
        single=_UNGUIDED,
        text_tokens=32,
        image_tokens=16,
        notes="takes no negative_prompt: the second call has an empty one",
    ),
    Family(
        name="qwen-image",
        pipeline="QwenImagePipeline",
        builder="qwen:qwen_image",
        arguments=_PICTURE,
        guidance=_TRUE_CFG,
        text_tokens=16,
        image_tokens=16,
        notes="text is not padded: its length is that of the prompt, plus five",
    ),
    Family(
        name="qwen-image-edit",
        pipeline="QwenImageEditPipeline",
        builder="qwen:qwen_image_edit",
        arguments=_PICTURE | {"width": 128, "height": 128, "prompt": f"{PROMPT} now"},
        guidance=_TRUE_CFG | {"negative_prompt": f"{NEGATIVE_PROMPT} there"},
        text_tokens=24,
        image_tokens=260,
        takes_image=True,
        notes="the image that is edited is scaled to a million pixels, whatever its size",
    ),
    Family(
        name="z-image",
        pipeline="ZImagePipeline",
        builder="z_image:z_image",
        arguments=_PICTURE,
        guidance=_CFG,
        single=_UNGUIDED,
        text_tokens=32,
        image_tokens=32,
        notes="one call per step in any case: guidance doubles the batch; both sequences are "
        "padded to multiples of 32",
    ),
    Family(
        name="wan2.1",
        pipeline="WanPipeline",
        builder="wan:wan_2_1",
        arguments=_VIDEO,
        guidance=_CFG,
        single=_UNGUIDED,
        text_tokens=16,
        image_tokens=32,
    ),
    Family(
        name="wan2.2",
        pipeline="WanPipeline",
        builder="wan:wan_2_2",
        arguments=_VIDEO,
        guidance=_CFG,
        single=_UNGUIDED,
        text_tokens=16,
        image_tokens=32,
        notes="noisy steps run on transformer, the rest on transformer_2",
    ),
    Family(
        name="hunyuan-video",
        pipeline="HunyuanVideoPipeline",
        builder="hunyuan:hunyuan_video",
        arguments=_VIDEO,
        guidance=_TRUE_CFG,
        text_tokens=16,
        image_tokens=32,
        notes="guidance_scale is embedded; text is padded and masked",
    ),
)

FAMILIES: dict[str, Family] = {family.name: family for family in _ALL}


def family_folder(name: str, base: Path) -> Path:
    """The folder of a family's pipeline under `base`, built there if it is not yet."""
    folder = base / name
    if not (folder / "model_index.json").exists():
        FAMILIES[name].build(folder)
    return folder
