"""Whether a model may serve: a pure decision over two sets of metrics."""

from collections.abc import Mapping
from dataclasses import dataclass

RECALL, NDCG, COVERAGE = "recall@10", "ndcg@10", "coverage@10"
ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class Thresholds:
    """The least of each metric, as a share of the baseline's; 0 asks nothing of it."""

    recall: float
    ndcg: float
    coverage: float

    def by_metric(self) -> dict[str, tuple[float, str]]:
        """Each metric's share, and the setting it comes from."""
        return {
            RECALL: (self.recall, "UPNEXT_GATE_RECALL"),
            NDCG: (self.ndcg, "UPNEXT_GATE_NDCG"),
            COVERAGE: (self.coverage, "UPNEXT_GATE_COVERAGE"),
        }


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether it passed, and a sentence with the numbers."""

    passed: bool
    reason: str


def judge(
    metrics: Mapping[str, float],
    baseline: Mapping[str, float],
    thresholds: Thresholds,
    *,
    against: str,
    users: int,
) -> Verdict:
    """Judge a model against the one that serves.

    It passes when each metric is at least its share of the baseline's; a metric that it does not
    have counts as 0.

    Args:
        metrics: of the model.
        baseline: of what it is judged against, for the same users.
        thresholds: the shares.
        against: what the baseline is, to be told: "the live model".
        users: how many were judged.
    """
    shown, missed, settings = [], [], []
    for name, (share, setting) in thresholds.by_metric().items():
        own, other = metrics.get(name, 0.0), baseline.get(name, 0.0)
        shown.append(f"{name} {own:.4f} to {other:.4f}")
        if not own >= share * other - ROUNDING:  # what is no number is not enough
            missed.append(
                f"{name} {own:.4f}, asked for {share * other:.4f} ({share:g} of {other:.4f})"
            )
            settings.append(setting)
    if not missed:
        return Verdict(
            passed=True, reason=f"As good as {against} for {users:,} users: {', '.join(shown)}."
        )
    return Verdict(
        passed=False,
        reason=f"On what {users:,} users watched next it is worse than {against}: "
        f"{'; '.join(missed)}. Bring more history or texts in, train another type or on another "
        f"span; or, to accept as much, lower {' and '.join(settings)}.",
    )


def judge_first(
    metrics: Mapping[str, float],
    popularity: Mapping[str, float],
    thresholds: Thresholds,
    *,
    users: int,
) -> Verdict:
    """Judge a model where none is live: recall and nDCG must be above those of popularity.

    Of a metric whose threshold is 0 nothing is asked.
    """
    shown, missed = [], []
    for name, (share, setting) in thresholds.by_metric().items():
        if name == COVERAGE:
            continue
        own, other = metrics.get(name, 0.0), popularity.get(name, 0.0)
        shown.append(f"{name} {own:.4f} to {other:.4f}")
        if share > 0 and not own > other:
            missed.append((f"{name} {own:.4f}, which has {other:.4f}", setting))
    if not missed:
        return Verdict(
            passed=True,
            reason=f"Better than the most watched for {users:,} users: {', '.join(shown)}.",
        )
    return Verdict(
        passed=False,
        reason=f"On what {users:,} users watched next it does not beat the most watched: "
        f"{'; '.join(said for said, _ in missed)}. Train another type (`upnext train als`, or "
        "`content`), or bring more history or texts in; or, to accept it, set "
        f"{' and '.join(setting for _, setting in missed)} to 0.",
    )


def unjudged(reason: str) -> Verdict:
    """A pass for want of anything to judge by."""
    return Verdict(passed=True, reason=f"Not judged: {reason}")
