"""What can't be delivered: it is logged with a warning, or fails the attempt in strict projects."""

from __future__ import annotations

from wvflow.activities.context import ActivityContext
from wvflow.activities.settings import Settings
from wvflow.errors import TaskError


def undelivered(what: str, why: str, settings: Settings, ctx: ActivityContext) -> None:
    """Warn that ``what`` is not sent but logged.

    Raises:
        TaskError: ``NotDelivered``, the project's sinks are strict.
    """
    if settings.strict_sinks:
        raise TaskError("NotDelivered", f"{what} can't be delivered: {why}", retryable=False)
    ctx.logger.warning("%s is only logged: %s", what, why)
