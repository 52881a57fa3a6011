"""A secret that the config only names: what a reference is, what is read, what is never told."""

from __future__ import annotations

import traceback
from typing import Any
from uuid import uuid4

import pytest
from pydantic import ValidationError

from cluster.config import ClusterConfig
from cluster.errors import ConfigError
from cluster.load import validate_args
from cluster.secret_reference import holds_password, read_secret, variable_of


def args(**settings: Any) -> dict[str, Any]:
    pool = {"name": "pool", "tiers": ["none"]}
    model = {"name": "m", "source": "a/pipeline", "default_tier": "none", "pools": [pool]}
    return {"models": [model], **settings}


def test_a_reference_stays_a_reference_in_the_config() -> None:
    config = ClusterConfig.model_validate(args(database_url="env:DATABASE_URL"))
    assert config.database_url == "env:DATABASE_URL"


def test_a_secret_is_read_from_its_variable_or_stands_for_itself() -> None:
    assert read_secret("env:DB", "database_url", {"DB": "postgresql://host/jobs"}) == (
        "postgresql://host/jobs"
    )
    assert read_secret("sqlite:///jobs.db", "database_url", {}) == "sqlite:///jobs.db"


@pytest.mark.parametrize("environment", [{}, {"DB": ""}, {"db": "sqlite:///jobs.db"}])
def test_a_variable_that_is_not_set_is_told_with_the_key_that_names_it(
    environment: dict[str, str],
) -> None:
    with pytest.raises(ConfigError) as refused:
        read_secret("env:DB", "database_url", environment)
    assert str(refused.value).startswith("database_url: the environment variable DB is not set")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "reference", ["env:", "env:1A", "env: DB", "env:$DB", "env:A-B", "env:A B"]
)
def test_what_is_no_name_of_a_variable_is_refused_with_an_example(reference: str) -> None:
    with pytest.raises(ValueError, match="such as env:DATABASE_URL"):
        variable_of(reference)
    with pytest.raises(ConfigError, match=r"database_url: after env: stands the name"):
        validate_args(args(database_url=reference), "args")


def test_a_faulty_config_is_told_without_the_password_in_it() -> None:
    for wrong in (
        {"database_url": "Postgres//dit:{}@host/jobs"},
        {"database_url": "postgresql://dit:{}@host/jobs", "gateways": 0},
        {"database_url": "postgresql://dit:{}@host/jobs", "models": []},
        {"database_url": {"url": "postgresql://dit:{}@host/jobs"}, "gatewayz": 1},
    ):
        secret = uuid4().hex
        filled = {
            key: value.format(secret) if isinstance(value, str) else value
            for key, value in wrong.items()
        }
        with pytest.raises(ConfigError) as refused:
            validate_args(args() | filled, "args")
        assert secret not in "".join(traceback.format_exception(refused.value))


def test_pydantics_own_text_of_a_fault_holds_no_value() -> None:
    secret = uuid4().hex
    with pytest.raises(ValidationError) as refused:
        ClusterConfig.model_validate(args(database_url=f"postgresql://u:{secret}@h/j", models=[]))
    assert secret not in str(refused.value)


@pytest.mark.parametrize(
    ("url", "holds"),
    [
        ("postgresql+psycopg://dit:word@host/jobs", True),
        ("postgresql+psycopg://host/jobs?user=dit&password=word", True),
        ("postgresql+psycopg://dit@host:5432/jobs", False),
        ("s3://AKIA:se/cr+et@bucket/prefix", True),
        ("s3://bucket/prefix", False),
        ("https://user:word@host/", True),
        ("http://minio:9000/a@b", False),
        ("var/results", False),
    ],
)
def test_a_password_in_a_url_is_found(url: str, holds: bool) -> None:
    assert holds_password(url) is holds
