"""The typed client: what it sends, what it makes of answers, when it tries again."""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any
from urllib.parse import unquote

import httpx
import pytest

from api.configs import ConfigBody
from api.routes.examples import MODEL, RECEIPT, USER_LIST
from api.schemas_catalogue import VideoBody
from api.schemas_jobs import JOB_EXAMPLE, LINE_EXAMPLE
from tests.routes import EXAMPLES, ROUTES, shape_of
from upnext.client import AsyncClient, Call, Client, Patience, Refused, calls, problems

pytestmark = pytest.mark.unit

AT_ONCE = Patience(first_pause=0.0)
Handler = Callable[[httpx.Request], httpx.Response]


class Service:
    """Answers what it is told to, in turn, the last one again; remembers what it was asked."""

    def __init__(self, *answers: httpx.Response | Exception) -> None:
        self.answers = list(answers)
        self.asked: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        request.read()
        self.asked.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        # A new one each time: an answer belongs to the client that read it.
        headers = {k: v for k, v in answer.headers.items() if k != "content-length"}
        return httpx.Response(answer.status_code, content=answer.content, headers=headers)

    async def aclient(self, request: httpx.Request) -> httpx.Response:
        await request.aread()
        return self(request)

    def send(self, call: Call[Any], patience: Patience = AT_ONCE) -> Any:
        transport = httpx.MockTransport(self)
        with Client("http://service", "token", patience=patience, transport=transport) as client:
            return client.send(call)


class Waiting(Service):
    """The same, asked by asyncio."""

    def send(self, call: Call[Any], patience: Patience = AT_ONCE) -> Any:
        async def run() -> Any:
            transport = httpx.MockTransport(self.aclient)
            async with AsyncClient(
                "http://service", "token", patience=patience, transport=transport
            ) as client:
                return await client.send(call)

        return asyncio.run(run())


BOTH = pytest.mark.parametrize("kind", [Service, Waiting])


def answer(body: Any, status: int = 200, **headers: str) -> httpx.Response:
    return httpx.Response(status, json=body, headers=headers)


def refused(status: int, code: str, **headers: str) -> httpx.Response:
    body = {"status": status, "code": code, "title": "No", "request_id": "r1"}
    return httpx.Response(status, json=body, headers=headers)


@BOTH
def test_a_list_is_asked_for_and_typed(kind: type[Service]) -> None:
    service = kind(answer(USER_LIST))
    call = calls.recommendations(
        "a/b c", limit=3, genres=["drama", "crime"], exclude=["1", "2"], explain=True
    )
    found = service.send(call)
    [request] = service.asked
    assert request.url.raw_path.split(b"?")[0] == b"/recs/a%2Fb%20c"
    assert request.url.params.multi_items() == [
        ("limit", "3"),
        ("type", "personalized"),
        ("explain", "true"),
        ("genre", "drama"),
        ("genre", "crime"),
        ("exclude", "1,2"),
    ]
    assert request.headers["authorization"] == "Bearer token"
    assert found.recommendations[0].content_id == "42"
    assert found.metadata.generated_at.year == 2026


@BOTH
def test_a_body_is_sent_with_its_kind_and_key(kind: type[Service]) -> None:
    service = kind(answer(RECEIPT, 201))
    receipt = service.send(calls.watch("7", "42", watched_seconds=600, idempotency_key="k"))
    [request] = service.asked
    assert (request.method, request.url.path) == ("POST", "/users/7/watch-history")
    assert json.loads(request.content)["content_id"] == "42"
    assert request.headers["content-type"] == "application/json"
    assert request.headers["idempotency-key"] == "k"
    assert receipt.duplicate is False


def test_training_is_asked_for_in_the_contracts_own_words() -> None:
    service = Service(answer(MODEL, 202))
    assert service.send(calls.train("als")).id == MODEL["id"]
    assert json.loads(service.asked[0].content)["modelType"] == "als"


def test_a_configuration_names_the_one_it_replaces() -> None:
    service = Service(answer({"version": 4, "preset": "seed"}))
    made = service.send(calls.put_config(ConfigBody(preset="seed"), replaces=3))
    assert made.version == 4
    assert service.asked[0].headers["if-match"] == "3"
    assert json.loads(service.asked[0].content)["preset"] == "seed"


def test_a_configuration_may_have_more_than_this_client_knows() -> None:
    weights = dict.fromkeys(("similarity", "popularity", "genre", "recency", "exploration"), 0.2)
    newer = {"version": 4, "weights": {**weights, "mood": 0.1}, "warmth": 3}
    assert Service(answer(newer)).send(calls.config()).version == 4
    [version] = Service(answer({"versions": [newer]})).send(calls.configs()).versions
    assert version.weights.similarity == 0.2


@BOTH
@pytest.mark.parametrize("first", [refused(429, "rate_limited"), refused(503, "unavailable")])
def test_what_may_be_repeated_is_tried_again(kind: type[Service], first: httpx.Response) -> None:
    service = kind(first, httpx.ConnectError("no"), answer(USER_LIST))
    assert service.send(calls.recommendations("7")).user_id == "7"
    assert len(service.asked) == 3


