"""Cron expressions: five fields from minutes to days of the week, or six with seconds last."""

from typing import Final

OFF: Final = "off"
"""In the place of an expression: never."""

LONGEST: Final = 100
MOST_FIELDS: Final = 6


def check_cron(expression: str) -> None:
    """Refuse what names no time. Raises `ValueError`, which says what to write."""
    # Not for every process: most have the expressions that were checked as they were written.
    from croniter import CroniterBadDateError, croniter  # noqa: PLC0415

    wanted = f"write a cron expression like '0 3 * * *', in UTC, or {OFF}"
    fields = expression.split()
    # A year, where nothing comes after it, would end the worker that waits for the next time.
    many = len(fields) > MOST_FIELDS
    # `R` is drawn at random by each process: no two workers would mean the same time.
    drawn = any(field[0] in "rR" for field in fields)
    if len(expression) > LONGEST or many or drawn or not croniter.is_valid(expression):
        raise ValueError(f"{expression[:LONGEST]!r} is none: {wanted}")
    try:
        croniter(expression).get_next()
    except CroniterBadDateError as error:
        raise ValueError(f"{expression!r} is never: {wanted}") from error
