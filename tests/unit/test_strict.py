"""Bodies that are refused before anything reads them, in a time that their length bounds."""

from time import process_time

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from api.strict import DEEPEST
from tests.asking import ADMIN, problem

pytestmark = pytest.mark.unit
JSON = {**ADMIN, "Content-Type": "application/json"}


@pytest.mark.parametrize(
    "body",
    [
        b"[" * (DEEPEST + 1),
        b'{"content_id":"\\"[\\\\", "a":' + b"[" * DEEPEST,
        b"[" * (DEEPEST + 1) + b'"' + b'\\"' * 30_000,
    ],
)
def test_a_body_nested_beyond_reason_is_refused_soon(
    client: TestClient[Litestar], body: bytes
) -> None:
    began = process_time()
    refused = problem(
        client.post("/users/ann/watch-history", headers=JSON, content=body),
        400,
        "invalid_parameter",
    )
    assert refused["detail"] == "The body is nested too deeply."
    assert process_time() - began < 2


def test_brackets_in_a_text_are_no_nesting(client: TestClient[Litestar]) -> None:
    body = b'{"content_id":"v001","recommendation_id":"' + b"[" * (DEEPEST + 1) + b'"}'
    answer = client.post("/users/ann/watch-history", headers=JSON, content=body)
    assert "nested" not in answer.text
