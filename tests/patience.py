"""How long is waited for a dependency: by most tests, and by the service as it is shipped.

A busy machine stands still for seconds now and then. What is not about time gives nothing up for
that: the settings that a test makes are `PATIENT` (`tests/conftest.py` sees to it). A test of what
is done without a dependency, and when, says so: `load({**SHIPPED, ...})`.
"""

from collections.abc import Mapping
from typing import Final

from core.settings import Settings

PATIENT: Final[Mapping[str, str]] = {
    "postgres_timeout_seconds": "30",
    "postgres_read_timeout_seconds": "10",
    "redis_timeout_seconds": "10",
    "milvus_timeout_seconds": "20",
    "bus_timeout_seconds": "8",
}
PATIENT_REDIS: Final = float(PATIENT["redis_timeout_seconds"])
PATIENT_BUS: Final = float(PATIENT["bus_timeout_seconds"])
SHIPPED: Final[Mapping[str, str]] = {
    name: str(Settings.model_fields[name].default) for name in PATIENT
}


def variables(settings: Mapping[str, str]) -> dict[str, str]:
    """These settings as environment variables."""
    return {f"UPNEXT_{name.upper()}": value for name, value in settings.items()}
