"""Where results are kept: what a config may say of it, and the line that tells a fault."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from cluster.results import ResultsConfig
from cluster.sections import fault_lines


def results(**settings: Any) -> ResultsConfig:
    return ResultsConfig.model_validate(settings)


def fault(**settings: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        results(**settings)
    (line,) = fault_lines(caught.value)
    return line


def test_without_settings_results_lie_in_a_local_folder_for_a_day():
    config = results()
    assert (config.url, config.folder, config.is_s3) == ("var/results", "var/results", False)
    assert (config.max_age_s, config.max_bytes) == (86_400, 10_000_000_000)
    assert config.options == {}


def test_a_bucket_is_taken_with_its_endpoint_and_without_a_limit_of_bytes():
    config = results(
        url="s3://bucket/dit-serve/",
        options={"endpoint_url": "http://minio:9000", "client_kwargs": {"region_name": "eu"}},
        max_bytes=None,
        max_age_s=60,
    )
    assert (config.url, config.folder, config.is_s3) == ("s3://bucket/dit-serve", None, True)
    assert config.options["endpoint_url"] == "http://minio:9000"
    assert (config.max_age_s, config.max_bytes) == (60, None)


@pytest.mark.parametrize(
    ("url", "folder"),
    [
        ("/srv/results/", "/srv/results"),
        ("../results", "../results"),
        ("~/results", "~/results"),
        ("file:///srv/results", "/srv/results"),
        ("file://var/results", "var/results"),
        ("gs://bucket", None),
        ("memory://results", None),
    ],
)
def test_a_folder_is_known_from_a_url(url: str, folder: str | None):
    assert results(url=url).folder == folder


@pytest.mark.parametrize(
    ("url", "anchored"),
    [
        ("var/results", "/here/var/results"),
        ("file://var/results", "/here/var/results"),
        ("/srv/results", "/srv/results"),
        ("~/results", "~/results"),
        ("s3://bucket/results", "s3://bucket/results"),
    ],
)
def test_an_anchored_config_means_the_same_place_from_every_working_directory(
    url: str, anchored: str
):
    config = results(url=url, max_age_s=60)
    assert config.anchored_at("/here") == results(url=anchored, max_age_s=60)
    assert config.anchored_at("/here").anchored_at("/elsewhere") == config.anchored_at("/here")


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("s3://", "s3:// names no place, as s3://bucket/prefix does"),
        ("s3:///", "names no place"),
        ("s3:/bucket", "s3:/bucket is neither a folder nor a URL"),
        ("s3:bucket/prefix", "neither a folder nor a URL"),
        ("S3://bucket", "S3:// is no kind of URL"),
        ("simplecache::s3://bucket", "simplecache::s3:// is no kind of URL"),
        (" var/results", "blanks"),
        ("var/results\n", "characters"),
        ("sftp://user:hunter2@host/results", "a password does not belong in a config"),
        ("s3://AKIA:hunter2/hunter2@bucket/results", "a password does not belong in a config"),
    ],
)
def test_a_url_that_names_no_place_is_refused_in_plain_words(url: str, says: str):
    line = fault(url=url)
    assert line.startswith("url: ")
    assert says in line
    assert "hunter2" not in line


@pytest.mark.parametrize(
    "options",
    [
        {"secret": "hunter2"},
        {"key": "hunter2", "endpoint_url": "http://minio:9000"},
        {"client_kwargs": {"aws_secret_access_key": "hunter2"}},
        {"connection_string": "hunter2"},
        {"client_kwargs": {"endpoint_url": "http://user:hunter2@minio:9000"}},
    ],
)
def test_a_secret_among_the_options_is_refused_without_repeating_it(options: dict[str, Any]):
    line = fault(options=options)
    assert "keys and passwords do not belong in a config" in line
    assert "AWS_SECRET_ACCESS_KEY" in line
    assert "hunter2" not in line


@pytest.mark.parametrize(
    "settings",
    [
        {"url": ""},
        {"url": 7},
        {"options": "endpoint_url"},
        {"max_age_s": 0},
        {"max_age_s": "a day"},
        {"max_bytes": 0},
        {"max_bytes": 1.5},
    ],
)
def test_a_value_that_makes_no_sense_is_refused_at_its_key(settings: dict[str, Any]):
    (name,) = settings
    assert fault(**settings).startswith(f"{name}: ")


def test_a_misspelt_key_is_refused_with_the_nearest_right_one():
    assert "did you mean max_age_s?" in fault(max_age=60)
