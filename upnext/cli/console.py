"""What a command shows: its progress on stderr, its result on stdout.

with progress("Importing ratings") as meter:       # a bar, or a plain line now and then
meter.update(0.4, "40,000 accepted")           # done of total (1.0 unless given)
emit(report, as_json=as_json, table=lambda: table_of(report))
"""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import click
import msgspec
from rich.console import Console, RenderableType
from rich.progress import (
    BarColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table
from rich.text import Text

LINE_SECONDS = 5.0
WIDE = 160  # columns of a table that no terminal bounds

JSON = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")

console = Console(stderr=True, highlight=False, soft_wrap=True)


class Meter(ABC):
    """How far one piece of work is."""

    @abstractmethod
    def update(self, done: float, message: str = "", total: float | None = None) -> None:
        """Show that `done` of `total` is done; may be called as often as is convenient.

        Args:
            done: in the units of `total`, 0..1 when no total was given.
            message: a few words on where it is.
            total: when it is known only now.
        """


class _Bar(Meter):
    def __init__(self, bars: Progress, task: TaskID) -> None:
        self._bars = bars
        self._task = task

    def update(self, done: float, message: str = "", total: float | None = None) -> None:
        self._bars.update(self._task, completed=done, total=total, message=message)


class _Lines(Meter):
    def __init__(self, description: str, total: float | None) -> None:
        self._description = description
        self._total = total
        self._began = time.monotonic()
        self._printed = self._began
        self._message = ""
        console.print(f"{description} ...", markup=False)

    def update(self, done: float, message: str = "", total: float | None = None) -> None:
        self._total = total or self._total
        self._message = message
        if time.monotonic() - self._printed >= LINE_SECONDS:
            self._printed = time.monotonic()
            share = f"{min(1.0, done / self._total):.0%}" if self._total else f"{done:,.0f}"
            console.print(f"{self._description}: {share} {message}".rstrip(), markup=False)

    def finish(self) -> None:
        seconds = time.monotonic() - self._began
        last = f" ({self._message})" if self._message else ""
        console.print(f"{self._description}: done in {seconds:.1f} s{last}", markup=False)


@contextmanager
def progress(description: str, total: float | None = 1.0) -> Iterator[Meter]:
    """Show a piece of work: a bar on a terminal, else a line at its start, its end and every 5 s.

    Args:
        description: what is being done: "Importing ratings".
        total: how much there is to do; None while that is not known.
    """
    if not console.is_terminal:
        lines = _Lines(description, total)
        yield lines
        lines.finish()
        return
    columns = (
        SpinnerColumn(finished_text="✓"),
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[message]}", style="dim"),
    )
    with Progress(*columns, console=console) as bars:
        task = bars.add_task(description, total=total, message="")
        yield _Bar(bars, task)
        whole = bars.tasks[0].total or 1.0
        bars.update(task, completed=whole, total=whole)


def details(fields: Mapping[str, Any]) -> Table:
    """One thing, a row each of its fields; a mapping or a list has a line for each entry."""
    table = Table(show_header=False)
    table.add_column()
    table.add_column(overflow="fold")  # an event has no spaces, and must be seen whole
    for name, value in fields.items():
        if isinstance(value, Mapping):
            shown = "\n".join(f"{key}: {inner}" for key, inner in value.items())
        elif isinstance(value, list):
            shown = "\n".join(map(str, value))
        else:
            shown = "-" if value is None else str(value)
        table.add_row(name, Text(shown))  # as it is: brackets in it are no markup
    return table


def emit(data: Any, *, as_json: bool, table: Callable[[], RenderableType]) -> None:  # noqa: ANN401
    """Print a command's result: `data` as JSON for a script, else the table for a person.

    Args:
        data: anything msgspec can encode: structs, dataclasses, dicts.
        as_json: the command's `--json` flag.
        table: makes what a person sees; a string will do.
    """
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(data), indent=2).decode())
    else:
        printer = Console(highlight=False)
        if not printer.is_terminal:
            printer.width = WIDE
        printer.print(table())
