"""Figures as a table of names and values."""

import msgspec
from rich.table import Table


def two_columns(title: str, figures: msgspec.Struct) -> Table:
    """A row for each field of numbers."""
    table = Table(title=title)
    table.add_column("what")
    table.add_column("value", justify="right")
    for name, value in msgspec.structs.asdict(figures).items():
        table.add_row(name.replace("_", " "), f"{value:,}")
    return table
