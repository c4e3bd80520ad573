"""`upnext doctor`."""

import sys

import click
from rich.table import Table

from core.errors import UpnextError
from core.settings import load
from upnext.cli.console import emit
from upnext.cli.context import stores
from upnext.diagnosis import Finding, dependencies, machine
from upnext.home import Home


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
def doctor(*, as_json: bool) -> None:
    """Check every dependency; exit code 1 when something is wrong.

    Without a running `upnext up` and without URLs it starts the embedded servers, to see that
    they can be.

    \b
    Example:
      upnext doctor --json
    """  # noqa: D301
    findings = _examine()
    emit(findings, as_json=as_json, table=lambda: _table(findings))
    if not all(finding.fine for finding in findings):
        sys.exit(1)


def _examine() -> list[Finding]:
    settings = load()
    findings = list(machine(Home(settings.home)))
    try:
        with stores(at_revision=False) as complete:
            findings += dependencies(complete, lite=settings.milvus_uri is None)
    except UpnextError as error:
        findings.append(Finding("stores", fine=False, detail=str(error), advice="See the detail."))
    return findings


def _table(findings: list[Finding]) -> Table:
    table = Table("", "Check", "Found", "What to do", box=None, pad_edge=False)
    for finding in findings:
        mark = "[green]ok[/]" if finding.fine else "[red]wrong[/]"
        table.add_row(mark, finding.name, finding.detail, finding.advice)
    return table
