"""The AsyncAPI document says what the service takes and what it sends."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, get_args

import msgspec
import pytest
from click.testing import CliRunner
from jsonschema import Draft202012Validator

from core.errors import InvalidInput
from core.events import (
    SUBJECTS,
    CloudEvent,
    DeadLetter,
    ModelTrainingCompleted,
    ModelTrainingStarted,
    RecommendationsRefreshed,
    TrainedOn,
)
from core.events import Event as Outgoing
from ingest.checks import LatestTime
from ingest.events import Event, interaction_of
from ingest.weights import PLAIN
from tests import asyncapi
from tests.eventful import event
from upnext.cli import main

pytestmark = pytest.mark.unit

NOW = datetime(2026, 1, 1, tzinfo=UTC)
WATCHED, RATED = "analytics.video-watched", "analytics.video-rated"

SENT: list[Outgoing] = [
    ModelTrainingStarted(model_id="m1", model_type="als", data=TrainedOn(start=NOW)),
    ModelTrainingCompleted(
        model_id="m1",
        model_type="sequence",
        status="failed",
        metrics={"recall@10": 0.1},
        duration_seconds=3.5,
        error="Too little data.",
    ),
    RecommendationsRefreshed(model_id="m1", model_version="m1", users=3, reason="rolled_back"),
    DeadLetter(event="/w==", encoding="base64", subject=WATCHED, reason="no JSON", attempts=2),
]


def enveloped(sent: Outgoing, **changes: Any) -> bytes:
    """As the relay writes it, but for `changes` of the data."""
    data = {**msgspec.to_builtins(sent), **changes}
    raw = msgspec.Raw(msgspec.json.encode(data))
    return msgspec.json.encode(CloudEvent(id="1", type=type(sent).__name__, time=NOW, data=raw))


def changed(payload: bytes, part: str = "", **changes: Any) -> bytes:
    """An event with other attributes, or another `part` of it; None takes one out."""
    value = msgspec.json.decode(payload)
    target = value[part] if part else value
    for name, new in changes.items():
        target[name] = new
        if new is None:
            del target[name]
    return msgspec.json.encode(value)


def references(node: Any) -> Iterator[str]:
    """All `$ref`s below."""
    if isinstance(node, dict):
        if "$ref" in node:
            yield node["$ref"]
        for each in node.values():
            yield from references(each)
    elif isinstance(node, list):
        for each in node:
            yield from references(each)


def resolved(reference: str) -> Any:
    node: Any = asyncapi.document()
    for word in reference.removeprefix("#/").split("/"):
        node = node[word]
    return node


def test_the_snapshot_is_current() -> None:
    printed = CliRunner().invoke(main, ["bus", "asyncapi"])
    assert printed.exit_code == 0
    assert printed.stdout == asyncapi.FILE.read_text(), "run `make openapi`, read its diff"


def test_it_has_the_shape_of_asyncapi_3() -> None:
    document = asyncapi.document()
    assert document["asyncapi"] == "3.0.0"
    assert {"title", "version"} <= document["info"].keys()
    assert {each["protocol"] for each in document["servers"].values()} == {"nats", "kafka"}
    found = list(references(document))
    assert len(found) > 30
    for reference in found:
        assert resolved(reference)
    for operation in document["operations"].values():
        channel = resolved(operation["channel"]["$ref"])
        assert operation["action"] in {"receive", "send"}
        for message in operation["messages"]:
            assert resolved(message["$ref"]) in channel["messages"].values()
    for schema in document["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)


def test_it_has_every_message_that_comes_in_or_goes_out() -> None:
    document = asyncapi.document()
    by_action: dict[str, set[str]] = {"receive": set(), "send": set()}
    for operation in document["operations"].values():
        channel = resolved(operation["channel"]["$ref"])
        by_action[operation["action"]].add(channel["address"])
    assert by_action["receive"] == {WATCHED, RATED}
    assert by_action["send"] == set(SUBJECTS.values())


def test_its_own_examples_are_right() -> None:
    for channel in asyncapi.document()["channels"].values():
        [name] = channel["messages"]
        [example] = asyncapi.document()["components"]["messages"][name]["examples"]
        assert example["payload"]["type"] == name
        payload = msgspec.json.encode(example["payload"])
        assert asyncapi.complaints(channel["address"], payload) == []


def test_what_we_send_is_as_it_says() -> None:
    assert {type(each) for each in SENT} == set(get_args(Outgoing))
    for sent in SENT:
        assert asyncapi.complaints(SUBJECTS[type(sent).__name__], enveloped(sent)) == []


@pytest.mark.parametrize(
    ("sent", "changes"),
    [
        (SENT[0], {"model_type": "guess"}),
        (SENT[1], {"metrics": {"recall@10": "high"}}),
        (SENT[2], {"reason": "whim"}),
        (SENT[3], {"attempts": "two"}),
        (SENT[3], {"encoding": "latin-1"}),
    ],
)
def test_what_we_never_send_is_wrong_by_it(sent: Outgoing, changes: dict[str, Any]) -> None:
    address = SUBJECTS[type(sent).__name__]
    assert asyncapi.complaints(address, enveloped(sent, **changes))
    assert asyncapi.complaints(address, changed(enveloped(sent), type="Another"))
    assert asyncapi.complaints(address, changed(enveloped(sent), source=None))


def test_what_we_take_is_as_it_says() -> None:
    for sent in (
        event("u1", "v1"),
        event("u1", "v1", watched_seconds=0, video_seconds=90.5, recommendation_id="r-1"),
        event("u1", "v1", rating=0.5),
    ):
        assert asyncapi.complaints(sent.subject, sent.payload) == []
        assert taken(sent.payload)
        extended = changed(sent.payload, traceparent="00-ab-cd-01", time=None)
        assert asyncapi.complaints(sent.subject, extended) == []
        numbered = changed(sent.payload, "data", user_id=7, video_id=8)
        assert asyncapi.complaints(sent.subject, numbered) == []
        assert taken(numbered)


@pytest.mark.parametrize(
    ("part", "changes"),
    [
        ("", {"specversion": "0.3"}),
        ("", {"id": None}),
        ("", {"id": ""}),
        ("", {"source": "s" * 1001}),
        ("", {"type": "VideoLiked"}),
        ("", {"time": 1_700_000_000}),
        ("", {"data": None}),
        ("data", {"user_id": None}),
        ("data", {"user_id": "a user"}),
        ("data", {"video_id": "v" * 129}),
        ("data", {"video_id": 1.5}),
        ("data", {"rating": 6}),
        ("data", {"rating": 0}),
        ("data", {"rating": "good"}),
        ("data", {"mood": "good"}),
        ("data", {"watched_seconds": -1}),
    ],
)
def test_what_is_refused_is_wrong_by_it(part: str, changes: dict[str, Any]) -> None:
    payload = changed(event("u1", "v1", rating=4).payload, part, **changes)
    assert asyncapi.complaints(RATED, payload)
    assert not taken(payload)


@pytest.mark.parametrize(
    "data", [{"watched_seconds": -1}, {"video_seconds": 1e9}, {"recommendation_id": "an id"}]
)
def test_a_watch_that_is_refused_is_wrong_by_it(data: dict[str, Any]) -> None:
    payload = event("u1", "v1", **data).payload
    assert asyncapi.complaints(WATCHED, payload)
    assert not taken(payload)


def taken(payload: bytes) -> bool:
    """Whether the service takes such an event."""
    try:
        found = msgspec.json.decode(payload, type=Event)
        interaction_of(found, LatestTime(datetime.max.replace(tzinfo=UTC)), NOW, PLAIN)
    except (msgspec.ValidationError, InvalidInput):
        return False
    return True
