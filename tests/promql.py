"""Which series a PromQL expression reads: names, labels they are selected by, labels that are kept.

It knows PromQL as far as rules and dashboards need it, and refuses what it does not know. Not a
parser: it does not see whether an expression means anything (promtool does, in `make check-ops`).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

_TOKEN = re.compile(
    r"""
      (?P<space>\s+|\#[^\n]*)
    | (?P<string>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`[^`]*`)
    | (?P<range>\[(?:\d+[smhdwy](?::\d+[smhdwy])?|\$__rate_interval)\])
    | (?P<number>(?:\d+(?:\.\d+)?(?:e[+-]?\d+)?|Inf|NaN)(?![\w:]))
    | (?P<duration>(?:\d+(?:ms|[smhdwy]))+)
    | (?P<name>[a-zA-Z_:][\w:]*)
    | (?P<operator>=~|!~|!=|==|<=|>=|[-+*/%^=<>(){},@])
    """,
    re.VERBOSE,
)
_AGGREGATIONS = {"sum", "min", "max", "avg", "count", "topk", "quantile"}
_WORDS = {"and", "or", "unless", "bool", "offset"}
_KEEPING = {"by", "on"}
_FUNCTIONS = {
    *("absent", "changes", "delta", "increase", "rate", "resets", "time", "vector"),
    *("avg_over_time", "last_over_time", "max_over_time", "min_over_time", "sum_over_time"),
    *("clamp_max", "histogram_quantile", "label_replace"),
}


@dataclass
class Selected:
    """A selector: a metric's name, and each label with its matcher (`=`, `!=`, `=~`, `!~`)."""

    name: str
    matchers: dict[str, tuple[str, str]] = field(default_factory=dict)


@dataclass
class Expression:
    """What an expression reads; `grouped` are labels of `by` and `on`."""

    selected: list[Selected] = field(default_factory=list)
    grouped: set[str] = field(default_factory=set)


def read(expression: str) -> Expression:
    """Take an expression apart. Raises `ValueError` for what it does not know."""
    found, tokens = Expression(), list(_tokens(expression))
    position = 0
    while position < len(tokens):
        kind, text = tokens[position]
        after = tokens[position + 1][1] if position + 1 < len(tokens) else ""
        position += 1
        if kind != "name" or text in _WORDS:
            continue
        if text in _KEEPING:
            labels, position = _labels(tokens, position)
            found.grouped.update(labels)
        elif text in _AGGREGATIONS and after in {"(", "by"}:
            continue
        elif after == "(":
            if text not in _FUNCTIONS:
                raise ValueError(f"{text}() is not known here: {expression}")
        else:
            matchers, position = _matchers(tokens, position)
            found.selected.append(Selected(text, matchers))
    return found


def _tokens(expression: str) -> Iterator[tuple[str, str]]:
    position = 0
    while position < len(expression):
        found = _TOKEN.match(expression, position)
        if found is None:
            raise ValueError(f"what is {expression[position : position + 20]!r} in {expression!r}?")
        position = found.end()
        if found.lastgroup != "space":
            yield str(found.lastgroup), found[0]


def _labels(tokens: list[tuple[str, str]], position: int) -> tuple[list[str], int]:
    """The names in brackets that begin at `position`, and where they end."""
    if position >= len(tokens) or tokens[position][1] != "(":
        raise ValueError("labels in brackets are missing")
    labels: list[str] = []
    for end in range(position + 1, len(tokens)):
        kind, text = tokens[end]
        if text == ")":
            return labels, end + 1
        if kind == "name":
            labels.append(text)
    raise ValueError("a bracket is not closed")


def _matchers(
    tokens: list[tuple[str, str]], position: int
) -> tuple[dict[str, tuple[str, str]], int]:
    """What is in braces that begin at `position`, if any do, and where they end."""
    matchers: dict[str, tuple[str, str]] = {}
    if position >= len(tokens) or tokens[position][1] != "{":
        return matchers, position
    position += 1
    while tokens[position][1] != "}":
        (_, label), (_, how), (_, value) = tokens[position : position + 3]
        matchers[label] = how, value[1:-1]
        position += 3
        if tokens[position][1] == ",":
            position += 1
    return matchers, position + 1
