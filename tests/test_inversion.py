import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from mgan_jax import composition, inversion, losses, tasks
from tests import toy

TARGET = jnp.array([[1.0, 2.0], [-3.0, 0.5], [0.0, 4.0]])


def quadratic(codes, target):
    """Loss [B] of codes [B 2], stiffer in the second coordinate."""
    return jnp.sum(jnp.square(codes - target) * jnp.array([[1.0, 5.0]]), axis=1)


def minimise(objective, optimizer, codes, *arguments, num_steps):
    step = inversion.make_step(objective, optimizer)
    return inversion.run(step, inversion.init(codes, optimizer), *arguments, num_steps=num_steps)


@pytest.mark.parametrize(
    ('optimizer', 'num_steps'), [(optax.sgd(0.08), 150), (optax.adam(0.2), 300), (optax.lbfgs(), 10)]
)
def test_any_optimizer_reaches_the_minimum(optimizer, num_steps):
    state, trace = minimise(quadratic, optimizer, jnp.zeros((3, 2)), TARGET, num_steps=num_steps)
    np.testing.assert_allclose(state.best_codes, TARGET, atol=1e-2)
    assert trace['loss'].shape == (num_steps, 3)
    np.testing.assert_allclose(trace['loss'][0], quadratic(jnp.zeros((3, 2)), TARGET), rtol=1e-6)


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
    apart, _ = inversion.advance(step, sharded, *arguments, num_steps=5)
    again = inversion.init(codes, optimizer)  # the first state may share its memory with the sharded one, which is gone
    together, _ = inversion.run(step, again, target, params, None, num_steps=5)
    np.testing.assert_allclose(apart.best_loss, together.best_loss, rtol=1e-5)
    np.testing.assert_allclose(apart.codes.latents, together.codes.latents, rtol=1e-4, atol=1e-5)
