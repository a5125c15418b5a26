"""One call of one function: rows, arguments and context go in, a stream of rows comes out.

The function runs on the calling thread, a coroutine on an event loop of its own there. Whatever the user's code lets
out, at once or while its rows are read, becomes a ``TaskError``. So does what a function returns that has heard that it
should stop: it is what was done until then, and would pass for all of it.
"""

from __future__ import annotations

import inspect
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from wvflow.activities.annotations import MISSING, Shape, without_none
from wvflow.activities.arguments import bind, wrong_argument
from wvflow.activities.context import context_of
from wvflow.activities.discovery import Registered, wrong_rows
from wvflow.activities.failures import task_error
from wvflow.activities.results import BATCH_ROWS, read_result
from wvflow.activities.rows import form_of
from wvflow.errors import TaskError
from wvflow.ports.activities import ActivityCall
from wvflow.ports.stop import Stop

if TYPE_CHECKING:
    import asyncio

    import pyarrow as pa

T = TypeVar("T")


def invoke(activity: Registered, call: ActivityCall, stop: Stop) -> pa.RecordBatchReader | None:
    """Call the function and return its rows, None when it returned None.

    Raises:
        TaskError: as the port says. Reading the rows raises it, too.
    """
    heard = Heard(stop)
    try:
        bound = _bound(activity, call, heard)
        result = activity.function(*bound.args, **bound.kwargs)
        if inspect.isawaitable(result):
            result = _awaited(result, stop)
        if inspect.isasyncgen(result):
            result = _drained(result, stop)
        rows = read_result(result, activity.shape.returns)
        heard.check()
    except BaseException as error:
        _raise_recorded(error, stop)
    return None if rows is None else _guarded(rows, heard)


class Heard:
    """A ``Stop`` that knows whether somebody who asked was told to stop."""

    def __init__(self, stop: Stop) -> None:
        self._stop = stop
        self._told = False
        self.on_request = stop.on_request
        self.on_abandon = stop.on_abandon

    @property
    def requested(self) -> bool:
        self._told = self._told or self._stop.requested
        return self._told

    def check(self) -> None:
        """Raises: TaskError, ``Interrupted``: it was told, so what it returns is cut short."""
        if self._told:
            raise TaskError("Interrupted", "the activity was stopped")


def _bound(activity: Registered, call: ActivityCall, stop: Stop) -> inspect.BoundArguments:
    shape = activity.shape
    given = bind(activity.name, shape, call.arguments)
    if shape.rows is not None:
        given |= _rows(activity, shape.rows, call)
    if shape.context is not None:
        given[shape.context] = context_of(call, stop)
    return _in_order(shape, given)


def _rows(activity: Registered, parameter: inspect.Parameter, call: ActivityCall) -> dict[str, object]:
    form = form_of(parameter.annotation)
    if form is None:
        raise wrong_argument(*wrong_rows(activity))
    if call.rows is not None:
        return {parameter.name: form.make(call.rows())}
    if parameter.default is not MISSING:
        return {}
    if without_none(parameter.annotation)[1]:
        return {parameter.name: None}
    raise wrong_argument(
        f"`{activity.name}` takes rows, but is called without any",
        f"pipe rows into it, as in `from … | {activity.name}()`, or give `{parameter.name}` a default",
    )


def _in_order(shape: Shape, given: dict[str, object]) -> inspect.BoundArguments:
    named = OrderedDict((name, given.pop(name)) for name in shape.signature.parameters if name in given)
    if given:
        variadic = next(p.name for p in shape.signature.parameters.values() if p.kind is p.VAR_KEYWORD)
        named[variadic] = given
    bound = inspect.BoundArguments(shape.signature, named)  # as ``bind`` makes it, which would check once more
    bound.apply_defaults()
    return bound


def _awaited(result: Awaitable[T], stop: Stop) -> T:
    import asyncio

    with asyncio.Runner() as runner:
        return runner.run(_cancellable(result, stop))


async def _cancellable(work: Awaitable[T], stop: Stop) -> T:
    """The work, cancelled when a stop is requested from another thread."""
    import asyncio

    task, loop = asyncio.current_task(), asyncio.get_running_loop()
    assert task is not None
    undo = stop.on_request(lambda: _cancel(loop, task.cancel))
    try:
        return await work
    finally:
        undo()


def _cancel(loop: asyncio.AbstractEventLoop, cancel: Callable[[], object]) -> None:
    try:
        loop.call_soon_threadsafe(cancel)
    except RuntimeError:  # the loop closed meanwhile: there is nothing left to cancel
        pass


def _drained(source: AsyncIterator[Any], stop: Stop) -> Iterator[Any]:
    """The items of an asynchronous generator, a batch at a time."""
    import asyncio

    with asyncio.Runner() as runner:
        while batch := runner.run(_cancellable(_next_items(source), stop)):
            yield from batch


async def _next_items(source: AsyncIterator[Any]) -> list[Any]:
    items: list[Any] = []
    async for item in source:
        items.append(item)
        if len(items) == BATCH_ROWS:
            break
    return items


def _guarded(rows: pa.RecordBatchReader, heard: Heard) -> pa.RecordBatchReader:
    """The same rows; an error of the code that makes them is a ``TaskError`` here too."""
    import pyarrow as pa

    def batches() -> Iterator[pa.RecordBatch]:
        try:
            yield from rows
            heard.check()
        except GeneratorExit:
            raise
        except BaseException as error:
            _raise_recorded(error, heard)

    return pa.RecordBatchReader.from_batches(rows.schema, batches())


def _raise_recorded(error: BaseException, stop: Stop) -> NoReturn:
    recorded = task_error(error)
    if stop.requested and type(error).__name__ == "CancelledError":
        recorded = TaskError("Interrupted", "the activity was stopped")
    if recorded is error:
        raise error
    raise recorded from error
