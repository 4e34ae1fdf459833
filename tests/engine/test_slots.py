"""The pool on quadratics: who is in it when, for how long, and that nobody notices the others."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from mgan_jax import execution, inversion, losses
from mgan_jax.engine import slots

pytestmark = pytest.mark.usefixtures('quick_compilation')
STEPS = 40


def quadratic(codes, target, scale):
    """Loss [B] of codes [B 2], NaN where the first coordinate has passed 50."""
    loss = scale * jnp.sum(jnp.square(codes - target) * jnp.array([[1.0, 5.0]]), axis=1)
    return jnp.where(codes[:, 0] > 50, jnp.nan, loss)


def hungry(codes, target, scale):
    """The quadratic, which in batches above 2 asks for more memory than there is."""
    loss = quadratic(codes, target, scale)
    if codes.shape[0] <= 2:
        return loss
    much = jax.lax.broadcasted_iota(jnp.float32, (2**16, 2**30), 0) * jax.lax.stop_gradient(loss[0])
    return loss + 1e-30 * jnp.sort(much, axis=0)[0, 0]


def adam(steps=STEPS):
    return optax.adam(optax.cosine_decay_schedule(0.5, steps))


def make_program(objective=quadratic, optimizer=None):
    """Images start with codes `first` and go towards `target`; the output is twice the codes."""
    optimizer = optimizer or adam()
    step = inversion.make_step(objective, optimizer)

    @jax.jit
    def begin(start, scale):
        return inversion.init(start['first'], optimizer), start['target']

    return slots.Program(begin, step, jax.jit(lambda codes, target, scale: 2 * codes), (jnp.float32(1.0),))


def entry(number):
    rng = np.random.default_rng(number)
    start = {'first': np.zeros((1, 2), np.float32), 'target': rng.normal(size=(1, 2)).astype(np.float32)}
    return slots.SlotEntry(number, start)


def moving(number, target, first=0.0):
    start = {'first': np.full((1, 2), first, np.float32), 'target': np.full((1, 2), target, np.float32)}
    return slots.SlotEntry(number, start)


def finish_all(program, entries, size, rules, clock=lambda: 0.0, **options):
    """-> the finished images by their items, and all turns."""
    turns = list(slots.run_slots(program, entries, size, rules, clock=clock, **options))
    done = [image for turn in turns for image in turn.images if image.finished]
    assert len({image.item for image in done}) == len(done)
    return {image.item: image for image in done}, turns


def require_equal(one, two):
    assert one.item == two.item
    for name in set(slots.SlotImage._fields) - {'item', 'seconds'}:
        np.testing.assert_allclose(getattr(one, name), getattr(two, name), rtol=1e-6, atol=1e-7, err_msg=name)


# Slots


def test_an_image_is_what_it_is_alone_in_the_same_batch_size():
    """Whatever its slot, its neighbours, some of which fail or are ready at once, and when it entered."""
    rules = slots.StoppingRules(STEPS, tolerance=1e-3)
    extra = [moving('fails', 80), moving('still', 0.0), moving('nan', np.nan)]
    entries = [entry(0), extra[0], entry(1), extra[1], extra[2], *map(entry, range(2, 7))]
    program = make_program()
    together, turns = finish_all(program, entries, 3, rules)
    assert list(together) != [e.item for e in entries]  # they overtook each other
    assert program.step.update._cache_size() == 1
    for one in entries:
        alone, _ = finish_all(program, [one], 3, rules)
        require_equal(together[one.item], alone[one.item])
    assert program.step.update._cache_size() == 1


@pytest.mark.slow
@pytest.mark.parametrize('steps, optimizer', [(40, None), (37, None), (7, None), (1, None), (12, optax.lbfgs())])
def test_schedules_begin_with_the_image(steps, optimizer):
    optimizer = optimizer or adam(steps)
    rules = slots.StoppingRules(steps)
    done, _ = finish_all(make_program(optimizer=optimizer), map(entry, range(5)), 2, rules)
    step = inversion.make_step(quadratic, optimizer)
    for number in range(5):
        start = entry(number).start
        state = inversion.init(jnp.asarray(start['first']), optimizer)
        state, _ = inversion.run(step, state, start['target'], jnp.float32(1.0), num_steps=steps)
        np.testing.assert_allclose(done[number].codes, state.best_codes[0], rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(done[number].loss, state.best_loss[0], rtol=1e-5, atol=1e-9)
        np.testing.assert_allclose(done[number].output, 2 * done[number].codes)
        assert (done[number].steps, done[number].left, done[number].failed_at) == (steps, 0, -1)


def test_no_image_gets_more_steps_than_the_rules_say():
    """Also where the steps are no multiple of the interval and images are out of step with each other."""
    rules = slots.StoppingRules(37, tolerance=1e-9)
    entries = [moving('still', 0.0), *map(entry, range(3)), moving('fails', 80), *map(entry, range(3, 6))]
    done, turns = finish_all(make_program(optimizer=adam(37)), entries, 2, rules)
    assert max(image.steps for image in done.values()) == 37
    counted = dict.fromkeys(done, 0)
    for turn in turns:
        for image in turn.images:
            counted[image.item] += turn.steps
            assert image.left == 37 - counted[image.item] >= 0
    assert {turn.steps for turn in turns} - {rules.interval}  # there were shorter turns


def test_accelerators_compile_two_lengths(monkeypatch):
    """Where steps are one scan, a program for each length; images that are out of step need no third one."""
    entries = [moving('still', 0.0), moving(0, 40.0), moving('nan', np.nan), moving(1, 40.0)]
    rules = slots.StoppingRules(37, tolerance=1e-9)
    expected, turns = finish_all(make_program(optimizer=adam(37)), entries, 2, rules)
    assert {turn.steps for turn in turns} == {1, 2, 3}
    monkeypatch.setattr(execution, 'is_on_cpu', lambda array: False)
    program = make_program(optimizer=adam(37))
    done, _ = finish_all(program, entries, 2, rules)
    assert (program.step.scan._cache_size(), program.step.update._cache_size()) == (2, 0)
    for name in expected:
        require_equal(done[name], expected[name])


@pytest.mark.slow
@pytest.mark.parametrize('on_cpu, pieces', [(True, {1}), (False, {1, 10})])
def test_a_stop_is_seen_between_two_pieces(monkeypatch, on_cpu, pieces):
    """And what was saved then goes on as if nothing had happened."""
    rules, advance, given = slots.StoppingRules(250), execution.repeat_step, []
    monkeypatch.setattr(execution, 'is_on_cpu', lambda array: on_cpu)
    monkeypatch.setattr(
        execution,
        'repeat_step',
        lambda *args, num_steps: given.append(num_steps) or advance(*args, num_steps=num_steps),
    )
    entries = [entry(0), entry(1)]
    expected, _ = finish_all(make_program(optimizer=adam(250)), entries, 2, rules)
    assert set(given) == pieces
    given.clear()
    (turn,) = itertools.islice(
        slots.run_slots(make_program(optimizer=adam(250)), entries, 2, rules, stop=lambda: len(given) > 1), 1
    )
    assert turn.steps == sum(given) == 2 * max(pieces) and len(turn.left) == 2
    begun = [slots.SlotEntry(slot.entry.item, slot.entry.start, slot.progress) for slot in turn.left]
    done, _ = finish_all(make_program(optimizer=adam(250)), [entry(2), *reversed(begun)], 2, rules)
    for number in range(2):
        if on_cpu:
            np.testing.assert_array_equal(done[number].codes, expected[number].codes)
        require_equal(done[number], expected[number])
    assert done[0].seconds >= begun[0].progress.seconds


def test_entries_are_read_when_a_slot_is_free():
    read = []

    def entries():
        for number in range(6):
            read.append(number)
            yield entry(number)

    counts = [len(read) for _ in slots.run_slots(make_program(), entries(), 2, slots.StoppingRules(10))]
    assert counts == [2] * 10 + [4] * 10 + [6] * 10


def test_an_error_of_the_reader_is_the_callers():
    def entries():
        yield entry(0)
        raise MemoryError('of a file')

    with pytest.raises(MemoryError, match='of a file'):
        list(slots.run_slots(make_program(), entries(), 2, slots.StoppingRules(10)))


def test_nothing_enters():
    assert list(slots.run_slots(make_program(), [], 2, slots.StoppingRules(10))) == []


def test_every_turn_is_watched_if_asked():
    turns = list(slots.run_slots(make_program(), map(entry, range(3)), 2, slots.StoppingRules(20), watch=True))
    assert [len(turn.images) for turn in turns] == [2] * 10 + [1] * 10
    for image in itertools.chain(*(turn.images for turn in turns)):
        np.testing.assert_allclose(image.output, 2 * image.codes)
    for turn in slots.run_slots(make_program(), map(entry, range(2)), 2, slots.StoppingRules(20)):
        assert all((image.output is not None) == image.finished for image in turn.images)


# Curves and what is shown


SHOWING = slots.StoppingRules(37, curve_every=4, show_every=10)


def test_curves_and_what_is_shown():
    """Each image by its own steps, whenever it entered, and as it is in a run of `inversion`."""
    program, show = make_program(optimizer=adam(37)), lambda item, output: (item, output.copy())
    done, _ = finish_all(program, [moving('fails', 80), *map(entry, range(4))], 2, SHOWING, show=show)
    for number in range(4):
        start, optimizer = entry(number).start, adam(37)
        step = inversion.make_step(quadratic, optimizer)
        state = inversion.init(jnp.asarray(start['first']), optimizer)
        state, trace = inversion.run(step, state, start['target'], jnp.float32(1.0), num_steps=10)
        assert [step for step, _ in done[number].losses] == list(range(0, 37, 4))
        np.testing.assert_allclose(
            [loss for _, loss in done[number].losses][:3], trace['loss'][[0, 4, 8], 0], rtol=1e-5
        )
        assert [step for step, _ in done[number].shown] == [10, 20, 30, 37]
        item, output = done[number].shown[0][1]
        assert item == number
        np.testing.assert_allclose(output, 2 * state.best_codes[0], rtol=1e-5, atol=1e-6)
        np.testing.assert_array_equal(done[number].shown[-1][1][1], done[number].output)


def test_the_curve_of_an_image_that_fails_ends_before():
    done, _ = finish_all(
        make_program(optimizer=optax.sgd(0.01)), [moving(0, 1e4)], 2, slots.StoppingRules(STEPS, show_every=1)
    )
    image = done[0]
    assert [step for step, _ in image.losses] == list(range(image.failed_at))
    assert np.isfinite([loss for _, loss in image.losses]).all()


def test_curves_and_what_is_shown_go_on():
    program = make_program(optimizer=adam(37))
    expected, _ = finish_all(program, map(entry, range(2)), 2, SHOWING)
    for count in (1, 6, 12):
        *_, turn = itertools.islice(slots.run_slots(program, map(entry, range(2)), 2, SHOWING), count)
        begun = [slots.SlotEntry(slot.entry.item, slot.entry.start, slot.progress) for slot in turn.left]
        done, _ = finish_all(program, begun, 2, SHOWING)
        for number in range(2):
            assert done[number].losses == expected[number].losses
            assert [step for step, _ in done[number].shown] == [10, 20, 30, 37]


def test_nothing_is_shown_unless_asked():
    def show(item, output):
        raise AssertionError

    done, _ = finish_all(make_program(), map(entry, range(2)), 2, slots.StoppingRules(20), show=show)
    assert done[0].shown == () and len(done[0].losses) == 20


# The end of an image


def test_the_last_iterate_can_be_kept():
    rising = make_program(optimizer=optax.sgd(0.25))  # too fast for the second coordinate
    (best,), _ = (list(part) for part in finish_all(rising, [moving(0, 1.0)], 1, slots.StoppingRules(10)))
    done, _ = finish_all(rising, [moving(0, 1.0)], 1, slots.StoppingRules(10, keep='best'))
    last, _ = finish_all(rising, [moving(0, 1.0)], 1, slots.StoppingRules(10, keep='last'))
    assert last[best].loss > 10 * done[best].loss
    np.testing.assert_allclose(last[best].output, 2 * last[best].codes)
    assert not np.allclose(last[best].codes, done[best].codes)


@pytest.mark.parametrize('keep', ['best', 'last'])
def test_an_image_that_fails_ends_at_its_best(keep):
    done, turns = finish_all(
        make_program(optimizer=optax.sgd(0.01)), [moving(0, 1e4)], 2, slots.StoppingRules(STEPS, keep=keep)
    )
    image = done[0]
    assert 0 < image.failed_at == image.steps < STEPS
    assert np.isfinite(image.loss) and np.isfinite(image.codes).all()
    assert len(turns) == 1


def test_tolerance_ends_what_has_stopped_falling():
    entries = [moving('still', 0.5, first=0.5), moving('moves', 45.0)]
    rules = slots.StoppingRules(STEPS, tolerance=0.01)
    done, _ = finish_all(make_program(optimizer=optax.sgd(0.001)), entries, 2, rules)
    assert done['still'].steps == 2 * rules.interval and done['still'].left == STEPS - 2 * rules.interval
    assert done['moves'].steps == STEPS


@pytest.mark.parametrize('tolerance, steps', [(0.0, 40), (0.09, 40), (0.5, 40), (0.95, 8)])
def test_tolerance_is_a_share_of_the_loss_over_a_tenth_of_the_steps(tolerance, steps):
    """The loss is multiplied by 0.8^2 a step, in four steps by 0.17: it falls by 83 % a tenth."""
    rate = make_program(lambda codes, target, scale: jnp.sum(jnp.square(codes - target), axis=1), optax.sgd(0.1))
    done, _ = finish_all(rate, [moving(0, 1.0)], 1, slots.StoppingRules(40, tolerance=tolerance))
    assert done[0].steps == steps


# Time


class Clock:
    """Seconds that only pass where they are said to."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def timed(clock, per_slot_step):
    """A program whose steps take that long."""
    program = make_program(optimizer=optax.sgd(1e-3))

    def update(state, *arguments):
        clock.now += per_slot_step * len(state.step)
        return program.step.update(state, *arguments)

    return program._replace(step=program.step._replace(update=update))


