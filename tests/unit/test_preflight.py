"""A run that cannot come to anything says so in a sentence, by what was counted."""

import os
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import msgspec
import pytest

from core.errors import InvalidInput
from core.types import ModelType
from embeddings.history_reader import HistoryReader
from storage.postgres.enough import MOST, Counts
from tests.planted import checkerboard
from upnext.jobs import preflight
from upnext.jobs.messages import Request
from upnext.jobs.preflight import check_counts, check_histories, check_libraries

pytestmark = pytest.mark.unit

MANY = Counts(interactions=500, users=50, known=500, videos=100, told=100)


def request(model_type: ModelType = "als", **span: datetime) -> Request:
    return Request(
        model_id="m",
        attempt=uuid4(),
        model_type=model_type,
        version="v",
        parent=os.getpid(),
        **span,
    )


def sentence(asked: Request, **counted: Any) -> str:
    found = msgspec.structs.replace(MANY, **counted)
    with pytest.raises(InvalidInput) as refused:
        check_counts(asked, found)
    return str(refused.value)


def test_enough_of_everything_passes() -> None:
    check_counts(request(), MANY)
    check_counts(request("content"), Counts(0, 0, 0, 10, 1))
    check_libraries("sequence")


def test_too_few_videos_or_none_with_a_text_are_named() -> None:
    assert sentence(request("content"), videos=3) == (
        "The catalogue has 3 videos, a model needs 10: "
        "bring some in with `upnext import`, then train again."
    )
    assert "No video of the catalogue has a text" in sentence(request("content"), told=0)


def test_too_few_interactions_or_users_are_named() -> None:
    assert sentence(request("sequence"), users=9).startswith("A sequence model learns from what")
    said = sentence(request(), interactions=99, known=99)
    assert "has 99 watches of 50 users, it needs 100 of 10 users" in said
    assert "of 9 users" in sentence(request(), users=9)
    assert "upnext import events" in sentence(request(), interactions=0, users=0, known=0)
    check_counts(request("content"), Counts(0, 0, 0, 100, 100))


def test_watches_of_videos_that_nobody_has_are_named() -> None:
    said = sentence(request(), known=7)
    assert "of 500 watches those are 7" in said
    assert "under the ids that the events name" in said


def test_dates_without_interactions_are_named() -> None:
    january, june = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 6, 1, tzinfo=UTC)
    nothing = {"interactions": 0, "users": 0, "known": 0}
    of_both = request("content", start=january, end=june)
    said = sentence(of_both, **nothing)
    assert said.startswith("There are no interactions from 2026-01-01 on and before 2026-06-01:")
    assert "from 2026-01-01 on:" in sentence(request(start=january), **nothing)
    assert "interactions before 2026-06-01:" in sentence(request(end=june), **nothing)


def test_a_count_that_was_cut_short_refuses_nothing() -> None:
    check_counts(request(), Counts(MOST, 1, 0, 100, 100))


def test_what_was_read_is_looked_at_again() -> None:
    with pytest.raises(InvalidInput, match="has 0 watches of 0 users, it needs 100 of 10 users"):
        check_histories(HistoryReader({}).histories(), "als")


def test_watches_that_weigh_nothing_are_not_enough() -> None:
    watches = checkerboard().log.histories()
    check_histories(watches, "als")
    watches.weights[:-3] = 0
    with pytest.raises(InvalidInput, match="has 3 watches of 1 users, it needs 100"):
        check_histories(watches, "als")


def test_what_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight, "LIBRARIES", ("torch", "no_such_library"))
    with pytest.raises(InvalidInput, match=r"no_such_library cannot be .* 'upnext\[train\]'"):
        check_libraries("sequence")
