"""Pictures of each code alone and of the channel importances."""

import io

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from mgan_jax import composition
from mgan_jax.results import contributions
from tests import toy

pytestmark = pytest.mark.usefixtures('quick_compilation')
N, LAYER = 3, 2


@pytest.fixture(scope='module')
def toy_codes():
    """Returns (generator, params, codes of two images with random importances)."""
    generator, params = toy.generator()
    codes = composition.init(jax.random.key(0), generator, params, batch=2, num_codes=N, layer=LAYER)
    rng = np.random.default_rng(0)
    alpha = jax.tree.map(lambda a: jnp.asarray(rng.normal(size=a.shape), jnp.float32), codes.alpha)
    return generator, params, codes._replace(alpha=alpha)


@pytest.mark.slow
def test_a_code_alone_is_the_image_with_other_importances_zero(toy_codes):
    generator, params, codes = toy_codes
    rendered = contributions.render_codes_alone(generator, params, codes, layer=LAYER)
    assert rendered.shape == (2, N, 16, 16, 3)
    for n in range(N):
        only = jax.tree.map(lambda a, n=n: a * (jnp.arange(N) == n)[None, :, None], codes.alpha)
        expected = composition.compose(generator, params, codes._replace(alpha=only), layer=LAYER)
        np.testing.assert_allclose(rendered[:, n], expected, rtol=1e-4, atol=1e-5)


def test_pictures_are_shrunk_with_their_aspect_ratio(toy_codes):
    generator, params, codes = toy_codes
    full = contributions.render_codes_alone(generator, params, codes, layer=LAYER)
    small = contributions.render_codes_alone(generator, params, codes, layer=LAYER, side=8)
    assert small.shape == (2, N, 8, 8, 3)
    # the antialiasing filter preserves the mean, but for the border
    np.testing.assert_allclose(small.mean((2, 3)), full.mean((2, 3)), atol=0.05)


def test_the_files_of_an_image(toy_codes):
    generator, params, codes = toy_codes
    explain = contributions.make_explainer(generator, params, LAYER, 'z')
    files = explain(jax.tree.map(lambda leaf: np.asarray(leaf[1]), codes))
    assert files.keys() == {'codes.png', 'alpha.png'}
    with Image.open(io.BytesIO(files['codes.png'])) as picture:
        values = np.asarray(picture)
    expected = np.clip(contributions.render_codes_alone(generator, params, codes, layer=LAYER)[1], -1, 1)
    assert values.shape == (16, 16 * N, 3)
    for n in range(N):
        pixels = values[:, 16 * n : 16 * (n + 1)] / 127.5 - 1
        np.testing.assert_allclose(pixels, expected[n], atol=0.01)


def test_colours_of_importances():
    alpha = np.array([[1.0, 0.0, -1.0], [0.5, -2.0, np.nan]], np.float32)
    with Image.open(io.BytesIO(contributions.draw_importances(alpha))) as picture:
        values = np.asarray(picture).astype(int)
    assert values.shape == (2 * contributions.ROW, 3, 3)
    np.testing.assert_array_equal(values[0, 1], [255, 255, 255])
    np.testing.assert_array_equal(values[contributions.ROW, 1], contributions.BLUE)
    np.testing.assert_array_equal(values[contributions.ROW, 2], [255, 255, 255])
    half = (contributions.WHITE + contributions.RED) / 2  # 1 of 2
    np.testing.assert_allclose(values[0, 0], half, atol=0.6)
    np.testing.assert_array_equal(values[: contributions.ROW], np.repeat(values[:1], contributions.ROW, axis=0))


def test_the_feature_map_with_most_channels_is_drawn_and_zeros_are_white():
    alpha = {'rgb': np.ones((2, 3), np.float32), 'features': np.zeros((2, 5), np.float32)}
    with Image.open(io.BytesIO(contributions.draw_importances(alpha))) as picture:
        assert picture.size == (5, 2 * contributions.ROW)
        assert (np.asarray(picture) == 255).all()


def test_grey_pictures_and_pixels_that_are_not_finite():
    pictures = np.stack([np.full((4, 4, 1), 1.0), np.full((4, 4, 1), np.nan)]).astype(np.float32)
    with Image.open(io.BytesIO(contributions.draw_codes(pictures))) as picture:
        assert (picture.mode, picture.size) == ('L', (8, 4))
        assert np.asarray(picture)[0].tolist() == [255] * 4 + [128] * 4
