import asyncio
from pathlib import Path

import pytest

from core.settings import load
from upnext.jobs.unfinished import forget, forget_others, kept_of

pytestmark = pytest.mark.unit


def test_what_runs_kept_goes_when_they_have_ended(tmp_path: Path) -> None:
    settings = load({"home": str(tmp_path)})
    asyncio.run(forget_others(settings, ["none"]))  # nobody has kept anything yet
    runs = [kept_of(settings, name) for name in ("running", "killed", "done")]
    for kept in runs:
        (kept / "judged").mkdir(parents=True)
        (kept / "judged" / "one.pt").write_bytes(b"parameters")
    asyncio.run(forget(settings, "done"))
    asyncio.run(forget_others(settings, ["running"]))
    assert [kept.exists() for kept in runs] == [True, False, False]
    asyncio.run(forget(settings, "done"))  # again is no error
