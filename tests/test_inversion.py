import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from mgan_jax import composition, execution, inversion, losses, tasks
from tests import toy

pytestmark = pytest.mark.usefixtures('quick_compilation')
TARGET = jnp.array([[1.0, 2.0], [-3.0, 0.5], [0.0, 4.0]])


def quadratic(codes, target):
    """Loss [B] of codes [B 2], stiffer in the second coordinate."""
    return jnp.sum(jnp.square(codes - target) * jnp.array([[1.0, 5.0]]), axis=1)


def minimise(objective, optimizer, codes, *arguments, num_steps):
    step = inversion.make_step(objective, optimizer)
    return inversion.run(step, inversion.init(codes, optimizer), *arguments, num_steps=num_steps)


@pytest.mark.slow
@pytest.mark.parametrize(
    ('optimizer', 'num_steps'), [(optax.sgd(0.08), 150), (optax.adam(0.2), 300), (optax.lbfgs(), 10)]
)
def test_any_optimizer_reaches_the_minimum(optimizer, num_steps):
    state, trace = minimise(quadratic, optimizer, jnp.zeros((3, 2)), TARGET, num_steps=num_steps)
    np.testing.assert_allclose(state.best_codes, TARGET, atol=1e-2)
    assert trace['loss'].shape == (num_steps, 3)
    np.testing.assert_allclose(trace['loss'][0], quadratic(jnp.zeros((3, 2)), TARGET), rtol=1e-6)


@pytest.mark.slow
def test_a_batch_equals_single_runs():
    batch = 3
    generator, params = toy.generator()
    extractor, vgg = toy.extractor()
    objective = losses.objective(
        generator, tasks.reconstruct(), layer=4, perceptual=0.1, extractor=extractor, extractor_layer='relu2_1',
        extractor_size=16,
    )  # fmt: skip
    optimizer = optax.chain(optax.clip_by_global_norm(0.01), optax.adam(0.05))
    keys = jax.random.split(jax.random.key(0), batch)
    codes = composition.init(keys, generator, params, batch=batch, num_codes=3, layer=4)
    target = jax.random.uniform(jax.random.key(1), (batch, 16, 16, 3), minval=-1)
    step = inversion.make_step(objective, optimizer)
    together, _ = inversion.run(step, inversion.init(codes, optimizer), target, params, vgg, num_steps=8)
    for i in range(batch):
        start = inversion.init(jax.tree.map(lambda x, i=i: x[i : i + 1], codes), optimizer)
        alone, _ = inversion.run(step, start, target[i : i + 1], params, vgg, num_steps=8)
        np.testing.assert_allclose(together.best_loss[i], alone.best_loss[0], rtol=1e-4)
        np.testing.assert_allclose(together.codes.latents[i], alone.codes.latents[0], rtol=1e-3, atol=1e-4)


def test_the_best_iterate_is_kept_when_the_loss_rises():
    state, trace = minimise(quadratic, optax.sgd(0.3), jnp.zeros((3, 2)), TARGET, num_steps=6)  # diverges
    assert np.all(trace['loss'][-1] > trace['loss'][0])
    np.testing.assert_allclose(state.best_loss, trace['loss'].min(axis=0))
    np.testing.assert_allclose(quadratic(state.best_codes, TARGET), state.best_loss, rtol=1e-6)


def breaking(codes, target):
    """The quadratic, NaN where the first coordinate has passed 0.5."""
    return jnp.where(codes[:, 0] > 0.5, jnp.nan, quadratic(codes, target))


