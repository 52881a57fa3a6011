"""What a build gets to see of a folder: the files that its .dockerignore lets through.

The last pattern that matches a file, or a folder above it, decides, as in Docker. Of the patterns,
what this project's file uses: names, paths, `*` and a leading `**/`; nothing is let through within
a folder of the first level that is not.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath


def patterns(folder: Path) -> list[str]:
    lines = (folder / ".dockerignore").read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def context_files(folder: Path) -> list[PurePosixPath]:
    """The files of a checkout that reach a build, relative to it; those that git ignores too."""
    ignoring = patterns(folder)
    tops = [top for top in folder.iterdir() if not is_ignored(PurePosixPath(top.name), ignoring)]
    files = [file for top in tops for file in (top.rglob("*") if top.is_dir() else [top])]
    paths = [PurePosixPath(file.relative_to(folder)) for file in files if file.is_file()]
    return sorted(path for path in paths if not is_ignored(path, ignoring))


def is_ignored(path: PurePosixPath, patterns: list[str]) -> bool:
    ignored = False
    for pattern in patterns:
        if _matches(path, pattern.removeprefix("!")):
            ignored = not pattern.startswith("!")
    return ignored


def _matches(path: PurePosixPath, pattern: str) -> bool:
    """Whether a pattern names the path or a folder above it; `*` stops at a slash."""
    names = PurePosixPath(pattern).parts
    starts = range(1)
    if names[0] == "**":
        names, starts = names[1:], range(len(path.parts))
    return any(
        len(path.parts) >= start + len(names)
        and all(map(fnmatchcase, path.parts[start : start + len(names)], names))
        for start in starts
    )
