"""`upnext bus`."""

import asyncio
from collections.abc import Mapping, Sequence

import click

from upnext.cli.console import JSON, emit
from upnext.cli.context import stores
from upnext.cli.dead_letters import dead_letters
from upnext.cli.publish import publish


@click.group()
def bus() -> None:
    """Prepare the message bus, send events, and see to those that could not be taken."""


bus.add_command(dead_letters)
bus.add_command(publish)


@bus.command()
@JSON
def setup(*, as_json: bool) -> None:
    """Create streams (NATS) or topics (Kafka) that are missing; the others stay as they are.

    `upnext up` does it by itself. Elsewhere run it once, before the first worker.

    \b
    Example:
      upnext bus setup
    """  # noqa: D301
    from storage import bus as buses  # noqa: PLC0415 - not for --help

    with stores(["bus"]) as settings:
        made = asyncio.run(buses.setup(settings))
    emit(made, as_json=as_json, table=lambda: _listed(made))


@bus.command()
def asyncapi() -> None:
    """Print the AsyncAPI document of the events that come in and go out.

    \b
    Example:
      upnext bus asyncapi > asyncapi.json
    """  # noqa: D301
    from upnext.asyncapi import text  # noqa: PLC0415 - not for --help

    click.echo(text())


def _listed(made: Mapping[str, Sequence[str]]) -> str:
    lines = [f"{kind.removesuffix('s')} {name}" for kind, names in made.items() for name in names]
    return "\n".join(lines)