def test_an_image_that_fails_rests_at_its_best_and_leaves_the_others_alone():
    optimizer = optax.adam(0.1)
    broken, trace = minimise(breaking, optimizer, jnp.zeros((3, 2)), TARGET, num_steps=20)
    sound, _ = minimise(breaking, optimizer, jnp.zeros((3, 2)), TARGET.at[0, 0].set(-1.0), num_steps=20)
    assert sound.failed_at.tolist() == [-1, -1, -1]
    at = int(broken.failed_at[0])
    assert broken.failed_at.tolist() == [at, -1, -1]
    assert 0 < at < 20
    assert np.isnan(trace['loss'][at, 0])
    np.testing.assert_array_equal(broken.codes[1:], sound.codes[1:])
    np.testing.assert_array_equal(broken.codes[0], broken.best_codes[0])
    np.testing.assert_allclose(broken.best_loss[0], np.nanmin(trace['loss'][:, 0]))


def test_a_target_that_is_nan_fails_at_once():
    target = TARGET.at[1, 0].set(jnp.nan)
    state, _ = minimise(quadratic, optax.adam(0.1), jnp.zeros((3, 2)), target, num_steps=5)
    assert state.failed_at.tolist() == [-1, 0, -1]
    assert np.isinf(state.best_loss[1])
    np.testing.assert_array_equal(state.codes[1], 0)


def test_one_compilation_for_two_runs():
    traces = []

    def counted(codes, target):
        traces.append(codes.shape)
        return quadratic(codes, target)

    optimizer = optax.adam(optax.cosine_decay_schedule(0.1, 20))
    step = inversion.make_step(counted, optimizer)
    state = inversion.init(jnp.zeros((3, 2)), optimizer)
    state, _ = inversion.run(step, state, TARGET, num_steps=10)
    num_traces = len(traces)
    inversion.run(step, state, TARGET, num_steps=10)
    assert len(traces) == num_traces
    assert step.update._cache_size() == 1


def test_the_loop_is_the_same_under_jit():
    optimizer = optax.adam(0.1)
    step = inversion.make_step(quadratic, optimizer)
    stepped, trace = inversion.run(step, inversion.init(jnp.zeros((3, 2)), optimizer), TARGET, num_steps=7)
    whole = jax.jit(lambda state, target: inversion.run(step, state, target, num_steps=7))
    scanned, scanned_trace = whole(inversion.init(jnp.zeros((3, 2)), optimizer), TARGET)
    np.testing.assert_allclose(trace['loss'], scanned_trace['loss'], rtol=1e-6)
    np.testing.assert_allclose(stepped.codes, scanned.codes, rtol=1e-6)


def test_a_state_does_not_share_memory_with_the_codes():
    codes = jnp.zeros((3, 2))
    minimise(quadratic, optax.sgd(0.1), codes, TARGET, num_steps=2)
    np.testing.assert_array_equal(codes, 0)


def test_no_step_is_refused():
    with pytest.raises(ValueError, match='num_steps is 0; at least one step is needed'):
        minimise(quadratic, optax.sgd(0.1), jnp.zeros((3, 2)), TARGET, num_steps=0)


@pytest.mark.slow
def test_images_over_two_devices_need_no_collective():
    generator, params = toy.generator()
    objective = losses.objective(generator, tasks.reconstruct(), layer=4, perceptual=0)
    optimizer = optax.adam(0.05)
    codes = composition.init(jax.random.key(0), generator, params, batch=4, num_codes=2, layer=4)
    target = jax.random.uniform(jax.random.key(1), (4, 16, 16, 3), minval=-1)
    mesh = jax.make_mesh((2,), ('images',), axis_types=(AxisType.Auto,))
    by_image, everywhere = NamedSharding(mesh, PartitionSpec('images')), NamedSharding(mesh, PartitionSpec())
    step = inversion.make_step(objective, optimizer)
    state = inversion.init(codes, optimizer)
    sharded = jax.tree.map(lambda x: jax.device_put(x, by_image if x.ndim else everywhere), state)
    arguments = step.prepare(jax.device_put(target, by_image), jax.device_put(params, everywhere), None)
    program = step.update.lower(sharded, *arguments).compile().as_text()
    assert not [name for name in ('all-reduce', 'all-gather', 'all-to-all', 'collective-permute') if name in program]
    apart, _ = execution.repeat_step(step, sharded, *arguments, num_steps=5)
    again = inversion.init(codes, optimizer)  # the first state may share its memory with the sharded one, which is gone
    together, _ = inversion.run(step, again, target, params, None, num_steps=5)
    np.testing.assert_allclose(apart.best_loss, together.best_loss, rtol=1e-5)
    np.testing.assert_allclose(apart.codes.latents, together.codes.latents, rtol=1e-4, atol=1e-5)


