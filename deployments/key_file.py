"""API keys in a YAML file, such as a mounted secret: ids and digests, and no secret."""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import yaml

from cluster.errors import ConfigError, NotFound
from cluster.keys import ApiKey, key_list
from cluster.load import read_yaml

_Signature = tuple[int, int, int]


class KeyFile:
    """A list of keys. Every method raises `ConfigError` for a file that is none."""

    def __init__(self, path: str) -> None:
        self._path = Path(path)
        self._keys: dict[str, ApiKey] = {}
        self._read_of: _Signature | None = None

    @property
    def place(self) -> str:
        return str(self._path)

    def read(self) -> dict[str, ApiKey]:
        """All keys by their ids; the file is read when it is not the one that was read last.

        A mounted secret changes behind a link, which gives the file another inode.
        """
        try:
            found = self._path.stat()
        except OSError as error:
            raise ConfigError(f"{self._path}: cannot be read: {error.strerror}") from error
        signature = (found.st_mtime_ns, found.st_ino, found.st_size)
        if signature != self._read_of:
            self._keys = key_list(read_yaml(self._path), str(self._path))
            self._read_of = signature
        return self._keys

    def add(self, key: ApiKey) -> None:
        """Writes the file with one more key; it is made if there is none."""
        self._change(lambda keys: {**keys, key.id: key})

    def revoke(self, key_id: str, now: datetime) -> None:
        """From now on the key does not work; one that was revoked before stays as it is.

        Raises:
            NotFound: there is no key with that id.
        """

        def revoked(keys: Mapping[str, ApiKey]) -> Mapping[str, ApiKey]:
            if key_id not in keys:
                raise NotFound(f"no key in {self._path} has the id {key_id}")
            key = keys[key_id]
            return {**keys, key_id: key.model_copy(update={"revoked": key.revoked or now})}

        self._change(revoked)

    def _change(self, changed: Callable[[Mapping[str, ApiKey]], Mapping[str, ApiKey]]) -> None:
        try:
            with _alone_in(self._path.resolve().parent):
                before = self.read() if self._path.exists() else {}
                _write(self._path.resolve(), changed(before))
        except OSError as error:
            raise ConfigError(f"{self._path}: cannot be written: {error.strerror}") from error


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Nobody else who asks so changes a file there; the lock is the folder's own."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _write(path: Path, keys: Mapping[str, ApiKey]) -> None:
    """Puts a whole new file in the old one's place, so that no reader sees a part of it."""
    entries = [
        {
            **key.model_dump(exclude_none=True, exclude_unset=True),
            "scopes": [scope.value for scope in key.scopes],
        }
        for key in keys.values()
    ]
    handle, part = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            yaml.safe_dump(entries, file, sort_keys=False, allow_unicode=True)
            if path.exists():
                os.fchmod(file.fileno(), path.stat().st_mode & 0o777)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except BaseException:
        os.unlink(part)
        raise
