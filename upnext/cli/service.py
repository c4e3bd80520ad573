"""How a command that runs as a service says what ended it: in its log."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click
import structlog

from core import logging
from core.errors import SetupError, UpnextError
from core.settings import Settings, load

_log = structlog.get_logger("upnext.process")


@contextmanager
def ends_in_the_log() -> Iterator[None]:
    """Make a line of the log of an error that leaves the block, and exit code 1.

    Where a person looks at a terminal, the error goes on and is shown as that of any command.
    """
    try:
        yield
    except UpnextError as error:
        _end(error, str(error))
    except Exception as error:
        if isinstance(error, click.ClickException | click.exceptions.Exit | click.Abort):
            raise
        _end(error, "Something unexpected ends this process.", exc_info=error)


def _end(error: Exception, message: str, **more: object) -> None:
    """Raises `error`, or the exit."""
    if sys.stdout.isatty():
        raise error
    logging.take_over(_settings())
    _log.critical(message, **more)
    raise click.exceptions.Exit(1) from error


def _settings() -> Settings:
    """The settings, those by default where they are what is wrong."""
    try:
        settings = load()
        logging.configure(settings)
    except SetupError:
        return Settings.model_construct()
    return settings
