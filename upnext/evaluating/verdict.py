"""The verdict of an evaluation, in sentences."""

from embeddings.evaluation.report import Part
from upnext.evaluating.end_to_end import EndToEnd
from upnext.evaluating.fitting import ModelName
from upnext.evaluating.results import Against, Beside

BY = "ndcg@10"
SHOWN = "nDCG@10"


def verdict_of(
    model: ModelName,
    whole: Part,
    popular: Beside | None,
    against: Against | None,
    lists: EndToEnd | None,
) -> list[str]:
    """Whether a model beats the most watched, and other lists; whether its own lists keep that."""
    told = []
    if popular is not None:
        pair = whole.metrics[BY], popular.metrics[BY]
        told.append(_told(model, "the most watched", pair, popular.difference.intervals[BY]))
    if against is not None:
        pair = against.ours.metrics[BY], against.theirs.metrics[BY]
        ends = against.theirs.difference.intervals[BY]
        told.append(_told(model, "the lists of --against", pair, ends))
    if lists is not None:
        pair = lists.lists.metrics[BY], lists.retrieval.metrics[BY]
        own = f"{model}, in whole lists,"
        told.append(_told(own, "retrieval alone", pair, lists.difference.intervals[BY]))
    return told


def _told(own: str, others: str, pair: tuple[float, float], ends: tuple[float, float]) -> str:
    """A sentence on nDCG@10, own and others', and the ends of the interval of the difference."""
    low, high = ends
    figures = f"{SHOWN} {pair[0]:.4f} against {pair[1]:.4f}"
    sure = f"95 % interval of the difference {low:+.4f} to {high:+.4f}"
    if low > 0:
        more = f", {pair[0] / pair[1]:.2f} times as much" if pair[1] > 0 else ""
        return f"{own} beats {others}: {figures}{more} ({sure})."
    if high < 0:
        return f"{own} does NOT beat {others}, it is worse: {figures} ({sure})."
    return f"{own} does not clearly beat {others}, nor the other way round: {figures} ({sure})."
