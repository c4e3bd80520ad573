"""Messages as no producer should send them, and some that they should."""

import json
from collections.abc import Sequence

from hypothesis import strategies as st

from core.clock import utc_now
from core.messages import Message
from tests.eventful import event
from tests.fuzzing import ODD_NUMBERS, ODD_TEXTS, changed, objects

FINE = event("u1", "v1", name="fine", watched_seconds=30.0, video_seconds=60.0).payload
RATED = event("u2", "v2", name="rated", rating=4.5).payload
_WATCHED = {"user_id": '"u1"', "video_id": '"v1"', "watched_seconds": "30", "video_seconds": "60"}
_RATED = {"user_id": '"u2"', "video_id": '"v2"', "rating": "4.5"}
_ENVELOPE = {
    "specversion": '"1.0"',
    "id": '"e1"',
    "source": '"/player"',
    "time": '"2026-01-01T00:00:00Z"',
    "type": '"VideoWatched"',
}
_MORE = ("datacontenttype", "traceparent", "tracestate", "subject", "dataschema", "data_base64")
_TIMES = (
    "0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999+00:00", "2026-01-01T00:00:00+23:59",
    "2026-01-01T24:00:00Z", "1990-01-01T00:00:00Z", "1989-12-31T23:59:59-00:01", "2026-01-01",
    "0001-01-01T00:00:00+23:59", "2026-02-30T00:00:00Z", "2026-01-01T00:00:00.123456789123Z",
)  # fmt: skip
_IDS = (
    '"u1"', "1", "-1", "1.0", "1e3", "true", "null", '"' + "x" * 128 + '"', '"' + "x" * 129 + '"',
    "9" * 128, "9" * 5_000, '"a b"', '"\u00fc"', '"../../etc/passwd"', *ODD_TEXTS, *ODD_NUMBERS,
)  # fmt: skip


@st.composite
def _events(draw: st.DrawFn) -> bytes:
    """An event of which some is odd; often all of it is fine but a value or two."""
    watched = draw(st.booleans())
    data = {
        **(_WATCHED if watched else _RATED),
        "user_id": draw(st.just('"u1"') | st.sampled_from(_IDS)),
        "video_id": draw(st.just('"v1"') | st.sampled_from(_IDS)),
    }
    envelope = {
        **_ENVELOPE,
        "id": json.dumps(draw(st.text(max_size=30))),
        "type": '"VideoWatched"' if watched else '"VideoRated"',
        "time": json.dumps(draw(st.sampled_from(_TIMES) | st.datetimes().map(str))),
        "data": draw(st.just(_object(data)) | objects(data, ("recommendation_id", "rating"))),
    }
    if draw(st.booleans()):
        envelope["time"] = _ENVELOPE["time"]
    text = draw(st.just(_object(envelope)) | objects(envelope, _MORE))
    return text.encode(errors="surrogatepass")


def _object(fields: dict[str, str]) -> str:
    return "{" + ",".join(f"{json.dumps(name)}:{text}" for name, text in fields.items()) + "}"


def payloads() -> st.SearchStrategy[bytes]:
    """What may stand in a message."""
    good = st.sampled_from((FINE, RATED))
    return _events() | changed(good) | good | changed(_events()) | st.binary(max_size=100)


def messages(bodies: Sequence[bytes]) -> list[Message]:
    """As they come from a bus, now."""
    return [
        Message(
            subject="analytics.video-watched",
            payload=body,
            position=str(number),
            received_at=utc_now(),
        )
        for number, body in enumerate(bodies)
    ]
