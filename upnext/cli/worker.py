"""`upnext worker`."""

import click

from core import logging
from upnext.cli.context import connected


@click.command()
def worker() -> None:
    """Run background work until Ctrl-C or SIGTERM, with the stores of the environment.

    Stores whose URL is not set are those of the `upnext up` that runs in the same home.
    Any number of workers may run side by side.

    \b
    Example:
      upnext worker
    """  # noqa: D301
    from upnext.worker import run  # noqa: PLC0415 - not for --help

    settings = connected()
    logging.configure(settings.log_level)
    run(settings)
