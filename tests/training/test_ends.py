"""A run that is stopped at any point comes to an end, and leaves what is live alone."""

import asyncio
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from core.errors import Conflict
from core.settings import Settings, child_environment
from core.types import Model, Progress
from storage.milvus_writer import MilvusWriter
from storage.model_status import begun_before
from storage.postgres.models import PostgresModels
from tests.polling import eventually
from tests.processes import alive, running
from upnext.jobs.by_worker import train_by_worker
from upnext.jobs.promote import promote
from upnext.jobs.sweep import sweep
from upnext.jobs.train import CHILD, train, train_queued

pytestmark = pytest.mark.training

PARENT = """
import asyncio
from core.settings import load
from upnext.jobs.train import train
asyncio.run(train(load(), "content", None, None, lambda at: print(at.stage, flush=True)))
"""


def trainers(of: psutil.Process | None = None) -> list[psutil.Process]:
    return running(CHILD, (of or psutil.Process()).children())


class Killer:
    """Kills the training process when it comes to a stage."""

    def __init__(self, stage: str) -> None:
        self.stage = stage

    def __call__(self, progress: Progress) -> None:
        if progress.stage == self.stage:
            for process in trainers():
                process.kill()


@pytest.mark.usefixtures("history")
async def test_a_killed_publish_leaves_the_live_model_and_is_swept(
    settings: Settings, index: MilvusWriter, registry: PostgresModels
) -> None:
    live = await promote(settings, (await train(settings, "content", None, None, _ignore)).id)
    before = {name: index.count(name) for name in index.collections()}

    killed = await train(settings, "content", None, None, Killer("publishing"))
    assert killed.status == "failed"
    assert "was killed (signal 9)" in (killed.error or "")
    assert await registry.live() == live
    assert {name: index.count(name) for name in before} == before

    again = await train(settings, "content", None, None, _ignore)
    assert again.status == "ready"
    assert (await sweep(settings)).versions == [killed.version]
    assert sorted(index.collections()) == sorted(
        [*before, f"videos_{again.version}", f"users_{again.version}"]
    )


@pytest.mark.usefixtures("history")
async def test_a_run_that_is_cancelled_fails_and_leaves_no_process(
    settings: Settings, index: MilvusWriter, registry: PostgresModels
) -> None:
    reached = asyncio.Event()
    task = asyncio.create_task(
        train(settings, "content", None, None, lambda _progress: reached.set())
    )
    await asyncio.wait_for(reached.wait(), 120)
    with pytest.raises(Conflict, match="being trained"):
        await train(settings, "content", None, None, _ignore)
    [process] = trainers()
    assert process.nice() == 19
    if sys.platform == "linux":
        assert process.ionice().ioclass == psutil.IOPRIO_CLASS_IDLE
        score = Path(f"/proc/{process.pid}/oom_score_adj")
        assert score.read_text() == "1000\n"  # noqa: ASYNC240
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not process.is_running()
    [model] = await registry.find("content", "failed")
    assert model.error == "It was stopped before it had ended."
    assert index.collections() == []


@pytest.mark.usefixtures("history")
async def test_a_run_beyond_its_memory_is_ended_with_a_sentence(
    settings: Settings, index: MilvusWriter
) -> None:
    bounded = settings.model_copy(update={"training_memory_bytes": 50_000_000})
    model = await train(bounded, "content", None, None, _ignore)
    assert model.status == "failed"
    assert "ended for its memory" in (model.error or "")
    assert "0.05 GB are allowed. Raise UPNEXT_TRAINING_MEMORY_BYTES" in (model.error or "")
    assert trainers() == []
    assert index.collections() == []


@pytest.mark.usefixtures("history", "index")
async def test_a_queued_run_is_not_blamed_for_a_child_that_takes_long_to_stop(
    settings: Settings, registry: PostgresModels, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("upnext.jobs.children.STOP_SECONDS", 5.0)  # for us to look meanwhile
    model = await registry.queue("content", {})
    task = asyncio.create_task(train_queued(settings, model.id))
    await _becomes(registry, model.id, lambda now: now.status == "training")
    assert begun_before((await registry.get(model.id)).params) == 1
    [process] = trainers()
    process.suspend()
    task.cancel()
    await _becomes(registry, model.id, lambda now: begun_before(now.params) == 0)
    assert process.is_running()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not process.is_running()


@pytest.mark.usefixtures("history", "index")
async def test_who_follows_a_queued_run_hears_of_it_and_can_cancel_it(
    settings: Settings, registry: PostgresModels
) -> None:
    heard: list[Progress] = []
    asked = asyncio.create_task(train_by_worker(settings, "content", None, None, heard.append))
    await train_queued(settings, (await _queued(registry)).id)
    model = await asyncio.wait_for(asked, 30)
    assert (model.status in {"ready", "live"}, model.error) == (True, None)
    stages = [progress.stage for progress in heard]
    assert stages[0] == "queued"
    assert len(set(stages)) > 2

    asked = asyncio.create_task(train_by_worker(settings, "content", None, None, heard.append))
    waiting = await _queued(registry)
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    assert (await registry.get(waiting.id)).status == "cancelled"


@pytest.mark.usefixtures("history")
async def test_the_training_process_dies_with_its_parent_and_blocks_no_other(
    settings: Settings, index: MilvusWriter, registry: PostgresModels
) -> None:
    parent = subprocess.Popen(  # noqa: S603, ASYNC220  (our own program, waited for below)
        [sys.executable, "-c", PARENT], env=child_environment(settings), stdout=subprocess.PIPE
    )
    try:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"reading\n"
        [process] = trainers(psutil.Process(parent.pid))
        parent.send_signal(signal.SIGKILL)
        eventually(lambda: not alive([process]), seconds=30)
    finally:
        parent.kill()
        parent.communicate()
    assert (await train(settings, "content", None, None, _ignore)).status == "ready"
    [orphan] = await registry.find("content", "failed")
    assert "no sign of life" in (orphan.error or "")
    assert f"videos_{orphan.version}" not in index.collections()


async def _becomes(registry: PostgresModels, model_id: str, check: Callable[[Model], bool]) -> None:
    async with asyncio.timeout(120):
        while not check(await registry.get(model_id)):  # noqa: ASYNC110 (nobody tells)
            await asyncio.sleep(0.05)


def _ignore(_progress: Progress) -> None:
    pass


async def _queued(registry: PostgresModels) -> Model:
    async with asyncio.timeout(30):
        while not (found := await registry.find("content", "queued")):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    return found[0]