CLIPPED = optax.chain(optax.clip_by_global_norm(0.5), optax.adam(0.1))
FIVE = jnp.asarray(
    np.random.default_rng(0).normal(size=(5, 2)) * np.array([[1], [100], [0.01], [3], [10]]), jnp.float32
)


def assert_trees_equal(one, two, places=slice(None)):
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(two), strict=True):
        np.testing.assert_array_equal(a[places] if a.ndim else a, b[places] if b.ndim else b)


@pytest.mark.slow
@pytest.mark.parametrize(
    ('optimizer', 'batch'),
    [(CLIPPED, 1), (CLIPPED, 2), (CLIPPED, 5), (optax.lbfgs(), 5)],
    ids=['clipped-1', 'clipped-2', 'clipped-5', 'lbfgs-5'],
)
def test_the_batch_changes_no_image_whatever_its_scale(optimizer, batch):
    step = inversion.make_step(quadratic, optimizer)
    target = FIVE[:batch]
    together, trace = inversion.run(step, inversion.init(jnp.zeros((batch, 2)), optimizer), target, num_steps=6)
    for i in range(batch):
        state = inversion.init(jnp.zeros((1, 2)), optimizer)
        alone, own_trace = inversion.run(step, state, target[i : i + 1], num_steps=6)
        np.testing.assert_allclose(trace['loss'][:, i], own_trace['loss'][:, 0], rtol=1e-4, atol=1e-8)
        np.testing.assert_allclose(together.codes[i], alone.codes[0], rtol=1e-4, atol=1e-6)


def test_norms_are_clipped_image_by_image():
    optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.sgd(1.0))
    target = jnp.array([[1e4, 0.0], [0.0, 0.01], [-30.0, -40.0 / 5]])
    state, _ = minimise(quadratic, optimizer, jnp.zeros((3, 2)), target, num_steps=1)
    np.testing.assert_allclose(state.codes, [[1, 0], [0, 0.1], [-0.6, -0.8]], rtol=1e-5)


