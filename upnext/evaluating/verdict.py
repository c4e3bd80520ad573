"""The verdict of an evaluation, in sentences."""

from embeddings.evaluation.report import Part
from upnext.evaluating.fitting import ModelName
from upnext.evaluating.results import Against, Beside, Difference

BY = "ndcg@10"
SHOWN = "nDCG@10"


def verdict_of(
    model: ModelName, whole: Part, popular: Beside | None, against: Against | None
) -> list[str]:
    """What there is to say of a model: whether it beats the most watched, and another's lists."""
    told = []
    if popular is not None:
        told.append(
            _told(
                model,
                "the most watched",
                whole.metrics[BY],
                popular.metrics[BY],
                popular.difference,
            )
        )
    if against is not None:
        theirs = against.theirs
        told.append(
            _told(
                model,
                "the lists of --against",
                against.ours.metrics[BY],
                theirs.metrics[BY],
                theirs.difference,
            )
        )
    return told


def _told(model: str, others: str, own: float, theirs: float, by: Difference) -> str:
    low, high = by.intervals[BY]
    figures = f"{SHOWN} {own:.4f} against {theirs:.4f}"
    sure = f"95 % interval of the difference {low:+.4f} to {high:+.4f}"
    if low > 0:
        more = f", {own / theirs:.2f} times as much" if theirs > 0 else ""
        return f"{model} beats {others}: {figures}{more} ({sure})."
    if high < 0:
        return f"{model} does NOT beat {others}, it is worse: {figures} ({sure})."
    return f"{model} does not clearly beat {others}: {figures} ({sure})."
