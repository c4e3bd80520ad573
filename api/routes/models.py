"""The versions: which there are, and which one is live."""

from typing import Annotated

from litestar import get, post
from litestar.openapi.spec import Example
from litestar.params import Body, QueryParameter
from litestar.response.base import ASGIResponse

from api.guards import may
from api.openapi import BEARER, answer, problems
from api.routes.common import Given, ModelIdInPath, json
from api.routes.examples import MODEL, MODELS
from api.schemas import ModelBody, ModelList, model_body
from api.schemas_training import CANCELLED_EXAMPLE, QUEUED_EXAMPLE, TRAIN_EXAMPLE, TrainBody
from core.types import ModelStatus, ModelType

TypeFilter = Annotated[
    ModelType | None, QueryParameter(name="model_type", description="Only models of this type.")
]
StatusFilter = Annotated[
    ModelStatus | None, QueryParameter(name="status", description="Only models in this status.")
]
TrainInBody = Annotated[TrainBody, Body(examples=[Example(summary="A month", value=TRAIN_EXAMPLE)])]
_REFUSED = ("unauthenticated", "forbidden", "unavailable")


@get(
    "/recs/models",
    guards=[may("models.read")],
    summary="All models",
    operation_id="list_models",
    tags=["models"],
    security=BEARER,
    responses={
        200: answer(ModelList, "Newest first.", MODELS),
        **problems("invalid_parameter", *_REFUSED),
    },
)
async def find(
    services: Given, model_type: TypeFilter = None, status: StatusFilter = None
) -> ASGIResponse:
    """Models, newest first."""
    found = await services.models.find(model_type, status)
    return json(ModelList([model_body(model) for model in found]))


@get(
    "/recs/models/{model_id:str}",
    guards=[may("models.read")],
    summary="One model",
    operation_id="get_model",
    tags=["models"],
    security=BEARER,
    responses={
        200: answer(ModelBody, "The model.", MODEL),
        **problems("invalid_parameter", "model_not_found", *_REFUSED),
    },
)
async def one(services: Given, model_id: ModelIdInPath) -> ASGIResponse:
    """A model."""
    return json(model_body(await services.models.get(model_id)))


@post(
    "/recs/models/{model_id:str}/promote",
    guards=[may("models.change")],
    status_code=200,
    summary="Make a model live",
    description="A `ready` or `retired` model; replicas follow within a second.",
    operation_id="promote_model",
    tags=["models"],
    security=BEARER,
    responses={
        200: answer(ModelBody, "The model that is live now.", MODEL),
        **problems("invalid_parameter", "model_not_found", "conflict", *_REFUSED),
    },
)
async def promote(services: Given, model_id: ModelIdInPath) -> ASGIResponse:
    """Flip to this model."""
    return json(model_body(await services.promotion.promote(model_id)))


@post(
    "/recs/models/rollback",
    guards=[may("models.change")],
    status_code=200,
    summary="Go back to the model before",
    operation_id="roll_back_model",
    tags=["models"],
    security=BEARER,
    responses={
        200: answer(ModelBody, "The model that is live now.", MODEL),
        **problems("conflict", *_REFUSED),
    },
)
async def rollback(services: Given) -> ASGIResponse:
    """Flip back."""
    return json(model_body(await services.promotion.rollback()))


@post(
    "/recs/train",
    guards=[may("models.change")],
    status_code=202,
    summary="Train a model",
    description=(
        "A worker trains it; one of a type at a time. It trains `als`, `sequence` and `content`. "
        "Too little data ends it as `failed`, with the reason in `error`; one that finds less than "
        "the live model ends as `rejected`, with the numbers in `metrics` and `baseline`."
    ),
    operation_id="train_model",
    tags=["models"],
    security=BEARER,
    responses={
        202: answer(ModelBody, "Queued; `Location` is where to look.", QUEUED_EXAMPLE),
        **problems(
            "invalid_parameter",
            "conflict",
            "payload_too_large",
            "unsupported_media_type",
            *_REFUSED,
        ),
    },
)
async def train(services: Given, data: TrainInBody) -> ASGIResponse:
    """Queue a run."""
    model = await services.training.start(data.model_type, data.start_date, data.end_date)
    body = json(model_body(model), 202)
    body.headers["Location"] = f"/recs/models/{model.id}"
    return body


@post(
    "/recs/models/{model_id:str}/cancel",
    guards=[may("models.change")],
    status_code=200,
    summary="Stop a run",
    description="One that is queued or running; its process ends within 5 s.",
    operation_id="cancel_model",
    tags=["models"],
    security=BEARER,
    responses={
        200: answer(ModelBody, "The cancelled model.", CANCELLED_EXAMPLE),
        **problems("invalid_parameter", "model_not_found", "conflict", *_REFUSED),
    },
)
async def cancel(services: Given, model_id: ModelIdInPath) -> ASGIResponse:
    """End a run."""
    return json(model_body(await services.training.cancel(model_id)))


HANDLERS = (find, one, promote, rollback, train, cancel)
