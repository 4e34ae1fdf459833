"""CIE Lab and the accuracy of colours, against scikit-image and their definitions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from skimage.color import rgb2lab

from mgan_jax import metrics
from mgan_jax.metrics import colour
from tests.references import stored

pytestmark = pytest.mark.usefixtures('quick_compilation')
REFERENCE = stored('vgg16_lpips_metrics')
rgb_to_lab, auc_ab = jax.jit(colour.rgb_to_lab), jax.jit(metrics.auc_ab)


def draw(*shape, seed=0):
    return np.random.default_rng(seed).uniform(-1, 1, shape).astype(np.float32)


def to_unit(images):
    return (np.asarray(images, np.float64) + 1) / 2


def floats(images):
    return jnp.asarray(images, jnp.float32)


def test_lab_agrees_with_scikit_image():
    x = REFERENCE['a']
    np.testing.assert_allclose(rgb_to_lab(floats(x)), rgb2lab(to_unit(x)), rtol=0, atol=1e-3)


def test_all_colours_in_lab():
    """Black, white, the corners of the cube, and dark colours around the bends of both curves."""
    values = np.concatenate([np.linspace(0, 0.3, 13), [0.04045, 0.5, 1]])
    rgb = np.stack(np.meshgrid(values, values, values), axis=-1).reshape(1, 64, 64, 3)
    np.testing.assert_allclose(rgb_to_lab(floats(2 * rgb - 1)), rgb2lab(rgb), rtol=0, atol=2e-3)
    with pytest.raises(ValueError, match='images with 1 channels are given; Lab needs red, green and blue'):
        colour.auc_ab(jnp.zeros((1, 4, 4, 1)), jnp.zeros((1, 4, 4, 1)))


def test_auc_by_its_definition():
    """With thresholds in steps of 1, the area is exact to half a step."""
    x, y = draw(2, 9, 7, 3), draw(2, 9, 7, 3, seed=1)
    for found, one, other in zip(auc_ab(x, y), x, y, strict=True):
        a, b = (rgb2lab(to_unit(image))[..., 1:].reshape(-1, 2) for image in (one, other))
        shares = [np.mean(np.hypot(*(a - b).T) <= threshold) for threshold in range(151)]
        expected = (np.sum(shares) - (shares[0] + shares[-1]) / 2) / 150
        np.testing.assert_allclose(found, expected, rtol=0, atol=1 / 300)
    np.testing.assert_allclose(auc_ab(x, x), 1, atol=1e-6)


def test_auc_of_colours_at_a_known_distance():
    """sRGB blue is (79.2, -107.9) in the ab plane, grey is (0, 0), and the distance of yellow to blue is above 150."""
    blue, grey, yellow = ([[color]] for color in ([-1, -1, 1], [0, 0, 0], [1, 1, -1]))
    found = auc_ab(floats([blue, blue, grey]), floats([grey, yellow, grey]))
    np.testing.assert_allclose(found, [1 - np.hypot(79.19, 107.86) / 150, 0, 1], atol=1e-3)


def test_gradient_at_equal_colours():
    x = jnp.asarray(draw(1, 24, 24, 3))
    others = jnp.concatenate([x, x.at[:, :12].mul(-1), -x])
    found = jax.jit(jax.grad(lambda x: jnp.sum(colour.auc_ab(x, others))))(x.repeat(3, axis=0))
    assert np.isfinite(found).all() and np.abs(found[1:]).max(axis=(1, 2, 3)).min() > 0


def test_auc_is_one_number_per_image():
    x, y = draw(3, 11, 11, 3), draw(3, 11, 11, 3, seed=1)
    y[1:] = (x[1:] + y[1:]) / 2
    together = auc_ab(x, y)
    assert together.shape == (3,) and len(set(np.asarray(together))) == 3
    np.testing.assert_allclose(auc_ab(x[::-1], y[::-1]), together[::-1], rtol=1e-5)
