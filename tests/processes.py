"""Looking at processes that may end between one look and the next."""

import subprocess
from collections.abc import Iterable

import psutil


def alive(processes: Iterable[psutil.Process]) -> list[psutil.Process]:
    """Those that have not ended; one whose parent only has to take notice has."""
    return [each for each in processes if _status(each) not in {None, psutil.STATUS_ZOMBIE}]


def below(process: subprocess.Popen[bytes] | subprocess.Popen[str]) -> list[psutil.Process]:
    """All that it has started, and they in turn."""
    return list(psutil.Process(process.pid).children(recursive=True))


def running(module: str, among: Iterable[psutil.Process]) -> list[psutil.Process]:
    """Those that run a module."""
    return [each for each in among if module in _command(each)]


def _status(process: psutil.Process) -> str | None:
    try:
        return str(process.status()) if process.is_running() else None
    except psutil.NoSuchProcess:
        return None


def _command(process: psutil.Process) -> list[str]:
    try:
        return list(process.cmdline())
    except psutil.NoSuchProcess:
        return []
