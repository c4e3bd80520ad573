"""Cron expressions: five fields from minutes to days of the week, or six with seconds last."""

from typing import Final

OFF: Final = "off"
"""In the place of an expression: never."""

LONGEST: Final = 100


def check_cron(expression: str) -> None:
    """Refuse what names no time. Raises `ValueError`, which says what to write."""
    # Not for every process: most have the expressions that were checked as they were written.
    from croniter import CroniterBadDateError, croniter  # noqa: PLC0415

    wanted = f"write a cron expression like '0 3 * * *', in UTC, or {OFF}"
    if len(expression) > LONGEST or not croniter.is_valid(expression):
        raise ValueError(f"{expression[:LONGEST]!r} is none: {wanted}")
    try:
        croniter(expression).get_next()
    except CroniterBadDateError as error:
        raise ValueError(f"{expression!r} is never: {wanted}") from error
