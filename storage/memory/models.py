"""The registry of models in memory: the twin of `storage.postgres.models`."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from msgspec.structs import replace

from core.clock import Clock, utc_now
from core.errors import Conflict, ModelNotFound
from core.types import Baseline, Change, DataSpan, Model, ModelStatus, ModelType, Progress
from storage.model_status import (
    CANCELLED,
    DEAD,
    ENDED,
    ENDS_ITS_WORKER,
    MOST_BEGUN,
    OPEN_READY,
    STALE_REASON,
    STALE_SECONDS,
    STEPS,
    begun_before,
    check_cancellable,
    check_promotable,
    check_running,
    check_step,
    version_name,
)


@dataclass(slots=True)
class _Row:
    """What is kept of one model beside what others see."""

    model: Model
    token: UUID
    heartbeat_at: datetime
    ended_at: datetime | None = None
    published: bool = False
    previous: str | None = None
    condemned: bool = False
    swept: bool = False


class MemoryModels:
    """Models by id; never unavailable. `changes` holds what replicas would hear, oldest first."""

    def __init__(self, clock: Clock = utc_now) -> None:
        self._clock = clock
        self._rows: dict[str, _Row] = {}
        self.changes: list[Change] = []

    async def create(self, model_type: ModelType, params: Mapping[str, Any]) -> tuple[Model, UUID]:
        """A new `queued` run and the token that its every write must carry."""
        await self.fail_stale()
        if any(row.model.model_type == model_type for row in self._running()):
            raise Conflict(f"A {model_type} model is being trained: wait until it has ended.")
        now, token = self._clock(), uuid4()
        model = Model(
            id=str(uuid4()),
            model_type=model_type,
            version=version_name(model_type, now, token),
            status="queued",
            created_at=now,
            params=dict(params),
        )
        self._rows[model.id] = _Row(model, token, now)
        return model, token

    async def queue(self, model_type: ModelType, params: Mapping[str, Any]) -> Model:
        """A new `queued` run that a worker will `claim`."""
        model, _ = await self.create(model_type, params)
        return model

    async def claim(self, model_id: str, params: Mapping[str, Any]) -> tuple[Model, UUID] | None:
        """Begin a queued run, or begin it anew; None when it has ended or is begun too often."""
        row, now = self._row(model_id), self._clock()
        if row.model.status not in STEPS:
            return None
        begun = begun_before(row.model.params)
        if begun >= MOST_BEGUN:
            self._end(row, "failed", ENDS_ITS_WORKER)
            return None
        given = row.model.params | dict(params)
        given["owner"] = given.get("owner", {}) | {"begun": begun + 1}
        row.token, row.heartbeat_at, row.published = uuid4(), now, False
        row.model = replace(
            row.model, status="queued", started_at=None, progress=None, params=given
        )
        return row.model, row.token

    async def cancel(self, model_id: str) -> Model:
        """End a run; whoever works on it cannot write any more."""
        row = self._row(model_id)
        check_cancellable(model_id, row.model.status)
        return self._end(row, "cancelled", CANCELLED)

    async def update(
        self,
        model_id: str,
        token: UUID,
        *,
        status: ModelStatus | None = None,
        progress: Progress | None = None,
        data: DataSpan | None = None,
        params: Mapping[str, Any] | None = None,
        metrics: Mapping[str, float] | None = None,
        baseline: Baseline | None = None,
        artifact_uri: str | None = None,
        error: str | None = None,
    ) -> Model:
        """Write what is given (None: as it was) and a heartbeat; `params` join the old ones."""
        given = {
            "status": status,
            "progress": progress,
            "data": data,
            "metrics": metrics,
            "baseline": baseline,
            "artifact_uri": artifact_uri,
            "error": error,
        }
        values: dict[str, Any] = {key: value for key, value in given.items() if value is not None}
        row, now = self._row(model_id), self._clock()
        if params is not None:
            values["params"] = row.model.params | dict(params)
        check_running(model_id, row.model.status, same_attempt=row.token == token)
        if status is not None and status != row.model.status:
            check_step(model_id, row.model.status, status)
            if status == "training":
                values["started_at"] = now
            if status not in STEPS:
                values["finished_at"] = row.ended_at = now
        row.heartbeat_at = now
        if status == "ready" and row.model.status != "ready":
            self.changes.append(Change("model", (model_id,)))
        row.model = replace(row.model, **values)
        return row.model

    async def mark_published(self, model_id: str, token: UUID) -> None:
        """Record that a run's collections are whole: from now on they are not `leftovers`."""
        row = self._row(model_id)
        check_running(model_id, row.model.status, same_attempt=row.token == token)
        row.published = True

    async def leftovers(self, model_id: str) -> list[Model]:
        """Models other than this one whose collections, if any, will never be searched."""
        dead = [row for row in self._rows.values() if row.model.status in DEAD and not row.swept]
        unpublished = [row for row in self._running() if not row.published]
        found = [row.model for row in (*dead, *unpublished) if row.model.id != model_id]
        return sorted(found, key=lambda model: (model.created_at, model.id))

    async def fail_stale(self, orphans: Collection[str] = ()) -> list[Model]:
        """Fail and return the runs without a heartbeat for 50 s, and `orphans`."""
        now = self._clock()
        limit = now - timedelta(seconds=STALE_SECONDS)
        stale = [
            row for row in self._running() if row.heartbeat_at < limit or row.model.id in orphans
        ]
        for row in stale:
            row.token, row.ended_at = uuid4(), now
            row.model = replace(row.model, status="failed", error=STALE_REASON, finished_at=now)
        return [row.model for row in stale]

    async def get(self, model_id: str) -> Model:
        """Raises `ModelNotFound`."""
        return self._row(model_id).model

    async def find(
        self, model_type: ModelType | None = None, status: ModelStatus | None = None
    ) -> list[Model]:
        """Models, newest first."""
        models = sorted(
            (row.model for row in self._rows.values()), key=lambda m: m.created_at, reverse=True
        )
        return [
            model
            for model in models
            if model_type in (None, model.model_type) and status in (None, model.status)
        ]

    async def live(self) -> Model | None:
        """The live model, None before the first promotion."""
        row = self._live()
        return row.model if row else None

    async def previous(self) -> Model | None:
        """The model that a rollback would make live, if there is one."""
        row = self._previous()
        return None if row is None or row.condemned else row.model

    async def openable(self) -> list[Model]:
        """The versions that replicas keep open, the live one first, then the newest."""
        served = [row for row in self._newest("retired") if row.model.promoted_at]
        kept = [self._live(), self._previous(), *served[:1]]
        kept += self._newest("ready")[:OPEN_READY]
        found = {row.model.id: row.model for row in kept if row and not row.condemned}
        newest = sorted(found.values(), key=lambda m: m.finished_at or m.created_at, reverse=True)
        return sorted(newest, key=lambda model: model.status != "live")

    async def promote(self, model_id: str) -> Model:
        """Make a `ready` or `retired` model live."""
        row, live = self._row(model_id), self._live()
        self._make_live(row)
        row.previous = live.model.id if live else None
        return row.model

    async def rollback(self) -> Model:
        """Make the model live that was live before."""
        row = self._previous()
        if row is None:
            raise Conflict("No model was live before this one: there is nothing to go back to.")
        self._make_live(row)
        return row.model

    async def sweepable(self, grace_seconds: float) -> list[Model]:
        """Models to sweep; from this call on they can never be promoted."""
        now = self._clock()
        limit = now - timedelta(seconds=grace_seconds)
        for row in self._newest("ready")[OPEN_READY:]:
            if row.ended_at is not None and row.ended_at <= limit:
                row.model, row.ended_at = replace(row.model, status="retired"), now
        for row in self._rows.values():
            ended = row.model.status in ENDED and row.ended_at is not None and row.ended_at <= limit
            row.condemned |= ended and row is not self._previous()
        return [row.model for row in self._rows.values() if row.condemned and not row.swept]

    async def mark_swept(self, model_id: str) -> None:
        """Record that the collections and artifacts of a sweepable model are gone."""
        row = self._row(model_id)
        row.swept = row.condemned

    def _row(self, model_id: str) -> _Row:
        if model_id not in self._rows:
            raise ModelNotFound(f"There is no model {model_id}: `upnext models list` shows them.")
        return self._rows[model_id]

    def _end(self, row: _Row, status: ModelStatus, error: str) -> Model:
        row.token, row.ended_at = uuid4(), self._clock()
        row.model = replace(row.model, status=status, error=error, finished_at=row.ended_at)
        return row.model

    def _running(self) -> list[_Row]:
        return [row for row in self._rows.values() if row.model.status in STEPS]

    def _live(self) -> _Row | None:
        return next((row for row in self._rows.values() if row.model.status == "live"), None)

    def _previous(self) -> _Row | None:
        live = self._live()
        return self._rows.get(live.previous or "") if live else None

    def _newest(self, status: ModelStatus) -> list[_Row]:
        rows = [row for row in self._rows.values() if row.model.status == status]
        rows = [row for row in rows if not row.condemned]
        return sorted(rows, key=lambda row: row.ended_at or row.heartbeat_at)[::-1]

    def _make_live(self, row: _Row) -> None:
        check_promotable(row.model.id, row.model.status, swept=row.condemned)
        now, live = self._clock(), self._live()
        if live is not None:
            live.model, live.ended_at = replace(live.model, status="retired"), now
        row.model = replace(row.model, status="live", promoted_at=now)
        self.changes.append(Change("model", (row.model.id,)))
