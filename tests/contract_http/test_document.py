"""What the application answers, against what its document says: operation by operation."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from litestar import Litestar
from litestar.testing import TestClient

from tests.contract_http.operations import OPERATIONS, check

pytestmark = pytest.mark.contract


@pytest.mark.parametrize("name", OPERATIONS)
@settings(max_examples=25, suppress_health_check=list(HealthCheck), deadline=None)
@given(data=st.data())
def test_it_answers_as_its_document_says(
    client: TestClient[Litestar], name: str, data: st.DataObject
) -> None:
    check(client, name, data)
