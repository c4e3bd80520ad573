"""`upnext up`."""

import os
import signal
import sys

import click

from core.settings import load
from storage.embedded.privilege import die_with_parent

INTERRUPTED = 130


@click.command()
@click.option("--host", help="Address to listen on.  [UPNEXT_HOST, 127.0.0.1]")
@click.option("--port", type=click.IntRange(1, 65535), help="Port.  [UPNEXT_PORT, 8000]")
@click.option("--with-parent", is_flag=True, help="Stop when the program that started it ends.")
def up(host: str | None, port: int | None, *, with_parent: bool) -> None:
    """Start everything on this machine and print the address; Ctrl-C stops it.

    Servers whose URL is not set (UPNEXT_POSTGRES_URL, UPNEXT_REDIS_URL, UPNEXT_MILVUS_URI,
    UPNEXT_BUS_URL) are started here, their data in UPNEXT_HOME. An empty catalogue gets demo
    data, and without a live model a first one is trained.

    \b
    Example:
      UPNEXT_PORT=8001 upnext up
    """  # noqa: D301
    from upnext.up import run  # noqa: PLC0415 - not for --help

    if with_parent:
        die_with_parent(signal.SIGTERM, os.getppid())
    chosen = {"host": host, "port": port}
    settings = load().model_copy(update={k: v for k, v in chosen.items() if v is not None})
    if not run(settings):
        sys.exit(INTERRUPTED)
