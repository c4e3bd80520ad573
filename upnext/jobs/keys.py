"""Where a run keeps what belongs to it alone."""

SNAPSHOTS = "snapshots/"
"""Where runs keep the interactions that they learnt from."""


def snapshot_key(model_id: str) -> str:
    """The artifact with the interactions that a model was made from."""
    return f"{SNAPSHOTS}{model_id}.parquet"


RESULTS = "batches/"
"""Where batch jobs keep what they made."""


def result_key(job_id: str) -> str:
    """The artifact with the lists that a batch job made."""
    return f"{RESULTS}{job_id}.ndjson"


def job_of(result: str) -> str:
    """The job whose `result_key` that is."""
    return result.removeprefix(RESULTS).removesuffix(".ndjson")
