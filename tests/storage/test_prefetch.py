"""Prefetching of items and jobs in the background."""

import gc
import threading
import time
import weakref

import pytest

from mgan_jax.storage import prefetch


@pytest.fixture(autouse=True)
def no_thread_is_left():
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) <= before


class Thing:
    """An object whose references can be counted."""

    def __init__(self, number):
        self.number = number


def things(count, taken, alive=None):
    for number in range(count):
        thing = Thing(number)
        taken.append(number)
        if alive is not None:
            alive.add(thing)
        yield thing
        del thing


# prefetch


@pytest.mark.parametrize('workers', [1, 3])
@pytest.mark.parametrize('depth', [1, 2, 7])
def test_results_are_in_the_order_of_the_items(workers, depth):
    def square(number):
        time.sleep(0.002 * (number % 3 == 0))
        return number**2

    outcomes = list(prefetch.prefetch(square, range(20), workers=workers, depth=depth))
    assert outcomes == [prefetch.Prefetched(number, number**2, None) for number in range(20)]


def test_no_items():
    assert list(prefetch.prefetch(str, [], workers=2, depth=2)) == []


def test_items_are_processed_in_parallel():
    together = threading.Barrier(3, timeout=10)
    outcomes = list(prefetch.prefetch(lambda item: together.wait(), range(3), workers=3, depth=3))
    assert [outcome.error for outcome in outcomes] == [None] * 3


@pytest.mark.parametrize('depth', [1, 3])
def test_items_are_taken_when_there_is_room(depth):
    taken, started = [], []
    stream = prefetch.prefetch(lambda thing: started.append(thing.number), things(10, taken), workers=2, depth=depth)
    assert taken == []
    for number in range(5):
        assert next(stream).item.number == number
        assert taken == list(range(number + depth))
    stream.close()
    assert taken == list(range(4 + depth))
    assert sorted(started) == list(range(4 + depth))[: len(started)]


def test_no_more_than_the_depth_is_alive():
    alive: weakref.WeakSet = weakref.WeakSet()
    most = 0
    for outcome in prefetch.prefetch(lambda thing: Thing(-1), things(20, [], alive), workers=2, depth=3):
        gc.collect()
        most = max(most, len(alive))
        assert outcome.item in alive
    assert most <= 3
    del outcome
    gc.collect()
    assert not alive


def test_an_exception_is_yielded_in_its_place():
    def odd(number):
        if number % 2 == 0:
            raise ValueError(f'{number} is even')
        return number

    outcomes = list(prefetch.prefetch(odd, range(5), workers=2, depth=3))
    assert [outcome.item for outcome in outcomes] == list(range(5))
    assert [outcome.value for outcome in outcomes] == [None, 1, None, 3, None]
    assert [str(outcome.error) for outcome in outcomes[::2]] == ['0 is even', '2 is even', '4 is even']
    assert outcomes[1].error is None


def test_an_exception_of_the_items_is_raised():
    def items():
        yield 1
        raise OSError('the list cannot be read')

    stream = prefetch.prefetch(str, items(), workers=1, depth=1)
    assert next(stream).value == '1'
    with pytest.raises(OSError, match='the list'):
        next(stream)


def test_system_exit_ends_the_generator():
    with pytest.raises(SystemExit):
        list(prefetch.prefetch(lambda item: exit(3), range(3), workers=1, depth=2))


def test_closing_drops_items_that_have_not_begun():
    go_on, begun, started, taken = threading.Event(), threading.Event(), [], []

    def work(thing):
        started.append(thing.number)
        if thing.number:
            begun.set()
            go_on.wait(10)

    stream = prefetch.prefetch(work, things(100, taken), workers=1, depth=8)
    next(stream)
    assert begun.wait(10)
    threading.Timer(0.05, go_on.set).start()
    began = time.monotonic()
    stream.close()
    assert time.monotonic() - began < 5
    assert started == [0, 1]
    assert len(taken) == 8
    assert list(stream) == []


def test_an_exception_of_the_caller_ends_the_threads():
    def consume():
        for outcome in prefetch.prefetch(str, range(100), workers=2, depth=4):
            raise KeyError(outcome.item)

    with pytest.raises(KeyError, match='0'):
        consume()
    gc.collect()


