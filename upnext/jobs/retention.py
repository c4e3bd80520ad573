"""Deleting what was kept for as long as it is needed."""

from datetime import timedelta

from core.clock import utc_now
from storage.postgres.changes import PostgresChanges
from storage.postgres.dead_letters import PostgresDeadLetters
from storage.postgres.impressions import PostgresImpressions
from storage.postgres.outbox import PostgresOutbox
from storage.postgres.traces import prune_traces
from upnext.jobs.old_jobs import forget_old_jobs
from upnext.jobs.queued import Work

NEWS_KEPT = timedelta(days=7)
SERVED_KEPT = timedelta(days=2)


async def forget(work: Work) -> None:
    """Forget old news, sent events, what was served, traces, dead letters, jobs and their results.

    Raises:
        Unavailable: a store did not answer; the rest is deleted the next time.
    """
    now, engine = utc_now(), work.engine
    letters_before = now - timedelta(days=work.settings.dead_letters_days)
    counts = {
        "changes": await PostgresChanges(engine).prune(now - NEWS_KEPT),
        "events_out": await PostgresOutbox(engine).prune(now - NEWS_KEPT),
        "dead_letters": await PostgresDeadLetters(engine).prune(letters_before),
    }
    await PostgresImpressions(engine).prune(now - SERVED_KEPT)
    await prune_traces(engine, now - NEWS_KEPT)
    counts["jobs"] = await forget_old_jobs(work.settings, engine)
    await work.jobs.finish(work.begun, counts)
