"""An evaluation, from its files to what it tells."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial

import msgspec
import numpy as np
from numpy.typing import NDArray

from embeddings.evaluation.over_time import evaluate_over_time
from embeddings.evaluation.report import Judged, Options, evaluate, part_of
from embeddings.evaluation.scorers import PopularScorer
from upnext.evaluating.comparing import against, beside
from upnext.evaluating.end_to_end import EndToEnd, Making, ann_recall, end_to_end, facts_of
from upnext.evaluating.fitting import ModelName, Trained
from upnext.evaluating.ground import Ground, prepare
from upnext.evaluating.measuring import over_seeds, peak_memory_mb
from upnext.evaluating.results import Against, Result, Seconds
from upnext.evaluating.task import Task, Tell
from upnext.evaluating.verdict import verdict_of


def run(task: Task, tell: Tell) -> Iterator[Result]:
    """Judge each model of the task, one after the other.

    Raises:
        SetupError: a file is not there.
        InvalidInput: the options contradict each other, a file cannot be used, nobody can be
            judged, or there is too little data for a model.
    """
    task.check()
    began = time.perf_counter()
    ground = prepare(task, tell)
    read = time.perf_counter() - began
    options = Options(
        seed=task.seeds[0],
        vectors=ground.fitting.material.content,
        appeared=ground.appeared,
    )
    tell("ranking the most watched", 0.0, f"{len(ground.case.users):,} users")
    watches = PopularScorer(ground.case.train.watches(ground.case.videos))
    judging = _Judging(task, ground, options, evaluate(watches, ground.case, options), tell, read)
    for model in task.models:
        yield judging.of(model)


@dataclass(frozen=True, slots=True)
class _Tried:
    """What is kept of a model by any seed: what users gain, the means, the seconds it took."""

    gains: NDArray[np.float64]
    metrics: dict[str, float]
    fit: float
    rank: float


@dataclass(frozen=True, slots=True)
class _Judging:
    """Judges models on one ground; `popular`: the most watched, `read`: the seconds of reading."""

    task: Task
    ground: Ground
    options: Options
    popular: Judged
    tell: Tell
    read: float

    def of(self, model: ModelName) -> Result:
        """Judge a model by every seed; of the first it is told how, too."""
        trained, judged, first = self._try(model, self.task.seeds[0])
        tries = [first, *(self._try(model, seed)[2] for seed in self.task.seeds[1:])]
        gains = np.mean([one.gains for one in tries], axis=0)
        whole = part_of(self.ground.case, gains, self.options)
        report = judged.report
        popular = None if model == "popular" else beside(gains, self.popular, self.options)
        theirs = self._against(gains)
        whole_lists = self._end_to_end(model, trained)
        fit = float(np.mean([one.fit for one in tries]))
        gone_through = len(self.ground.case.train.rows) * (trained.epochs or 0)
        return Result(
            model=model,
            protocol=self.task.protocol,
            metrics=whole.metrics,
            intervals=whole.intervals,
            users=whole.users,
            relevant=whole.relevant,
            left_out=self.ground.left_out | report.left_out,
            beyond=report.beyond,
            diversity_of=self._diversity_of(trained),
            segments=report.segments,
            parts=report.parts,
            cold=report.cold,
            popular=popular,
            against=theirs,
            end_to_end=whole_lists,
            over_seeds=over_seeds(self.task.seeds, [one.metrics for one in tries]),
            data=self.ground.counts,
            params=trained.params,
            seed=self.task.seeds[0],
            curve=trained.curve,
            seconds=Seconds(
                read=self.read, fit=fit, rank=float(np.mean([one.rank for one in tries]))
            ),
            epochs=trained.epochs,
            interactions_per_second=gone_through / fit if gone_through else None,
            peak_memory_mb=peak_memory_mb(),
            verdict=verdict_of(model, whole, popular, theirs, whole_lists),
        )

    def _try(self, model: ModelName, seed: int) -> tuple[Trained, Judged, _Tried]:
        name = model if len(self.task.seeds) == 1 else f"{model}, seed {seed}"
        trained = self.ground.fitting.fit(
            model, seed, self.task.params, partial(self.tell, f"fitting {name}")
        )
        self.tell(f"ranking {name}", 0.0, f"{len(self.ground.case.users):,} users")
        began = time.perf_counter()
        judged = self._judged(trained, seed)
        seconds = time.perf_counter() - began
        tried = _Tried(judged.gains, judged.report.metrics, trained.seconds, seconds)
        return trained, judged, tried

    def _judged(self, trained: Trained, seed: int) -> Judged:
        options = replace(self.options, seed=seed)
        if options.vectors is None and trained.fitted is not None:
            options = replace(options, vectors=trained.fitted.items.vectors)
        if self.ground.over_time is not None:
            return evaluate_over_time(trained.scorer, self.ground.over_time, options)
        return evaluate(trained.scorer, self.ground.case, options)

    def _diversity_of(self, trained: Trained) -> str | None:
        if self.options.vectors is not None:
            return "texts"
        return None if trained.fitted is None else "model"

    def _against(self, gains: NDArray[np.float64]) -> Against | None:
        ground = self.ground
        if ground.lists is None:
            return None
        return against(ground.lists, ground.row_of, ground.case, gains, self.options)

    def _end_to_end(self, model: ModelName, trained: Trained) -> EndToEnd | None:
        """What users get of the model of the first seed; None for a baseline."""
        if not self.task.end_to_end or trained.fitted is None or trained.again is None:
            return None
        ground, recent = self.ground, self.task.recent
        again, doing = trained.again, f"making lists with {model}"
        self.tell(doing, 0.0, "weights are fitted first")
        videos = ground.videos.by_id if ground.videos is not None else {}
        made = end_to_end(
            facts_of(ground.fitting.material.ids, videos),
            ground.case,
            trained.fitted,
            lambda histories: again(histories, partial(self.tell, doing)),
            options=self.options,
            making=Making(recent=recent),
        )
        self.tell("searching the index", 0.0, "")
        seed = self.options.seed
        ann = ann_recall(self.task.settings, ground.case, trained.fitted, recent=recent, seed=seed)
        return msgspec.structs.replace(made, ann=ann)
