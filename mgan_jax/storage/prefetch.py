"""Threads for a loop: `prefetch` prepares its items in advance, `run_behind` performs its jobs in the background.

Both hold a bounded number of items. Their threads have ended when the generator or the block ends.
"""

import collections
import contextlib
import itertools
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent import futures
from typing import Any, NamedTuple


class Prefetched(NamedTuple):
    """The result of one item: the value of the function or the exception that it raised. The other one is None."""

    item: Any
    value: Any
    error: Exception | None


def prefetch(
    function: Callable[[Any], Any],
    items: Iterable,
    *,
    workers: int,
    depth: int,
    waited: Callable[[float], Any] = lambda seconds: None,
    clock: Callable[[], float] = time.monotonic,
) -> Generator[Prefetched, None, None]:
    """Applies `function` to each item in threads, and yields the results in the order of the items.

    An exception of `function` is yielded as a result and does not affect the other items. An exception of `items` is
    raised. Closing the generator drops the items that no thread has begun and waits for the others.

    Args:
        function: called with one item.
        items: iterated in the caller's thread, one item whenever there is room for it.
        workers: number of threads, at least 1.
        depth: number of items that are taken and not yet yielded, at least 1.
        waited: called with the seconds that the caller waited for each result.
        clock: time in seconds.

    Raises:
        ValueError: if `workers` or `depth` is less than 1.
    """
    _require_positive(workers=workers, depth=depth)
    return _results(function, iter(items), workers, depth, waited, clock)


def _results(function, items, workers, depth, waited, clock) -> Generator[Prefetched, None, None]:
    begun: collections.deque[tuple[Any, futures.Future]] = collections.deque()
    executor = futures.ThreadPoolExecutor(workers, thread_name_prefix='prefetch')
    try:
        while True:
            for item in itertools.islice(items, depth - len(begun)):
                begun.append((item, executor.submit(function, item)))
                del item  # no reference is left when it has been yielded
            if not begun:
                return
            start = clock()
            futures.wait([begun[0][1]])
            waited(clock() - start)
            yield _result(*begun.popleft())
    finally:
        executor.shutdown(cancel_futures=True)


def _result(item: Any, future: futures.Future) -> Prefetched:
    error = future.exception()
    if error is None:
        return Prefetched(item, future.result(), None)
    if isinstance(error, Exception):
        return Prefetched(item, None, error)
    raise error  # SystemExit, KeyboardInterrupt


class Submitter(NamedTuple):
    """Submits jobs to threads. It is called from one thread only.

    Attributes:
        executor: the threads.
        jobs: submitted jobs whose exceptions have not been raised yet.
        depth: number of unfinished jobs that may exist.
        waited: called with the seconds that each submission waited for room.
        clock: time in seconds.
    """

    executor: futures.Executor
    jobs: list[futures.Future]
    depth: int
    waited: Callable[[float], Any]
    clock: Callable[[], float]

    def __call__(self, function: Callable, *arguments: Any) -> None:
        """Calls function(*arguments) in a thread, and waits first while `depth` jobs are unfinished.

        Raises the exception of an earlier job instead, each exception once.
        """
        start = self.clock()
        while self.pending >= self.depth:
            futures.wait(self.jobs, return_when=futures.FIRST_COMPLETED)
            self._remove_finished()
        self.waited(self.clock() - start)
        self._remove_finished()
        self.jobs.append(self.executor.submit(function, *arguments))

    @property
    def pending(self) -> int:
        """Number of unfinished jobs."""
        return sum(not job.done() for job in self.jobs)

    def _remove_finished(self) -> None:
        for job in [job for job in self.jobs if job.done()]:
            self.jobs.remove(job)
            if error := job.exception():
                raise error


@contextlib.contextmanager
def run_behind(
    *,
    workers: int,
    depth: int,
    waited: Callable[[float], Any] = lambda seconds: None,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Submitter]:
    """Yields `submit(function, *arguments)`, which performs jobs in `workers` threads, at most `depth` unfinished.

    An exception of a job is raised by the next submission or at the end of the block. The end waits for all jobs, also
    after an exception of the block. `submit.pending` is the number of unfinished jobs. waited, clock: see `prefetch`.

    Raises ValueError if `workers` or `depth` is less than 1.
    """
    _require_positive(workers=workers, depth=depth)
    with futures.ThreadPoolExecutor(workers, thread_name_prefix='behind') as executor:
        jobs: list[futures.Future] = []
        try:
            yield Submitter(executor, jobs, depth, waited, clock)
        except BaseException as error:
            for other in _errors(jobs):
                error.add_note(f'after it, a job behind it raised {other!r}')
            raise
        errors = _errors(jobs)
        for other in errors[1:]:
            errors[0].add_note(f'after it, another job raised {other!r}')
        if errors:
            raise errors[0]


def _errors(jobs: list[futures.Future]) -> list[BaseException]:
    """Waits for all jobs and returns their exceptions."""
    return [error for job in jobs if (error := job.exception())]


def _require_positive(**numbers: int) -> None:
    for name, number in numbers.items():
        if number < 1:
            raise ValueError(f'{number} {name} are given; at least 1 is wanted.')
