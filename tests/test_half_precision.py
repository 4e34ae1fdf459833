"""An inversion of the demo in bfloat16, compared with float32."""

import functools

import jax
import jax.numpy as jnp
import optax
import pytest

from mgan_jax import composition, inversion, losses, metrics, models, optimizers, tasks
from mgan_jax.data import images, sources
from mgan_jax.run import jobs

pytestmark = pytest.mark.usefixtures('quick_compilation')

STEPS = 12


@pytest.fixture(scope='module')
def invert():
    """invert(dtype, **options of the networks) -> (state, trace, PSNR [B] with the whole scenes)."""
    generator = models.load('demo')[0]
    paths = [source.path for source in sources.find_images('bundled', jobs.BUNDLED)][:2]
    scenes = jnp.stack([jnp.asarray(images.read_image(path, generator.image_size).pixels) for path in paths])
    task, optimizer = tasks.super_resolve(4), optimizers.split_optimizer(optax.adam(0.1), optax.adam(0.01))

    @functools.cache
    def run(dtype, **options):
        networks = [models.load(name, **options) for name in ('demo', 'demo-extractor')]
        (generator, params), (extractor, vgg) = (
            (network, models.cast(weights, dtype)) for network, weights in networks
        )
        chosen = {'extractor': extractor, 'extractor_size': 64, 'perceptual': 0.02}
        step = inversion.make_step(losses.objective(generator, task, layer=4, **chosen), optimizer)
        codes = composition.init(jax.random.key(0), generator, params, batch=2, num_codes=8, layer=4)
        state = inversion.init(codes, optimizer)
        state, trace = inversion.run(step, state, task.degrade(scenes), params, vgg, num_steps=STEPS)
        assert step.update._cache_size() == 1
        image = jax.jit(functools.partial(composition.compose, generator, layer=4))(params, state.best_codes)
        return state, trace, metrics.psnr(image, scenes)

    return run


@pytest.mark.slow
def test_bfloat16_goes_where_float32_goes(invert):
    (exact, trace, psnr), (half, half_trace, half_psnr) = invert('float32'), invert('bfloat16')
    floats = [leaf for leaf in jax.tree.leaves((half, half_trace)) if jnp.issubdtype(leaf.dtype, jnp.floating)]
    assert {str(leaf.dtype) for leaf in floats} == {'float32'}
    assert (trace['loss'][-1] < 0.5 * trace['loss'][0]).all()
    assert jnp.abs(half_psnr - psnr).max() < 0.5
    assert not (half.best_loss == exact.best_loss).all()


@pytest.mark.slow
def test_rematerialisation_goes_where_none_goes(invert):
    (_, trace, psnr), (_, remat_trace, remat_psnr) = invert('float32'), invert('float32', remat=True)
    assert jnp.allclose(trace['loss'], remat_trace['loss'], rtol=1e-2)
    assert jnp.abs(psnr - remat_psnr).max() < 0.1
