"""Progress bars of the commands."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from cluster.tiers import Tier


@contextmanager
def picture_progress(
    out: Console, pictures: int
) -> Iterator[Callable[[Tier], Callable[[int, int], None]]]:
    """Call what it gives with the tier of each picture, and the answer after each of its steps."""
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=out, transient=True) as bar:
        whole = bar.add_task("pictures", total=pictures)

        def begin(tier: Tier) -> Callable[[int, int], None]:
            bar.update(whole, description=f"tier {tier}")

            def stepped(done: int, total: int) -> None:
                bar.advance(whole, 1 / total)

            return stepped

        yield begin


@contextmanager
def remote_progress(out: Console, title: str = "") -> Iterator[Callable[[str, float], None]]:
    """Call what it gives with where the work is, in words and as a share of 1."""
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=out, transient=True, disable=not out.is_terminal) as bar:
        work = bar.add_task(f"{title}sent", total=1.0)

        def told(where: str, share: float) -> None:
            bar.update(work, description=f"{title}{where}", completed=share)

        yield told


@contextmanager
def calibration_progress(
    out: Console, pictures: int
) -> Iterator[Callable[[str], Callable[[int, int], None]]]:
    """The same with a name for each picture, how many are done, and how long the rest will take."""
    shown = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()
    with Progress(*shown, TimeRemainingColumn(), console=out, transient=True) as bar:
        whole = bar.add_task("loading", total=pictures)
        begun = 0

        def begin(name: str) -> Callable[[int, int], None]:
            nonlocal begun
            done_before, begun = begun, begun + 1
            bar.update(whole, description=name)

            def stepped(done: int, total: int) -> None:
                bar.update(whole, completed=done_before + done // total)

            return stepped

        yield begin


@contextmanager
def request_progress(out: Console, requests: int) -> Iterator[Callable[[str, int], None]]:
    """Call what it gives with a policy and how many more requests ended under it."""
    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, console=out, transient=True) as bar:
        whole = bar.add_task("requests", total=requests)

        def ended(policy: str, count: int) -> None:
            bar.update(whole, advance=count, description=policy)

        yield ended
