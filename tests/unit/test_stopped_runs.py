"""A run that is stopped while PostgreSQL is away is nobody's failure: its row stays as it is."""

import asyncio
import os
from typing import Any, cast
from uuid import uuid4

import pytest

from core.clock import EPOCH
from core.errors import Unavailable
from core.settings import load
from core.types import Model
from upnext.jobs import train as training
from upnext.jobs.messages import Request

pytestmark = pytest.mark.unit

MODEL = Model(id="m", model_type="content", version="content_1", status="queued", created_at=EPOCH)


class Away:
    """A registry that does not answer; keeps what it was told."""

    def __init__(self) -> None:
        self.told: list[dict[str, Any]] = []

    async def update(self, *_of: object, **values: Any) -> Model:
        self.told.append(values)
        raise Unavailable("postgres")


@pytest.mark.parametrize("stays_queued", [True, False])
async def test_a_run_that_is_stopped_during_an_outage_ends_at_once(
    monkeypatch: pytest.MonkeyPatch, *, stays_queued: bool
) -> None:
    looking, registry = asyncio.Event(), Away()

    async def look(*_: object) -> None:
        looking.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(training, "preflight", look)
    monkeypatch.setattr(training, "STOPPED_WORD_SECONDS", -1.0)
    given = cast("Any", registry), MODEL, uuid4(), lambda _progress: None
    run = training._Run(*given, stays_queued=stays_queued)
    request = Request(
        model_id="m", attempt=uuid4(), model_type="content", version="v", parent=os.getpid()
    )
    working = asyncio.create_task(run.through(load({}), cast("Any", None), request))
    await looking.wait()
    working.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(working, 5)
    [told] = registry.told
    assert ("params" if stays_queued else "error") in told
