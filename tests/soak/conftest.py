"""A soak is of the service as it is shipped."""

import pytest

from tests.patience import SHIPPED, variables


@pytest.fixture(autouse=True)
def _waits_that_are_shipped(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in variables(SHIPPED).items():
        monkeypatch.setenv(name, value)
