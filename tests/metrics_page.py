"""The tables of docs/metrics.md, written from `core.metrics`; `make metrics-doc` writes them anew.

What stands around them is written by hand, and kept.
"""

from pathlib import Path

import core.metrics  # makes all of them
from core.measures import MEASURES, Exposer, Measure, Open, Values

PAGE = Path(__file__).parents[1] / "docs" / "metrics.md"
BEGINS = "<!-- From here to the next such line `make metrics-doc` writes from core/metrics.py. -->"
ENDS = "<!-- Written by hand again. -->"
TITLES: dict[tuple[Exposer, ...], str] = {
    core.metrics.API: "Shown by the API",
    core.metrics.WORKER: "Shown by a worker",
    core.metrics.BOTH: "Shown by both",
}


def with_tables(page: str) -> str:
    """The page with the tables as they must be."""
    before, begins, rest = page.partition(BEGINS)
    _, ends, after = rest.partition(ENDS)
    if not begins or not ends:
        raise ValueError(f"{PAGE} lacks one of the lines between which its tables stand")
    return f"{before}{BEGINS}\n\n{_tables()}\n{ENDS}{after}"


def _tables() -> str:
    return "\n".join(_table(by, title) for by, title in TITLES.items())


def _table(by: tuple[Exposer, ...], title: str) -> str:
    rows = "\n".join(_row(one) for one in MEASURES if one.by == by)
    head = "| metric | type | what | over replicas |\n|---|---|---|---|"
    return f"## {title}\n\n{head}\n{rows}\n"


def _row(one: Measure) -> str:
    labels = "{" + ",".join(one.labels) + "}" if one.labels else ""
    said = " ".join([one.help, *(_label(name, values) for name, values in one.labels.items())])
    return f"| `{one.name}{labels}` | {one.kind} | {said} | {one.across} |"


def _label(name: str, values: Values) -> str:
    if isinstance(values, Open):
        return f"`{name}`: {values.said}."
    return f"`{name}`: " + ", ".join(f"`{value}`" for value in values) + "."


if __name__ == "__main__":
    PAGE.write_text(with_tables(PAGE.read_text()))
