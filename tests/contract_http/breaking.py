"""What of an OpenAPI document a caller of the one before would miss: its breaking changes.

Taking away what callers use, asking more of them, or answering what they have no word for: an
operation, a parameter, a field or a status that is gone, a type that changed, a new required
parameter or request field, a narrower request, a wider answer. Adding what nobody has to send or
to read is no break.
"""

from collections.abc import Iterator, Mapping
from typing import Any

Schema = Mapping[str, Any]

_TIGHTER_IF_LESS = ("maximum", "maxLength", "maxItems", "exclusiveMaximum")
_TIGHTER_IF_MORE = ("minimum", "minLength", "minItems", "exclusiveMinimum")


def breaking_changes(before: Schema, after: Schema) -> list[str]:
    """One sentence for each break, in the document's order; empty when there is none."""
    found = _Comparison(before, after)
    return list(dict.fromkeys(found.operations()))


class _Comparison:
    """Two documents; a schema that is compared once in a direction is not compared again."""

    def __init__(self, before: Schema, after: Schema) -> None:
        self._before = before
        self._after = after
        self._seen: set[tuple[str, str, bool]] = set()

    def operations(self) -> Iterator[str]:
        for path, methods in self._before["paths"].items():
            for method, operation in methods.items():
                name = f"{method.upper()} {path}"
                now = self._after["paths"].get(path, {}).get(method)
                if now is None:
                    yield f"{name} is gone"
                else:
                    yield from self._operation(name, operation, now)

    def _operation(self, name: str, before: Schema, after: Schema) -> Iterator[str]:
        yield from self._parameters(name, before, after)
        yield from self._request(name, before.get("requestBody"), after.get("requestBody"))
        for status, answer in before["responses"].items():
            now = after["responses"].get(status)
            if now is None:
                # Nobody misses an error that is not made any more.
                if status < "400":
                    yield f"{name} does not answer {status} any more"
                continue
            yield from self._answer(f"{name} {status}", answer, now)

    def _parameters(self, name: str, before: Schema, after: Schema) -> Iterator[str]:
        old = {_key(entry): entry for entry in before.get("parameters", [])}
        new = {_key(entry): entry for entry in after.get("parameters", [])}
        for key, entry in old.items():
            where = f"{name} {key}"
            if key not in new:
                yield f"{where} is gone"
                continue
            if new[key].get("required") and not entry.get("required"):
                yield f"{where} is required now"
            yield from self._schema(where, entry["schema"], new[key]["schema"], sent=True)
        for key in new.keys() - old.keys():
            if new[key].get("required"):
                yield f"{name} {key} is new and required"

    def _request(self, name: str, before: Schema | None, after: Schema | None) -> Iterator[str]:
        if after is None:
            if before is not None:
                yield f"{name} takes no body any more"
            return
        if before is None:
            if after.get("required"):
                yield f"{name} requires a body now"
            return
        yield from self._contents(f"{name} body", before, after, sent=True)

    def _answer(self, name: str, before: Schema, after: Schema) -> Iterator[str]:
        gone = before.get("headers", {}).keys() - after.get("headers", {}).keys()
        yield from (f"{name} has no header {header} any more" for header in sorted(gone))
        yield from self._contents(name, before, after, sent=False)

    def _contents(self, name: str, before: Schema, after: Schema, *, sent: bool) -> Iterator[str]:
        new = after.get("content", {})
        for kind, content in before.get("content", {}).items():
            if kind not in new:
                yield f"{name} is not {kind} any more"
            elif "schema" in content:
                now = new[kind].get("schema", {})
                yield from self._schema(name, content["schema"], now, sent=sent)

    def _schema(self, name: str, before: Schema, after: Schema, *, sent: bool) -> Iterator[str]:
        pair = (before.get("$ref", ""), after.get("$ref", ""), sent)
        if all(pair[:2]):
            if pair in self._seen:
                return
            self._seen.add(pair)
            name = before["$ref"].rpartition("/")[2]
        old, new = _resolved(self._before, before), _resolved(self._after, after)
        yield from self._types(name, old, new, sent=sent)
        yield from _values(name, old, new, sent=sent)
        if sent:
            yield from _bounds(name, old, new)
        yield from self._fields(name, old, new, sent=sent)
        for word in ("items", "additionalProperties"):
            if isinstance(old.get(word), dict) and isinstance(new.get(word), dict):
                yield from self._schema(f"{name}[]", old[word], new[word], sent=sent)
        for one, other in _same_parts(old, new):
            yield from self._schema(name, one, other, sent=sent)

    def _types(self, name: str, before: Schema, after: Schema, *, sent: bool) -> Iterator[str]:
        """Types that a caller may no longer send, or has to read without having been told."""
        old, new = _type_names(self._before, before), _type_names(self._after, after)
        if not old or not new:  # anything at all
            return
        lost = _without(old, new) if sent else _without(new, old)
        if lost:
            verb = "may not be" if sent else "may be"
            yield f"{name} {verb} {' or '.join(sorted(lost))} now"

    def _fields(self, name: str, before: Schema, after: Schema, *, sent: bool) -> Iterator[str]:
        old, new = before.get("properties", {}), after.get("properties", {})
        was, now = set(before.get("required", ())), set(after.get("required", ()))
        for field, schema in old.items():
            where = f"{name}.{field}"
            if field not in new:
                yield f"{where} is gone"
                continue
            if sent and field in now - was:
                yield f"{where} is required now"
            if not sent and field in was - now:
                yield f"{where} is not always there any more"
            yield from self._schema(where, schema, new[field], sent=sent)
        if sent:
            yield from (f"{name}.{field} is new and required" for field in sorted(now - set(old)))


