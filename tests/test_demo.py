"""The shipped demo: generator, extractor, encoder and bundled scenes."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import mgan_jax
from mgan_jax import invert, metrics, models, tasks
from mgan_jax.data import images, sources
from mgan_jax.demo import gan, landscape, scenes, train
from mgan_jax.run import jobs

DEMO = Path(mgan_jax.__file__).parent / 'demo'


@pytest.fixture(scope='module')
def samples():
    generator, params = models.load('demo')
    z = jax.random.normal(jax.random.key(5), (128, generator.latent_dim))
    return np.asarray(jax.jit(generator.generate)(params, z))


def test_weights_take_at_most_five_mebibytes():
    files = [
        path for name in ('generator', 'extractor', 'encoder') for path in (DEMO / name).rglob('*') if path.is_file()
    ]
    assert files
    assert sum(path.stat().st_size for path in files) <= 5 * 2**20


@pytest.mark.slow
def test_samples_fill_the_range_of_images(samples):
    assert samples.shape == (128, 64, 64, 3)
    assert np.percentile(samples, 1) > -1.3
    assert np.percentile(samples, 99) < 1.3
    assert samples.std() > 0.3


@pytest.mark.slow
def test_samples_are_varied(samples):
    """Their variance is comparable with that of the drawn scenes."""
    drawn = gan.prepare_images(scenes.draw_batch(train.HELD_OUT_SEED, 0, 256).images, 64)
    assert samples.var(axis=0).mean() > 0.75 * drawn.var(axis=0).mean()


def test_no_sample_is_a_copy_of_a_held_out_scene(samples):
    drawn = gan.prepare_images(scenes.draw_batch(train.HELD_OUT_SEED, 0, 256).images, 64)
    nearest = min(float(np.mean(np.square(drawn - sample), axis=(1, 2, 3)).min()) for sample in samples)
    assert 10 * np.log10(4 / nearest) < 25


@pytest.mark.slow
def test_a_scenes_own_code_looks_like_it():
    generator, params = models.load('demo')
    batch = scenes.draw_batch(train.HELD_OUT_SEED, 300, 128)
    made = jnp.clip(jax.jit(generator.generate)(params, batch.latents), -1, 1)
    assert metrics.psnr(made, gan.prepare_images(batch.images, 64)).mean() > 23.5


def test_extractor_tells_the_attributes():
    extractor, params = models.load('demo-extractor')
    batch = scenes.draw_batch(train.HELD_OUT_SEED, 300, 64)
    told = np.asarray(jax.jit(extractor.attributes)(params, gan.prepare_images(batch.images, 64)))
    assert extractor.attribute_names == landscape.ATTRIBUTES
    assert np.abs(told - batch.attributes).mean() < 0.1
    tower = landscape.ATTRIBUTES.index('tower')
    assert np.mean((told[:, tower] > 0.5) == (batch.attributes[:, tower] > 0.5)) > 0.9


def test_bundled_images_are_held_out_scenes():
    found = sources.find_images('bundled', jobs.BUNDLED)
    expected = scenes.draw_batch(train.HELD_OUT_SEED, 0, train.NUM_BUNDLED).images
    assert len(found) == train.NUM_BUNDLED
    for source, pixels in zip(found, expected, strict=True):
        np.testing.assert_array_equal(images.to_uint8(images.read_image(source.path).pixels), pixels)


@pytest.mark.slow
def test_super_resolution_of_a_bundled_scene(tmp_path, capsys):
    arguments = [
        '--config',
        'configs/sr.py',
        f'--config.images={DEMO}/images/scene0.png',
        f'--config.out={tmp_path}/out',
    ]
    assert invert.main([*arguments, '--config.steps=40']) == 0
    assert '1 of 1 images done' in capsys.readouterr().out
    result, observation = (
        images.read_image(tmp_path / 'out' / 'scene0' / f'{name}.png') for name in ('result', 'input')
    )
    shrunk = tasks.super_resolve(4).degrade(jnp.asarray(result.pixels)[None])
    assert metrics.psnr(shrunk, observation.pixels[None])[0] > 24


@pytest.mark.slow
def test_encoder_inverts_samples_and_scenes():
    """Its codes for new samples and for drawn scenes render far closer images than the mean code."""
    (generator, params), (encoder, own) = models.load('demo'), models.load('demo-encoder')
    render = jax.jit(lambda z: jnp.clip(generator.generate(params, z), -1, 1))
    samples = render(jax.random.normal(jax.random.key(11), (64, generator.latent_dim)))
    drawn = jnp.asarray(gan.prepare_images(scenes.draw_batch(train.HELD_OUT_SEED, 300, 64).images, 64))
    mean = render(jnp.full((64, generator.latent_dim), 1e-3))  # of length 0 it would be divided by 0
    for inputs, least in ((samples, 12), (drawn, 9)):
        told = metrics.psnr(render(encoder(own, inputs)), inputs).mean()
        assert told > metrics.psnr(mean, inputs).mean() + least
