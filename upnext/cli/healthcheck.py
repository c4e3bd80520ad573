"""`upnext healthcheck`."""

import click

from core.settings import load
from upnext.asking import ask_api, ask_worker


@click.command()
@click.option("--worker", "of_worker", is_flag=True, help="Ask the worker, not the API.")
@click.option("--ready", is_flag=True, help="Ask whether the API may be sent requests.")
def healthcheck(*, of_worker: bool, ready: bool) -> None:
    """Ask the API or the worker of this machine whether it is well; exit code 1 if not.

    The address is that of UPNEXT_HOST and UPNEXT_PORT, or of UPNEXT_WORKER_METRICS_PORT: the check
    of a container, which needs no other program. A worker that is alive is ready.

    \b
    Example:
      upnext healthcheck && echo well
    """  # noqa: D301
    if of_worker:
        ask_worker(load())
    else:
        ask_api(load(), "/health/ready" if ready else "/health/live")