def test_waiting_times_are_reported():
    seconds = []
    times = iter(range(0, 100, 3))
    list(prefetch.prefetch(str, range(4), workers=1, depth=2, waited=seconds.append, clock=lambda: next(times)))
    assert seconds == [3] * 4
    seconds.clear()
    slow = threading.Event()
    threading.Timer(0.1, slow.set).start()
    list(prefetch.prefetch(lambda item: slow.wait(10), range(2), workers=1, depth=2, waited=seconds.append))
    assert 0.03 < sum(seconds) < 5
    assert len(seconds) == 2


# run_behind


def test_all_jobs_are_done_at_the_end():
    done = []
    with prefetch.run_behind(workers=2, depth=3) as submit:
        for number in range(10):
            submit(done.append, number)
    assert sorted(done) == list(range(10))


def test_one_worker_keeps_the_order():
    done = []
    with prefetch.run_behind(workers=1, depth=4) as submit:
        for number in range(10):
            submit(done.append, number)
    assert done == list(range(10))


@pytest.mark.parametrize('depth', [1, 3])
def test_submitting_waits_for_room(depth):
    go_on, done, seconds = threading.Event(), [], []

    def work(number):
        go_on.wait(10)
        done.append(number)

    with prefetch.run_behind(workers=1, depth=depth, waited=seconds.append) as submit:
        assert submit.pending == 0
        for number in range(depth):
            submit(work, number)
        assert submit.pending == depth
        assert max(seconds) < 0.05
        threading.Timer(0.1, go_on.set).start()
        submit(work, depth)
        assert done[:1] == [0]
        assert 0.05 < seconds[-1] < 5
    assert done == list(range(depth + 1))


def test_arguments_are_not_kept():
    alive: weakref.WeakSet = weakref.WeakSet()
    with prefetch.run_behind(workers=1, depth=2) as submit:
        for thing in things(20, [], alive):
            submit(lambda thing: time.sleep(0.001), thing)
            gc.collect()
            assert len(alive) <= 4  # two pending, this one, and one that its thread is releasing
    del thing
    gc.collect()
    assert not alive


def fail(number=0):
    raise OSError(f'the disk is full at {number}')


def until_done(submit):
    while submit.pending:
        time.sleep(0.001)


def test_an_exception_is_raised_once_at_the_next_submission():
    done = []
    with prefetch.run_behind(workers=1, depth=4) as submit:
        submit(fail)
        until_done(submit)
        with pytest.raises(OSError, match='full at 0'):
            submit(done.append, 1)
        submit(done.append, 2)
    assert done == [2]


def test_an_exception_is_raised_while_waiting_for_room():
    with prefetch.run_behind(workers=1, depth=1) as submit:
        submit(fail)
        with pytest.raises(OSError, match='full at 0'):
            submit(fail)


def test_an_exception_is_raised_at_the_end():
    done = []
    with pytest.raises(OSError, match='full at 1') as caught, prefetch.run_behind(workers=1, depth=4) as submit:
        submit(time.sleep, 0.02)
        submit(fail, 1)
        submit(done.append, 3)
        submit(fail, 2)
    assert done == [3]
    assert 'full at 2' in ''.join(caught.value.__notes__)


def test_jobs_are_done_after_an_exception_of_the_block():
    done = []
    with pytest.raises(KeyboardInterrupt) as caught, prefetch.run_behind(workers=1, depth=4) as submit:
        submit(time.sleep, 0.02)
        submit(fail, 1)
        submit(done.append, 3)
        raise KeyboardInterrupt
    assert done == [3]
    assert 'full at 1' in ''.join(caught.value.__notes__)


@pytest.mark.parametrize('numbers', [{'workers': 0, 'depth': 1}, {'workers': 1, 'depth': 0}])
def test_workers_and_depth_must_be_positive(numbers):
    with pytest.raises(ValueError, match='0 (workers|depth) are given; at least 1 is wanted'):
        prefetch.prefetch(str, [], **numbers)
    with pytest.raises(ValueError, match='at least 1'), prefetch.run_behind(**numbers):
        pass
