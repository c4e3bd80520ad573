"""Breaking changes between two documents: each kind is found, and what harms nobody is not."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest

from tests.contract_http.breaking import breaking_changes

pytestmark = pytest.mark.unit

Document = dict[str, Any]
TEXT = {"type": "string"}
BEFORE: Document = {
    "paths": {
        "/lists/{id}": {
            "post": {
                "parameters": [
                    {"in": "query", "name": "limit", "schema": {"type": "integer", "maximum": 100}},
                    {"in": "query", "name": "type", "schema": {"enum": ["new", "old"]}},
                ],
                "requestBody": {
                    "content": {
                        "application/json": {"schema": {"$ref": "#/components/schemas/Ask"}}
                    }
                },
                "responses": {
                    "200": {
                        "headers": {"X-Request-ID": {"schema": TEXT}},
                        "content": {
                            "application/json": {"schema": {"$ref": "#/components/schemas/List"}}
                        },
                    },
                    "404": {"content": {}},
                },
            }
        }
    },
    "components": {
        "schemas": {
            "Ask": {
                "properties": {"title": TEXT, "age": {"type": ["integer", "null"]}},
                "required": ["title"],
            },
            "List": {
                "type": "object",
                "properties": {
                    "items": {"type": "array", "items": {"$ref": "#/components/schemas/Item"}},
                    "first": {"oneOf": [{"$ref": "#/components/schemas/Item"}, {"type": "null"}]},
                    "kind": {"enum": ["a", "b"]},
                },
                "required": ["items", "first", "kind"],
            },
            "Item": {
                "type": "object",
                "properties": {"id": TEXT, "score": {"type": "number"}},
                "required": ["id", "score"],
            },
        }
    },
}


def operation(document: Document) -> Document:
    found: Document = document["paths"]["/lists/{id}"]["post"]
    return found


def schema(document: Document, name: str) -> Document:
    found: Document = document["components"]["schemas"][name]
    return found


def parameter(document: Document, at: int) -> Document:
    found: Document = operation(document)["parameters"][at]
    return found


Change = Callable[[Document], object]
BREAKS: dict[str, Change] = {
    "POST /lists/{id} is gone": lambda new: new["paths"].clear(),
    "POST /lists/{id} query parameter type is gone": lambda new: operation(new)["parameters"].pop(),
    "POST /lists/{id} query parameter limit is required now": lambda new: parameter(new, 0).update(
        required=True
    ),
    "POST /lists/{id} query parameter limit has maximum 50 now": lambda new: parameter(new, 0)[
        "schema"
    ].update(maximum=50),
    "POST /lists/{id} query parameter limit may not be integer now": lambda new: parameter(new, 0)[
        "schema"
    ].update(type="string"),
    "POST /lists/{id} query parameter type may not be old now": lambda new: parameter(new, 1)[
        "schema"
    ]["enum"].pop(),
    "POST /lists/{id} query parameter who is new and required": lambda new: operation(new)[
        "parameters"
    ].append({"in": "query", "name": "who", "required": True, "schema": TEXT}),
    "POST /lists/{id} takes no body any more": lambda new: operation(new).pop("requestBody"),
    "POST /lists/{id} does not answer 200 any more": lambda new: operation(new)["responses"].pop(
        "200"
    ),
    "POST /lists/{id} 200 has no header X-Request-ID any more": lambda new: operation(new)[
        "responses"
    ]["200"]["headers"].clear(),
    "Ask.age is gone": lambda new: schema(new, "Ask")["properties"].pop("age"),
    "Ask.age is required now": lambda new: schema(new, "Ask")["required"].append("age"),
    "Ask.age may not be null now": lambda new: schema(new, "Ask")["properties"].update(
        age={"type": "integer"}
    ),
    "Ask.title has maxLength 9 now": lambda new: schema(new, "Ask")["properties"].update(
        title={"type": "string", "maxLength": 9}
    ),
    "List.kind may be c now": lambda new: schema(new, "List")["properties"]["kind"]["enum"].append(
        "c"
    ),
    "List.kind is not always there any more": lambda new: schema(new, "List")["required"].pop(),
    "Item.id is gone": lambda new: schema(new, "Item")["properties"].pop("id"),
    "Item.score may be null now": lambda new: schema(new, "Item")["properties"].update(
        score={"type": ["number", "null"]}
    ),
    "Item.score may be string now": lambda new: schema(new, "Item")["properties"].update(
        score=TEXT
    ),
}
HARMLESS: dict[str, Change] = {
    "nothing": lambda _new: None,
    "another operation": lambda new: new["paths"].update({"/more": {"get": {"responses": {}}}}),
    "a parameter more": lambda new: operation(new)["parameters"].append(
        {"in": "query", "name": "who", "schema": TEXT}
    ),
    "a wider range": lambda new: parameter(new, 0)["schema"].update(maximum=200),
    "a value more to ask with": lambda new: parameter(new, 1)["schema"]["enum"].append("odd"),
    "a field more to send": lambda new: schema(new, "Ask")["properties"].update(more=TEXT),
    "a field more to read": lambda new: schema(new, "Item")["properties"].update(more=TEXT),
    "a whole number for a number": lambda new: schema(new, "Item")["properties"].update(
        score={"type": "integer"}
    ),
    "an error less": lambda new: operation(new)["responses"].pop("404"),
}


@pytest.mark.parametrize("said", BREAKS)
def test_a_break_is_found(said: str) -> None:
    after = deepcopy(BEFORE)
    BREAKS[said](after)
    assert breaking_changes(BEFORE, after) == [said]


@pytest.mark.parametrize("named", HARMLESS)
def test_what_harms_nobody_is_no_break(named: str) -> None:
    after = deepcopy(BEFORE)
    HARMLESS[named](after)
    assert breaking_changes(BEFORE, after) == []
