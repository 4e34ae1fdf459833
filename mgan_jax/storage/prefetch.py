"""Threads around the device: what it needs is made ahead of it, what it leaves is put away behind it. No GAN, no files.

Both keep a bounded number of things in the memory, and end with all their threads gone.
"""

import collections
import contextlib
import itertools
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent import futures
from typing import Any, NamedTuple


class Prefetched(NamedTuple):
    """What became of an item: the value of the function, or the exception that it raised; the other one is None."""

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
    """Applies `function` to each item in threads; yields what becomes of them in the order of the items.

    Items are taken, in the caller's thread, when there is room for them: at most `depth` are started and not yet yielded.
    An exception of `function` comes in its place and stops none of the others; one of `items` itself is raised. Closing the
    generator drops what has not begun and waits for what has. waited(seconds): told how long the caller had to wait for
    each outcome, 0 as a rule where the threads are quicker than the caller.
    """
    _require_positive(workers=workers, depth=depth)
    return _ahead(function, iter(items), workers, depth, waited, clock)


def _ahead(function, items, workers, depth, waited, clock) -> Generator[Prefetched, None, None]:
    begun: collections.deque[tuple[Any, futures.Future]] = collections.deque()
    executor = futures.ThreadPoolExecutor(workers, thread_name_prefix='ahead')
    try:
        while True:
            for item in itertools.islice(items, depth - len(begun)):
                begun.append((item, executor.submit(function, item)))
                del item  # once it is yielded, nobody else keeps it
            if not begun:
                return
            began = clock()
            futures.wait([begun[0][1]])
            waited(clock() - began)
            yield _outcome(*begun.popleft())
    finally:
        executor.shutdown(cancel_futures=True)


def _outcome(item: Any, future: futures.Future) -> Prefetched:
    error = future.exception()
    if error is None:
        return Prefetched(item, future.result(), None)
    if isinstance(error, Exception):
        return Prefetched(item, None, error)
    raise error  # SystemExit and its like are no outcome


class Submitter(NamedTuple):
    """Jobs on their way; call it to submit one. For one caller: it is no meeting point of threads."""

    executor: futures.Executor
    jobs: list[futures.Future]
    depth: int
    waited: Callable[[float], Any]
    clock: Callable[[], float]

    def __call__(self, function: Callable, *arguments: Any) -> None:
        """Has function(*arguments) done in a thread; waits while `depth` jobs are pending. Raises, instead of submitting,
        what a job before this one raised, each exception once."""
        began = self.clock()
        while self.pending >= self.depth:
            futures.wait(self.jobs, return_when=futures.FIRST_COMPLETED)
            self._collect()
        self.waited(self.clock() - began)
        self._collect()
        self.jobs.append(self.executor.submit(function, *arguments))

    @property
    def pending(self) -> int:
        """How many jobs are not done yet."""
        return sum(not job.done() for job in self.jobs)

    def _collect(self) -> None:
        """Forgets what is done; raises the first exception that nobody has seen."""
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
    """Yields `submit(function, *arguments)`, which has jobs done in threads, at most `depth` of them pending.

    What a job raises is raised in the caller, at the next submission or at the end of the block. The end waits for all
    jobs, after an exception of the block as well: what was submitted is done. `submit.pending` tells how many are not done;
    waited(seconds): told how long each submission had to wait for room.
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
    """Waits for all jobs; -> what they raised."""
    return [error for job in jobs if (error := job.exception())]


def _require_positive(**numbers: int) -> None:
    for name, number in numbers.items():
        if number < 1:
            raise ValueError(f'{number} {name} are given for a stream; at least 1 is wanted.')
