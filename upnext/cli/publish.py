"""`upnext bus publish`."""

import asyncio
from collections.abc import Iterable, Sequence
from typing import BinaryIO

import click
import msgspec

from core.errors import Interrupted, InvalidInput, Unavailable, UpnextError
from core.events import INCOMING
from core.hashing import event_key
from core.settings import Settings
from upnext.cli.console import JSON, Meter, emit, progress
from upnext.cli.context import stores

AT_ONCE = 100  # published side by side, so that not each waits for its own round trip


class _Head(msgspec.Struct, frozen=True):
    """What must be known of an event to send it; whoever consumes it judges the rest."""

    type: str
    source: str
    id: str


class _Event(msgspec.Struct, frozen=True):
    """An event as it was given, and where it goes."""

    subject: str
    message_id: str
    payload: bytes


@click.command()
@click.argument("file", type=click.File("rb"), default="-")
@JSON
def publish(file: BinaryIO, *, as_json: bool) -> None:
    """Send events to the service: a CloudEvent in JSON a line, from FILE or the standard input.

    They go as they are; what breaks a rule ends as a dead letter. When a line has no type that
    the service takes, or no source and id, nothing is sent.

    \b
    Example: upnext bus publish < events.ndjson
    """  # noqa: D301 - \b is click's mark for "keep these lines"
    events = _read(file)
    with stores(["bus"]) as settings, progress("Publishing", total=len(events)) as meter:
        asyncio.run(_send(settings, events, meter))
    emit({"published": len(events)}, as_json=as_json, table=lambda: f"{len(events):,} published.")


def _read(lines: Iterable[bytes]) -> list[_Event]:
    given = ((number, line.strip()) for number, line in enumerate(lines, start=1))
    return [_event(number, line) for number, line in given if line]


def _event(number: int, line: bytes) -> _Event:
    try:
        head = msgspec.json.decode(line, type=_Head)
    except (msgspec.MsgspecError, ValueError) as error:
        raise InvalidInput(f"line {number}: {error}. Nothing was sent.") from error
    if head.type not in INCOMING:
        known = " or ".join(INCOMING)
        raise InvalidInput(f"line {number}: its type must be {known}. Nothing was sent.")
    return _Event(INCOMING[head.type], str(event_key(head.source, head.id)), line)


async def _send(settings: Settings, events: Sequence[_Event], meter: Meter) -> None:
    from storage import bus  # noqa: PLC0415 - not for --help

    there = bus.bus_of(settings)
    try:
        for start in range(0, len(events), AT_ONCE):
            part = events[start : start + AT_ONCE]
            try:
                async with asyncio.TaskGroup() as group:
                    for event in part:
                        sending = there.publish(event.subject, event.message_id, event.payload)
                        group.create_task(sending)
            except* (Unavailable, InvalidInput) as failed:
                raise _stopped(failed.exceptions[0], start, len(events)) from failed
            meter.update(start + len(part))
    finally:
        await there.close()


def _stopped(error: BaseException, sent: int, total: int) -> UpnextError:
    said = f"{error}. About {sent:,} of {total:,} were sent"
    if isinstance(error, InvalidInput):
        return InvalidInput(f"{said}: take that one out and run the same command again.")
    return Interrupted("bus", f"{said}: run the same command again, what came twice counts once.")