@pytest.mark.slow
def test_codes_and_targets_are_trees_and_what_is_shared_is_not_split():
    def objective(codes, target, scale):
        near = jnp.sum(jnp.square(codes['near'] - target[0]), axis=(1, 2))
        return scale['value'] * (near + jnp.square(codes['far'] - target[1]))

    codes = {'near': jnp.zeros((3, 2, 2)), 'far': jnp.zeros(3)}
    target = (jnp.arange(12.0).reshape(3, 2, 2), jnp.array([1.0, -1.0, 5.0]))
    for optimizer in (optax.sgd(0.1), optax.lbfgs()):
        state, _ = minimise(objective, optimizer, codes, target, {'value': jnp.float32(2.0)}, num_steps=40)
        np.testing.assert_allclose(state.best_codes['near'], target[0], atol=1e-3)
        np.testing.assert_allclose(state.best_codes['far'], target[1], atol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize(
    ('optimizer', 'bad'),
    [(CLIPPED, jnp.nan), (CLIPPED, jnp.inf), (optax.lbfgs(), jnp.nan)],
    ids=['clipped-nan', 'clipped-inf', 'lbfgs-nan'],
)
def test_a_failed_image_changes_no_bit_of_the_others(optimizer, bad):
    step = inversion.make_step(quadratic, optimizer)
    runs = [
        inversion.run(step, inversion.init(jnp.ones((3, 2)), optimizer), target, num_steps=6)
        for target in (TARGET, TARGET.at[1, 0].set(bad))
    ]
    (sound, sound_trace), (broken, trace) = runs
    assert_trees_equal(broken, sound, np.array([0, 2]))
    np.testing.assert_array_equal(trace['loss'][:, [0, 2]], sound_trace['loss'][:, [0, 2]])
    assert broken.failed_at.tolist() == [-1, 0, -1]
    np.testing.assert_array_equal(broken.codes[1], 1)
    np.testing.assert_array_equal(broken.best_codes[1], 1)
    untouched = inversion.init(jnp.ones((3, 2)), optimizer).optimizer_state
    assert_trees_equal(broken.optimizer_state, untouched, 1)


def test_a_gradient_that_is_nan_costs_one_step():
    def objective(codes, target):  # finite at 0, with a slope that is not
        return jnp.sum(jnp.sqrt(jnp.abs(codes - target)), axis=1)

    codes = jnp.full((2, 2), 3.0).at[0].set(TARGET[0])
    state, trace = minimise(objective, optax.sgd(0.01), codes, TARGET[:2], num_steps=4)
    assert state.failed_at.tolist() == [1, -1]
    np.testing.assert_array_equal(state.codes[0], TARGET[0])
    np.testing.assert_array_equal(state.best_loss[0], 0)
    assert np.isfinite(trace['loss'][:, 1]).all()


def test_a_failed_image_stays_failed_when_the_run_goes_on():
    optimizer = optax.adam(0.1)
    step = inversion.make_step(breaking, optimizer)
    state, _ = inversion.run(step, inversion.init(jnp.zeros((3, 2)), optimizer), TARGET, num_steps=12)
    at, best = state.failed_at.tolist(), np.array(state.best_codes[0])
    assert at[0] > 0
    state, trace = inversion.run(step, state, TARGET, num_steps=12)
    assert state.failed_at.tolist() == at and state.step.tolist() == [24, 24, 24]
    np.testing.assert_array_equal(state.codes[0], best)
    np.testing.assert_allclose(trace['loss'][:, 0], state.best_loss[0], rtol=1e-6)


def test_two_runs_are_one_long_run():
    step = inversion.make_step(quadratic, CLIPPED)
    whole, trace = inversion.run(step, inversion.init(jnp.zeros((3, 2)), CLIPPED), TARGET, num_steps=9)
    state, first = inversion.run(step, inversion.init(jnp.zeros((3, 2)), CLIPPED), TARGET, num_steps=4)
    state, second = inversion.run(step, state, TARGET, num_steps=5)
    assert_trees_equal(state, whole)
    np.testing.assert_array_equal(jnp.concatenate([first['loss'], second['loss']]), trace['loss'])
    assert state.step.tolist() == [9, 9, 9]


def test_an_objective_is_prepared_once_for_all_steps():
    calls = []

    def prepare(target, scale):
        calls.append('prepare')
        return jnp.square(target), scale

    def evaluate(codes, prepared, scale):
        calls.append('evaluate')
        return scale * jnp.sum(jnp.square(codes - prepared), axis=1)

    optimizer = optax.sgd(0.1)
    step = inversion.make_step(losses.Objective(prepare, evaluate), optimizer)
    arguments = step.prepare(TARGET, jnp.float32(2.0))
    state, first = execution.repeat_step(step, inversion.init(jnp.zeros((3, 2)), optimizer), *arguments, num_steps=3)
    state, second = execution.repeat_step(step, state, *arguments, num_steps=20)
    assert calls == ['prepare', 'evaluate']
    np.testing.assert_allclose(state.best_codes, np.square(TARGET), rtol=1e-3)
    _, whole = minimise(losses.Objective(prepare, evaluate), optimizer, jnp.zeros((3, 2)), TARGET, 2.0, num_steps=23)
    np.testing.assert_allclose(np.concatenate([first, second]), whole['loss'], rtol=1e-6)


def test_a_step_reuses_the_memory_of_its_state():
    optimizer = optax.adam(0.1)
    state = inversion.init(jnp.zeros((3, 2)), optimizer)
    step = inversion.make_step(quadratic, optimizer)
    inversion.run(step, state, TARGET, num_steps=1)
    assert all(leaf.is_deleted() for leaf in jax.tree.leaves(state))


def two_devices():
    mesh = jax.make_mesh((2,), ('images',), axis_types=(AxisType.Auto,))
    return mesh, NamedSharding(mesh, PartitionSpec('images'))


def test_codes_over_two_devices_need_one_program():
    _, by_image = two_devices()
    target = FIVE[:4]
    step = inversion.make_step(quadratic, CLIPPED)
    state = inversion.init(jax.device_put(jnp.zeros((4, 2)), by_image), CLIPPED)
    for leaf in jax.tree.leaves(state):
        assert leaf.sharding.spec == (PartitionSpec('images') if leaf.ndim else PartitionSpec())
    apart, trace = inversion.run(step, state, jax.device_put(target, by_image), num_steps=6)
    assert step.update._cache_size() == 1
    assert len(apart.codes.addressable_shards) == 2 and apart.codes.addressable_shards[0].data.shape == (2, 2)
    together, expected = inversion.run(step, inversion.init(jnp.zeros((4, 2)), CLIPPED), target, num_steps=6)
    np.testing.assert_allclose(trace['loss'], expected['loss'], rtol=1e-6)
    np.testing.assert_allclose(apart.codes, together.codes, rtol=1e-6, atol=1e-7)


def test_a_run_inside_shard_map():
    mesh, _ = two_devices()
    target, images, steps = FIVE[:4], PartitionSpec('images'), PartitionSpec(None, 'images')
    step = inversion.make_step(quadratic, CLIPPED)

    def whole(codes, target):
        state, trace = inversion.run(step, inversion.init(codes, CLIPPED), target, num_steps=6)
        return state.best_codes, state.failed_at, trace['loss']

    mapped = jax.shard_map(whole, mesh=mesh, in_specs=(images, images), out_specs=(images, images, steps))
    for found, expected in zip(
        jax.jit(mapped)(jnp.zeros((4, 2)), target), whole(jnp.zeros((4, 2)), target), strict=True
    ):
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-7)


