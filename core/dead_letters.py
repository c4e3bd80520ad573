"""Events that could not be taken: what is known of one, and whose it is."""

import base64
import re
from datetime import datetime
from hashlib import blake2b
from typing import Final, Literal
from uuid import UUID

import msgspec

from core.events import DeadLetter
from core.messages import Message

MOST_ANNOUNCED: Final = 256 * 1024
"""Bytes of an event that are published: with its escapes and an envelope a bus takes 1 MB."""

_UNPRINTABLE: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")
_NAME: Final = re.compile(r"[!-~]{1,128}")  # what can be somebody's id, and more


class Refused(msgspec.Struct, frozen=True):
    """A message that breaks a rule, and which; `reason` is for a person who mends it."""

    message: Message
    reason: str


class Letter(msgspec.Struct, frozen=True, kw_only=True):
    """A dead letter as it is kept.

    `payload` is what came, byte for byte · `attempts` how often the bus had delivered it ·
    `received_at` when the bus got it, `created_at` when it was refused, `replayed_at` when it was
    last published again.
    """

    id: int
    subject: str
    payload: bytes
    reason: str
    attempts: int
    received_at: datetime
    created_at: datetime
    replayed_at: datetime | None = None


def key_of(message: Message) -> UUID:
    """Names a message: the same at every delivery, another one in a stream that was made anew."""
    where = f"{message.subject} {message.position} {message.received_at.isoformat()} ".encode()
    return UUID(bytes=blake2b(where + message.payload, digest_size=16).digest())


def announced(refused: Refused) -> DeadLetter:
    """What is published of it: all, or the beginning of a very long one, and says so."""
    message, reason = refused.message, refused.reason
    payload = message.payload[:MOST_ANNOUNCED]
    if len(payload) < len(message.payload):
        reason = f"{reason} (here are {len(payload):,} of {len(message.payload):,} bytes)"
    text, encoding = text_of(payload)
    return DeadLetter(
        event=text,
        encoding=encoding,
        subject=message.subject,
        reason=reason,
        attempts=message.deliveries,
    )


def payload_of(letter: DeadLetter) -> bytes:
    """What came, of an announcement."""
    event = letter.event.encode()
    return base64.b64decode(event) if letter.encoding == "base64" else event


def tells_of(message: bytes, user_id: str) -> bool:
    """Whether an announcement, as it is on the bus, is of that user's event."""
    try:
        letter = _announcement.decode(message).data
    except (ValueError, RecursionError):
        return is_of(message, user_id)
    return is_of(payload_of(letter), user_id)


def text_of(payload: bytes) -> tuple[str, Literal["utf-8", "base64"]]:
    """As text where a database and a reader can take it as such, else as base64, and which."""
    try:
        text = payload.decode()
    except UnicodeDecodeError:
        text = "\x00"
    if _UNPRINTABLE.search(text):
        return base64.b64encode(payload).decode(), "base64"
    return text, "utf-8"


class _Owned(msgspec.Struct):
    user_id: str | int


class _Event(msgspec.Struct):
    data: _Owned


class _Announcement(msgspec.Struct):
    data: DeadLetter


_decoder = msgspec.json.Decoder(_Event)
_announcement = msgspec.json.Decoder(_Announcement)


def owner_of(payload: bytes) -> str | None:
    """The user that an event names; None where none can be read."""
    try:
        name = str(_decoder.decode(payload).data.user_id)
    except (ValueError, RecursionError):
        return None
    return name if _NAME.fullmatch(name) else None


def is_of(payload: bytes, user_id: str) -> bool:
    """Whether an event is of that user: it names them, or names nobody and holds the id."""
    owner = owner_of(payload)
    return user_id in _texts(payload) if owner is None else owner == user_id


def _texts(payload: bytes) -> str:
    """What there is to read: as it came, and with the escapes of JSON resolved."""
    text = payload.decode(errors="replace")
    try:
        return text + msgspec.json.encode(msgspec.json.decode(payload)).decode()
    except (ValueError, RecursionError):
        return text
