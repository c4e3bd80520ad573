"""Every line has the fields of ECS, whoever says it and whatever it says."""

import logging
import subprocess
import sys
from pathlib import Path
from typing import cast

import pytest
import structlog
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.contextvars import bound_contextvars

from core import tracing
from core.ecs import FIELDS
from core.redaction import LONGEST
from tests.log_lines import ALWAYS, Log, checked

pytestmark = pytest.mark.unit

SIGNED_WITH = "a secret that is long enough for an HMAC"
log = structlog.get_logger("upnext.t")


def test_words_get_their_names_in_ecs() -> None:
    out = Log()
    log.info(
        "request",
        request_id="mine",
        method="GET",
        route="/recs/{user_id}",
        status_code=404,
        nanoseconds=1_500_000,
        sub="ops",
        user="ann",
        cache="miss",
        model_version=None,
    )
    [line] = out.lines
    assert (line["log.level"], line["message"], line["log.logger"]) == (
        "info",
        "request",
        "upnext.t",
    )
    assert list(line.items())[8:] == [
        ("http.request.id", "mine"),
        ("http.request.method", "GET"),
        ("http.route", "/recs/{user_id}"),
        ("http.response.status_code", 404),
        ("event.duration", 1_500_000),
        ("user.id", "ops"),
        ("user.target.id", "ann"),
        ("upnext.cache", "miss"),
    ]


@pytest.mark.parametrize("ours", [True, False])
def test_an_exception_has_its_fields(ours: bool) -> None:  # noqa: FBT001 - a parameter
    out = Log()
    try:
        dict[str, str]()["nothing there"]
    except KeyError:
        (log if ours else logging.getLogger("driver")).exception("failed")
    [line] = out.lines
    assert (line["error.type"], line["error.message"]) == ("KeyError", "'nothing there'")
    assert line["error.stack_trace"].startswith("Traceback (most recent call last):")
    assert line["error.stack_trace"].rstrip().endswith("KeyError: 'nothing there'")


def test_what_is_known_of_the_request_and_its_trace_is_on_the_lines_of_drivers_too() -> None:
    class Tracer:
        def current(self) -> dict[str, str]:
            return {"traceparent": f"00-{'a' * 32}-{'b' * 16}-01"}

    out = Log()
    before = tracing.use(cast("tracing.Tracer", Tracer()))  # the part that is asked
    try:
        with bound_contextvars(cache="redis"):
            logging.getLogger("driver").warning("slow")
            log.info("made")
    finally:
        tracing.use(before)
    log.info("later")
    slow, made, later = out.lines
    for line in (slow, made):
        assert (line["trace.id"], line["span.id"]) == ("a" * 32, "b" * 16)
        assert line["upnext.cache"] == "redis"
    assert not {"trace.id", "span.id", "upnext.cache"} & set(later)


def test_drivers_are_not_heard_below_a_warning_even_while_debugging() -> None:
    out = Log(log_level="debug")
    for name in ("botocore.endpoint", "sqlalchemy.engine", "nats.aio.client", "httpx"):
        logging.getLogger(name).info("SELECT %s", "a body")
    log.debug("ours")
    assert [line["message"] for line in out.lines] == ["ours"]


@settings(max_examples=60)
@given(
    st.text() | st.binary(),
    st.dictionaries(
        st.text("abz_", min_size=1, max_size=9),
        st.recursive(
            st.none() | st.floats() | st.integers() | st.text() | st.binary(max_size=9),
            lambda each: st.lists(each, max_size=3) | st.dictionaries(st.text(), each, max_size=3),
            max_leaves=5,
        ),
        max_size=4,
    ),
)
def test_anything_can_be_said(event: object, said: dict[str, object]) -> None:
    out = Log()
    logging.getLogger("driver").error(event)
    log.info(event, **{f"x_{name}": value for name, value in said.items()})
    assert len(out.lines) == 2


def test_a_line_that_cannot_be_formed_says_so() -> None:
    out = Log()
    logging.getLogger("driver").error(*("%d of %d", 1))
    [line] = out.lines
    assert line["log.level"] == "error"
    assert "could not be written: TypeError" in line["message"]


def test_a_long_text_is_cut() -> None:
    out = Log()
    log.info("long", body="x" * 1_000_000)
    [line] = out.lines
    assert len(line["upnext.body"]) < LONGEST + 50


PROCESS = """
import threading, warnings
from core.logging import take_over
take_over()
warnings.warn("soon gone")
thread = threading.Thread(target=lambda: 1 / 0)
thread.start()
thread.join()
class Odd:
    def __del__(self):
        raise ValueError("at the end")
Odd()
raise LookupError("nobody catches this")
"""


def test_warnings_and_uncaught_exceptions_have_the_form_of_every_line() -> None:
    program = [sys.executable, "-W", "always", "-c", PROCESS]
    done = subprocess.run(  # noqa: S603 - our own program
        program, capture_output=True, text=True, timeout=30, check=False, cwd=Path.cwd()
    )
    assert (done.returncode, done.stderr) == (1, "")
    lines = checked(done.stdout.splitlines())
    assert [line.get("error.type") for line in lines] == [
        None,
        "ZeroDivisionError",
        "ValueError",
        "LookupError",
    ]
    assert "soon gone" in lines[0]["message"]
    assert (lines[0]["log.logger"], lines[3]["log.level"]) == ("py.warnings", "critical")


def test_a_person_gets_the_console_form_without_secrets() -> None:
    class Terminal(Log):
        def isatty(self) -> bool:
            return True

    out = Terminal(jwt_secret=SIGNED_WITH, log_user_ids="hashed")
    try:
        dict[str, str]()[f"signed with {SIGNED_WITH}"]
    except KeyError:
        log.exception("failed", user="ann")
    said = out.getvalue()
    assert "failed" in said
    assert "Traceback" in said
    assert SIGNED_WITH not in said
    assert "ann" not in said.replace("upnext.t", "")


def test_the_docs_name_every_field() -> None:
    page = (Path(__file__).parents[2] / "docs" / "logs.md").read_text(encoding="utf-8")
    for field in (*ALWAYS, *FIELDS.values(), "user.hash", "user.target.hash"):
        assert f"`{field}`" in page
    examples = checked(page.split("```json\n")[1].split("\n```")[0].splitlines())
    assert len(examples) == 5
