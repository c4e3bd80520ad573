"""Watches that a model learns from, weighed by what is known of watching today."""

import numpy as np
import pyarrow as pa

from ingest.weights import WatchWeights


def weighed(table: pa.Table, weights: WatchWeights) -> pa.Table:
    """Interactions with new weights where it is known how much of how long a video was watched.

    The others keep the one that they came with.

    Args:
        table: with the float64 columns `weight`, and `watched_seconds` and `video_seconds` that
            are null where not known.
        weights: what watches are weighed by.
    """
    watched = table.column("watched_seconds").to_numpy()
    length = table.column("video_seconds").to_numpy()
    known = ~np.isnan(watched) & (length > 0)
    came_with = table.column("weight").to_numpy()
    now = np.where(known, weights.watches(watched, length), came_with)
    return table.set_column(table.column_names.index("weight"), "weight", pa.array(now))
