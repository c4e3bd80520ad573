"""Where a run keeps what belongs to it alone."""


def snapshot_key(model_id: str) -> str:
    """The artifact with the interactions that a model was made from."""
    return f"snapshots/{model_id}.parquet"
