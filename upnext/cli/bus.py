"""`upnext bus`."""

import asyncio

import click

from upnext.cli.console import emit
from upnext.cli.context import stores


@click.group()
def bus() -> None:
    """Prepare the message bus."""


@bus.command()
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def setup(*, as_json: bool) -> None:
    """Create the streams that are missing; those that are there stay as they are.

    `upnext up` does it by itself. Elsewhere run it once, before the first worker.

    \b
    Example:
      upnext bus setup
    """  # noqa: D301
    from storage import bus as streams  # noqa: PLC0415 - not for --help

    with stores(["bus"]) as settings:
        asyncio.run(streams.setup(settings.bus_url or ""))
    names = sorted(streams.STREAMS)
    emit({"streams": names}, as_json=as_json, table=lambda: f"Streams: {', '.join(names)}")
