"""Asking the HTTP application: tokens, and what every error must look like."""

from datetime import timedelta
from typing import Any

import jwt

from core.clock import utc_now
from tests.serving import NAMES

SECRET = "a secret of this test only, long enough for an HMAC."  # noqa: S105


def bearer(sub: str, *roles: str) -> dict[str, str]:
    claims = {"sub": sub, "exp": utc_now() + timedelta(hours=1), "roles": list(roles)}
    return {"Authorization": f"Bearer {jwt.encode(claims, SECRET)}"}


ADMIN = bearer("ops", "admin")


def problem(answer: Any, status: int, code: str) -> dict[str, Any]:
    """The body of a problem, which every error has in this form."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = answer.json()
    assert (body["code"], body["status"]) == (code, status)
    assert body["request_id"] == answer.headers["x-request-id"]
    assert {"type", "title", "detail", "instance"} <= body.keys()
    return body


OWN = [("GET", "/recs/ann"), ("GET", "/users/ann/recommendations")]
VIDEO = ("GET", f"/videos/{NAMES[0]}/similar")
READ = [("GET", "/recs/models"), ("GET", "/recs/models/m1")]
CHANGE = [("POST", "/recs/models/m2/promote"), ("POST", "/recs/models/rollback")]