@BOTH
def test_it_gives_up_after_its_attempts(kind: type[Service]) -> None:
    service = kind(refused(503, "unavailable"))
    with pytest.raises(problems.Unavailable):
        service.send(calls.recommendations("7"))
    assert len(service.asked) == AT_ONCE.attempts
    service = kind(httpx.ReadTimeout("no"))
    with pytest.raises(httpx.ReadTimeout):
        service.send(calls.recommendations("7"))


@BOTH
@pytest.mark.parametrize(
    ("call", "times"),
    [
        (calls.watch("7", "42"), 1),
        (calls.watch("7", "42", idempotency_key="k"), 3),
        (calls.train("als"), 1),
        (calls.import_events([]), 1),
        (calls.rank("7", ["42"]), 3),
        (calls.take_down("42"), 3),
    ],
)
def test_what_may_not_be_repeated_is_sent_once(
    kind: type[Service], call: Call[Any], times: int
) -> None:
    service = kind(refused(503, "unavailable"))
    with pytest.raises(problems.Unavailable):
        service.send(call)
    assert len(service.asked) == times


def test_it_waits_as_long_as_it_is_told_but_not_longer_than_it_will() -> None:
    steps = calls_of(refused(429, "rate_limited", **{"Retry-After": "7"}))
    assert next(steps) == 7
    with pytest.raises(problems.RateLimited) as raised:
        next(calls_of(refused(429, "rate_limited", **{"Retry-After": "59"})))
    assert raised.value.retry_after == 59


def calls_of(outcome: httpx.Response) -> Iterator[float]:
    """The pauses of an exchange whose every attempt ends so."""
    from upnext.client.call import exchange  # noqa: PLC0415 - the inside, for this test alone

    steps = exchange(calls.recommendations("7"), Patience())
    next(steps)
    while True:
        yield steps.send(outcome)


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (400, "invalid_parameter", problems.InvalidParameter),
        (401, "unauthenticated", problems.Unauthenticated),
        (403, "forbidden", problems.Forbidden),
        (404, "not_found", problems.NotFound),
        (404, "user_not_found", problems.UserNotFound),
        (404, "content_not_found", problems.ContentNotFound),
        (404, "model_not_found", problems.ModelNotFound),
        (404, "job_not_found", problems.JobNotFound),
        (405, "method_not_allowed", Refused),
        (409, "conflict", problems.Conflict),
        (413, "payload_too_large", problems.PayloadTooLarge),
        (415, "unsupported_media_type", problems.UnsupportedMediaType),
        (500, "internal", problems.Fault),
    ],
)
def test_each_problem_is_an_exception(status: int, code: str, kind: type[Refused]) -> None:
    with pytest.raises(Refused) as raised:
        Service(refused(status, code)).send(calls.models())
    assert type(raised.value) is kind
    assert (raised.value.problem.status, raised.value.problem.request_id) == (status, "r1")


def test_an_answer_of_something_else_is_told_apart_too() -> None:
    with pytest.raises(problems.Fault, match="502"):
        Service(httpx.Response(502, text="<html>")).send(calls.models())
    with pytest.raises(problems.Unavailable):
        Service(httpx.Response(503, text="")).send(calls.models(), Patience(attempts=1))


@pytest.mark.parametrize("body", [b"<html>", b"{}", b'{"id": "\xff"}'])
def test_a_good_answer_that_cannot_be_read_is_told_apart_too(body: bytes) -> None:
    service = Service(httpx.Response(200, content=body))
    with pytest.raises(problems.Unreadable, match="200"):
        service.send(calls.recommendations("7"))
    assert len(service.asked) == 1  # what was asked may have been done


def test_a_result_that_cannot_be_read_is_told_apart_too() -> None:
    page = httpx.MockTransport(Service(httpx.Response(200, text="<html>\n")))
    with (
        Client("http://service", "t", transport=page) as client,
        pytest.raises(problems.Unreadable),
    ):
        list(client.result("j"))


def page(*ids: str, cursor: str | None) -> httpx.Response:
    items = [{**USER_LIST["recommendations"][0], "content_id": id_} for id_ in ids]
    metadata = {**USER_LIST["metadata"], "next_cursor": cursor}
    return answer({**USER_LIST, "recommendations": items, "metadata": metadata})


def test_pages_are_walked_to_the_end() -> None:
    service = Service(page("1", "2", cursor="c1"), page("3", cursor=None))
    with Client("http://service", lambda: "t", transport=httpx.MockTransport(service)) as client:
        pages = list(client.pages(calls.recommendations("7", limit=2)))
    assert [[item.content_id for item in each.recommendations] for each in pages] == [
        ["1", "2"],
        ["3"],
    ]
    assert [asked.url.params.get("cursor") for asked in service.asked] == [None, "c1"]


