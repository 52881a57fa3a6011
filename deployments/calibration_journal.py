"""What a calibration has measured so far, kept beside its result: a second run goes on from here.

A folder with a line of JSON and a file per picture. What was begun with other settings, libraries,
prompts or cards is not mixed with it.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from cluster.errors import ConfigError
from cluster.tier_samples import Timing


class Journal:
    """The cells that are done, by their keys."""

    def __init__(self, out: Path, identity: Mapping[str, Any], *, fresh: bool) -> None:
        """Opens what an earlier run towards `out` left, or begins anew; `fresh` does in any case.

        `identity` is what all cells must have in common, each under its name.

        Raises:
            ConfigError: the earlier run had another identity.
        """
        self.folder = out.with_name(f"{out.name}.partial")
        self.timings: dict[str, Timing] = {}
        self._lines = self.folder / "journal.jsonl"
        whole_lines = self._read()
        if whole_lines and not fresh:
            self._go_on(whole_lines, identity)
        else:
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder.mkdir(parents=True)
            self._add(identity)

    def keep(self, key: str, timing: Timing, file: bytes) -> None:
        """Puts a cell and its picture on disk; the line comes last, so that a kill leaves none."""
        self._picture(key).write_bytes(file)
        self._add({"key": key} | asdict(timing))
        self.timings[key] = timing

    def picture(self, key: str) -> bytes:
        """The file of a cell that is done."""
        return self._picture(key).read_bytes()

    def remove(self) -> None:
        """Deletes the folder: its result is written, or not wanted."""
        shutil.rmtree(self.folder)

    def _read(self) -> list[dict[str, Any]]:
        """The lines, without a last one that a kill cut short, which goes from the file too."""
        if not self._lines.exists():
            return []
        text = self._lines.read_text(encoding="utf-8")
        whole = text[: text.rfind("\n") + 1]
        if whole != text:
            self._lines.write_text(whole, encoding="utf-8")
        return [json.loads(line) for line in whole.splitlines()]

    def _go_on(self, lines: list[dict[str, Any]], identity: Mapping[str, Any]) -> None:
        began, *cells = lines
        now = json.loads(json.dumps(identity))
        for name in sorted({*began, *now}):
            if began.get(name) != now.get(name):
                raise ConfigError(
                    f"{self.folder} holds a calibration that was begun with another {name}: "
                    f"{_short(began.get(name))} there, {_short(now.get(name))} here; "
                    "--fresh begins anew"
                )
        for cell in cells:
            key = cell.pop("key")
            self.timings[key] = Timing(**cell)

    def _add(self, line: Mapping[str, Any]) -> None:
        with self._lines.open("a", encoding="utf-8") as journal:
            journal.write(f"{json.dumps(line)}\n")

    def _picture(self, key: str) -> Path:
        return self.folder / f"{hashlib.sha256(key.encode()).hexdigest()[:16]}.picture"


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 120 else f"{text[:120]}..."
