"""Where a run keeps what belongs to it alone."""


def snapshot_key(model_id: str) -> str:
    """The artifact with the interactions that a model was made from."""
    return f"snapshots/{model_id}.parquet"


RESULTS = "batches/"
"""Where batch jobs keep what they made."""


def result_key(job_id: str) -> str:
    """The artifact with the lists that a batch job made."""
    return f"{RESULTS}{job_id}.ndjson"
