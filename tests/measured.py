"""Reading what this process measures, and what a page of metrics has that its document lacks."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

import core.metrics  # noqa: F401 - makes what `MEASURES` lists
from core.exposition import exposition
from core.measures import MEASURES, Open

_MORE = re.compile(r"_(bucket|sum|count)$")
_TIMES = "_created"
Labels = tuple[tuple[str, str], ...]
"""Names and values, sorted."""


def value(name: str, **labels: str) -> float:
    """A sample of this process's page, 0 if it is not there."""
    return series(name).get(tuple(sorted(labels.items())), 0.0)


@contextmanager
def counts(wanted: Mapping[str, float]) -> Iterator[None]:
    """The block, if nothing is raised, adds so much to these: named as on this process's page."""

    def now() -> dict[str, float]:
        lines = exposition().decode().splitlines()
        said = dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
        return {one: float(said.get(one, 0)) for one in wanted}

    before = now()
    yield
    assert {one: after - before[one] for one, after in now().items()} == wanted


def series(name: str) -> dict[Labels, float]:
    """All samples of that name on this process's page, by their sorted labels."""
    return by_name(exposition().decode()).get(name, {})


def by_name(page: str) -> dict[str, dict[Labels, float]]:
    """What a page says, by names and labels."""
    found: dict[str, dict[Labels, float]] = {}
    for one in samples(page):
        found.setdefault(one.name, {})[tuple(sorted(one.labels.items()))] = one.value
    return found


def samples(page: str) -> Iterator[Sample]:
    """What a page says."""
    for family in text_string_to_metric_families(page):
        yield from family.samples


def undocumented(page: str, only: str = "upnext_") -> list[str]:
    """What a page has of ours that no document says: metrics, labels, values of labels."""
    found = {
        said
        for one in samples(page)
        if one.name.startswith(only) and not one.name.endswith(_TIMES)
        for said in _undocumented(one)
    }
    return sorted(found)


def _undocumented(one: Sample) -> Iterator[str]:
    known = {measure.name: measure for measure in MEASURES}
    measure = known.get(one.name) or known.get(_MORE.sub("", one.name))
    if measure is None:
        yield one.name
        return
    labels = {name: said for name, said in one.labels.items() if name != "le"}
    if labels.keys() != measure.labels.keys():
        yield f"{one.name}{{{','.join(sorted(labels))}}}"
        return
    for name, said in labels.items():
        values = measure.labels[name]
        fits = values.fits(said) if isinstance(values, Open) else said in values
        if not fits:
            yield f'{one.name}{{{name}="{said}"}}'
