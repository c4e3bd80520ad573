"""A long run that is cut short goes on where it was, on what it had read."""

import asyncio
import os

import pytest
from msgspec.structs import replace
from sqlalchemy.ext.asyncio import AsyncEngine

from core.hashing import event_key
from core.settings import Settings
from core.types import Interaction, UserId
from storage.postgres.interactions import PostgresInteractions
from storage.postgres.models import PostgresModels
from tests.training.conftest import interactions
from upnext.jobs.messages import Report, Request
from upnext.jobs.run import run
from upnext.jobs.sweep import sweep
from upnext.jobs.unfinished import kept_of

pytestmark = pytest.mark.training


class CutShort(Exception):
    """What ends a run in the middle of it."""


class Until:
    """Hears what a run says, until it says this."""

    def __init__(self, said: str) -> None:
        self.said = said
        self.epochs: list[str] = []

    def __call__(self, report: Report) -> None:
        if report.progress.message.startswith("epoch"):
            self.epochs.append(report.progress.message)
        if report.progress.message.startswith(self.said):
            raise CutShort


def watched_by_more(times: int) -> list[Interaction]:
    """As many users again, so many times, each of whom watched what another did."""
    return [
        replace(
            one,
            key=event_key("more", f"{time} {one.key}"),
            user_id=UserId(f"{one.user_id} {time}"),
        )
        for time in range(times)
        for one in interactions()
    ]


@pytest.mark.usefixtures("history", "index")
async def test_a_run_that_is_cut_short_goes_on_with_what_it_had_read(
    settings: Settings,
    registry: PostgresModels,
    engine: AsyncEngine,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "1")  # threads of a training: others run beside it
    events = PostgresInteractions(engine)
    await events.add_many(watched_by_more(2))
    model, token = await registry.create("sequence", {})
    request = Request(
        model_id=model.id,
        attempt=token,
        model_type="sequence",
        version=model.version,
        parent=os.getpid(),
    )
    first, second = Until("epoch 3"), Until("epoch 5")
    with pytest.raises(CutShort):
        await asyncio.to_thread(run, settings, request, first)
    await events.add_many(watched_by_more(4))  # the history goes on
    with pytest.raises(CutShort):
        await asyncio.to_thread(run, settings, request, second)
    assert [said.split(":")[0] for said in first.epochs] == ["epoch 1", "epoch 2", "epoch 3"]
    assert [said.split(":")[0] for said in second.epochs] == ["epoch 4", "epoch 5"]

    kept = kept_of(settings, model.id)
    await sweep(settings)
    assert kept.is_dir()
    await registry.cancel(model.id)
    await sweep(settings)
    assert not kept.exists()
