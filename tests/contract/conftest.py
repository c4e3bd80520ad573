"""A registry of models and its clock, which a test moves."""

import pytest

from storage.memory.models import MemoryModels
from storage.postgres.models import PostgresModels
from tests.contract.registries import Registry, Time


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture(params=["memory", "postgres"])
def models(request: pytest.FixtureRequest, time: Time) -> Registry:
    if request.param == "memory":
        return MemoryModels(time)
    return PostgresModels(request.getfixturevalue("engine"), time)
