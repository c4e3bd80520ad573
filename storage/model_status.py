"""What a run is called, and which status of a model may follow which."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, Literal
from uuid import UUID

from core.errors import Conflict
from core.types import ModelStatus, ModelType

Act = Literal["claim", "step", "cancel", "promote", "flip", "supersede"]
"""What takes a model from one status to the next.

`claim`: a worker begins the run, or begins it anew · `step`: the run writes how far it is, or how
it ended · `cancel`: somebody ends it · `promote`: it goes live, by a promotion or a rollback ·
`flip`: another goes live in its place · `supersede`: newer ones wait to go live.
"""

_ENDS: Final[dict[ModelStatus, Act]] = {"failed": "step", "cancelled": "cancel"}

TRANSITIONS: Final[Mapping[ModelStatus, Mapping[ModelStatus, Act]]] = {
    "queued": {"queued": "claim", "training": "step", **_ENDS},
    "training": {"queued": "claim", "evaluating": "step", **_ENDS},
    "evaluating": {"queued": "claim", "publishing": "step", "rejected": "step", **_ENDS},
    "publishing": {"queued": "claim", "ready": "step", **_ENDS},
    "ready": {"live": "promote", "retired": "supersede"},
    "live": {"retired": "flip"},
    "retired": {"live": "promote"},
    "rejected": {},
    "failed": {},
    "cancelled": {},
}
"""Every change of status there is; what is not here raises `Conflict`."""


def _can(act: Act) -> tuple[ModelStatus, ...]:
    return tuple(status for status, ways in TRANSITIONS.items() if act in ways.values())


STEPS: Final[tuple[ModelStatus, ...]] = _can("claim")
"""What a run goes through, in its order; a model with another status has ended its run."""

PROMOTABLE: Final[frozenset[ModelStatus]] = frozenset(_can("promote"))
"""From here a promotion makes a model live."""

DEAD: Final[frozenset[ModelStatus]] = frozenset(
    status for status, ways in TRANSITIONS.items() if not ways
)
"""Such a run has no version and never will."""

ENDED: Final[frozenset[ModelStatus]] = DEAD | {"retired"}
"""Here a model's collections and artifacts are not needed, but for the one before the live one."""

OPEN_READY: Final = 2
"""So many of the newest `ready` versions are kept open, to go live at once; older ones retire."""

STALE_SECONDS: Final = 50.0
"""A run without a heartbeat for this long is given up."""

STALE_REASON: Final = f"The run gave no sign of life for {STALE_SECONDS:.0f} s: start it again."


MOST_BEGUN: Final = 3
"""A run whose worker ended so often is not begun again: it would end the next one too."""

ENDS_ITS_WORKER: Final = (
    f"The worker that trained it ended {MOST_BEGUN} times. If memory ran out, give the machine "
    "more or train on a shorter span; then start it again."
)

CANCELLED: Final = "It was cancelled."


def begun_before(params: Mapping[str, Any]) -> int:
    """How often workers have begun a run with these parameters."""
    return int(params.get("owner", {}).get("begun", 0))


def unblamed(params: Mapping[str, Any]) -> dict[str, Any]:
    """What to write over a run's parameters when its worker was stopped in order."""
    return {"owner": {**params.get("owner", {}), "begun": 0}}


def check_cancellable(model_id: str, status: ModelStatus) -> None:
    """Refuse to stop what does not run. Raises `Conflict`."""
    if status not in STEPS:
        raise Conflict(
            f"The run of model {model_id} has ended ({status}): nothing is to be stopped."
        )


def version_name(model_type: ModelType, began: datetime, token: UUID) -> str:
    """The version that a run makes: a name that collections in Milvus may carry."""
    return f"{model_type}_{began:%Y%m%d_%H%M%S}_{token.hex[:4]}"


def check_running(model_id: str, status: ModelStatus, *, same_attempt: bool) -> None:
    """Refuse the write of a run that has ended or was given up. Raises `Conflict`."""
    if status not in STEPS:
        raise Conflict(f"The run of model {model_id} has ended ({status}): start a new one.")
    if not same_attempt:
        raise Conflict(f"Another attempt at model {model_id} has taken over: stop this one.")


def check_step(model_id: str, status: ModelStatus, following: ModelStatus) -> None:
    """Refuse a step that a run cannot take. Raises `Conflict`."""
    if TRANSITIONS[status].get(following) != "step":
        raise Conflict(f"Model {model_id} is {status}: it cannot become {following}.")


def check_promotable(model_id: str, status: ModelStatus, *, swept: bool) -> None:
    """Refuse to make a model live that cannot serve. Raises `Conflict`."""
    if status not in PROMOTABLE:
        raise Conflict(f"Model {model_id} is {status}: only a ready or retired one can go live.")
    if swept:
        raise Conflict(f"The vectors of model {model_id} were swept: train a new one.")
