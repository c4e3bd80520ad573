"""The artifact store on S3; boto3 reads its own variables for endpoint, region and credentials."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import boto3
from boto3.exceptions import Boto3Error
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from core.errors import NotFound, Unavailable

CONFIG = Config(connect_timeout=3, read_timeout=20, retries={"max_attempts": 3, "mode": "standard"})
MISSING = {"404", "NoSuchKey"}


class S3Artifacts:
    """Objects under `s3://bucket/prefix/`; S3 itself stores an object whole or not at all."""

    def __init__(self, bucket: str, prefix: str = "") -> None:
        self._client = boto3.client("s3", config=CONFIG)
        self._bucket = bucket
        self._prefix = f"{prefix}/" if prefix else ""

    @property
    def url(self) -> str:
        """See `ArtifactStore.url`."""
        return f"s3://{self._bucket}/{self._prefix}".rstrip("/")

    def put(self, key: str, path: Path) -> None:
        """See `ArtifactStore.put`."""
        with _mapped(key):
            self._client.upload_file(str(path), self._bucket, self._prefix + key)

    def fetch(self, key: str, path: Path) -> None:
        """See `ArtifactStore.fetch`."""
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = path.with_name(f".{path.name}.{uuid4().hex}.part")
        try:
            with _mapped(key):
                self._client.download_file(self._bucket, self._prefix + key, str(aside))
            aside.replace(path)
        finally:
            aside.unlink(missing_ok=True)

    def keys(self, prefix: str) -> list[str]:
        """See `ArtifactStore.keys`."""
        pages = self._client.get_paginator("list_objects_v2")
        with _mapped(prefix):
            found = [
                entry["Key"].removeprefix(self._prefix)
                for page in pages.paginate(Bucket=self._bucket, Prefix=self._prefix + prefix)
                for entry in page.get("Contents", [])
            ]
        return sorted(found)

    def delete(self, prefix: str) -> None:
        """See `ArtifactStore.delete`."""
        for key in self.keys(prefix):
            with _mapped(key):
                self._client.delete_object(Bucket=self._bucket, Key=self._prefix + key)

    def probe(self) -> None:
        """See `ArtifactStore.probe`."""
        with _mapped(self.url):
            self._client.list_objects_v2(Bucket=self._bucket, Prefix=self._prefix, MaxKeys=1)


@contextmanager
def _mapped(key: str) -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") in MISSING:
            raise NotFound(f"The artifact store has no {key}.") from error
        raise Unavailable("artifacts") from error
    except (BotoCoreError, Boto3Error, OSError) as error:
        raise Unavailable("artifacts") from error