def test_a_run_inside_vmap():
    step = inversion.make_step(quadratic, CLIPPED)

    def best(rate_of_start, target):
        state = inversion.init(jnp.full((3, 2), rate_of_start), CLIPPED)
        return inversion.run(step, state, target, num_steps=6)[0].best_loss

    starts, targets = jnp.array([0.0, 2.0]), jnp.stack([TARGET, -TARGET])
    for i, found in enumerate(jax.vmap(best)(starts, targets)):
        np.testing.assert_allclose(found, best(starts[i], targets[i]), rtol=1e-5)


def test_hundreds_of_steps_compile_one_program(caplog):
    step = inversion.make_step(quadratic, optax.adam(0.1))
    with jax.log_compiles(), caplog.at_level('WARNING', logger='jax'):
        inversion.run(step, inversion.init(jnp.zeros((3, 2)), optax.adam(0.1)), TARGET, num_steps=200)
    compiled = [record.getMessage() for record in caplog.records if 'Finished XLA compilation' in record.getMessage()]
    assert len([message for message in compiled if 'jit(update)' in message]) == 1


@pytest.mark.parametrize('num_steps', [0, -1])
def test_no_step_of_a_run_that_goes_on(num_steps):
    step = inversion.make_step(quadratic, optax.sgd(0.1))
    with pytest.raises(ValueError, match=f'^num_steps is {num_steps}; at least one step is needed.$'):
        execution.repeat_step(step, inversion.init(jnp.zeros((3, 2)), optax.sgd(0.1)), TARGET, num_steps=num_steps)
