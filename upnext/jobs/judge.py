"""A run's judgement: the fit that has not seen what it is asked for, against what serves now."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import structlog
from numpy.typing import NDArray

from core.clock import EPOCH, days
from core.errors import NotFound
from core.hashing import hash64_many
from core.settings import Settings
from core.tracing import span
from core.types import Baseline, Model, ModelStatus, UserId, VideoId
from embeddings.evaluate import Found, find, find_popular, metrics_of
from embeddings.gate import Thresholds, Verdict, judge, judge_first, unjudged
from embeddings.manifest import OtherFormat
from embeddings.split import Split, hold_out, hold_out_after, of_videos
from embeddings.user_encoder import UserEncoder
from embeddings.version import Fitted
from upnext.jobs.fit_weights import fit_weights
from upnext.jobs.fitting.recipe import Material, Recipe
from upnext.jobs.local_copies import open_copy
from upnext.jobs.params import SEED
from upnext.jobs.reading import Data
from upnext.jobs.recipes import recipe_again, same

ENOUGH = 1_000
"""With fewer users who watched something new since the live model's data, it is refitted."""
NOBODY = "nobody has watched enough to hold anything out."

Tell = Callable[[ModelStatus, str, float, str], None]
Watched = Callable[[Sequence[UserId], Sequence[VideoId], datetime], NDArray[np.bool_]]
"""Which of these users had watched the video beside before a moment. Raises `Unavailable`."""
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Judged:
    """What became of it. `fitted`, of the judged fit, has the metrics, and the weights if passed.

    `baseline` is None when there was nothing to judge by.
    """

    fitted: Fitted
    baseline: Baseline | None
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class _Unseen:
    """What the live version has not seen, and what it knows of the catalogue.

    `vectors` float32 (n, d) and `known` bool (n,) are in the catalogue's order.
    """

    split: Split
    encoder: UserEncoder
    vectors: NDArray[np.float32]
    known: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Judge:
    """Judges recipes on the data of one run, against the model that is live, if any.

    `watched` is asked since a history has each video where it was watched last: one that comes
    after the cut may have been watched before it too, and is nothing new then.
    Fits that take long keep in the folder `kept` how far they came.
    """

    settings: Settings
    data: Data
    material: Material
    live: Model | None
    watched: Watched
    tell: Tell
    kept: Path

    def judge(self, recipe: Recipe) -> Judged:
        """Fit without what is held out, judge, and find weights for one that passes. Blocking.

        Raises:
            Unavailable: a store did not answer.
        """
        unseen = None if self.live is None else self._unseen(self.live)
        split = self._held_out() if unseen is None else unseen.split
        among = None if unseen is None else unseen.known
        with span("fitting"):
            fitted = recipe.fit(split.train, self._fitting, self.kept / "judged")
        self.tell("evaluating", "judging", 0.0, "ranking for users whose next watch was held out")
        own = self._find(split, fitted, among)
        against, other = self._other(unseen, split, recipe, own)
        users = own.has & other.has if own.has.any() else other.has
        metrics, others = (metrics_of(found, users, among) for found in (own, other))
        verdict = self._verdict(metrics, others, against, int(users.sum()))
        fitted = replace(fitted, metrics=metrics)
        if verdict.passed:
            fitted = self._weighed(recipe, split, fitted)
        return Judged(fitted, self._baseline(others), verdict)

    def _held_out(self) -> Split:
        return self._new(hold_out(self.data.histories, seed=SEED))

    def _new(self, split: Split) -> Split:
        """The split without users who had watched the video that is asked for before the cut."""
        if split.cut is None or len(split.users) == 0:
            return split
        users = [split.train.users[user] for user in split.users.tolist()]
        videos = [self.data.catalogue.ids[row] for row in split.targets.tolist()]
        new = ~self.watched(users, videos, EPOCH + timedelta(days=split.cut))
        return replace(split, users=split.users[new], targets=split.targets[new])

    def _unseen(self, live: Model) -> _Unseen | None:
        """What came after the live model's data, if that judges enough users."""
        if live.data.end is None:
            return None
        since = days(live.data.end)
        split = hold_out_after(self.data.histories, since, seed=SEED, enough=ENOUGH)
        if split is None:
            return None
        try:
            version = open_copy(self.settings, live.version)
        except (OtherFormat, NotFound) as error:  # then its settings are fitted again
            log.warning("the live version cannot be opened", reason=str(error))
            return None
        vectors, known = version.items.at(hash64_many(self.data.catalogue.ids))
        kept = known[split.targets]
        split = replace(split, users=split.users[kept], targets=split.targets[kept])
        split = self._new(split)
        if len(split.users) < ENOUGH:
            return None
        return _Unseen(split, version.encoder, vectors, known)

    def _other(
        self, unseen: _Unseen | None, split: Split, recipe: Recipe, own: Found
    ) -> tuple[str, Found]:
        """The baseline's name, and what it finds."""
        if self.live is None:
            return "the most watched", find_popular(split, len(self.data.catalogue.ids))
        if unseen is not None:
            theirs = of_videos(split, unseen.known)
            recent = self.settings.state_recent
            found = find(theirs, unseen.vectors, unseen.encoder, recent, unseen.known)
            return "the live model", found
        called = "the live model's settings on the same history"
        if len(split.users) == 0:
            return called, own
        again = recipe_again(self.live, self.material, SEED)
        if same(again, recipe):
            return called, own
        return called, self._find(split, self._again(again, split), None)

    def _again(self, recipe: Recipe, split: Split) -> Fitted:
        return recipe.fit(split.train, self._refitting, self.kept / "baseline")

    def _fitting(self, share: float, said: str) -> None:
        self.tell("training", "fitting", share, said)

    def _refitting(self, share: float, said: str) -> None:
        self.tell("evaluating", "judging", share, f"the live model's settings: {said}")

    def _find(self, split: Split, fitted: Fitted, among: NDArray[np.bool_] | None) -> Found:
        recent = self.settings.state_recent
        return find(split, fitted.items.vectors, fitted.encoder, recent, among)

    def _verdict(
        self, metrics: dict[str, float], others: dict[str, float], against: str, users: int
    ) -> Verdict:
        settings = self.settings
        asked = Thresholds(settings.gate_recall, settings.gate_ndcg, settings.gate_coverage)
        if not others:
            return unjudged(NOBODY)
        if self.live is None:
            return judge_first(metrics, others, asked, users=users)
        return judge(metrics, others, asked, against=against, users=users)

    def _baseline(self, others: dict[str, float]) -> Baseline | None:
        if not others:
            return None
        return Baseline(model_id=self.live.id if self.live else None, metrics=others)

    def _weighed(self, recipe: Recipe, split: Split, fitted: Fitted) -> Fitted:
        self.tell("evaluating", "evaluating", 0.0, "weighing what lists are ordered by")
        with span("evaluating"):
            weights, of_lists = fit_weights(
                self.data.facts,
                split,
                fitted,
                recipe.weights,
                recent=self.settings.state_recent,
                seed=SEED,
            )
        return replace(fitted, weights=weights, metrics=fitted.metrics | of_lists)
