"""CPU time of the embedded servers that this process has started, by the name of their program."""

from collections.abc import Mapping

import psutil

SERVERS = {"postgres": "PostgreSQL", "valkey-server": "Redis", "nats-server": "NATS"}


def server_cpu() -> dict[str, float]:
    """Seconds so far, those of their children that have ended among them."""
    seconds = dict.fromkeys(SERVERS.values(), 0.0)
    for server in psutil.Process().children():
        if (name := server.name()) not in SERVERS:
            continue
        for process in (server, *server.children(recursive=True)):
            # Its own, and those of the children that it has waited for.
            seconds[SERVERS[name]] += sum(process.cpu_times()[:4])
    return seconds


def spent(before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, float]:
    """What each has taken between two looks."""
    return {name: after[name] - before[name] for name in after}