def test_further_pages_of_a_known_user_are_asked_for_where_they_are() -> None:
    service = Service(page("1", cursor="c1"), page("2", cursor=None))
    with Client("http://service", lambda: "t", transport=httpx.MockTransport(service)) as client:
        assert len(list(client.pages(calls.user_recommendations("7", limit=1)))) == 2
    first, second = (asked.url for asked in service.asked)
    assert (first.path, second.path) == ("/users/7/recommendations", "/recs/7")
    assert dict(second.params) == {"limit": "1", "cursor": "c1"}


async def test_pages_are_walked_to_the_end_by_asyncio_too() -> None:
    service = Service(page("1", cursor="c1"), page("2", cursor=None))

    async def token() -> str:
        return "fresh"

    async with AsyncClient(
        "http://service", token, transport=httpx.MockTransport(service.aclient)
    ) as client:
        pages = [each async for each in client.pages(calls.recommendations("7"))]
    assert len(pages) == 2
    assert service.asked[1].headers["authorization"] == "Bearer fresh"


REPORT = {"accepted": 3, "duplicates": 0, "rejected": 0, "errors": []}
LINES = [{"id": "1", "title": "One"}, '{"id":"2","title":"Two"}', b'{"id":"3","title":"Three"}\n']


@BOTH
def test_lines_are_streamed(kind: type[Service]) -> None:
    service = kind(answer(REPORT))
    assert service.send(calls.import_videos(iter(LINES))).accepted == 3
    [request] = service.asked
    assert request.headers["content-type"] == "application/x-ndjson"
    assert [json.loads(line)["id"] for line in request.content.splitlines()] == ["1", "2", "3"]


def test_lines_may_come_from_asyncio() -> None:
    async def lines() -> AsyncIterator[Any]:
        for line in LINES:
            yield line

    service = Waiting(answer(REPORT))
    service.send(calls.import_videos(lines()))
    assert len(service.asked[0].content.splitlines()) == 3
    with pytest.raises(TypeError, match="AsyncClient"):
        Service(answer(REPORT)).send(calls.import_videos(lines()))


def jobs() -> Service:
    line = httpx.Response(200, content=LINE_EXAMPLE * 2)
    return Service(answer({**JOB_EXAMPLE, "status": "done"}), line, refused(404, "job_not_found"))


def test_a_job_is_waited_for_and_its_lines_read() -> None:
    with Client("http://service", "t", transport=httpx.MockTransport(jobs())) as client:
        assert client.wait("j1").status == "done"
        assert [line.user_id for line in client.result("j1")] == ["7", "7"]
        with pytest.raises(problems.JobNotFound):
            list(client.result("j2"))


async def test_asyncio_waits_for_a_job_too() -> None:
    transport = httpx.MockTransport(jobs().aclient)
    async with AsyncClient("http://service", "t", transport=transport) as client:
        assert (await client.wait("j1")).status == "done"
        assert [line.user_id async for line in client.result("j1")] == ["7", "7"]
        with pytest.raises(problems.JobNotFound):
            _ = [line async for line in client.result("j2")]


def test_a_job_that_does_not_end_is_given_up() -> None:
    transport = httpx.MockTransport(Service(answer(JOB_EXAMPLE)))
    with (
        Client("http://service", "t", transport=transport) as client,
        pytest.raises(TimeoutError),
    ):
        client.wait("j1", seconds=-1)


def test_every_route_has_a_call() -> None:
    ids = {name: f"{{{name}}}" for name in EXAMPLES}
    user, video, model, job = (ids[f"{kind}_id"] for kind in ("user", "video", "model", "job"))
    every: list[Call[Any]] = [
        calls.recommendations(user),
        calls.user_recommendations(user),
        calls.rank(user, [video]),
        calls.watch(user, video),
        calls.rating(user, video, 4.5),
        calls.similar(video),
        calls.video(video),
        calls.put_video(video, VideoBody(title="One")),
        calls.take_down(video),
        calls.import_videos([]),
        calls.import_events([]),
        calls.batch(),
        calls.batch_job(),
        calls.job(job),
        calls.models(),
        calls.model(model),
        calls.train("als"),
        calls.change_model(model, "promote"),
        calls.change_model(model, "cancel"),
        calls.roll_back(),
        calls.config(),
        calls.put_config(ConfigBody(), replaces=1),
        calls.configs(),
        calls.stats(),
        calls.erase(user),
    ]
    asked = {(call.method, shape_of(unquote(call.path))) for call in every}
    asked.add(("GET", shape_of(unquote(calls.result_path(job)))))
    assert asked == {route.shape for route in ROUTES}


def test_the_client_loads_nothing_of_the_service() -> None:
    heavy = "{'litestar', 'numpy', 'torch', 'sqlalchemy', 'structlog', 'pyarrow'}"
    code = f"import sys, upnext.client; print(sorted({heavy} & sys.modules.keys()))"
    done = subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
