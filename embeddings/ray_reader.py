"""Histories from a run's snapshot by Ray: its row groups side by side, on this machine or others.

Each task has the users who begin in its groups, to their ends, and reads them as
`embeddings.history_reader` does. Laid one after the other in the order of the groups they are, bit
for bit, what one process reads: users are sorted, and nobody's history depends on another's.

Ray is imported in here alone, and only when it is asked for.
"""

import os
import secrets
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from core.errors import SetupError, Unavailable
from core.settings import give_children
from core.types import VideoId
from embeddings.dataset import Histories
from embeddings.history_reader import HistoryReader

STORE_BYTES: Final = 256_000_000
"""Shared memory of a Ray of our own: a few parts on their way, and what does not fit on disk."""
PARTS_A_CORE: Final = 4
"""So that one that takes longer does not hold up the rest."""
# What Ray would tell its makers, and where it would keep a secret, is not theirs to choose.
_QUIET: Final = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}
Source: TypeAlias = str | pa.Buffer
"""A file of this machine, or what is in it."""


def check_ray() -> None:
    """Raises `SetupError`: Ray is not installed here."""
    if find_spec("ray") is None:
        raise SetupError(
            "UPNEXT_TRAINING_READER=ray needs Ray, which is not installed: "
            "pip install 'upnext[ray]', or unset it."
        )


def read_by_ray(
    snapshot: Path, row_of: Mapping[VideoId, int], address: str | None = None
) -> Histories:
    """As `embeddings.history_reader.read_snapshot`, in as many processes as there are cores.

    Args:
        snapshot: the file.
        row_of: the row of each video of the catalogue.
        address: of a cluster that runs, such as `ray://head:10001`, which is sent the file; None: a
            Ray of this machine's own, for as long as this takes, which opens it.

    Raises:
        OSError: the file is damaged.
        SetupError: Ray is not installed here.
        Unavailable: it could not be started or reached, or lost its work.
    """
    check_ray()
    try:
        groups = pq.read_metadata(snapshot).num_row_groups
    except pa.ArrowException as error:
        raise OSError(f"{snapshot} cannot be read: {error}") from error
    with _ray(address) as ray:
        parts = list(_parts(ray, snapshot, row_of, groups, sent=address is not None))
    return _joined(parts)


@contextmanager
def _ray(address: str | None) -> Iterator[Any]:
    """Ray for the block; one of our own leaves no process and no file."""
    own = {"RAY_AUTH_TOKEN": secrets.token_hex(32)} if address is None else {}
    give_children({**_QUIET, **own})
    import ray  # noqa: PLC0415 - a second, and 40 MB, that only it is worth

    with TemporaryDirectory(prefix="upnext-ray-", ignore_cleanup_errors=True) as folder:
        # No port beyond this machine; no dashboard.
        alone = {
            "num_cpus": os.cpu_count() or 1,
            "object_store_memory": STORE_BYTES,
            "include_dashboard": False,
            "_temp_dir": folder,
            "_node_ip_address": "127.0.0.1",
        }
        options = alone if address is None else {"address": address}
        try:
            _init(ray, options)
            yield ray
        except (ray.exceptions.RayError, ConnectionError, TimeoutError) as error:
            if isinstance(cause := getattr(error, "cause", None), OSError):
                raise cause from error
            raise Unavailable("ray", f"Ray did not do its work: {error}") from error
        finally:
            ray.shutdown()


def _init(ray: Any, options: Mapping[str, Any]) -> None:  # noqa: ANN401 - the module
    try:
        ray.init(**options, log_to_driver=False, configure_logging=False)
    except RuntimeError as error:  # as it says that its servers were not there in time
        raise Unavailable("ray", f"Ray did not start: {error}") from error


def _parts(
    ray: Any,  # noqa: ANN401 - the module
    snapshot: Path,
    row_of: Mapping[VideoId, int],
    groups: int,
    *,
    sent: bool,
) -> Iterator[Histories]:
    """The parts in order; so many are under way as there are cores, and one waits."""
    cores = max(1, int(ray.cluster_resources().get("CPU", 1)))
    bounds = np.linspace(0, groups, min(groups, cores * PARTS_A_CORE) + 1).astype(int).tolist()
    source = ray.put(pa.py_buffer(snapshot.read_bytes())) if sent else str(snapshot)
    known = ray.put((pa.array(row_of.keys(), pa.string()), np.fromiter(row_of.values(), np.int32)))
    task = ray.remote(_part)
    waiting: deque[Any] = deque()
    for first, last in pairwise(bounds):
        waiting.append(task.remote(source, known, first, last))
        if len(waiting) > cores:
            yield _copied(ray.get(waiting.popleft()))
    while waiting:
        yield _copied(ray.get(waiting.popleft()))


def _part(source: Source, known: tuple[pa.Array, Any], first: int, last: int) -> Histories:
    """The histories of users who begin in the groups from `first` to before `last`."""
    names, rows = known
    row_of = dict(zip(names.to_pylist(), rows.tolist(), strict=True))
    try:
        with (
            pq.ParquetFile(
                pa.BufferReader(source) if isinstance(source, pa.Buffer) else source,
                page_checksum_verification=True,
            ) as file,
            HistoryReader(row_of) as reader,
        ):
            for table in _whole_users(file, first, last):
                reader.take(table)
    except (OSError, pa.ArrowException) as error:  # it depends on where the damage is
        raise OSError(f"a snapshot cannot be read: {error}") from error
    return reader.histories()


def _whole_users(file: pq.ParquetFile, first: int, last: int) -> Iterator[pa.Table]:
    """Their rows: without those of who began before `first`, with those that come after `last`."""
    before = next(
        (
            users[-1]
            for group in range(first - 1, -1, -1)
            if len(users := file.read_row_group(group, ["user_id"]).column(0))
        ),
        None,
    )
    owner = None
    for group in range(first, file.num_row_groups):
        if group >= last and owner is None:
            return
        table = file.read_row_group(group)
        users = table.column("user_id")
        if group >= last:
            kept = table.filter(pc.equal(users, owner))
            yield kept
            if len(kept) < len(table):
                return
            continue
        if owner is None and before is not None:
            table = table.filter(pc.not_equal(users, before))
        if len(table):
            owner = table.column("user_id")[-1]
            yield table


def _copied(part: Histories) -> Histories:
    """Out of the memory that Ray shares, so that it can let go of that."""
    return Histories(
        users=part.users,
        offsets=part.offsets.copy(),
        rows=part.rows.copy(),
        weights=part.weights.copy(),
        times=part.times.copy(),
        count=part.count,
        first=part.first,
        last=part.last,
    )


def _joined(parts: Sequence[Histories]) -> Histories:
    """The parts one after the other."""
    empty = HistoryReader({}).histories()
    all_ = [empty, *parts]
    lengths = np.concatenate([[0], *(np.diff(part.offsets) for part in all_)])
    firsts = [part.first for part in parts if part.first is not None]
    lasts = [part.last for part in parts if part.last is not None]
    return Histories(
        users=[user for part in parts for user in part.users],
        offsets=np.cumsum(lengths).astype(np.int64),
        rows=np.concatenate([part.rows for part in all_]),
        weights=np.concatenate([part.weights for part in all_]),
        times=np.concatenate([part.times for part in all_]),
        count=sum(part.count for part in parts),
        first=min(firsts, default=None),
        last=max(lasts, default=None),
    )
