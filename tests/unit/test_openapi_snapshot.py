"""The OpenAPI document of the repository is the one that is shown, and breaks nobody."""

import pytest

from tests.contract_http import snapshot

pytestmark = pytest.mark.unit


def test_the_snapshot_is_current() -> None:
    assert snapshot.CURRENT.read_bytes() == snapshot.made(), "run `make openapi`, read its diff"


def test_every_breaking_change_is_declared() -> None:
    assert snapshot.breaks() == snapshot.meant(), "see docs/http.md, Changes"
