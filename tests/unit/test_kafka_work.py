"""What Kafka is told of messages that are done out of order, and what is understood of it."""

from collections.abc import Sequence
from datetime import UTC, datetime

import pytest
from aiokafka.errors import GroupAuthorizationFailedError, NotLeaderForPartitionError

from core.errors import SetupError, Unavailable
from core.messages import Message
from storage.bus.kafka_link import mapped, options_of
from storage.bus.kafka_work import InWork, Partition

pytestmark = pytest.mark.unit
WATCHED: Partition = ("analytics.video-watched", 3)
RATED: Partition = ("analytics.video-rated", 0)
NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Hands:
    """Messages in work, at a time that a test says."""

    def __init__(self) -> None:
        self.now = 0.0
        self.work = InWork(lambda: self.now)

    def given(self, partition: Partition, offsets: Sequence[int]) -> list[Message]:
        """Those that may be handed out."""
        places = [self.work.begin(partition, offset) for offset in offsets]
        return [
            Message(
                subject=partition[0],
                payload=b"",
                position=str(place.offset),
                received_at=NOW,
                handle=place,
            )
            for place in places
            if place is not None
        ]


@pytest.fixture
def hands() -> Hands:
    return Hands()


def positions(messages: Sequence[Message]) -> list[str]:
    return [message.position for message in messages]


def test_a_partition_is_committed_up_to_the_first_that_is_not_done(hands: Hands) -> None:
    a, b, c, d = hands.given(WATCHED, [5, 6, 9, 10])  # others were deleted
    [other] = hands.given(RATED, [0])
    assert hands.work.finish([b, c]) == {}
    assert hands.work.finish([a]) == {WATCHED: 10}
    assert hands.work.finish([d, other]) == {WATCHED: 11, RATED: 1}
    assert hands.work.size == 0


def test_what_is_in_work_is_not_handed_out_twice(hands: Hands) -> None:
    first, _ = hands.given(WATCHED, [0, 1])
    assert positions(hands.given(WATCHED, [0, 1, 2])) == ["2"]
    hands.work.finish([first])
    assert positions(hands.given(WATCHED, [1, 2, 3])) == ["3"]


def test_what_is_put_back_comes_when_it_is_due_and_holds_the_commit(hands: Hands) -> None:
    first, second = hands.given(WATCHED, [0, 1])
    hands.work.put_back([first], 5)
    assert hands.work.finish([second]) == {}
    assert hands.work.pause() == 5
    assert hands.work.due(10) == []
    hands.now = 5.0
    [again] = hands.work.due(10)
    assert (again.position, again.deliveries) == ("0", 2)
    assert hands.work.due(10) == []
    assert hands.work.finish([again]) == {WATCHED: 2}


def test_a_batch_takes_no_more_of_what_is_due_than_it_wants(hands: Hands) -> None:
    hands.work.put_back(hands.given(WATCHED, [0, 1, 2]), 0)
    assert positions(hands.work.due(2)) == ["0", "1"]
    assert positions(hands.work.due(2)) == ["2"]


def test_a_partition_that_another_has_now_is_forgotten(hands: Hands) -> None:
    lost, waiting = hands.given(WATCHED, [0, 1])
    kept, also = hands.given(RATED, [0, 1])
    hands.work.put_back([waiting, also], 1)
    hands.work.keep_only({RATED})
    hands.now = 1.0
    assert hands.work.finish([lost]) == {}
    assert [each.subject for each in hands.work.due(10)] == [RATED[0]]
    assert hands.work.finish([kept]) == {RATED: 1}


def test_what_was_done_before_a_partition_came_back_is_done(hands: Hands) -> None:
    [before] = hands.given(WATCHED, [7])
    hands.work.keep_only(set())
    hands.given(WATCHED, [7, 8])
    assert hands.work.finish([before]) == {WATCHED: 8}


def test_what_comes_again_behind_others_is_committed_with_them(hands: Hands) -> None:
    before, after = hands.given(WATCHED, [7, 8])
    assert hands.work.finish([before]) == {WATCHED: 8}  # and the group shares out anew before that
    [again] = hands.given(WATCHED, [7, 8])
    assert hands.work.finish([after]) == {}
    assert hands.work.finish([again]) == {WATCHED: 9}


def test_a_stale_put_back_does_not_come_beside_the_new_delivery(hands: Hands) -> None:
    before = hands.given(WATCHED, [7])
    hands.work.put_back(before, 1)
    hands.work.keep_only(set())
    hands.given(WATCHED, [7])
    hands.now = 2.0
    assert hands.work.due(10) == []


@pytest.mark.parametrize(
    ("url", "servers", "protocol", "user"),
    [
        ("kafka://one:9092", ["one:9092"], "PLAINTEXT", None),
        ("kafka://one", ["one:9092"], "PLAINTEXT", None),
        ("kafka://one:1,two:2/", ["one:1", "two:2"], "PLAINTEXT", None),
        ("kafka://[::1]:9093", ["[::1]:9093"], "PLAINTEXT", None),
        ("kafka://[::1]", ["[::1]:9092"], "PLAINTEXT", None),
        ("kafka://ann:p%40ss@one:9092", ["one:9092"], "SASL_PLAINTEXT", ("ann", "p@ss")),
        ("kafkas://one:9092", ["one:9092"], "SSL", None),
        ("kafkas://ann:b:c@one,two:2", ["one:9092", "two:2"], "SASL_SSL", ("ann", "b:c")),
    ],
)
def test_a_url_says_how_to_reach_the_brokers(
    url: str, servers: list[str], protocol: str, user: tuple[str, str] | None
) -> None:
    options = options_of(url)
    assert options["bootstrap_servers"] == servers
    assert options["security_protocol"] == protocol
    assert ("ssl_context" in options) is protocol.endswith("SSL")
    found = options.get("sasl_plain_username"), options.get("sasl_plain_password")
    assert found == (user or (None, None))


@pytest.mark.parametrize(
    "url",
    [
        "kafka://",
        "kafka://one:port",
        "kafka://one,,two",
        "kafka://ann@one:9092",
        "kafka://:secret@one:9092",
        "kafka://one:9092?acks=1",
        "kafka://one/topic:9092",
    ],
)
def test_a_url_that_says_something_else_is_refused(url: str) -> None:
    with pytest.raises(SetupError, match="UPNEXT_BUS_URL") as caught:
        options_of(url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (GroupAuthorizationFailedError(), "bus refuses: .* not authorized to access a particular"),
        (NotLeaderForPartitionError(), "did not answer"),
        (ConnectionResetError(), "did not answer"),
    ],
)
def test_what_a_broker_refuses_is_said(error: Exception, said: str) -> None:
    with pytest.raises(Unavailable, match=said), mapped():
        raise error
