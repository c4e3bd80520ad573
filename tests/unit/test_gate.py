"""Which metrics let a model serve, and what is said of those that do not."""

import pytest

from embeddings.gate import Thresholds, Verdict, judge, judge_first

pytestmark = pytest.mark.unit

ASKED = Thresholds(recall=0.95, ndcg=0.9, coverage=0.5)


def metrics(recall: float, ndcg: float, coverage: float) -> dict[str, float]:
    return {"recall@10": recall, "ndcg@10": ndcg, "coverage@10": coverage}


LIVE = metrics(0.2, 0.1, 0.4)


def verdict(own: dict[str, float], asked: Thresholds = ASKED) -> Verdict:
    return judge(own, LIVE, asked, against="the live model", users=1234)


@pytest.mark.parametrize(
    ("own", "passes"),
    [
        (LIVE, True),
        (metrics(0.19, 0.09, 0.2), True),  # each exactly its share
        (metrics(0.1899, 0.5, 0.9), False),
        (metrics(0.9, 0.0899, 0.9), False),
        (metrics(0.9, 0.9, 0.1999), False),
        ({}, False),
    ],
)
def test_each_metric_needs_its_share_of_the_live_models(
    own: dict[str, float],
    passes: bool,  # noqa: FBT001 - a case
) -> None:
    assert verdict(own).passed is passes


def test_a_rejection_says_what_was_found_what_was_asked_and_what_to_do() -> None:
    reason = verdict(metrics(0.1, 0.05, 0.4)).reason
    for part in (
        "the live model",
        "1,234 users",
        "recall@10 0.1000, asked for 0.1900 (0.95 of 0.2000)",
        "ndcg@10 0.0500, asked for 0.0900 (0.9 of 0.1000)",
        "UPNEXT_GATE_RECALL and UPNEXT_GATE_NDCG",
    ):
        assert part in reason
    assert "coverage" not in reason.lower()


def test_a_pass_says_the_numbers_side_by_side() -> None:
    assert "recall@10 0.2000 to 0.2000" in verdict(LIVE).reason


def test_a_share_of_nothing_asks_nothing() -> None:
    assert verdict({}, Thresholds(0, 0, 0)).passed
    assert not verdict(metrics(0, 1, 1), Thresholds(1, 0, 0)).passed
    assert judge(metrics(0, 0, 0), metrics(0, 0, 0), ASKED, against="it", users=1).passed


@pytest.mark.parametrize(
    ("own", "passes"),
    [
        (metrics(0.21, 0.11, 0.0), True),
        (metrics(0.2, 0.11, 1.0), False),
        (metrics(0.21, 0.1, 1.0), False),
        ({}, False),
    ],
)
def test_the_first_model_must_be_above_popularity(
    own: dict[str, float],
    passes: bool,  # noqa: FBT001 - a case
) -> None:
    found = judge_first(own, LIVE, ASKED, users=671)
    assert found.passed is passes
    assert ("most watched" in found.reason, "671" in found.reason) == (True, True)


def test_a_first_model_that_is_rejected_is_told_which_number_was_missed() -> None:
    reason = judge_first(metrics(0.3, 0.018, 0.3), metrics(0.2, 0.02, 0.01), ASKED, users=9).reason
    assert "ndcg@10 0.0180, which has 0.0200" in reason
    assert "set UPNEXT_GATE_NDCG to 0" in reason
    assert "recall" not in reason.lower()
    assert judge_first({}, LIVE, Thresholds(0, 0, 0.5), users=9).passed
