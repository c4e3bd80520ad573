"""Whatever is on the bus, it is taken or set aside with a reason; nothing stops the consumer."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from core.dead_letters import Refused, announced, is_of, payload_of
from core.messages import Message
from ingest.handling import Outcome
from ingest.tracing import traces_of
from tests.consumers import World
from tests.odd_events import FINE, messages, payloads

pytestmark = pytest.mark.unit

SOON = timedelta(seconds=2)


def handled(sent: Sequence[Message]) -> tuple[World, Outcome]:
    world = World()
    return world, asyncio.run(world.handler().handle(sent))


@settings(deadline=SOON)
@given(st.lists(payloads(), max_size=8))
@example([FINE, b"", b"null", b"[]", b"\xff", b"[" * 100_000, b'{"a":' * 100_000, FINE])
@example([b"\xef\xbb\xbf" + FINE])
@example([FINE.replace(b'"u1"', b"1" + b"0" * 5_000)])
@example([FINE.replace(b'"u1"', b"1" * 4_301)])
def test_each_is_taken_or_set_aside_with_a_reason(bodies: list[bytes]) -> None:
    sent = messages(bodies)
    world, outcome = handled(sent)
    assert outcome.accepted + outcome.duplicates + outcome.erased + outcome.dead == len(sent)
    letters = asyncio.run(world.letters.latest(100))
    assert len(letters) == outcome.dead
    for letter in letters:
        assert letter.reason.strip()
        letter.reason.encode()
        assert "\x00" not in letter.reason
        assert letter.payload in bodies
    if FINE in bodies:
        assert outcome.accepted >= 1  # odd neighbours do it no harm


@settings(deadline=SOON)
@given(payloads())
def test_what_was_set_aside_can_be_told_and_found_again(body: bytes) -> None:
    [message] = messages([body])
    letter = announced(Refused(message, "why"))
    assert payload_of(letter) == body
    assert isinstance(is_of(body, "u1"), bool)


@settings(deadline=SOON)
@given(payloads())
def test_no_trace_that_is_sent_along_stops_it(body: bytes) -> None:
    assert len(traces_of(messages([body]))) <= 1
