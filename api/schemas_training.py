"""The body that asks for training, with the names it was specified with."""

from datetime import date
from typing import Any

import msgspec

from api.routes.examples import MODEL
from core.types import ModelType


class TrainBody(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"
):
    """A run: of all history, or from the first day to the end of the last (UTC)."""

    model_type: ModelType
    start_date: date | None = None
    end_date: date | None = None


TRAIN_EXAMPLE: dict[str, Any] = {
    "modelType": "als",
    "startDate": "2026-01-01",
    "endDate": "2026-02-01",
}
QUEUED_EXAMPLE: dict[str, Any] = {
    **MODEL,
    "model_type": "als",
    "version": "als_20260201_000000_77c1",
    "status": "queued",
    "live": False,
    "started_at": None,
    "finished_at": None,
    "promoted_at": None,
    "data": {"start": None, "end": None, "interactions": 0, "users": 0, "videos": 0},
    "metrics": {},
    "baseline": None,
    "artifact_uri": None,
}
CANCELLED_EXAMPLE: dict[str, Any] = {
    **QUEUED_EXAMPLE,
    "status": "cancelled",
    "finished_at": "2026-02-01T00:00:12Z",
    "error": "It was cancelled.",
}
