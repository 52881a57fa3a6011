"""Tiny pipelines with random weights, one per family of models that dit-serve knows.

They are made in code, offline, in seconds, and hold what the parallel and the caching tests need:
at least four heads and four blocks, and sequences of text and of pixels that four ranks can share
out. What they draw is noise; that it is always the same noise is the point. Imports no torch.
"""

from __future__ import annotations

from pathlib import Path

from tests.families.family import NEGATIVE_PROMPT, PROMPT, Family

__all__ = ["FAMILIES", "FROM_PICTURES", "NEGATIVE_PROMPT", "PROMPT", "Family", "family_folder"]

_PICTURE = {"width": 64, "height": 64, "max_sequence_length": 16}
_VIDEO = _PICTURE | {"num_frames": 5}
_TRUE_CFG = {"true_cfg_scale": 2.0, "negative_prompt": NEGATIVE_PROMPT}
_CFG = {"guidance_scale": 2.0, "negative_prompt": NEGATIVE_PROMPT}
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
        guidance={"guidance_scale": 2.0},
        text_tokens=32,
        image_tokens=16,
        single=_UNGUIDED,
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
        single={"true_cfg_scale": 1.0},
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
        single={"true_cfg_scale": 1.0},
        takes_image=True,
        needs="torchvision",
        notes="the image that is edited is scaled to a million pixels, whatever its size",
    ),
    Family(
        name="z-image",
        pipeline="ZImagePipeline",
        builder="z_image:z_image",
        arguments=_PICTURE,
        guidance=_CFG,
        text_tokens=32,
        image_tokens=32,
        single={"guidance_scale": 0.0},
        guided_calls=1,
        notes="one call per step in any case: guidance doubles the batch; both sequences are "
        "padded to multiples of 32",
    ),
    Family(
        name="wan2.1",
        pipeline="WanPipeline",
        builder="wan:wan_2_1",
        arguments=_VIDEO,
        guidance=_CFG,
        text_tokens=16,
        image_tokens=32,
        single=_UNGUIDED,
    ),
    Family(
        name="wan2.2",
        pipeline="WanPipeline",
        builder="wan:wan_2_2",
        arguments=_VIDEO,
        guidance=_CFG,
        text_tokens=16,
        image_tokens=32,
        single=_UNGUIDED,
        transformers=("transformer", "transformer_2"),
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

_BEGIN_FROM_PICTURES = (
    Family(
        name="flux-kontext",
        pipeline="FluxKontextPipeline",
        builder="flux:flux_kontext",
        arguments=_PICTURE | {"max_area": 64 * 64, "_auto_resize": False},
        guidance=_TRUE_CFG,
        text_tokens=16,
        image_tokens=32,
        takes_image=True,
        notes="the picture that is edited has tokens of its own",
    ),
    Family(
        name="flux-fill",
        pipeline="FluxFillPipeline",
        builder="flux:flux_fill",
        arguments=_PICTURE,
        guidance={},
        text_tokens=16,
        image_tokens=16,
        guided_calls=1,
        takes_image=True,
        takes_mask=True,
        notes="guidance_scale is embedded, and there is no other guidance",
    ),
    Family(
        name="wan2.1-i2v",
        pipeline="WanImageToVideoPipeline",
        builder="wan:wan_2_1_image_to_video",
        arguments=_VIDEO | {"max_sequence_length": 512},
        guidance=_CFG,
        text_tokens=517,
        image_tokens=32,
        single=_UNGUIDED,
        takes_image=True,
        notes="five tokens of the first frame come before those of the text",
    ),
    Family(
        name="wan2.2-i2v",
        pipeline="WanImageToVideoPipeline",
        builder="wan:wan_2_2_image_to_video",
        arguments=_VIDEO,
        guidance=_CFG,
        text_tokens=16,
        image_tokens=32,
        single=_UNGUIDED,
        transformers=("transformer", "transformer_2"),
        takes_image=True,
    ),
    Family(
        name="skyreels-i2v",
        pipeline="HunyuanSkyreelsImageToVideoPipeline",
        builder="hunyuan:skyreels_image_to_video",
        arguments=_VIDEO,
        guidance=_TRUE_CFG,
        text_tokens=16,
        image_tokens=32,
        single={"true_cfg_scale": 1.0},
        takes_image=True,
    ),
)

FAMILIES: dict[str, Family] = {family.name: family for family in _ALL}
"""Those that work from text, and Qwen-Image-Edit: what the parallel tests run in every shape."""

FROM_PICTURES: dict[str, Family] = {family.name: family for family in _BEGIN_FROM_PICTURES}
"""Those whose pipelines begin from a picture, a mask or a first frame."""


def family_folder(name: str, base: Path) -> Path:
    """The folder of a family's pipeline under `base`, built there if it is not yet."""
    folder = base / name
    if not (folder / "model_index.json").exists():
        (FAMILIES | FROM_PICTURES)[name].build(folder)
    return folder
