"""Logs with a known answer as files, and `upnext evaluate` on them."""

import json
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from embeddings.evaluation.log import Log
from upnext.cli import main


def write_log(log: Log, path: Path) -> Path:
    """A log as CSV, the rows of videos as their ids, a second for each of its days."""
    owners = log.owners().tolist()
    events = zip(owners, log.rows.tolist(), log.times.tolist(), strict=True)
    lines = [f"{log.users[user]},v{row},{1_000 + time:.0f}" for user, row, time in events]
    path.write_text("\n".join(["user_id,video_id,occurred_at", *lines]) + "\n")
    return path


def write_rows(path: Path, *lines: str) -> Path:
    """A file of these lines."""
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def evaluate(interactions: Path, protocol: str, *options: object) -> Result:
    """What the command came to."""
    asked = ["evaluate", "--interactions", interactions, "--protocol", protocol, *options]
    return CliRunner().invoke(main, [str(word) for word in asked], catch_exceptions=False)


def evaluated(interactions: Path, protocol: str, *options: object) -> Any:
    """The JSON that the command printed, and nothing else on stdout."""
    result = evaluate(interactions, protocol, "--json", *options)
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)
