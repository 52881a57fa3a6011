"""Makes the embedded model from nothing: `python -m demo.train --device cpu`.

Four stages, each kept in `--work` and skipped when it is already there: text encoders, autoencoder,
latents, transformer. At last the pipeline is written to `--out` in diffusers' layout. With the
default figures it takes about two hours on two CPU cores.
"""

from __future__ import annotations

import argparse
import random
from pathlib import Path

import torch
from diffusers import (
    AutoencoderKL,
    FlowMatchEulerDiscreteScheduler,
    FluxPipeline,
    FluxTransformer2DModel,
)
from transformers import CLIPTextModel, T5EncoderModel

from demo.text_encoders import (
    build_clip_tokenizer,
    build_t5_tokenizer,
    build_text_encoders,
    teach_reading,
    tokenize,
)
from demo.train_transformer import TrainingSet, build_transformer, train_transformer
from demo.train_vae import build_vae, encode_pictures, train_vae
from demo.world import Scene, held_out_scenes, spoken_caption, training_scene

SEED = 0


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument(
        "--work",
        type=Path,
        default=Path("demo/.work"),
        help="where stages and checkpoints are kept",
    )
    parser.add_argument("--out", type=Path, default=Path("demo/weights"))
    parser.add_argument("--text-steps", type=int, default=1200)
    parser.add_argument("--vae-steps", type=int, default=1500)
    parser.add_argument(
        "--decoder-steps", type=int, default=1000, help="at the end, with the latents as they are"
    )
    parser.add_argument("--pictures", type=int, default=16000)
    parser.add_argument("--steps", type=int, default=7000, help="of the transformer")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    options = parser.parse_args()
    torch.manual_seed(SEED)
    device = torch.device(options.device)
    options.work.mkdir(parents=True, exist_ok=True)

    clip, t5 = _text_encoders(options.work, options.text_steps)
    vae = _vae(options.work, options.vae_steps, device)
    scenes = [
        training_scene(rng) for rng in [random.Random(SEED + 1)] for _ in range(options.pictures)
    ]
    latents = _latents(options.work, vae, scenes, device)
    vae.register_to_config(
        shift_factor=round(latents.float().mean().item(), 4),
        scaling_factor=round(1 / latents.float().std().item(), 4),
    )
    data = _training_set(clip, t5, vae, latents, scenes)

    def report(ema: FluxTransformer2DModel, step: int) -> None:
        from demo.adherence import score_pipeline

        pipeline = assemble(clip, t5, vae, ema)
        score = score_pipeline(pipeline, held_out_scenes(40, seed=1))
        print(f"adherence after {step} steps, 40 held-out captions: {score.line()}", flush=True)

    transformer = train_transformer(
        build_transformer(),
        data,
        steps=options.steps,
        batch=options.batch,
        learning_rate=options.learning_rate,
        seed=SEED,
        device=device,
        checkpoint=options.work / "transformer.pt",
        every=1000,
        report=report,
    )
    _sharpen(options.work, vae, options.decoder_steps, device)
    export(assemble(clip, t5, vae, transformer), options.out)
    print(f"written to {options.out}")


def assemble(
    clip: CLIPTextModel, t5: T5EncoderModel, vae: AutoencoderKL, transformer: FluxTransformer2DModel
) -> FluxPipeline:
    """The parts as a pipeline."""
    pipeline = FluxPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(shift=1.0, use_dynamic_shifting=False),
        vae=vae.float().to(memory_format=torch.contiguous_format),
        text_encoder=clip,
        tokenizer=build_clip_tokenizer(),
        text_encoder_2=t5,
        tokenizer_2=build_t5_tokenizer(),
        transformer=transformer,
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def export(pipeline: FluxPipeline, folder: Path) -> None:
    """Writes the pipeline as safetensors.

    The transformer, by far the largest part, is in half precision.
    """
    pipeline.transformer.half()
    pipeline.to("cpu").save_pretrained(folder, safe_serialization=True)


def _text_encoders(work: Path, steps: int) -> tuple[CLIPTextModel, T5EncoderModel]:
    clip_tokenizer, t5_tokenizer = build_clip_tokenizer(), build_t5_tokenizer()
    clip, t5 = build_text_encoders(clip_tokenizer, t5_tokenizer)
    path = work / "text.pt"
    if not path.exists():
        teach_reading(clip, t5, clip_tokenizer, t5_tokenizer, steps, SEED)
        torch.save({"clip": clip.state_dict(), "t5": t5.state_dict()}, path)
    state = torch.load(path, weights_only=True)
    clip.load_state_dict(state["clip"])
    t5.load_state_dict(state["t5"])
    return clip.eval().requires_grad_(False), t5.eval().requires_grad_(False)


def _vae(work: Path, steps: int, device: torch.device) -> AutoencoderKL:
    vae = build_vae()
    path = work / "vae.pt"
    if not path.exists():
        train_vae(vae, steps, SEED, device)
        torch.save(vae.state_dict(), path)
    vae.load_state_dict(torch.load(path, weights_only=True))
    return vae.eval()


def _sharpen(work: Path, vae: AutoencoderKL, steps: int, device: torch.device) -> None:
    path = work / "decoder.pt"
    if not path.exists():
        train_vae(vae, steps, SEED + 2, device, decoder_only=True)
        torch.save(vae.decoder.state_dict(), path)
    vae.decoder.load_state_dict(torch.load(path, weights_only=True))


def _latents(
    work: Path, vae: AutoencoderKL, scenes: list[Scene], device: torch.device
) -> torch.Tensor:
    path = work / "latents.pt"
    if not path.exists():
        torch.save(encode_pictures(vae.to(device), scenes, SEED + 1, device), path)
    latents: torch.Tensor = torch.load(path, weights_only=True)
    return latents


@torch.no_grad()
def _training_set(
    clip: CLIPTextModel,
    t5: T5EncoderModel,
    vae: AutoencoderKL,
    latents: torch.Tensor,
    scenes: list[Scene],
) -> TrainingSet:
    rng = random.Random(SEED + 3)
    texts = [spoken_caption(scene, rng) for scene in scenes] + [""]
    clip_tokenizer, t5_tokenizer = build_clip_tokenizer(), build_t5_tokenizer()
    tokens, pooled = [], []
    for start in range(0, len(texts), 500):
        batch = texts[start : start + 500]
        tokens.append(t5(tokenize(t5_tokenizer, batch))[0].half())
        pooled.append(clip(tokenize(clip_tokenizer, batch)).pooler_output.half())
    all_tokens, all_pooled = torch.cat(tokens), torch.cat(pooled)
    normal = (latents.float() - vae.config.shift_factor) * vae.config.scaling_factor
    return TrainingSet(
        normal.half(), all_tokens[:-1], all_pooled[:-1], all_tokens[-1], all_pooled[-1]
    )


if __name__ == "__main__":
    main()
