"""What a family is. Imports no torch: that happens when one is made."""

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
    needs: str | None = None
    notes: str = ""

    @property
    def makes_video(self) -> bool:
        return "num_frames" in self.arguments

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
            from PIL import Image

            arguments["image"] = Image.linear_gradient("L").convert("RGB").resize((64, 64))
        return arguments
