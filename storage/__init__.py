"""Adapters of the stores and the bus, and the servers that can be started beside us."""

import core.settings  # noqa: F401 - before gRPC, which reads what it sets as it is imported