def _key(parameter: Schema) -> str:
    return f"{parameter['in']} parameter {parameter['name']}"


def _resolved(document: Schema, schema: Schema) -> Schema:
    """The schema that a reference, or a list of one, stands for."""
    while "$ref" in schema or len(schema.get("allOf", ())) == 1:
        if "$ref" in schema:
            schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
        else:
            schema = schema["allOf"][0]
    return schema


def _same_parts(before: Schema, after: Schema) -> list[tuple[Schema, Schema]]:
    """The named schemas of two unions that stand for the same: the only ones, or by name."""
    old, new = _named_parts(before), _named_parts(after)
    if len(old) == len(new) == 1:
        return list(zip(old.values(), new.values(), strict=True))
    return [(old[name], new[name]) for name in old if name in new]


def _named_parts(schema: Schema) -> dict[str, Schema]:
    return {part["$ref"]: part for part in _parts(schema) if "$ref" in part}


def _parts(schema: Schema) -> list[Schema]:
    return [*schema.get("oneOf", ()), *schema.get("anyOf", ())]


def _without(some: set[str], others: set[str]) -> set[str]:
    return {name for name in some - others if not (name == "integer" and "number" in others)}


def _type_names(document: Schema, schema: Schema) -> set[str]:
    schema = _resolved(document, schema)
    parts = _parts(schema)
    if parts:
        return set().union(*(_type_names(document, part) for part in parts))
    given = schema.get("type", ())
    return {given} if isinstance(given, str) else set(given)


def _values(name: str, before: Schema, after: Schema, *, sent: bool) -> Iterator[str]:
    """Values of an enumeration that are refused now, or that answers did not have."""
    old, new = _enumerated(before), _enumerated(after)
    if sent and new is not None and old != new:
        gone = sorted(map(str, old - new)) if old is not None else ["anything else"]
        if gone:
            yield f"{name} may not be {', '.join(gone)} now"
    if not sent and old is not None and new is not None and new - old:
        yield f"{name} may be {', '.join(sorted(map(str, new - old)))} now"
    if not sent and old is not None and new is None:
        yield f"{name} may be anything now"


def _enumerated(schema: Schema) -> set[Any] | None:
    if "const" in schema:
        return {schema["const"]}
    for part in (schema, *_parts(schema)):
        if "enum" in part:
            return set(part["enum"]) - {None}
    return None


def _bounds(name: str, before: Schema, after: Schema) -> Iterator[str]:
    for word in (*_TIGHTER_IF_LESS, *_TIGHTER_IF_MORE):
        old, new = before.get(word), after.get(word)
        if new is None or old == new:
            continue
        if old is None or (new < old) == (word in _TIGHTER_IF_LESS):
            yield f"{name} has {word} {new} now"
    if after.get("pattern") not in {None, before.get("pattern")}:
        yield f"{name} has another pattern now"
