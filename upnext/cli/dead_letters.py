"""`upnext bus dead-letters`."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import click
from rich.table import Table
from rich.text import Text

from core.dead_letters import Letter, text_of
from core.errors import InvalidInput
from core.settings import Settings
from storage.postgres.dead_letters import PostgresDeadLetters
from storage.postgres.engine import pool
from upnext.cli.console import JSON, details, emit, progress
from upnext.cli.context import stores
from upnext.replaying import replay as publish_again

SHOWN = 60  # characters of a reason in a table
Result = TypeVar("Result")


@click.group("dead-letters")
def dead_letters() -> None:
    """List, show and replay events that could not be taken.

    \b
    Example: upnext bus dead-letters list
    """  # noqa: D301 - \b is click's mark for "keep these lines"


@dead_letters.command("list")
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True)
@JSON
def list_(limit: int, *, as_json: bool) -> None:
    """Events that broke a rule or could not be read, newest first.

    \b
    Example: upnext bus dead-letters list
    """  # noqa: D301
    with stores(["postgres"]) as settings:
        found = asyncio.run(_with(settings, lambda letters: letters.latest(limit)))
    shown = {"dead_letters": [_fields(letter) for letter in found]}
    emit(shown, as_json=as_json, table=lambda: _table(found))


@dead_letters.command()
@click.argument("letter_id", metavar="ID", type=int)
@click.option("--raw", is_flag=True, help="Print what came, byte for byte, and nothing else.")
@JSON
def show(letter_id: int, *, raw: bool, as_json: bool) -> None:
    """One of them: what came, from where, and why it was refused.

    \b
    Example: upnext bus dead-letters show 17 --raw > event.json
    """  # noqa: D301
    with stores(["postgres"]) as settings:
        letter = asyncio.run(_with(settings, lambda letters: letters.get(letter_id)))
    if raw:
        click.echo(letter.payload, nl=False)
    else:
        emit(_fields(letter), as_json=as_json, table=lambda: _details(letter))


@dead_letters.command()
@click.argument("letter_ids", metavar="[ID]...", type=int, nargs=-1)
@click.option("--all", "every", is_flag=True, help="All that were never replayed, oldest first.")
@click.option(
    "--mended",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Publish this file in the place of what came; for one ID.",
)
@JSON
def replay(letter_ids: Sequence[int], mended: Path | None, *, every: bool, as_json: bool) -> None:
    """Publish events again, as they came, to where they came from.

    An event counts once however often it comes. One that still breaks a rule becomes another dead
    letter.

    \b
    Examples:
      upnext bus dead-letters replay 17 18
      upnext bus dead-letters replay --all
      upnext bus dead-letters replay 17 --mended event.json
    """  # noqa: D301
    if every == bool(letter_ids):
        raise InvalidInput("Name the events by their ids, or give --all.")
    if mended is not None and len(letter_ids) != 1:
        raise InvalidInput("--mended is for one event: name its id.")
    payload = None if mended is None else mended.read_bytes()
    with stores(["postgres", "bus"]) as settings:
        done = asyncio.run(_replay(settings, letter_ids, payload))
    emit({"replayed": done}, as_json=as_json, table=lambda: f"{done:,} replayed.")


async def _replay(settings: Settings, ids: Sequence[int], mended: bytes | None) -> int:
    from storage import bus  # noqa: PLC0415 - not for --help

    async def run(letters: PostgresDeadLetters) -> int:
        chosen = list(dict.fromkeys(ids)) or await letters.not_replayed()
        there = bus.bus_of(settings)
        try:
            with progress("Replaying", total=len(chosen)) as meter:
                return await publish_again(
                    letters, there, chosen, mended=mended, on_done=meter.update
                )
        finally:
            await there.close()

    return await _with(settings, run)


async def _with(
    settings: Settings, act: Callable[[PostgresDeadLetters], Awaitable[Result]]
) -> Result:
    async with pool(settings) as engine:
        return await act(PostgresDeadLetters(engine))


def _fields(letter: Letter) -> dict[str, Any]:
    text, encoding = text_of(letter.payload)
    return {
        "id": letter.id,
        "subject": letter.subject,
        "reason": letter.reason,
        "attempts": letter.attempts,
        "received_at": letter.received_at,
        "refused_at": letter.created_at,
        "replayed_at": letter.replayed_at,
        "encoding": encoding,
        "event": text,
    }


def _table(found: Sequence[Letter]) -> Table:
    table = Table()
    for name in ("id", "refused at", "subject", "reason", "replayed at"):
        table.add_column(name)
    for letter in found:
        reason = letter.reason
        short = reason if len(reason) <= SHOWN else f"{reason[:SHOWN]}..."
        replayed = "-" if letter.replayed_at is None else _time(letter.replayed_at)
        table.add_row(
            str(letter.id), _time(letter.created_at), letter.subject, Text(short), replayed
        )
    return table


def _details(letter: Letter) -> Table:
    return details({name.replace("_", " "): value for name, value in _fields(letter).items()})


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S}"
