# What type checkers and editors see; a stub, so that the layers below may import this package for its version.

from wvflow.activities.context import ActivityContext as ActivityContext
from wvflow.activities.decorator import activity as activity
from wvflow.activities.decorator import sink as sink
from wvflow.errors import NonRetryable as NonRetryable
from wvflow.errors import Retry as Retry
from wvflow.errors import WvflowError as WvflowError
from wvflow.service.api import Program as Program
from wvflow.service.api import RunHandle as RunHandle
from wvflow.service.api import RunResult as RunResult
from wvflow.service.api import load as load

__version__: str
__all__: list[str]
