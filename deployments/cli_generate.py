"""The command `dit-serve generate`. Heavy imports happen inside."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cluster.errors import ConfigError
from cluster.tiers import Tier
from deployments.terminal import faults_told, out

if TYPE_CHECKING:
    from deployments.generate_remote import Order, RemoteModel, RemoteServer, Told
    from deployments.tier_rows import TierRow

DEMO = Path("configs/demo.yaml")

ROUNDS = 3

API_KEY = "DIT_SERVE_API_KEY"

INTERRUPTED = 130
"""What a shell reports of a command that Ctrl-C ended."""

EXAMPLES = r"""
dit-serve generate --prompt "a red circle" --tier fast --steps 50
dit-serve generate --prompt "a red circle" --all-tiers

dit-serve generate --url http://127.0.0.1:8000 \
  --prompt "a red circle" --deadline-ms 5000
dit-serve generate --url http://127.0.0.1:8000 \
  --prompt "a red circle" --all-tiers
dit-serve generate --url http://127.0.0.1:8000 \
  --prompt "a blue square" --image out/none.png
dit-serve generate --url http://127.0.0.1:8000 \
  --prompt "a blue square" --model clips --seconds 2
"""

HERE = "In this process"
THERE = "On a running server"


def generate(
    prompt: Annotated[str, typer.Option(help="What the picture or clip shows.")],
    folder: Annotated[Path, typer.Option("--out", help="Where the files go.")] = Path("out"),
    model: Annotated[
        str | None, typer.Option(help="A model of the config or the server; the first if none.")
    ] = None,
    tier: Annotated[
        Tier | None, typer.Option(help="One tier; the model's default if none.")
    ] = None,
    all_tiers: Annotated[
        bool, typer.Option("--all-tiers", help="Every tier, side by side.")
    ] = False,
    rounds: Annotated[
        int | None,
        typer.Option(
            min=1, help=f"Times are medians over these; if none, {ROUNDS}, and 1 on a server."
        ),
    ] = None,
    size: Annotated[str, typer.Option(help="WIDTHxHEIGHT in pixels.")] = "auto",
    steps: Annotated[int | None, typer.Option(help="Denoising steps.")] = None,
    seed: Annotated[int, typer.Option(help="The same seed gives the same picture.")] = 0,
    config: Annotated[
        Path | None,
        typer.Option(help=f"A Serve config file; {DEMO} if none.", rich_help_panel=HERE),
    ] = None,
    url: Annotated[
        str | None,
        typer.Option(help="Its address, as http://127.0.0.1:8000.", rich_help_panel=THERE),
    ] = None,
    deadline_ms: Annotated[
        int | None,
        typer.Option(
            help="Done within so long, in whatever tier if none is named.", rich_help_panel=THERE
        ),
    ] = None,
    n: Annotated[
        int | None,
        typer.Option("--n", help="Pictures, of seed, seed + 1, ...", rich_help_panel=THERE),
    ] = None,
    image: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="A picture to begin from. Repeatable, where the model takes several.",
            rich_help_panel=THERE,
        ),
    ] = None,
    mask: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="A PNG: where it is transparent, the --image is redrawn.",
            rich_help_panel=THERE,
        ),
    ] = None,
    seconds: Annotated[
        float | None, typer.Option(help="How long a clip lasts.", rich_help_panel=THERE)
    ] = None,
) -> None:
    """Makes pictures and clips: in this process, without a cluster, or with --url on a server.

    --all-tiers compares the tiers: it also writes a contact sheet and a table.
    A server's API key is read from the variable DIT_SERVE_API_KEY, as other
    users of this machine may see what stands on a command line.
    Ctrl-C stops the work, on a server too. Exit code 1 when the server says no
    or cannot be reached, 2 when the command is wrong.
    """
    fields = {
        "prompt": prompt,
        "model": model,
        "size": size,
        "num_inference_steps": steps,
        "seed": seed,
    }
    extras = {"deadline_ms": deadline_ms, "n": n, "seconds": seconds}
    with faults_told():
        if url is None:
            _need_url({**extras, "image": image, "mask": mask})
            _make_folder(folder)
            rows = _made_here(fields, tier, config or DEMO, rounds or ROUNDS, all_tiers=all_tiers)
            _write_rows(rows, folder, sheet=all_tiers)
            return
        if config is not None:
            raise ConfigError("--config is for this process; the server at --url has its own")
        if all_tiers and (tier or (n or 1) > 1):
            raise ConfigError("--all-tiers makes one of each tier; leave out --tier and --n")
        if rounds is not None and not all_tiers:
            raise ConfigError("--rounds: only --all-tiers has more than one on a server")
        order = _order(fields | extras | {"tier": tier}, image or (), mask)
        _make_folder(folder)
        with _server(url) as server, _no_told():
            chosen = server.model(model)
            _suits(order, chosen)
            if all_tiers:
                rows = _tiers_made_there(server, chosen, order, rounds or 1)
                _write_rows(rows, folder, sheet=True)
            else:
                _make_there(server, chosen, order, folder)


def _made_here(
    fields: Mapping[str, Any], tier: Tier | None, config: Path, rounds: int, *, all_tiers: bool
) -> list[TierRow]:
    from deployments.library_logs import hide_loading_bars, quiet_libraries

    quiet_libraries()
    from cluster.load import load_config
    from cluster.request import parse_request
    from deployments.generate import choose_pool, compare_tiers, load_engine
    from deployments.progress import picture_progress

    hide_loading_bars()
    settings = load_config(config, os.environ)
    served, pool = choose_pool(settings, fields["model"], tier)
    request = parse_request({**fields, "model": served.name})
    with out.status("Loading the model"):
        engine = load_engine(served, pool)
    tiers = list(pool.tiers) if all_tiers else [tier or served.default_tier]
    with picture_progress(out, len(tiers) * rounds) as progress:
        return compare_tiers(engine, settings, request, tiers, rounds, progress)


def _make_there(server: RemoteServer, model: RemoteModel, order: Order, folder: Path) -> None:
    from deployments.progress import remote_progress
    from deployments.receipt_lines import receipt_lines

    with remote_progress(out) as told:
        made = server.make(model, order, told)
    _say(*receipt_lines(made.receipt))
    for index, content in enumerate(made.files):
        number = f"-{index}" if len(made.files) > 1 else ""
        file = folder / f"{made.receipt.tier_served}{number}.{made.suffix}"
        file.write_bytes(content)
        _say(f"Written to {file}")


def _tiers_made_there(
    server: RemoteServer, model: RemoteModel, order: Order, rounds: int
) -> list[TierRow]:
    from deployments.compare_remote import compare_remote
    from deployments.progress import remote_progress

    def progress(tier: Tier) -> AbstractContextManager[Told]:
        return remote_progress(out, f"tier {tier}: ")

    return compare_remote(server, model, order, rounds, progress)


def _write_rows(rows: Sequence[TierRow], folder: Path, *, sheet: bool) -> None:
    from deployments.tier_table import tier_table

    for row in rows:
        (folder / f"{row.tier}.{row.made.suffix}").write_bytes(row.made.file)
    out.print(tier_table(rows))
    if sheet:
        from deployments.contact_sheet import contact_sheet

        labels = [f"{row.tier}  {row.made.seconds:.2f} s" for row in rows]
        contact_sheet([row.picture for row in rows], labels).save(folder / "sheet.png")
    _say(f"Written to {folder}/")


def _order(fields: Mapping[str, Any], images: Sequence[Path], mask: Path | None) -> Order:
    from deployments.generate_remote import Order

    if mask is not None and not images:
        raise ConfigError("--mask: there is no --image that it could be for")
    given = {name: value for name, value in fields.items() if value is not None}
    return Order(
        given,
        tuple(_content("--image", path) for path in images),
        None if mask is None else _content("--mask", mask),
    )


def _content(option: str, path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{option}: {path} cannot be read: {error.strerror}") from error


def _server(url: str) -> RemoteServer:
    from deployments.generate_remote import RemoteServer

    api_key = os.environ.get(API_KEY)
    if api_key and not (api_key.isascii() and api_key.isprintable()):
        raise ConfigError(f"{API_KEY}: has a character that no key has")
    try:
        return RemoteServer(url, api_key)
    except ValueError as error:
        raise ConfigError(f"--url: {error}") from error


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"--out: {folder} cannot be made: {error.strerror}") from error


def _need_url(options: Mapping[str, object]) -> None:
    for name, value in options.items():
        if value not in (None, []):
            raise ConfigError(f"--{name.replace('_', '-')} is for a server; name it with --url")


def _suits(order: Order, model: RemoteModel) -> None:
    if model.makes_videos and "n" in order.fields:
        raise ConfigError(f"--n: {model.id} makes one clip at a time")
    if not model.makes_videos and "seconds" in order.fields:
        raise ConfigError(f"--seconds: {model.id} makes pictures, not clips")


@contextmanager
def _no_told() -> Iterator[None]:
    """A server's no, or its silence, ends the command with one sentence; so does Ctrl-C."""
    from deployments.remote_http import RemoteError

    try:
        yield
    except RemoteError as error:
        print(error, file=sys.stderr)
        raise typer.Exit(1) from error
    except KeyboardInterrupt:
        print("Cancelled.", file=sys.stderr)
        raise typer.Exit(INTERRUPTED) from None


def _say(*lines: str) -> None:
    for line in lines:
        out.print(line, highlight=False, markup=False, soft_wrap=True)
