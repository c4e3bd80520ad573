"""The use case of going live and of going back, over HTTP and in the terminal."""

import asyncio
from collections.abc import Awaitable, Callable, Collection

import structlog

from api.ports import ModelRegistry
from core.errors import Conflict, Unavailable
from core.types import Model

_PROMOTABLE = frozenset({"ready", "retired"})
OPENED_SECONDS = 2.0
"""The longest that a flip waits for replicas to have the version open."""
PREPARED_SECONDS = 3.0
"""The longest that a promotion waits for what is prepared; with the rest it answers within 5 s."""
_AGAIN_SECONDS = 0.1

Collections = Callable[[], Awaitable[Collection[str]]]
"""Names of the index's collections. Raises `Unavailable`."""

Lacking = Callable[[str], Awaitable[Collection[str]]]
"""The running replicas that do not have a version open. Raises `Unavailable`."""

Prepare = Callable[[Model], Awaitable[None]]
"""Makes ready what the model's first answers need; cancelled when it takes too long."""

_log = structlog.get_logger(__name__)


class Promotion:
    """Flips the registry to a model whose vectors the index has; the replicas follow.

    `collections` is None where exact search serves: no index is asked then. Without `lacking` no
    replica is waited for, without `prepare` nothing is prepared.
    """

    def __init__(
        self,
        models: ModelRegistry,
        collections: Collections | None,
        *,
        lacking: Lacking | None = None,
        prepare: Prepare | None = None,
        opened_seconds: float = OPENED_SECONDS,
        prepared_seconds: float = PREPARED_SECONDS,
    ) -> None:
        self._models = models
        self._collections = collections
        self._lacking = lacking
        self._prepare = prepare
        self._opened_seconds = opened_seconds
        self._prepared_seconds = prepared_seconds

    async def promote(self, model_id: str) -> Model:
        """Make a model live.

        Before the flip its lists are prepared, and replicas are given time to open it; what is
        late or fails never stops a promotion.

        Raises:
            ModelNotFound: no such model.
            Conflict: it is not `ready` or `retired`, or its collections are gone.
            Unavailable: nothing changed. While the index does not answer, only a model goes live
                that was live before.
        """
        model = await self._models.get(model_id)
        if model.status in _PROMOTABLE:  # another one is for the registry to refuse, saying why
            await self._check_published(model)
            preparing = asyncio.create_task(self._prepared(model))
            try:
                await self._opened(model)
                await preparing
            finally:
                preparing.cancel()
        return await self._models.promote(model_id)

    async def rollback(self) -> Model:
        """Make the model live that was live before. Nothing is prepared: going back is in a hurry.

        Nor does it need the index to answer: exact search stands in for it.

        Raises:
            Conflict: there is none, or its collections are gone.
            Unavailable: nothing changed.
        """
        previous = await self._models.previous()
        if previous is not None:  # without one the registry refuses, and says why
            await self._check_published(previous)
            await self._opened(previous)
        return await self._models.rollback()

    async def _check_published(self, model: Model) -> None:
        if self._collections is None:
            return
        try:
            there = await self._collections()
        except Unavailable as error:
            if model.status != "retired":  # its vectors were never searched
                raise
            _log.warning(
                "It is not known whether the index has the vectors.",
                version=model.version,
                reason=str(error),
            )
            return
        if f"videos_{model.version}" not in there:
            raise Conflict(
                f"The index has no vectors of model {model.id}: train a new one with "
                f"`upnext train {model.model_type} --promote`."
            )

    async def _opened(self, model: Model) -> None:
        """Wait, not for long, until every running replica has the version open."""
        if self._lacking is None:
            return
        late: Collection[str] = ()
        try:
            async with asyncio.timeout(self._opened_seconds):
                while True:
                    late = await self._lacking(model.version)
                    if not late:
                        return
                    await asyncio.sleep(_AGAIN_SECONDS)
        except TimeoutError:
            _log.warning(
                "Replicas have not opened the version yet; they follow when they have.",
                version=model.version,
                replicas=sorted(late),
            )

    async def _prepared(self, model: Model) -> None:
        if self._prepare is None:
            return
        try:
            async with asyncio.timeout(self._prepared_seconds):
                await self._prepare(model)
        except TimeoutError:
            _log.info("Not everything was prepared in time.", version=model.version)
        except Exception as error:  # noqa: BLE001  (the model can go live without)
            _log.warning("Nothing was prepared.", version=model.version, exc_info=error)
