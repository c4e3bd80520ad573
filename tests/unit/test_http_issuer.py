"""Tokens of an issuer over HTTP: what is answered while its keys were never had."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from litestar.testing import TestClient

from api.auth import TokenVerifier
from api.http import application
from api.keys import KeySet
from api.services import Services
from tests.asking import problem
from tests.issuers import Issuer, public, signed
from tests.serving import World

pytestmark = pytest.mark.unit


def test_good_tokens_pass_and_forged_ones_do_not() -> None:
    tokens = TokenVerifier(None, keys=KeySet(Issuer(public("RSA", "r1"))))
    with TestClient(application(World().compose, tokens)) as client:
        good = {"Authorization": f"Bearer {signed('RSA', 'r1')}"}
        assert client.get("/recs/ann", headers=good).status_code == 200
        forged = {"Authorization": f"Bearer {signed('RSA', 'forger', {'kid': 'r1'})}"}
        answer = client.get("/recs/ann", headers=forged)
        assert forged["Authorization"] not in answer.text
        problem(answer, 401, "unauthenticated")


def test_while_keys_were_never_had_a_good_token_is_not_called_bad() -> None:
    issuer = Issuer()
    issuer.document = None
    tokens, world = TokenVerifier(None, keys=KeySet(issuer)), World()

    @asynccontextmanager
    async def compose() -> AsyncIterator[Services]:
        async with tokens.kept(), world.compose() as given:
            yield replace(given, ready=lambda: given.ready() and tokens.ready)

    with TestClient(application(compose, tokens), raise_server_exceptions=False) as client:
        good = {"Authorization": f"Bearer {signed('RSA', 'r1')}"}
        answer = client.get("/recs/ann", headers=good)
        problem(answer, 503, "unavailable")
        assert int(answer.headers["retry-after"]) >= 1
        problem(client.get("/health/ready"), 503, "unavailable")
        problem(client.get("/recs/ann"), 401, "unauthenticated")
