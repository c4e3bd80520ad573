"""The artifact store on S3; boto3 reads its own variables for endpoint, region and credentials."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import boto3
from boto3.exceptions import Boto3Error
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, FlexibleChecksumError, SSLError

from core.access import Files
from core.errors import NotFound, Unavailable
from core.tls import trouble
from storage.artifact_calls import measured

# A store that hangs is given up within 9 s, which is below what a start waits for.
READING = Config(connect_timeout=2, read_timeout=4, retries={"total_max_attempts": 2})
# Jobs write, and would rather wait than fail: a part of 8 MB may take its time.
WRITING = Config(connect_timeout=3, read_timeout=30, retries={"total_max_attempts": 4})
DOWNLOAD = TransferConfig(num_download_attempts=2)  # of a body that breaks off
MISSING = {"404", "NoSuchKey"}


_BY_DEFAULT = Files()


class S3Artifacts:
    """Objects under `s3://bucket/prefix/`; S3 itself stores an object whole or not at all."""

    def __init__(self, bucket: str, prefix: str = "", tls: Files = _BY_DEFAULT) -> None:
        """Without a file of authorities `AWS_CA_BUNDLE` is asked, then boto3's own."""
        ca_file = None if tls.ca_file is None else str(tls.ca_file)
        self._reading = boto3.client("s3", config=_shown(READING, tls), verify=ca_file)
        self._writing = boto3.client("s3", config=_shown(WRITING, tls), verify=ca_file)
        self._bucket = bucket
        self._prefix = f"{prefix}/" if prefix else ""

    @property
    def url(self) -> str:
        """See `ArtifactStore.url`."""
        return f"s3://{self._bucket}/{self._prefix}".rstrip("/")

    @measured
    def put(self, key: str, path: Path) -> None:
        """See `ArtifactStore.put`."""
        with _mapped(key):
            self._writing.upload_file(str(path), self._bucket, self._prefix + key)

    @measured
    def fetch(self, key: str, path: Path) -> None:
        """See `ArtifactStore.fetch`."""
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = path.with_name(f".{path.name}.{uuid4().hex}.part")
        try:
            with _mapped(key):
                try:
                    self._download(key, aside)
                except FlexibleChecksumError:  # boto3 tries again after all faults but this one
                    self._download(key, aside)
            aside.replace(path)
        finally:
            aside.unlink(missing_ok=True)

    def _download(self, key: str, path: Path) -> None:
        name = self._prefix + key
        self._reading.download_file(self._bucket, name, str(path), Config=DOWNLOAD)

    @measured
    def hand_out(self, key: str, seconds: int) -> str:
        """See `api.jobs.ResultStore.hand_out`: a presigned URL."""
        wanted = {"Bucket": self._bucket, "Key": self._prefix + key}
        with _mapped(key):
            self._reading.head_object(Bucket=wanted["Bucket"], Key=wanted["Key"])
            url: str = self._reading.generate_presigned_url(
                "get_object", Params=wanted, ExpiresIn=seconds
            )
        return url

    @measured
    def keys(self, prefix: str) -> list[str]:
        """See `ArtifactStore.keys`."""
        pages = self._reading.get_paginator("list_objects_v2")
        with _mapped(prefix):
            found = [
                entry["Key"].removeprefix(self._prefix)
                for page in pages.paginate(Bucket=self._bucket, Prefix=self._prefix + prefix)
                for entry in page.get("Contents", [])
            ]
        return sorted(found)

    @measured
    def delete(self, prefix: str) -> None:
        """See `ArtifactStore.delete`."""
        for key in self.keys(prefix):
            with _mapped(key):
                self._writing.delete_object(Bucket=self._bucket, Key=self._prefix + key)

    def probe(self) -> None:
        """See `ArtifactStore.probe`."""
        with _mapped(self.url):
            self._reading.list_objects_v2(Bucket=self._bucket, Prefix=self._prefix, MaxKeys=1)


def _shown(config: Config, tls: Files) -> Config:
    """With our certificate, if there is one."""
    if tls.certificate_file is None:
        return config
    key = tls.key_file or tls.certificate_file
    return config.merge(Config(client_cert=(str(tls.certificate_file), str(key))))


@contextmanager
def _mapped(key: str) -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") in MISSING:
            raise NotFound(f"The artifact store has no {key}.") from error
        raise _away(key, error) from error
    except (BotoCoreError, Boto3Error, OSError) as error:
        raise _away(key, error) from error


def _away(key: str, error: Exception) -> Unavailable:
    if isinstance(error, SSLError) and (said := trouble(error)):
        return Unavailable("artifacts", f"S3 over TLS: {said}")
    return Unavailable("artifacts", f"S3 did not do what was asked of {key}: {error}")
