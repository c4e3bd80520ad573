"""The use case of the ranking configuration: versions, of which the newest is in force."""

import re
from typing import Annotated, Literal, Protocol

import msgspec

from core.errors import InvalidInput
from core.types import RankingConfig, Weights

LEAST_CANDIDATES, MOST_CANDIDATES = 100, 1000  # a list of 100 needs as many
MOST_OF_A_CREATOR = 10  # of the first ten: no cap at all
LONGEST_AGE = 86_400

Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Age = Annotated[int, msgspec.Meta(ge=1, le=LONGEST_AGE)]
_DEFAULT = RankingConfig()
_VERSION = re.compile(r'"(?P<quoted>[0-9]{1,9})"|(?P<plain>[0-9]{1,9})')


class ConfigStore(Protocol):
    """The versions' truth."""

    async def current(self) -> RankingConfig:
        """The newest version. Raises `Unavailable`."""
        ...

    async def versions(self) -> list[RankingConfig]:
        """All versions, newest first. Raises `Unavailable`."""
        ...

    async def add(self, config: RankingConfig, after: int) -> RankingConfig:
        """Make `config` the version after `after`; replicas hear of it.

        Raises:
            Conflict: `after` is not the newest version.
            Unavailable: nothing was written.
        """
        ...


class ConfigWeights(msgspec.Struct, frozen=True, kw_only=True):
    """Weights of the blend, each 0 to 1."""

    similarity: Share
    popularity: Share
    genre: Share
    recency: Share
    exploration: Share


class WeightsBody(ConfigWeights, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Weights of the blend, each 0 to 1; at least one is above 0."""


class _Config(msgspec.Struct, frozen=True, kw_only=True):
    weights: ConfigWeights | msgspec.UnsetType = msgspec.UNSET
    preset: Literal["model", "seed"] | msgspec.UnsetType = msgspec.UNSET
    diversity: Share = _DEFAULT.diversity
    creator_cap: Annotated[int, msgspec.Meta(ge=1, le=MOST_OF_A_CREATOR)] = _DEFAULT.creator_cap
    candidates: Annotated[int, msgspec.Meta(ge=LEAST_CANDIDATES, le=MOST_CANDIDATES)] = (
        _DEFAULT.candidates
    )
    soft_age_seconds: Age = _DEFAULT.soft_age_seconds
    hard_age_seconds: Age = _DEFAULT.hard_age_seconds


class ConfigBody(_Config, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A configuration to be; what is left out has its default.

    Give `weights` or `preset`: `model` takes the live model's own weights, `seed` the
    popularity-first ones. `diversity` is the share of the score given to being different,
    `creator_cap` bounds videos of one creator in the first ten, `candidates` is how many each
    search asks for; lists are renewed past the soft age and not shown past the hard one.
    `popularity_damping` turns popularity down: 0, as when left out, leaves scores as they are, at 1
    the most popular video is liked for its genres and its age alone.
    `version` may be that of If-Match, as GET gave it.
    """

    weights: WeightsBody | msgspec.UnsetType = msgspec.UNSET
    popularity_damping: Share = _DEFAULT.popularity_damping
    version: int | msgspec.UnsetType = msgspec.UNSET


class ConfigVersion(_Config, frozen=True, kw_only=True):
    """A version of the configuration, with `weights` or `preset`.

    `popularity_damping` is there when it is above 0.
    """

    version: int
    popularity_damping: Share | msgspec.UnsetType = msgspec.UNSET


class ConfigVersions(msgspec.Struct, frozen=True):
    """All versions, newest first."""

    versions: list[ConfigVersion]


class Configs:
    """Reads and replaces the configuration that ranks."""

    def __init__(self, store: ConfigStore) -> None:
        self._store = store

    async def current(self) -> ConfigVersion:
        """The version in force. Raises `Unavailable`."""
        return shown(await self._store.current())

    async def versions(self) -> ConfigVersions:
        """All versions. Raises `Unavailable`."""
        return ConfigVersions([shown(config) for config in await self._store.versions()])

    async def replace(self, body: ConfigBody, if_match: str | None) -> ConfigVersion:
        """Make the version after the one that `if_match` names.

        Raises:
            InvalidInput: a rule is broken, or `if_match` is missing or names no version.
            Conflict: that version is not in force any more.
            Unavailable: nothing was written.
        """
        after = _version(if_match)
        if body.version not in (msgspec.UNSET, after):
            raise InvalidInput(
                "version is that of If-Match, or left out: the new one is given by the service.",
                field="version",
            )
        return shown(await self._store.add(_config(body), after))


def _version(if_match: str | None) -> int:
    """The version of an If-Match header: `3` or `"3"`."""
    found = _VERSION.fullmatch((if_match or "").strip())
    if found is None:
        raise InvalidInput(
            "Send `If-Match: <version>`, the version that this one is to replace.",
            field="If-Match",
        )
    return int(found["quoted"] or found["plain"])


def _config(body: ConfigBody) -> RankingConfig:
    """The configuration that a body describes."""
    if (body.weights is msgspec.UNSET) == (body.preset is msgspec.UNSET):
        raise InvalidInput("Give weights or preset, one of the two.", field="weights")
    if body.soft_age_seconds > body.hard_age_seconds:
        raise InvalidInput(
            "soft_age_seconds is at most hard_age_seconds.", field="soft_age_seconds"
        )
    return RankingConfig(
        weights=_weights(body.weights),
        preset=_DEFAULT.preset if body.preset is msgspec.UNSET else body.preset,
        popularity_damping=body.popularity_damping,
        diversity=body.diversity,
        creator_cap=body.creator_cap,
        candidates=body.candidates,
        soft_age_seconds=body.soft_age_seconds,
        hard_age_seconds=body.hard_age_seconds,
    )


def _weights(body: WeightsBody | msgspec.UnsetType) -> Weights | None:
    if body is msgspec.UNSET:
        return None
    weights = msgspec.structs.asdict(body)
    if not any(weights.values()):
        raise InvalidInput("Of the weights at least one is above 0.", field="weights")
    return Weights(**weights)


def shown(config: RankingConfig) -> ConfigVersion:
    """A configuration as the contract shows it: its weights, else its preset."""
    fields = msgspec.structs.asdict(config)
    weights = fields.pop("weights")
    fields["popularity_damping"] = config.popularity_damping or msgspec.UNSET
    if weights is None:
        return ConfigVersion(**fields)
    del fields["preset"]
    return ConfigVersion(weights=ConfigWeights(**msgspec.structs.asdict(weights)), **fields)
