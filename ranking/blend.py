"""One score from the features: a weighted sum."""

from core.types import RankingConfig, Weights
from ranking.features import Feature, Features

SEED = Weights(similarity=0.0, popularity=0.40, genre=0.35, recency=0.15, exploration=0.10)


def choose_weights(
    config: RankingConfig, model_weights: Weights | None, *, personal: bool
) -> Weights:
    """The weights in force: the operator's, else the preset's.

    Preset `model` needs a live model and a user with a vector (`personal`); where either is
    missing, the popularity-first weights of preset `seed` rank.
    """
    if config.weights is not None:
        return config.weights
    if config.preset == "seed" or model_weights is None or not personal:
        return SEED
    return model_weights


def blend(features: Features, weights: Weights) -> Feature:
    """Scores, float64 (n,): each feature times its weight, added up."""
    return (
        weights.similarity * features.similarity
        + weights.popularity * features.popularity
        + weights.genre * features.genre
        + weights.recency * features.recency
        + weights.exploration * features.exploration
    )
