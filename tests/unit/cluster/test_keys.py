"""Keys: what is recognised, when, and that what is kept or said of one holds no secret."""

from __future__ import annotations

import hashlib
import hmac
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from cluster import keys as keys_module
from cluster.errors import ConfigError
from cluster.keys import ApiKey, Scope, digest, id_within, key_list, key_text, recognised

NOW = datetime(2027, 1, 31, 12, tzinfo=UTC)
SECRET = "S" * 43
TEXT = key_text("abcdefgh27", SECRET)


def entry(**fields: Any) -> dict[str, Any]:
    plain = {
        "id": "abcdefgh27",
        "name": "ann",
        "scopes": ["generate"],
        "sha256": digest(TEXT),
        "created": "2027-01-01",
    }
    return plain | fields


def key(**fields: Any) -> ApiKey:
    return ApiKey.model_validate(entry(**fields))


def known(text: str, now: datetime = NOW, **fields: Any) -> bool:
    one = key(**fields)
    return recognised(text, {one.id: one}, now) is not None


def test_only_the_whole_key_is_recognised() -> None:
    assert known(TEXT)
    wrong = [
        "",
        SECRET,
        "abcdefgh27",
        TEXT[:-1],
        TEXT + "S",
        TEXT.lower(),
        TEXT.replace("abcdefgh27", "abcdefgh22"),
        key_text("abcdefgh27", "T" * 43),
        f" {TEXT}",
        f"{TEXT}\n",
        digest(TEXT),
        TEXT.replace("S", "é"),
        "x" * 100_000,
    ]
    assert not any(known(text) for text in wrong)


def test_a_key_works_until_the_moment_it_expires_or_is_revoked() -> None:
    second = timedelta(seconds=1)
    assert known(TEXT, NOW - second, expires=NOW)
    assert not known(TEXT, NOW, expires=NOW)
    assert not known(TEXT, revoked=NOW - second)
    # By the clock of another machine it may be so only in a while.
    assert not known(TEXT, revoked=NOW + 60 * second)


def test_an_unknown_id_is_compared_as_a_wrong_secret_is(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[str, str]] = []

    def compare(sent: str, kept: str) -> bool:
        compared.append((sent, kept))
        return hmac.compare_digest(sent, kept)

    monkeypatch.setattr(keys_module, "compare_digest", compare)
    one = key()
    for keys in ({one.id: one}, {}):
        assert recognised(key_text("abcdefgh27", "T" * 43), keys, NOW) is None
    assert len(compared) == 2
    assert len({len(part) for pair in compared for part in pair}) == 1


def test_what_is_kept_is_the_digest_of_the_whole_text() -> None:
    assert digest(TEXT) == hashlib.sha256(TEXT.encode()).hexdigest()
    assert SECRET not in repr(key())


def test_the_id_is_told_by_a_whole_key_and_by_nothing_else() -> None:
    assert id_within(TEXT) == "abcdefgh27"
    assert id_within("abcdefgh27") is None


def test_a_list_of_keys_is_read_whole() -> None:
    read = key_list([entry(), entry(id="b" * 10, expires="2027-02-01T08:00:00+01:00")], "keys")
    assert [each.name for each in read.values()] == ["ann", "ann"]
    assert read["b" * 10].expires == datetime(2027, 2, 1, 7, tzinfo=UTC)
    assert read["abcdefgh27"].created == datetime(2027, 1, 1, tzinfo=UTC)
    assert read["abcdefgh27"].scopes == (Scope.GENERATE,)
    assert key_list(None, "keys") == {}


def test_the_list_of_the_document_is_one() -> None:
    (block,) = re.findall(r"```yaml\n(- id.*?)```", Path("docs/api.md").read_text(), re.DOTALL)
    (read,) = key_list(yaml.safe_load(block), "docs/api.md").values()
    assert read.state(NOW) == "revoked"


@pytest.mark.parametrize(
    ("entries", "line"),
    [
        ({"id": "a"}, "keys.yaml: keys are a list, not dict"),
        ([7], "keys.yaml: [0]: must be a mapping (given: 7)"),
        ([entry(), entry()], "keys.yaml: [1].id: another key has the id abcdefgh27"),
        ([entry(id=TEXT)], "keys.yaml: [0].id: must be 10 characters of a to z and 2 to 7"),
        ([entry(sha256=TEXT)], "keys.yaml: [0].sha256: must be the SHA-256 of the whole key"),
        ([entry(name="a\nb")], "keys.yaml: [0].name: has a character that cannot be printed"),
        ([entry(scopes=[])], "keys.yaml: [0].scopes: Tuple should have at least 1 item"),
        ([entry(scopes=["all"])], "keys.yaml: [0].scopes[0]: Input should be 'generate'"),
        ([entry(expires="soon")], "keys.yaml: [0].expires: must be a time, such as 2027-01-31"),
        ([entry(secret=TEXT)], "keys.yaml: [0]: unknown key secret; "),
        ([{}], "keys.yaml: [0].id: is missing"),
    ],
)
def test_a_wrong_list_is_told_by_its_place_and_without_a_secret(entries: Any, line: str) -> None:
    with pytest.raises(ConfigError) as wrong:
        key_list(entries, "keys.yaml")
    assert line in str(wrong.value)
    assert SECRET not in str(wrong.value)


def test_every_fault_of_a_list_is_told_at_once() -> None:
    with pytest.raises(ConfigError) as wrong:
        key_list([entry(name=""), entry(id="b" * 10), entry(id="no")], "keys.yaml")
    assert [line.split(":")[1] for line in str(wrong.value).splitlines()] == [
        " [0].name",
        " [2].id",
    ]
