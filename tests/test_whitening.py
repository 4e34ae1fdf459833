"""Whitened steps against their formula with eigenvectors, and on a problem with correlated codes."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from mgan_jax import inversion
from mgan_jax.whitening import FLOOR, scale_by_whitening, whiten

pytestmark = pytest.mark.usefixtures('quick_compilation')


def steps(gradients, **decays):
    """The steps for a sequence of gradients."""
    optimizer = scale_by_whitening(**decays)
    state, found, update = optimizer.init(gradients[0]), [], jax.jit(optimizer.update)
    for gradient in gradients:
        step, state = update(gradient, state)
        found.append(step)
    return found


def draw(*shape, seed=0, scale=1.0):
    return jnp.asarray(scale * np.random.default_rng(seed).standard_normal(shape), jnp.float32)


def unit(x):
    return x / np.sqrt(np.mean(np.square(x)))


def reference(gradients, b1, b2):
    """U = (L / tr L + floor)^-1/2 M (R + floor max R)^-1/2 in float64."""
    mean, codes, columns = 0.0, 0.0, 0.0
    for gradient in np.asarray(gradients, np.float64):
        mean = b1 * mean + (1 - b1) * gradient
        codes = b2 * codes + (1 - b2) * gradient @ gradient.T
        columns = b2 * columns + (1 - b2) * np.square(gradient).sum(axis=0)
    values, vectors = np.linalg.eigh(codes / np.trace(codes) + FLOOR * np.eye(len(codes)))
    return unit((vectors / np.sqrt(values)) @ vectors.T @ (mean / np.sqrt(columns + FLOOR * columns.max())))


@pytest.mark.slow
@pytest.mark.parametrize('rows, columns', [(1, 6), (2, 1), (5, 40), (20, 7), (30, 64)])
@pytest.mark.parametrize('decays', [{'b1': 0.8, 'b2': 0.9}, {'b1': 0.0, 'b2': 0.5}])
def test_the_formula(rows, columns, decays):
    gradients = [draw(rows, columns, seed=i) + 3 * draw(1, columns, seed=9) for i in range(3)]  # a large common part
    np.testing.assert_allclose(steps(gradients, **decays)[-1], reference(gradients, **decays), rtol=2e-3, atol=2e-3)


def test_a_single_direction_is_floored():
    """Slopes of rank 1: the other directions have none and are not blown up."""
    gradient = jnp.outer(jnp.arange(1.0, 21.0), jnp.linspace(1, 2, 30))
    found = steps([gradient])[0]
    assert np.linalg.matrix_rank(found, tol=1e-2) == 1
    np.testing.assert_allclose(found, reference([gradient], 0.8, 0.9), rtol=1e-3)


@pytest.mark.parametrize('scale', [1e-8, 1e-3, 1e5])
def test_the_scale_of_the_gradients_does_not_matter(scale):
    gradients = [draw(4, 9, seed=i) for i in range(2)]
    small = steps([scale * gradient for gradient in gradients])
    for one, other in zip(steps(gradients), small, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(np.mean(np.square(other)), 1, rtol=1e-3)


def test_no_gradient_no_step():
    np.testing.assert_array_equal(steps([jnp.zeros((3, 4))])[0], 0)


@pytest.mark.slow
def test_leaves_of_every_form():
    """Styles per layer [N l W] are columns together; leaves do not mix; a tail without rows is left alone."""
    gradients = {'styles': draw(4, 2, 3), 'alpha': (draw(4, 5, seed=1), draw(4, 3, seed=2)), 'tail': jnp.zeros((0, 6))}
    found = steps([gradients])[0]
    flat = steps([gradients['styles'].reshape(4, 6)])[0]
    np.testing.assert_array_equal(found['styles'], flat.reshape(4, 2, 3))
    np.testing.assert_array_equal(found['alpha'][1], steps([gradients['alpha'][1]])[0])
    assert found['tail'].shape == (0, 6)


@pytest.mark.parametrize('shape', [(), (3,)])
def test_a_leaf_without_codes_is_refused(shape):
    with pytest.raises(
        ValueError, match=r'^a leaf of shape \[3?\] is given; whitening wants \[N, ...\], with the codes first.$'
    ):
        scale_by_whitening().init(jnp.zeros(shape))


def mixed(codes, target):
    """A loss [B] of mixtures of codes [B N X], with weights that differ by a factor of 100."""
    codes_of = np.linalg.qr(np.random.default_rng(0).standard_normal((8, 8)))[0]
    mixture = jnp.asarray(np.logspace(-2, 0, 8)[:, None] * codes_of, jnp.float32)
    return jnp.sum(jnp.square(jnp.einsum('mn,bnx->bmx', mixture, codes - target)), axis=(1, 2))


def lowest(optimizer, target, num_steps=100):
    step, state = inversion.make_step(mixed, optimizer), inversion.init(jnp.zeros_like(target), optimizer)
    return np.asarray(inversion.run(step, state, target, num_steps=num_steps)[0].best_loss)


@pytest.mark.slow
def test_correlated_codes():
    target, rate = draw(2, 8, 6), optax.cosine_decay_schedule(0.1, 100)
    whitened = lowest(whiten(rate), target)
    adam = np.minimum(lowest(optax.adam(rate, 0.5, 0.9), target), lowest(optax.adam(rate), target))
    assert np.all(whitened < 0.3 * adam), (whitened, adam)


def test_images_do_not_mix():
    """The bits of an image's steps depend neither on its position in the batch nor on the other images."""
    gradients = draw(3, 5, 11)
    other = jnp.concatenate([draw(2, 5, 11, seed=1, scale=100.0), gradients[:1]])
    update = jax.jit(jax.vmap(lambda gradient: steps([gradient, gradient])[1]))
    np.testing.assert_array_equal(update(gradients)[0], update(other)[2])
