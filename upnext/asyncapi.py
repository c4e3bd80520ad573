"""The AsyncAPI 3 document of the events, made from the structs that they are decoded into.

AsyncAPI 3.0.0, https://www.asyncapi.com/docs/reference/specification/v3.0.0. A channel is a subject
of NATS and a topic of Kafka: both have the same name.
"""

from collections.abc import Mapping
from importlib.metadata import version
from inspect import cleandoc
from typing import Any, Final

import msgspec

from core.events import INCOMING, SUBJECTS, CloudEvent, Event
from ingest.events import VideoRated, VideoWatched
from storage.bus.contract import STREAMS

CONTENT_TYPE: Final = "application/cloudevents+json"

RECEIVED: Final[Mapping[str, type]] = {
    INCOMING[struct.__name__]: struct for struct in (VideoWatched, VideoRated)
}
SENT: Final[Mapping[str, type]] = {SUBJECTS[struct.__name__]: struct for struct in Event.__args__}

_DESCRIPTION = """\
Events are CloudEvents 1.0 in structured JSON. `(source, id)` names an event once and for all: a
second arrival of it changes nothing, even with another `time`. Where `time` is missing, the
broker's is taken. An event that cannot be read or breaks a rule goes to `recs.dead-letter` with its
reason. What we send is sent at least once, in order per `model_id`.
"""

_EXAMPLES: Final[Mapping[str, Mapping[str, Any]]] = {
    "VideoWatched": {
        "source": "/player",
        "data": {
            "user_id": "u1",
            "video_id": "v7",
            "watched_seconds": 1260.5,
            "video_seconds": 5400,
            "recommendation_id": "019c8f4e-9a31-7bd0-a3f5-0c2f6e1d7b42",
        },
    },
    "VideoRated": {"source": "/player", "data": {"user_id": "u1", "video_id": "v7", "rating": 4.5}},
    "ModelTrainingStarted": {
        "data": {
            "model_id": "als-20260101-120000-ab12",
            "model_type": "als",
            "data": {"start": None, "end": None},
        }
    },
    "ModelTrainingCompleted": {
        "data": {
            "model_id": "als-20260101-120000-ab12",
            "model_type": "als",
            "status": "ready",
            "metrics": {"recall@10": 0.19, "ndcg@10": 0.16},
            "duration_seconds": 84.2,
        }
    },
    "RecommendationsRefreshed": {
        "data": {
            "model_id": "als-20260101-120000-ab12",
            "model_version": "als-20260101-120000-ab12",
            "users": 1200,
            "reason": "promoted",
        }
    },
    "DeadLetter": {
        "data": {
            "event": '{"specversion": "1.0"',
            "encoding": "utf-8",
            "subject": "analytics.video-watched",
            "reason": "Input data was truncated",
            "attempts": 1,
        }
    },
}


def document() -> dict[str, Any]:
    """The document, as JSON has it."""
    channels = {**RECEIVED, **SENT}
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Upnext events",
            "version": version("upnext"),
            "description": _DESCRIPTION,
        },
        "defaultContentType": CONTENT_TYPE,
        "servers": {
            "nats": {"host": "localhost:4222", "protocol": "nats"},
            "kafka": {"host": "localhost:9092", "protocol": "kafka"},
        },
        "channels": {each.__name__: _channel(at, each) for at, each in channels.items()},
        "operations": {
            **{
                f"receive{each.__name__}": _operation("receive", each) for each in RECEIVED.values()
            },
            **{f"send{each.__name__}": _operation("send", each) for each in SENT.values()},
        },
        "components": {
            "messages": {each.__name__: _message(each) for each in channels.values()},
            "schemas": _schemas(),
        },
    }


def text() -> str:
    """The document as it is printed: indented, its keys in order, so that a change can be read."""
    shown = msgspec.json.encode(document(), order="sorted")
    return msgspec.json.format(shown, indent=2).decode()


def _channel(address: str, struct: type) -> dict[str, Any]:
    name, room = struct.__name__, address.partition(".")[0]
    stream = next(each for each, kept in STREAMS.items() if kept == f"{room}.>")
    return {
        "address": address,
        "title": name,
        "description": f"On NATS a subject of the stream {stream}, on Kafka a topic.",
        "servers": [{"$ref": "#/servers/nats"}, {"$ref": "#/servers/kafka"}],
        "messages": {name: {"$ref": f"#/components/messages/{name}"}},
        "bindings": {"kafka": {"topic": address, "bindingVersion": "0.5.0"}},
    }


def _operation(action: str, struct: type) -> dict[str, Any]:
    name = struct.__name__
    return {
        "action": action,
        "channel": {"$ref": f"#/channels/{name}"},
        "messages": [{"$ref": f"#/channels/{name}/messages/{name}"}],
    }


def _message(struct: type) -> dict[str, Any]:
    name = struct.__name__
    envelope = {"specversion": "1.0", "id": "a1f4", "source": "/upnext", "type": name}
    envelope |= {"time": "2026-01-01T12:00:00Z", "datacontenttype": "application/json"}
    incoming = struct in RECEIVED.values()
    return {
        "name": name,
        "title": name,
        "summary": cleandoc(struct.__doc__ or "").partition("\n")[0],
        "contentType": CONTENT_TYPE,
        "payload": {"$ref": f"#/components/schemas/{name}"} if incoming else _enveloped(name),
        "examples": [{"name": name, "payload": {**envelope, **_EXAMPLES[name]}}],
    }


def _enveloped(name: str) -> dict[str, Any]:
    """The schema of what we send: the envelope, its type fixed, around the data."""
    return {
        "allOf": [
            {"$ref": f"#/components/schemas/{CloudEvent.__name__}"},
            {
                "type": "object",
                "properties": {
                    "type": {"const": name},
                    "data": {"$ref": f"#/components/schemas/{name}"},
                },
                "required": list(CloudEvent.__struct_fields__),
            },
        ]
    }


def _schemas() -> dict[str, Any]:
    structs = [*RECEIVED.values(), *SENT.values(), CloudEvent]
    _, schemas = msgspec.json.schema_components(structs, ref_template="#/components/schemas/{name}")
    for schema in schemas.values():
        schema["description"] = cleandoc(schema.get("description", ""))
    return schemas
