"""Where results lie in the result store, by their kind, and the ids by which callers ask."""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass

from cluster.keys import ID

_ID_BYTES = 12
"""Random ones: who was not told an id does not find it."""


@dataclass(frozen=True)
class Shelf:
    """A folder of the result store.

    A job's id is `stem`, "_" and hex digits; `ids` are those of results, of which a job may have
    several. Where an id has a group `owner`, it names the key that asked for the result, and nobody
    need look elsewhere whose it is.
    """

    folder: str
    stem: str
    ids: re.Pattern[str]

    def new_job_id(self) -> str:
        return f"{self.stem}_{secrets.token_hex(_ID_BYTES)}"

    def name(self, job_id: str, owner: str) -> str:
        """What the results of a job are called, but for their numbers."""
        return f"{job_id}_{owner}" if owner and "owner" in self.ids.groupindex else job_id

    def owner_of(self, result_id: str) -> str:
        """Whose result it is, by its id; empty where that names nobody, or is none."""
        found = self.ids.fullmatch(result_id)
        return found.groupdict()["owner"] or "" if found else ""

    def key(self, result_id: str) -> str:
        return f"{self.folder}/{result_id}"

    def id_of(self, key: str) -> str:
        return key.removeprefix(f"{self.folder}/")


IMAGES = Shelf(
    "images", "img", re.compile(rf"img_[0-9a-f]{{24}}(?:_(?P<owner>{ID}))?_[0-9]{{1,3}}")
)
VIDEOS = Shelf("videos", "video", re.compile(r"video_[0-9a-f]{24}"))
