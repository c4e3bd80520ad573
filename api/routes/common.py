"""What routes share: parameters with their rules, and answers that are encoded once."""

from typing import Annotated

import msgspec
from litestar.di import NamedDependency
from litestar.params import PathParameter, QueryParameter, SkipValidation
from litestar.response.base import ASGIResponse

from api.auth import Principal
from api.schemas import ID_PATTERN
from api.services import Services

Given = NamedDependency[SkipValidation[Services]]
Caller = NamedDependency[SkipValidation[Principal]]
UserIdInPath = Annotated[
    str, PathParameter(pattern=ID_PATTERN, description="The user's id.", title="User id")
]
VideoIdInPath = Annotated[
    str, PathParameter(pattern=ID_PATTERN, description="The video's id.", title="Video id")
]
ModelIdInPath = Annotated[
    str, PathParameter(pattern=ID_PATTERN, description="The model's id.", title="Model id")
]
Limit = Annotated[
    int, QueryParameter(name="limit", ge=1, le=100, description="How many videos, at most.")
]

encode = msgspec.json.Encoder().encode


def json(body: msgspec.Struct, status: int = 200) -> ASGIResponse:
    """The body, encoded once and sent as it is."""
    return ASGIResponse(body=encode(body), status_code=status, media_type="application/json")
