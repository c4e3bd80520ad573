"""Where a backup goes: what names no place is refused, and nothing is written meanwhile."""

from pathlib import Path

import pytest

from core.errors import SetupError
from core.settings import load
from upnext.backups.place import place_of

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    "given",
    ["", "s3:/bucket/x", "s3://", "s3:///x", "gs://bucket", "file:x", "~no-such-user/backups"],
)
def test_what_is_neither_a_folder_nor_a_bucket_is_refused(given: str) -> None:
    """A slip must not become a folder of whoever runs the command, in a pod that ends with it."""
    with pytest.raises(SetupError, match=r"PLACE is .*: give a folder, or s3://bucket/prefix"):
        place_of(given, load())


def test_a_folder_may_be_named_in_every_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    named = tmp_path / "two words: safe"
    for given in (f"./{named.name}", f"~/{named.name}", str(named), named.as_uri()):
        assert place_of(given, load()).url == named.as_uri()
    assert place_of("safe", load()).url == (tmp_path / "safe").as_uri()
    assert list(tmp_path.iterdir()) == []
