"""`upnext worker`."""

from typing import cast

import click

from core.errors import SetupError
from upnext.cli.context import connected
from upnext.cli.service import ends_in_the_log


@click.command()
@click.option(
    "--queues",
    default="events,jobs,training",
    show_default=True,
    metavar="NAMES",
    help="What to do: events (the bus), jobs (what is queued or scheduled), training (with torch).",
)
def worker(queues: str) -> None:
    """Run background work until Ctrl-C or SIGTERM, with the stores of the environment.

    Stores whose URL is not set are those of the `upnext up` that runs in the same home.
    Any number of workers may run side by side, each with all parts of the work or with some.

    \b
    Example:
      upnext worker --queues events,jobs
    """  # noqa: D301
    from upnext.worker import PARTS, Part, run  # noqa: PLC0415 - not for --help

    with ends_in_the_log():
        asked = {name.strip() for name in queues.split(",")}
        if not asked <= set(PARTS):
            raise SetupError(
                f"--queues takes {', '.join(PARTS)}, with commas between: not {queues!r}."
            )
        run(connected(), cast("set[Part]", asked))
