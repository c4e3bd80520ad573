"""The use case of going live and of going back, over HTTP and in the terminal."""

from collections.abc import Awaitable, Callable, Collection

from api.ports import ModelRegistry
from core.errors import Conflict
from core.types import Model

_PROMOTABLE = frozenset({"ready", "retired"})

Collections = Callable[[], Awaitable[Collection[str]]]
"""Names of the index's collections. Raises `Unavailable`."""


class Promotion:
    """Flips the registry to a model whose vectors the index has; the replicas follow."""

    def __init__(self, models: ModelRegistry, collections: Collections) -> None:
        self._models = models
        self._collections = collections

    async def promote(self, model_id: str) -> Model:
        """Make a model live.

        Raises:
            ModelNotFound: no such model.
            Conflict: it is not `ready` or `retired`, or its collections are gone.
            Unavailable: nothing changed.
        """
        await self._check_published(await self._models.get(model_id))
        return await self._models.promote(model_id)

    async def rollback(self) -> Model:
        """Make the model live that was live before.

        Raises:
            Conflict: there is none, or its collections are gone.
            Unavailable: nothing changed.
        """
        previous = await self._models.previous()
        if previous is not None:  # without one the registry refuses, and says why
            await self._check_published(previous)
        return await self._models.rollback()

    async def _check_published(self, model: Model) -> None:
        """A model in another state is for the registry to refuse, which says why."""
        if model.status not in _PROMOTABLE:
            return
        if f"videos_{model.version}" not in await self._collections():
            raise Conflict(
                f"The index has no vectors of model {model.id}: train a new one with "
                "`upnext embeddings rebuild`."
            )
