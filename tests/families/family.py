"""What a family is. Imports no torch: that happens when one is made."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cluster.tasks import Task, tasks_of

if TYPE_CHECKING:
    from PIL import Image

PROMPT = "a red circle left of a blue square on white background"
NEGATIVE_PROMPT = "a green star"


@dataclass(frozen=True)
class Family:
    """One family: how to build its tiny pipeline, and a small request that it can do.

    `single` are the arguments that make one call of the transformer per step, and `guidance` those
    that make `guided_calls`. The tokens are those of such a request: what ranks share out.
    """

    name: str
    pipeline: str
    builder: str
    arguments: Mapping[str, Any]
    guidance: Mapping[str, Any]
    text_tokens: int
    image_tokens: int
    single: Mapping[str, Any] = field(default_factory=dict)
    guided_calls: int = 2
    transformers: tuple[str, ...] = ("transformer",)
    takes_image: bool = False
    takes_mask: bool = False
    needs: str | None = None
    notes: str = ""

    @property
    def makes_video(self) -> bool:
        return "num_frames" in self.arguments

    @property
    def task(self) -> Task:
        """What the pipeline is made for first."""
        return tasks_of(self.pipeline, makes_videos=self.makes_video)[0]

    def made(self) -> Any:
        """The pipeline itself, in memory."""
        module, _, function = self.builder.partition(":")
        make: Callable[[], Any] = getattr(import_module(f"tests.families.{module}"), function)
        return make()

    def build(self, folder: Path) -> None:
        """Makes the pipeline and saves it, as safetensors, in `folder`."""
        self.made().save_pretrained(str(folder), safe_serialization=True)

    def call_arguments(self, *, guided: bool) -> dict[str, Any]:
        """Everything that the pipeline's call needs but steps, generator and type of output."""
        arguments = {"prompt": PROMPT} | dict(self.arguments)
        arguments |= self.guidance if guided else self.single
        if self.takes_image:
            arguments["image"] = picture()
        if self.takes_mask:
            arguments["mask_image"] = mask()
        return arguments


def picture() -> Image.Image:
    """A picture to begin from, of 64 by 64 pixels."""
    from PIL import Image

    return Image.linear_gradient("L").convert("RGB").resize((64, 64))


def mask() -> Image.Image:
    """Its left half is to be redrawn, as diffusers takes a mask: white."""
    from PIL import Image

    drawn = Image.new("L", (64, 64))
    drawn.paste(255, (0, 0, 32, 64))
    return drawn


def picture_file(drawn: Image.Image | None = None) -> bytes:
    """A PNG of a picture, of `picture()` where none is given."""
    return _png(drawn or picture())


def mask_file(drawn: Image.Image | None = None) -> bytes:
    """The same mask as OpenAI has it, a PNG that is transparent where it is to be redrawn."""
    from PIL import Image, ImageOps

    drawn = drawn or mask()
    opaque = Image.new("L", drawn.size)
    return _png(Image.merge("LA", (opaque, ImageOps.invert(drawn))))


def _png(drawn: Image.Image) -> bytes:
    buffer = io.BytesIO()
    drawn.save(buffer, "PNG")
    return buffer.getvalue()