def test_seconds_are_shares_of_the_turns():
    clock = Clock()
    program = timed(clock, 1.0)
    entries = [moving('nan', np.nan), moving('a', 1), moving('b', 1)]
    done, turns = finish_all(program, entries, 2, slots.StoppingRules(STEPS), clock=clock)
    assert sum(turn.seconds for turn in turns) == clock.now
    assert sum(image.seconds for image in done.values()) == pytest.approx(clock.now)
    assert done['nan'].seconds == 4  # 4 steps of 2 slots, shared by two
    assert done['a'].seconds == 40 and done['b'].seconds == 36 + 8  # the last ones alone


def test_a_pool_keeps_its_size():
    """Though but one image is left: another size rounds differently."""
    program = make_program()
    entries = [moving('nan', np.nan), moving('moves', 45.0), *[moving(('still', i), 0.0) for i in range(6)]]
    sizes = set()
    step = program.step._replace(
        update=lambda state, *given: sizes.add(len(state.step)) or program.step.update(state, *given)
    )
    done, turns = finish_all(program._replace(step=step), entries, 8, slots.StoppingRules(STEPS, tolerance=1e-3))
    assert len(turns[-1].images) == 1 and sizes == {8}


# Memory


@pytest.mark.slow
def test_a_pool_that_is_too_large_goes_on_with_half():
    told = []
    done, turns = finish_all(
        make_program(hungry), map(entry, range(7)), 6, slots.StoppingRules(STEPS), tell=told.append
    )
    assert told == ['not enough memory for 6 images at once; going on with 3',
                    'not enough memory for 3 images at once; going on with 1']  # fmt: skip
    expected, _ = finish_all(make_program(), map(entry, range(7)), 1, slots.StoppingRules(STEPS))
    for number in range(7):
        require_equal(done[number], expected[number])


