"""The commands, as a person types them, on stores of the environment."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from click.testing import CliRunner

from core.clock import utc_now
from core.settings import Settings, child_environment
from storage.milvus_writer import MilvusWriter
from storage.postgres.engine import pool
from storage.postgres.interactions import PostgresInteractions
from storage.postgres.models import PostgresModels
from tests.histories import watch
from tests.training.conftest import KINDS, PLACES
from upnext.cli import main

pytestmark = pytest.mark.training

Run = Callable[..., Any]


@pytest.fixture
def run(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Run:
    for name, value in child_environment(settings).items():
        monkeypatch.setenv(name, value)

    def call(*arguments: str, code: int = 0) -> Any:
        result = CliRunner().invoke(main, [*arguments, "--json"])
        assert result.exit_code == code, result.output
        return json.loads(result.stdout) if code == 0 else result.stderr

    return call


@pytest.fixture
def emptied(milvus_uri: str) -> None:
    writer = MilvusWriter(milvus_uri)
    for name in writer.collections():
        writer.drop(name)
    writer.close()


@pytest.mark.usefixtures("emptied", "filled")
def test_models_are_trained_shown_rebuilt_and_rolled_back(run: Run) -> None:
    first = run("train", "content", "--start-date", "2026-01-01", "--end-date", "2026-01-02")
    assert (first["status"], first["data"]["interactions"]) == ("live", 24)
    assert "nothing to go back to" in run("models", "rollback", code=1)
    second = run("embeddings", "rebuild")
    assert (second["status"], second["data"]["interactions"]) == ("live", 72)
    listed = run("models", "list")["models"]
    assert [(one["id"], one["status"]) for one in listed] == [
        (second["id"], "live"),
        (first["id"], "retired"),
    ]
    assert run("models", "rollback")["id"] == first["id"]
    assert run("models", "show", second["id"])["status"] == "retired"
    assert run("models", "promote", second["id"])["status"] == "live"


@pytest.fixture
def enough_watched(filled: None, settings: Settings) -> None:  # noqa: ARG001  (comes first)
    """Watches for an als model, beside those of `filled`."""
    more = [
        watch(f"{kind} {user} {place}", f"{kind} lover {user}", f"{kind}-{place}", hours=hours)
        for kind in KINDS
        for user in range(4)
        for hours, place in enumerate(PLACES)
    ]

    async def fill() -> None:
        async with pool(settings) as engine:
            await PostgresInteractions(engine).add_many(more)

    asyncio.run(fill())


@pytest.mark.usefixtures("emptied", "enough_watched")
def test_a_worse_model_is_not_made_live_and_what_is_rebuilt_is_of_the_type_that_is(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = run("embeddings", "rebuild")
    assert (first["status"], first["model_type"]) == ("live", "content")
    assert "UPNEXT_GATE_NDCG" in run("train", "als", "--promote", code=1)
    rejected, _ = run("models", "list")["models"]
    assert (rejected["status"], rejected["artifact_uri"]) == ("rejected", None)
    assert "rejected" in run("models", "promote", rejected["id"], code=1)
    shown = run("models", "show", rejected["id"])
    assert shown["baseline"]["model_id"] == first["id"]
    assert shown["metrics"]["ndcg@10"] < 0.9 * shown["baseline"]["metrics"]["ndcg@10"]

    monkeypatch.setenv("UPNEXT_GATE_NDCG", "0")
    assert run("train", "als", "--promote")["status"] == "live"
    second = run("embeddings", "rebuild")
    assert (second["status"], second["model_type"]) == ("live", "als")


def test_a_run_is_cancelled_by_whoever_knows_it(run: Run, settings: Settings) -> None:
    async def queue() -> str:
        async with pool(settings) as engine:
            return (await PostgresModels(engine, utc_now).queue("content", {})).id

    waiting = asyncio.run(queue())
    assert run("models", "cancel", waiting)["status"] == "cancelled"
    assert "cancelled" in run("models", "cancel", waiting, code=1)


def test_a_run_that_fails_says_why(run: Run) -> None:
    assert "The catalogue has 0 videos, a model needs 10" in run("train", "content", code=1)
    assert "There is no model none" in run("models", "show", "none", code=1)
    assert run("models", "list")["models"][0]["status"] == "failed"


def test_a_span_that_ends_before_it_begins_is_refused(run: Run) -> None:
    span = ("--start-date", "2026-01-02", "--end-date", "2026-01-01")
    assert "--end-date is before --start-date" in run("train", "content", *span, code=2)
