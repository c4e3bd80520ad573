"""Where the time of a training went, and how it ended."""

from typing import cast

import pytest
from prometheus_client import REGISTRY

from core.types import ModelStatus, ModelType, Progress
from upnext.jobs.measured import MeasuredTraining

pytestmark = pytest.mark.unit

TYPE: ModelType = "sequence"


def value(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, {"model_type": TYPE, **labels}) or 0.0


def spent(stage: str) -> float:
    return value("upnext_training_stage_seconds_sum", stage=stage)


def test_each_stage_is_observed_once_with_all_its_time() -> None:
    now = 100.0
    before = {stage: spent(stage) for stage in ("reading", "fitting", "judging")}
    count, total = "upnext_training_stage_seconds_count", "upnext_training_seconds_sum"
    judged, whole = value(count, stage="judging"), value(total)
    training = MeasuredTraining(TYPE, lambda: now)
    for seconds, stage in (
        (1, "reading"), (2, "reading"), (10, "judging"), (30, "fitting"), (5, "judging"),
        (3, "ready"), (1, "ready"),
    ):  # fmt: skip
        now += seconds
        training.at(Progress(stage, 0.5))
    training.ends("ready")
    training.over()
    after = {stage: spent(stage) - before[stage] for stage in before}
    assert after == {"reading": 12.0, "judging": 33.0, "fitting": 5.0}
    assert value(count, stage="judging") == judged + 1
    assert value(total) == whole + 52.0
    assert value(count, stage="ready") == 0


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        ("ready", "done"),
        ("rejected", "rejected"),
        ("failed", "failed"),
        ("cancelled", "cancelled"),
        ("training", "given_up"),  # another attempt has taken over
        (None, "given_up"),  # the worker was stopped
    ],
)
def test_its_end_is_counted(status: str | None, outcome: str) -> None:
    before = value("upnext_trainings_total", outcome=outcome)
    training = MeasuredTraining(TYPE)
    if status:
        training.ends(cast("ModelStatus", status))
    training.over()
    assert value("upnext_trainings_total", outcome=outcome) == before + 1
