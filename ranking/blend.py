"""One score from the features: a weighted sum."""

from dataclasses import replace

from msgspec import structs

from core.types import RankingConfig, Weights
from ranking.features import Feature, Features

SEED = Weights(similarity=0.0, popularity=0.40, genre=0.35, recency=0.15, exploration=0.10)
SIMILARITY = Weights(similarity=1.0, popularity=0.0, genre=0.0, recency=0.0, exploration=0.0)
"""The model's own order."""


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


def in_force(
    features: Features, config: RankingConfig, model_weights: Weights | None, *, personal: bool
) -> tuple[Features, Weights]:
    """What is blended by which weights, once popular videos are damped.

    With `config.popularity_damping` at d, similarity counts as
    `similarity * (1 - d * popularity)` and the weight of popularity, where it is above 0, is
    `1 - d` of itself. Both take from a video's score in proportion to d and to how popular it is,
    and never add to one.
    """
    weights = choose_weights(config, model_weights, personal=personal)
    damping = config.popularity_damping
    if damping == 0:
        return features, weights
    damped = features.similarity * (1.0 - damping * features.popularity)
    own = weights.popularity
    less = structs.replace(weights, popularity=own - damping * max(own, 0.0))
    return replace(features, similarity=damped), less


def blend(features: Features, weights: Weights) -> Feature:
    """Scores, float64 (n,): each feature times its weight, added up."""
    return (
        weights.similarity * features.similarity
        + weights.popularity * features.popularity
        + weights.genre * features.genre
        + weights.recency * features.recency
        + weights.exploration * features.exploration
    )
