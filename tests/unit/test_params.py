"""Who made a model: known to have ended only where its process number means the same."""

from typing import Any

import pytest
from msgspec.structs import replace

from core.clock import EPOCH
from core.types import Model
from upnext.jobs.params import owner_has_ended, params

pytestmark = pytest.mark.unit


def owned(**changes: Any) -> Model:
    """A model of this process, but for `changes` of its owner."""
    made = Model(id="1", model_type="content", version="v", status="training", created_at=EPOCH)
    kept = params(None, None)
    return replace(made, params={**kept, "owner": {**kept["owner"], **changes}})


def test_a_process_that_runs_has_not_ended() -> None:
    assert not owner_has_ended(owned())


def test_a_process_number_that_passed_on_has_ended() -> None:
    assert owner_has_ended(owned(created=owned().params["owner"]["created"] - 1000))


def test_a_process_of_another_container_is_not_known() -> None:
    assert not owner_has_ended(owned(created=0.0, place="another"))
    assert not owner_has_ended(replace(owned(), params={}))
