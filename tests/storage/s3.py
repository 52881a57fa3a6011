"""A real S3 API server for a test: moto's, in a process of its own, on a free loopback port."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import boto3
import pytest

_SERVE = """
import sys
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
sys.stdin.read()
"""
"""Says its port, and ends with whoever holds its standard input."""

ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "NO_PROXY": "127.0.0.1",
}
"""What a process needs beside the endpoint; the keys are made up."""


@dataclass(frozen=True)
class S3Server:
    """A running server; its buckets are in its memory."""

    endpoint_url: str

    def make_bucket(self, name: str) -> str:
        """An empty bucket, as a URL."""
        boto3.client("s3", endpoint_url=self.endpoint_url).create_bucket(Bucket=name)
        return f"s3://{name}"


@contextmanager
def s3_server() -> Iterator[S3Server]:
    """Starts a server, with the AWS variables of this process set to suit it meanwhile."""
    with (
        pytest.MonkeyPatch.context() as environment,
        subprocess.Popen(
            [sys.executable, "-c", _SERVE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as process,
    ):
        for name, value in ENVIRONMENT.items():
            environment.setenv(name, value)
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            port = int(process.stdout.readline())
            yield S3Server(f"http://127.0.0.1:{port}")
        finally:
            process.stdin.close()
