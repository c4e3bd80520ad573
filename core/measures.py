"""How a metric is made, with what its page says of it: `docs/metrics.md` is written from here."""

import itertools
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Literal

import msgspec
from prometheus_client import Counter, Gauge, Histogram

Kind = Literal["counter", "gauge", "histogram"]
Exposer = Literal["api", "worker"]
Mode = Literal["livesum", "livemax", "livemin", "livemostrecent"]
GONE: Final = math.nan
"""The value of a series that is no longer true: the page leaves out what is not a finite number.

A process cannot take a series out of its mapped file, so it is said with a number.
"""


class Open(msgspec.Struct, frozen=True):
    """Values of a label that nobody can list: what they are, and a pattern that each has."""

    said: str
    pattern: str

    def fits(self, value: str) -> bool:
        """Whether it can be one of them."""
        return re.fullmatch(self.pattern, value) is not None


Values = tuple[str, ...] | Open
"""Those that a label can have."""


class Measure(msgspec.Struct, frozen=True):
    """What there is to know of a metric.

    `name` is as Prometheus shows it · `labels` their values by name · `by` whose page shows it ·
    `across` how to add up what several replicas show, in PromQL.
    """

    name: str
    kind: Kind
    help: str
    by: tuple[Exposer, ...]
    labels: Mapping[str, Values]
    across: str


MEASURES: Final[list[Measure]] = []
"""Every metric there is, in the order in which they were made."""

_ACROSS: Final[Mapping[Mode, str]] = {
    "livesum": "`sum`",
    "livemax": "`max`",
    "livemin": "`min`",
    "livemostrecent": "`max`",
}
_UNSAID: Final[Mapping[Mode, float]] = {"livemostrecent": GONE, "livemin": math.inf}
"""What a gauge begins with that nobody has set yet: any value that is said goes before it."""
ADDED: Final = "`sum` of `rate`"
_COUNTERS: Final[list[tuple[Measure, Counter]]] = []


def counter(name: str, said: str, by: Sequence[Exposer], **labels: Values) -> Counter:
    """A counter; its name gets `_total` where it is shown."""
    measure = Measure(f"{name}_total", "counter", said, tuple(by), labels, ADDED)
    MEASURES.append(measure)
    made = Counter(name, said, list(labels))
    _COUNTERS.append((measure, made))
    return made


def begin(who: Exposer) -> None:
    """Show the counters of such a process from now on, at 0 where nothing was counted yet.

    One that appeared with its first event would hide that from `rate` and `increase`, which see
    only what is added to a series that is there.
    """
    for measure, made in _COUNTERS:
        listed = [values for values in measure.labels.values() if isinstance(values, tuple)]
        if who in measure.by and len(listed) == len(measure.labels) > 0:
            for values in itertools.product(*listed):
                made.labels(*values)


def histogram(
    name: str, said: str, by: Sequence[Exposer], buckets: Sequence[float], **labels: Values
) -> Histogram:
    """A histogram; `buckets` are upper bounds in its unit, rising."""
    MEASURES.append(Measure(name, "histogram", said, tuple(by), labels, ADDED))
    return Histogram(name, said, list(labels), buckets=buckets)


def gauge(name: str, said: str, by: Sequence[Exposer], mode: Mode, **labels: Values) -> Gauge:
    """A gauge of this process (`livesum`), or of all of them.

    `livemax`, `livemin`: the most, the least that any says. `livemostrecent`: what was said last,
    for facts that every process reads in the same place. The last two are not shown until they are
    said.
    """
    MEASURES.append(Measure(name, "gauge", said, tuple(by), labels, _ACROSS[mode]))
    made = Gauge(name, said, list(labels), multiprocess_mode=mode)
    if mode in _UNSAID and not labels:
        made._value.set(_UNSAID[mode], 0.0)  # noqa: SLF001 - before anybody else, not now
    return made


class Family:
    """The series of a gauge that change together: those that are not said again go."""

    def __init__(self, of: Gauge) -> None:
        self._of = of
        self._said: set[tuple[str, ...]] = set()

    def say(self, series: Iterable[tuple[tuple[str, ...], float]]) -> None:
        """All series there are now, by the values of their labels."""
        now = dict(series)
        for labels in self._said - now.keys():
            self._of.labels(*labels).set(GONE)
        for labels, value in now.items():
            self._of.labels(*labels).set(value)
        self._said = set(now)
