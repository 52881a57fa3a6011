"""The command `dit-serve calibrate`. Heavy imports happen inside."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from cluster.errors import ConfigError
from cluster.load import load_config
from deployments.terminal import ConfigFile, faults_told, out


def calibrate(
    file: ConfigFile,
    target: Annotated[
        Path, typer.Option("--out", help="Where the table goes, JSON; of a --search, YAML.")
    ],
    model: Annotated[str | None, typer.Option(help="One model; all if none.")] = None,
    pool: Annotated[str | None, typer.Option(help="Pools of this name; all if none.")] = None,
    size: Annotated[
        list[str] | None,
        typer.Option(help="In pixels; the model's default if none. Repeatable."),
    ] = None,
    steps: Annotated[
        list[int] | None, typer.Option(help="The model's default if none. Repeatable.")
    ] = None,
    prompts: Annotated[
        Path | None, typer.Option(help="A file with a prompt per line; four of ours if none.")
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, help="Pictures per tier and prompt.")] = 3,
    seed: Annotated[int, typer.Option(min=0, help="Of the first picture.")] = 0,
    true_cfg_scale: Annotated[
        float | None, typer.Option(help="Measures with true CFG, for models that take it.")
    ] = None,
    plot: Annotated[Path | None, typer.Option(help="Where a plot of the table goes, SVG.")] = None,
    weights: Annotated[
        list[str] | None,
        typer.Option(help="clip=FOLDER or lpips=FILE: more scores. Repeatable."),
    ] = None,
    search: Annotated[
        bool, typer.Option("--search", help="Tries settings and proposes some for each tier.")
    ] = False,
    want_psnr: Annotated[
        list[str] | None,
        typer.Option(help="TIER=DB: what --search must hold. slow=50 medium=45 fast=40 ultra=35."),
    ] = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Forgets what an interrupted run has measured.")
    ] = False,
) -> None:
    """Measures what each tier costs and gives on this machine, and writes the table.

    Needs no Ray. An interrupted run goes on where it was stopped when it is started again. Exit
    code 1, with the numbers, when a tier breaks the contract of its config, or when --search finds
    no settings for a tier.
    """
    from deployments.library_logs import hide_loading_bars, quiet_libraries

    quiet_libraries()
    with faults_told():
        from deployments.calibration_plan import PROMPTS, Asked, chosen_pools
        from deployments.calibration_runs import Calibration, report_search, report_table
        from deployments.learned_scores import load_learned_scores
        from deployments.search_tiers import read_wanted

        hide_loading_bars()
        if search and plot:
            raise ConfigError("--plot: --search has no table to plot")
        if want_psnr and not search:
            raise ConfigError("--want-psnr says what --search must hold; give --search as well")
        for path in (target, plot or target):
            if path.is_dir() or not path.absolute().parent.is_dir():
                raise ConfigError(f"{path} is not a file in a folder that exists")
        config = load_config(file, os.environ)
        wanted = read_wanted(want_psnr or ())
        asked = Asked(
            sizes=tuple(dict.fromkeys(size or ())),
            steps=tuple(dict.fromkeys(steps or ())),
            prompts=_prompts(prompts) if prompts else PROMPTS,
            rounds=rounds,
            seed=seed,
            true_cfg_scale=true_cfg_scale,
        )
        chosen, left_out = chosen_pools(config, model, pool)
        for line in left_out:
            out.print(f"left out: {line}", highlight=False, markup=False, soft_wrap=True)
        learned = load_learned_scores(_weights(weights or ()))
        run = Calibration(config, chosen, asked, learned, target, fresh=fresh)
        good = report_search(run, wanted) if search else report_table(run, plot)
    out.print(f"Written to {target}", highlight=False, soft_wrap=True)
    if not good:
        raise typer.Exit(1)


def _prompts(path: Path) -> tuple[str, ...]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"--prompts: {path} cannot be read: {error}") from error
    found = tuple(line.strip() for line in lines if line.strip())
    if not found:
        raise ConfigError(f"--prompts: {path} has no prompt")
    return found


def _weights(texts: list[str] | tuple[()]) -> dict[str, Path]:
    pairs = [text.partition("=") for text in texts]
    if wrong := [name for name, _, path in pairs if not path]:
        raise ConfigError(f"--weights: {wrong[0]!r} is not SCORE=PATH")
    return {name: Path(path) for name, _, path in pairs}
