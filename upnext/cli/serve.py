"""`upnext serve`."""

import os
import sys

import click

from core.settings import child_environment, load, was_given
from upnext.cli.context import connected
from upnext.cli.service import ends_in_the_log


@click.command()
@click.option("--host", help="Address to listen on.  [UPNEXT_HOST, 127.0.0.1]")
@click.option("--port", type=click.IntRange(1, 65535), help="Port.  [UPNEXT_PORT, 8000]")
@click.option("--workers", type=click.IntRange(1, 64), help="Processes.  [UPNEXT_WORKERS, 2]")
def serve(host: str | None, port: int | None, workers: int | None) -> None:
    """Serve the HTTP API until Ctrl-C or SIGTERM, with the stores of the environment.

    Stores whose URL is not set are those of the `upnext up` that runs in the same home.

    \b
    Example:
      upnext serve --host 0.0.0.0 --port 8001 --workers 4
    """  # noqa: D301
    from upnext.exposing import emptied, variables  # noqa: PLC0415 - not for --help
    from upnext.serve import check_addresses, run  # noqa: PLC0415

    chosen = {"host": host, "port": port, "workers": workers}
    with ends_in_the_log():
        settings = connected().model_copy(update={k: v for k, v in chosen.items() if v is not None})
        if settings == load() and was_given(variables(settings)):
            run(settings)
            return
        check_addresses(settings)
    # Workers read the environment; it can only be made complete for a new program.
    program = [sys.executable, "-m", "upnext", "serve"]
    os.execve(program[0], program, child_environment(settings) | emptied(settings))  # noqa: S606 - our own command
