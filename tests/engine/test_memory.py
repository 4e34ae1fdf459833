"""Estimates against counting by hand and against the compiler; what the system says; errors that XLA really makes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mgan_jax import composition, losses, tasks
from mgan_jax.engine import memory
from tests import toy

FLOAT = 4


def evaluate(codes, target, weights):
    """Two layers: [B 5] -> [B 1000] -> [B 3]."""
    hidden = jnp.sin(codes @ weights[0])
    return jnp.sum(jnp.square(hidden @ weights[1] - target), axis=1)


def arguments(batch):
    shapes = (batch, 5), (batch, 3), (5, 1000), (1000, 3)
    codes, target, *weights = (jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes)
    return codes, target, weights


def test_a_step_of_two_layers_counted_by_hand():
    """At most: codes @ weights, its sine and its cosine, all 1000 numbers an image, and a few small values."""
    for batch in (1, 7):
        state = memory.STATE_COPIES * batch * 5 + batch * 3 + 5 * 1000 + 1000 * 3
        expected = FLOAT * (state + memory.PLANNED * 3 * batch * 1000)
        assert 0 <= memory.step_bytes(evaluate, *arguments(batch)) - expected < 200 * batch


def test_bytes_of_an_image_do_not_count_the_weights():
    step = memory.StepMemory(lambda batch: memory.step_bytes(evaluate, *arguments(batch)), 2**30)
    each, fixed = step._image_and_fixed()
    assert 0 <= each - FLOAT * 3000 * memory.PLANNED < 400
    assert FLOAT * 8000 <= fixed < FLOAT * 8100


def test_arrays_and_their_shapes_are_estimated_alike():
    arrays = jax.tree.map(lambda s: jnp.zeros(s.shape), arguments(2))
    assert memory.step_bytes(evaluate, *arrays) == memory.step_bytes(evaluate, *arguments(2))


def test_precision_halves_and_rematerialisation_recomputes():
    def deep(codes, layer):
        for _ in range(10):
            codes = layer(codes)
        return jnp.sum(codes, axis=1)

    def layer(x):
        return jnp.sin(jnp.sin(jnp.sin(x)))

    codes = jax.ShapeDtypeStruct((1, 1000), jnp.float32)
    plain = memory.step_bytes(lambda c: deep(c, layer), codes)
    kept = memory.step_bytes(lambda c: deep(c, jax.checkpoint(layer)), codes)
    half = memory.step_bytes(lambda c: deep(c, layer), jax.ShapeDtypeStruct((1, 1000), jnp.bfloat16))
    assert plain > FLOAT * 30_000 * memory.PLANNED and kept < FLOAT * 20_000 * memory.PLANNED
    assert half == pytest.approx(plain / 2, rel=0.05)


@pytest.mark.slow
@pytest.mark.parametrize('layer, num_codes', [(2, 3), (4, 8)])
def test_the_estimate_is_near_what_the_compiler_plans(layer, num_codes):
    generator, params = toy.generator(resolution=32, fmaps_base=512, fmaps_max=32)
    extractor, vgg = toy.extractor()
    objective = losses.objective(
        generator, tasks.reconstruct(), layer=layer, extractor=extractor, extractor_layer='relu2_1', extractor_size=32
    )
    codes = composition.init(jax.random.key(0), generator, params, batch=2, num_codes=num_codes, layer=layer)
    prepared = objective.prepare(jnp.zeros((2, 32, 32, 3)), params, vgg)
    gradient = jax.grad(lambda codes, *rest: jnp.sum(objective.evaluate(codes, *rest)))
    planned = jax.jit(gradient).lower(codes, *prepared).compile().memory_analysis().temp_size_in_bytes
    around = sum(leaf.nbytes for leaf in jax.tree.leaves((memory.STATE_COPIES * [codes], prepared)))
    estimate = memory.step_bytes(objective.evaluate, codes, *prepared) - around
    assert planned / 3 < estimate < planned * 3


@pytest.mark.parametrize(
    'per_image, fixed, available, most, expected',
    [
        (100, 0, 1000, 64, 8),
        (100, 0, 1000, 8, 8),
        (100, 0, 1000, 7, 7),
        (100, 0, 999, 64, 4),  # 7.99 fit
        (100, 500, 1000, 64, 2),  # 3 fit
        (100, 0, 10, 64, 1),
        (100, 5000, 1000, 64, 1),
        (0, 0, 1000, 5, 5),
    ],
)
def test_largest_batch(per_image, fixed, available, most, expected):
    step = memory.StepMemory(lambda batch: fixed + batch * per_image, available)
    assert step.largest_batch(most) == expected


@pytest.mark.parametrize('batch, share, expected', [(1, 1.0, True), (1, 0.5, False), (4, 1.0, True), (5, 1.0, False)])
def test_fits(batch, share, expected):
    assert memory.StepMemory(lambda count: 400 + 150 * count, 1000).fits(batch, share) == expected


def test_available_on_this_machine():
    assert 2**20 < memory.available_bytes() < 2**50
    assert memory.available_bytes(jax.devices()[1]) > 2**20


class Accelerator:
    platform = 'gpu'

    def __init__(self, stats):
        self.memory_stats = lambda: stats


def test_available_on_an_accelerator():
    assert memory.available_bytes(Accelerator({'bytes_limit': 1000, 'bytes_in_use': 300})) == 700
    assert memory.available_bytes(Accelerator({'bytes_limit': 1000, 'bytes_in_use': 3000})) == 0
    assert memory.available_bytes(Accelerator(None)) == 2**30


def system(root, **files):
    """A file system that starts at `root`; path parts are joined with two underscores."""
    for name, content in files.items():
        path = root / name.replace('__', '/')
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return memory._machine_left(root)


MEMINFO = 'MemTotal:  90 kB\nMemAvailable:   50 kB\n'


def group(root, folder, **files):
    for name, content in files.items():
        place = root / 'sys/fs/cgroup' / folder
        place.mkdir(parents=True, exist_ok=True)
        (place / f'memory.{name}').write_text(content)


def test_where_nothing_tells(tmp_path):
    assert system(tmp_path) == 2**30
    assert system(tmp_path, proc__meminfo='MemTotal: 90 kB\n') == 2**30
    assert system(tmp_path, proc__meminfo=MEMINFO) == 50 * 1024


def test_limits_of_control_groups(tmp_path):
    group(tmp_path, '', max='max\n', current='7\n', stat='inactive_file 3\n')
    assert system(tmp_path, proc__meminfo=MEMINFO, proc__self__cgroup='0::/\n') == 50 * 1024
    group(tmp_path, '', max='40000\n', current='10000\n', stat='active_file 9\ninactive_file 3000\n')
    assert system(tmp_path) == 33000
    group(tmp_path, 'a/b', max='20000\n', current='10000\n', stat='inactive_file 0\n')
    assert system(tmp_path) == 33000
    assert system(tmp_path, proc__self__cgroup='0::/a/b\n') == 10000  # the narrowest of the group and those around it
    assert system(tmp_path, proc__self__cgroup='0::/out/of/sight\n') == 33000


def test_limits_of_control_groups_of_version_1(tmp_path):
    group(tmp_path, 'memory', limit_in_bytes='40000', usage_in_bytes='30000', stat='total_inactive_file 1\n')
    assert system(tmp_path, proc__meminfo=MEMINFO, proc__self__cgroup='3:cpu:/\n9:memory:/docker/7\n') == 10001
    group(tmp_path, 'memory/docker/7', limit_in_bytes='40', usage_in_bytes='50', stat='total_inactive_file 0\n')
    assert system(tmp_path) == 0


def test_errors_that_mean_exhausted_memory():
    with pytest.raises(Exception) as refused:  # noqa: B017
        jax.jit(lambda: jnp.zeros(2**48))().block_until_ready()
    assert memory.is_exhausted(refused.value)
    with pytest.raises(MemoryError) as full:
        np.zeros(2**58, np.uint8)
    assert memory.is_exhausted(full.value)


def test_errors_that_mean_something_else():
    def fail(_):
        raise ValueError('a bug')

    with pytest.raises(jax.errors.JaxRuntimeError) as other:
        jax.jit(lambda: jax.pure_callback(fail, jax.ShapeDtypeStruct((), jnp.float32), 1.0))().block_until_ready()
    assert not memory.is_exhausted(ValueError('out of memory')) and not memory.is_exhausted(RuntimeError('bad'))
    assert not memory.is_exhausted(other.value)