@pytest.mark.slow
@pytest.mark.parametrize('devices, sizes', [(1, [10, 5, 2]), (2, [10, 4, 2]), (3, [9, 3])])
def test_half_is_a_multiple_of_the_devices(devices, sizes):
    told = []
    program = make_program(hungry)._replace(devices=devices)
    run = slots.run_slots(program, map(entry, range(4)), sizes[0], slots.StoppingRules(10), tell=told.append)
    if devices == 3:
        with pytest.raises(MemoryError):
            list(run)
    else:
        assert sum(image.finished for turn in run for image in turn.images) == 4
    assert [int(line.split()[-1]) for line in told] == sizes[1:]


def test_what_was_done_before_the_memory_ran_out_is_kept():
    """From the third turn on, while the third image is in its first, only two slots have room."""
    program = make_program()
    starved = inversion.make_step(hungry, adam())
    calls = itertools.count()

    def update(state, *arguments):
        late = next(calls) >= 8
        return (starved if late else program.step).update(state, *arguments)

    told = []
    entries = [moving('nan', np.nan), *map(entry, range(5))]
    tight = program._replace(step=program.step._replace(update=update))
    done, turns = finish_all(tight, entries, 4, slots.StoppingRules(STEPS), tell=told.append)
    assert told == ['not enough memory for 4 images at once; going on with 2']
    expected, _ = finish_all(program, entries, 4, slots.StoppingRules(STEPS))
    assert done.keys() == expected.keys()
    for name in done:
        require_equal(done[name], expected[name])
    steps = sum(turn.steps * len(turn.images) for turn in turns)
    assert steps == 5 * STEPS + 4  # no step of any image was done twice


def test_one_image_that_is_too_large():
    def hungrier(codes, target, scale):
        return hungry(jnp.concatenate([codes] * 3), jnp.concatenate([target] * 3), scale)[: codes.shape[0]]

    told = []
    with pytest.raises(MemoryError, match='^the device has not enough memory for a step of one image$'):
        list(slots.run_slots(make_program(hungrier), [entry(0)], 2, slots.StoppingRules(10), tell=told.append))
    assert len(told) == 1


def test_other_errors_are_the_callers():
    def wrong(codes, target, scale):
        raise ValueError('a bug')

    with pytest.raises(ValueError, match='a bug'):
        list(slots.run_slots(make_program(wrong), [entry(0)], 2, slots.StoppingRules(10)))


def test_programs_are_one_whatever_the_slots():
    program = make_program(losses.Objective(lambda target, scale: (target, scale), quadratic))
    entries = [moving('nan', np.nan), *map(entry, range(9)), moving('other nan', np.nan)]
    before = slots._replace._cache_size()
    finish_all(program, entries, 3, slots.StoppingRules(37, tolerance=1e-3))
    assert [part._cache_size() for part in (program.begin, program.step.update, program.finish)] == [1, 1, 1]
    assert slots._replace._cache_size() <= before + 1
