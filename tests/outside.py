"""Servers of others in place of ours: `pytest tests/contract --milvus-uri http://host:19530`.

They must be there for the tests alone: what they hold is deleted.
"""

from typing import Final
from urllib.parse import unquote, urlsplit

import pytest

BUCKET: Final = "artifacts"

OPTIONS: Final = {
    "--postgres-url": "postgresql://user:password@host/database, of who may create databases",
    "--redis-url": "redis://:password@host:6379",
    "--milvus-uri": "http://host:19530; every collection there is dropped",
    "--nats-url": "nats://user:password@host:4222, with JetStream and no streams of a service",
    "--kafka-url": "kafka://host:9092",
    "--s3-endpoint": f"http://key:secret@host:9000; its bucket {BUCKET!r} is emptied",
}
"""Each is an option of pytest, and what its value looks like."""


def add_options(parser: pytest.Parser) -> None:
    """Let pytest take them."""
    group = parser.getgroup("upnext", "servers that are there for these tests alone")
    for option, looks in OPTIONS.items():
        group.addoption(option, metavar="URL", default=None, help=looks)


def outside(config: pytest.Config, option: str) -> str | None:
    """The address that was given for one of `OPTIONS`, if one was."""
    value: str | None = config.getoption(option)
    return value


def point_boto3_at(endpoint: str, patch: pytest.MonkeyPatch) -> None:
    """Have boto3 use this endpoint, with the key and the secret that stand in it."""
    parts = urlsplit(endpoint)
    host = parts.netloc.rpartition("@")[2]
    patch.setenv("AWS_ENDPOINT_URL_S3", f"{parts.scheme}://{host}")
    patch.setenv("AWS_ACCESS_KEY_ID", unquote(parts.username or "test"))
    patch.setenv("AWS_SECRET_ACCESS_KEY", unquote(parts.password or "test"))
    patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
