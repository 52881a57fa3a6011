"""Keys in a file: read again when it changes, written whole, and by one at a time."""

from __future__ import annotations

import os
import stat
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from cluster.errors import ConfigError, NotFound
from cluster.keys import Scope, digest, recognised
from deployments.key_file import KeyFile
from deployments.key_store import new_key

NOW = datetime(2027, 1, 31, 12, tzinfo=UTC)


def added(file: KeyFile, name: str = "ann") -> str:
    """The text of a new key in the file."""
    text, key = new_key(name, [Scope.GENERATE, Scope.METRICS], NOW, None)
    file.add(key)
    return text


def works(path: Path, text: str) -> bool:
    return recognised(text, KeyFile(str(path)).read(), NOW) is not None


def test_a_key_that_was_added_is_recognised_and_the_file_has_no_secret(tmp_path: Path) -> None:
    path = tmp_path / "keys.yaml"
    text = added(KeyFile(str(path)))
    assert works(path, text)
    (entry,) = yaml.safe_load(path.read_text())
    assert entry["sha256"] == digest(text)
    assert text.rpartition("_")[2] not in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [each.name for each in tmp_path.iterdir()] == ["keys.yaml"]


def test_two_keys_have_nothing_in_common_and_256_random_bits_each() -> None:
    made = [new_key("ann", [Scope.GENERATE], NOW, None)[0] for _ in range(2)]
    ids, secrets = zip(*(text.split("_", 2)[1:] for text in made), strict=True)
    assert len(set(ids)) == len(set(secrets)) == 2
    assert all(len(secret) * 6 >= 256 for secret in secrets)


def test_a_revoked_key_stays_in_the_list_and_works_no_more(tmp_path: Path) -> None:
    path = tmp_path / "keys.yaml"
    file = KeyFile(str(path))
    text, other = added(file), added(file, "bob")
    key_id = text.split("_")[1]
    file.revoke(key_id, NOW)
    assert (works(path, text), works(path, other)) == (False, True)
    file.revoke(key_id, datetime(2028, 1, 1, tzinfo=UTC))
    assert KeyFile(str(path)).read()[key_id].revoked == NOW
    with pytest.raises(NotFound, match=r"no key in .*keys\.yaml has the id aaaaaaaaaa"):
        file.revoke("a" * 10, NOW)


def test_a_mounted_secret_that_is_swapped_behind_its_link_is_read_anew(tmp_path: Path) -> None:
    for version in ("one", "two"):
        (tmp_path / version).mkdir()
    text = added(KeyFile(str(tmp_path / "one" / "keys.yaml")))
    (tmp_path / "two" / "keys.yaml").write_text("[]")
    os.symlink("one", tmp_path / "data")
    os.symlink("data/keys.yaml", tmp_path / "keys.yaml")
    file = KeyFile(str(tmp_path / "keys.yaml"))
    assert recognised(text, file.read(), NOW) is not None
    os.symlink("two", tmp_path / "data.new")
    os.replace(tmp_path / "data.new", tmp_path / "data")
    assert file.read() == {}


def test_many_that_add_at_once_lose_no_key(tmp_path: Path) -> None:
    path = tmp_path / "keys.yaml"
    gate = threading.Barrier(8)

    def add() -> None:
        gate.wait(10)
        added(KeyFile(str(path)))

    threads = [threading.Thread(target=add) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(KeyFile(str(path)).read()) == 8


def test_the_mode_that_somebody_gave_the_file_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "keys.yaml"
    path.write_text("")
    path.chmod(0o640)
    added(KeyFile(str(path)))
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "cannot be read: No such file"),
        ("- {", "not valid YAML"),
        ("keys: []", "keys are a list, not dict"),
        ("- {id: a, id: b}", "the key id is given twice"),
    ],
)
def test_a_file_that_is_no_list_of_keys_is_told_and_is_not_written(
    tmp_path: Path, content: str | None, words: str
) -> None:
    path = tmp_path / "keys.yaml"
    if content is not None:
        path.write_text(content)
        with pytest.raises(ConfigError):
            added(KeyFile(str(path)))
        assert path.read_text() == content
    with pytest.raises(ConfigError) as wrong:
        KeyFile(str(path)).read()
    assert str(wrong.value).startswith(f"{path}: ")
    assert words in str(wrong.value)
