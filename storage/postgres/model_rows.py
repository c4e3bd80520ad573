"""Rows of the registry as `Model`s."""

from typing import Any

import msgspec
from sqlalchemy import Column, ColumnElement, Row, Select, select
from sqlalchemy.ext.asyncio import AsyncConnection

from core.errors import ModelNotFound
from core.types import Model, ModelStatus
from storage.postgres.tables import models


def to_model(row: Row[Any]) -> Model:
    """The model of a whole row; columns that are only the registry's own are left out."""
    values = {name: getattr(row, name) for name in Model.__struct_fields__}
    return msgspec.convert(values, Model)


def live_row() -> Select[Any]:
    """Selects the live model's row, if there is one."""
    return select(models).where(models.c.status == "live")


def newest(
    status: ModelStatus, by: Column[Any], count: int, *also: ColumnElement[bool]
) -> Select[Any]:
    """Selects the ids of the last `count` models of a status, those being swept left out."""
    mine = select(models.c.id).where(models.c.status == status, models.c.condemned_at.is_(None))
    mine = mine.where(*also)
    return mine.order_by(by.desc(), models.c.id).limit(count)


async def locked(connection: AsyncConnection, model_id: str) -> Row[Any]:
    """The model's row, held until the transaction ends. Raises `ModelNotFound`."""
    found = await connection.execute(
        select(models).where(models.c.id == model_id).with_for_update()
    )
    row = found.one_or_none()
    if row is None:
        raise ModelNotFound(f"There is no model {model_id}: `upnext models list` shows them.")
    return row
