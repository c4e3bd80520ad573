"""No secret and, where that is wished, no user's id gets into a log, however it is said."""

import hashlib
import logging
from pathlib import Path

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from core.errors import SetupError
from core.redaction import HIDDEN, Redaction, redaction, secrets_of, user_hash
from core.settings import load
from tests.log_lines import Log

pytestmark = pytest.mark.unit

SIGNED_WITH = "a secret that is long enough for an HMAC"
KEY = "a key that nobody who reads the log has got"
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbm4ifQ.c2lnbmF0dXJl"
log = structlog.get_logger("upnext.t")


@pytest.mark.parametrize(
    "said",
    [
        "postgresql://me:hush-hush@db/upnext is away",
        "cannot connect to redis://:hush-hush@cache:6379/0",
        "kafka://me:hush@hush-hush@broker",
        "Authorization: Bearer hush-hush",
        '{"Authorization": "Basic hush-hush"}',
        "GET /x?X-Amz-Signature=hush-hush&X-Amz-Date=1",
        "host=db password=hush-hush user=me",
        "{'aws_secret_access_key': 'hush-hush'}",
        'client_secret="hush-hush"',
        "Set-Cookie: hush-hush; Secure",
        "token = hush-hush",
        "duplicate key\nDETAIL:  Key (user_id)=(hush-hush) already exists.",
        "[SQL: SELECT 1]\n[parameters: ('hush-hush', 1)]",
        "invalid input for query argument $1: 'hush-hush' (expected int)",
        "-----BEGIN RSA PRIVATE KEY-----\nhush-hush\n-----END RSA PRIVATE KEY-----",
    ],
)
def test_a_secret_is_known_by_the_form_around_it(said: str) -> None:
    cleaned = Redaction().text(said)
    assert "hush-hush" not in cleaned
    assert HIDDEN in cleaned


@pytest.mark.parametrize(
    "said",
    [
        "The token is not valid: get a new one.",
        "A dependency is away; nobody waits for it until it answers.",
        "http://127.0.0.1:8000/docs",
        "upnext_requests 12:30 a=b",
        "/recs/{user_id}",
    ],
)
def test_what_is_no_secret_stays(said: str) -> None:
    assert Redaction().text(said) == said


def test_a_token_is_known_by_its_own_form() -> None:
    assert Redaction().text(f"sent {JWT}, refused") == f"sent {HIDDEN}, refused"


def test_secrets_of_the_settings_are_known_wherever_they_stand() -> None:
    settings = load(
        {
            "jwt_secret": SIGNED_WITH,
            "postgres_url": "postgresql://me:p%40ss-of-postgres@db/upnext",
            "milvus_token": "root:Milvus-pass",
        }
    )
    assert secrets_of(settings) == {
        SIGNED_WITH,
        "p%40ss-of-postgres",
        "p@ss-of-postgres",
        "root:Milvus-pass",
    }
    said = redaction(settings).text(f"x{SIGNED_WITH}y p@ss-of-postgres p%40ss-of-postgres")
    assert said == f"x{HIDDEN}y {HIDDEN} {HIDDEN}"


@pytest.mark.parametrize("how", ["event", "argument", "value", "nested", "bytes", "name", "error"])
def test_no_way_of_saying_it_gets_a_secret_through(how: str) -> None:
    out = Log(jwt_secret=SIGNED_WITH)
    if how == "event":
        log.error(SIGNED_WITH)
    elif how == "argument":
        logging.getLogger("driver").error("it is %s", SIGNED_WITH)
    elif how == "value":
        log.error("it is", what=SIGNED_WITH)
    elif how == "nested":
        log.error("it is", what={"headers": [("x", {SIGNED_WITH: ValueError(SIGNED_WITH)})]})
    elif how == "bytes":
        log.error("it is", what=SIGNED_WITH.encode(), more=[SIGNED_WITH.encode()])
    elif how == "name":
        log.error("it is", api_key="of another", headers={"Cookie": "of another"})
    else:
        log.error("it is", exc_info=caused(ValueError(SIGNED_WITH), LookupError(SIGNED_WITH)))
    assert SIGNED_WITH not in out.getvalue()
    assert "of another" not in out.getvalue()
    assert len(out.lines) == 1


def caused(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


@given(st.text(max_size=300) | st.text("eyJ.-_:=/@'\" bearertokns\n", max_size=300))
def test_any_text_can_be_gone_over(said: str) -> None:
    cleaned = Redaction([SIGNED_WITH]).text(said + SIGNED_WITH)
    assert SIGNED_WITH not in cleaned
    cleaned.encode()


def test_users_are_hashed_where_that_is_wished() -> None:
    out = Log(log_user_ids="hashed", log_user_key=KEY)
    log.info("request", sub="ann", user="bob")
    log.error("failed", user="bob", exc_info=KeyError("bob"))
    request, failed = out.lines
    assert "user.id" not in request
    assert {request["user.target.hash"]} == {failed["user.target.hash"]} != {request["user.hash"]}
    assert "ann" not in out.getvalue()
    assert "'bob'" not in out.getvalue()


def test_nobody_without_the_key_finds_out_whose_hash_it_is() -> None:
    out = Log(log_user_ids="hashed", log_user_key=KEY)
    log.info("request", sub="7")
    [line] = out.lines
    guesses = {
        function(f"{prefix}7".encode()).hexdigest()[:32]
        for prefix in ("", KEY, f"{KEY}:")
        for function in (hashlib.sha256, hashlib.md5, hashlib.sha1, hashlib.blake2b)
    }
    assert line["user.hash"] not in guesses
    another = Log(log_user_ids="hashed", jwt_secret=SIGNED_WITH)
    log.info("request", sub="7")
    assert another.lines[0]["user.hash"] != line["user.hash"]


def test_the_key_may_stand_in_a_file_and_is_hidden_like_any_secret(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text(KEY + "\n")
    found = load({"log_user_ids": "hashed", "log_user_key_file": str(file)})
    plain = load({"log_user_ids": "hashed", "log_user_key": KEY})
    assert user_hash(found)("ann") == user_hash(plain)("ann")
    assert secrets_of(found) == {KEY}
    again = load({"log_user_ids": "hashed", "jwt_secret_file": str(file)})
    assert user_hash(again)("ann") == user_hash(plain)("ann")


def test_hashing_needs_a_key(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("short")
    for more in ({}, {"log_user_key_file": str(tmp_path / "key")}):
        with pytest.raises(SetupError, match="UPNEXT_LOG_USER_KEY"):
            Log(log_user_ids="hashed", **more)
