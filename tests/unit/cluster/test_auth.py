"""The section `auth`: closed where nothing is said, and off only in so many words."""

from __future__ import annotations

from typing import Any

import pytest

from cluster.config import ClusterConfig
from cluster.errors import ConfigError
from cluster.load import validate_args

MODEL = {"name": "shapes", "source": "s", "pools": [{"name": "cpu", "device": "cpu"}]}


def config(**keys: Any) -> ClusterConfig:
    return validate_args({"models": [MODEL], **keys}, "file.yaml: args")


@pytest.mark.parametrize("keys", [{}, {"auth": {}}, {"auth": {"keys": "database"}}])
def test_where_nothing_is_said_keys_are_asked_for_and_come_from_the_database(
    keys: dict[str, Any],
) -> None:
    auth = config(**keys).auth
    assert (auth.asks_for_keys, auth.keys_file, auth.loopback_only) == (True, None, False)


def test_none_is_only_for_this_machine_until_it_is_opened_in_so_many_words() -> None:
    for shut in ("none", {"keys": "none"}):
        auth = config(auth=shut).auth
        assert (auth.asks_for_keys, auth.loopback_only) == (False, True)
    assert not config(auth={"keys": "none", "open_to_network": True}).auth.loopback_only


def test_a_relative_file_of_keys_counts_from_where_the_application_is_built() -> None:
    auth = config(auth={"keys_file": "keys.yaml"}).auth.anchored_at("/app")
    assert auth.keys_file == "/app/keys.yaml"
    kept = config(auth={"keys_file": "/etc/keys.yaml"}).auth.anchored_at("/app")
    assert kept.keys_file == "/etc/keys.yaml"


@pytest.mark.parametrize(
    ("auth", "line"),
    [
        (None, "args.auth: must be none, or a mapping such as"),
        (False, "args.auth: must be none, or a mapping such as"),
        ("off", "args.auth: must be none, or a mapping such as"),
        ({"keys": "file"}, "args.auth.keys: Input should be 'database' or 'none'"),
        ({"keys_fil": "a"}, "args.auth: unknown key keys_fil; did you mean keys_file?"),
        ({"keys": "none", "keys_file": "a"}, "args.auth: give keys_file or keys, not both"),
        ({"keys": "none", "open_to_network": 1}, "args.auth.open_to_network: must be true or"),
        ({"open_to_network": True}, "args.auth: open_to_network: is only for keys: none"),
    ],
)
def test_what_is_not_understood_does_not_switch_keys_off(auth: Any, line: str) -> None:
    with pytest.raises(ConfigError) as wrong:
        config(auth=auth)
    assert str(wrong.value).startswith(f"file.yaml: {line}")
