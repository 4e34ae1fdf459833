"""Losses against NumPy, one number per image, and the part that is computed once per run."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from mgan_jax import composition, inversion, losses, tasks
from mgan_jax.models import lpips, perceptual
from mgan_jax.models.extractor import Extractor
from tests.references import lpips as reference_lpips

BATCH, CODES, LATENT, SIZE = 3, 2, 4, 6


def draw(*shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).standard_normal(shape), jnp.float32)


class Linear(NamedTuple):
    """A toy whose image is the composed features times a matrix."""

    latent_dim: int = LATENT

    def features(self, params, latents, stop, space='z'):
        return jnp.einsum('md,dhwc->mhwc', latents, params['body'])

    def image(self, params, features, start, tail=None):
        return jnp.tanh(features @ params['to_rgb'])


PARAMS = {'body': draw(LATENT, SIZE, SIZE, 5), 'to_rgb': draw(5, 3, seed=1)}
VGG = {'weight': draw(3, 7, seed=2)}
CODES_AT = composition.Codes(draw(BATCH, CODES, LATENT, seed=3), draw(BATCH, CODES, 5, seed=4))
INPUT = draw(BATCH, SIZE, SIZE, 3, seed=5)
HOLE = (np.random.default_rng(6).random((SIZE, SIZE, 1)) < 0.4).astype(np.float32)


def toy_extractor(calls):
    """phi(x) = |x| W; notes the layer of every call."""

    def features(params, images, layer):
        calls.append(layer)
        return jnp.abs(jnp.broadcast_to(images, (*images.shape[:3], 3))) @ params['weight']

    return Extractor(features, ('first', 'second'), init=None, attributes=None)


def make(task=None, **options):
    calls = []
    options = {'layer': 2, 'extractor': toy_extractor(calls), 'extractor_layer': 'second', **options}
    return losses.objective(Linear(), task or tasks.reconstruct(), **options), calls


def inverted():
    return np.asarray(composition.compose(Linear(), PARAMS, CODES_AT, layer=2))


def phi(x, size):
    rows = np.arange(size) * x.shape[1] // size
    return np.abs(x[:, rows][:, :, rows]) @ np.asarray(VGG['weight'])


@pytest.mark.slow
@pytest.mark.parametrize('size', [4, 6, 9])
@pytest.mark.parametrize('name', ['reconstruct', 'inpaint'])
def test_values_by_numpy(name, size):
    known = 1 if name == 'reconstruct' else 1 - HOLE
    task = tasks.reconstruct() if name == 'reconstruct' else tasks.inpaint(HOLE)
    objective, _ = make(task, pixel=2.0, perceptual=0.5, extractor_size=size)
    x, y = inverted() * known, np.asarray(INPUT) * known
    expected = [
        2.0 * np.mean((x[i] - y[i]) ** 2) + 0.5 * np.mean(np.abs(phi(x, size)[i] - phi(y, size)[i]))
        for i in range(BATCH)
    ]
    found = objective(CODES_AT, task.degrade(INPUT), PARAMS, VGG)
    assert found.shape == (BATCH,)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_values_of_a_degradation_that_changes_the_size_and_the_channels():
    task = tasks.super_resolve(2, 'area')
    objective, _ = make(task, perceptual=0, extractor=None)
    small = [np.asarray(task.degrade(jnp.asarray(x))) for x in (inverted(), INPUT)]
    expected = np.mean((small[0] - small[1]) ** 2, axis=(1, 2, 3))
    np.testing.assert_allclose(objective(CODES_AT, small[1], PARAMS), expected, rtol=1e-5)

    task = tasks.colorize()
    objective, _ = make(task, pixel=0, perceptual=1.0, extractor_size=None)
    gray = [np.repeat(np.asarray(task.degrade(jnp.asarray(x))), 3, axis=3) for x in (inverted(), INPUT)]
    expected = np.mean(np.abs(phi(gray[0], SIZE) - phi(gray[1], SIZE)), axis=(1, 2, 3))
    np.testing.assert_allclose(objective(CODES_AT, task.degrade(INPUT), PARAMS, VGG), expected, rtol=1e-5)


def test_default_weights_and_layer():
    objective, calls = make(extractor_size=4, extractor_layer='first')
    x, y = inverted(), np.asarray(INPUT)
    expected = np.mean((x - y) ** 2, axis=(1, 2, 3)) + 0.001 * np.mean(np.abs(phi(x, 4) - phi(y, 4)), axis=(1, 2, 3))
    np.testing.assert_allclose(objective(CODES_AT, INPUT, PARAMS, VGG), expected, rtol=1e-5)
    assert calls == ['first', 'first']


def test_mean_squared():
    x, y = draw(2, 3, 4, 5), draw(2, 3, 4, 5, seed=1)
    difference = np.asarray(x) - np.asarray(y)
    np.testing.assert_allclose(losses.mean_squared(x, y), np.mean(difference**2, axis=(1, 2, 3)), rtol=1e-5)


def gradient_of(objective, codes, observation):
    return jax.jit(jax.grad(lambda c, o: jnp.sum(objective(c, o, PARAMS, VGG))))(codes, observation)


def test_every_image_has_its_own_gradient():
    objective, _ = make(perceptual=0.5, extractor_size=4)
    together = gradient_of(objective, CODES_AT, INPUT)
    for i in range(BATCH):
        alone = gradient_of(objective, jax.tree.map(lambda x, i=i: x[i : i + 1], CODES_AT), INPUT[i : i + 1])
        for one, all_of_them in zip(jax.tree.leaves(alone), jax.tree.leaves(together), strict=True):
            assert np.abs(one).max() > 1e-3
            np.testing.assert_allclose(all_of_them[i], one[0], rtol=1e-4, atol=1e-6)


def test_an_image_changes_nothing_of_another():
    objective, _ = make(perceptual=0.5, extractor_size=4)
    before = gradient_of(objective, CODES_AT, INPUT)
    other = gradient_of(objective, jax.tree.map(lambda x: x.at[1].set(jnp.nan), CODES_AT), INPUT.at[1].set(jnp.nan))
    for one, two in zip(jax.tree.leaves(before), jax.tree.leaves(other), strict=True):
        np.testing.assert_array_equal(one[np.array([0, 2])], two[np.array([0, 2])])
        assert np.isnan(two[1]).any()


def test_the_target_is_prepared_once():
    objective, calls = make(tasks.inpaint(HOLE), perceptual=0.5, extractor_size=4)
    observation = tasks.inpaint(HOLE).degrade(INPUT)
    arguments = objective.prepare(observation, PARAMS, VGG)
    assert len(calls) == 1
    target = arguments[0]
    np.testing.assert_array_equal(target.pixels, INPUT * (1 - HOLE[None]))
    np.testing.assert_allclose(target.features, phi(np.asarray(INPUT) * (1 - HOLE), 4), rtol=1e-5, atol=1e-6)
    values = [objective.evaluate(CODES_AT, *arguments) for _ in range(3)]
    assert len(calls) == 4
    np.testing.assert_array_equal(values[0], objective(CODES_AT, observation, PARAMS, VGG))


def toy_lpips():
    """LPIPS of one stage: the features of `toy_extractor`, with a weight for each of the seven channels."""
    calls = []
    extractor = toy_extractor(calls)._replace(
        features=lambda params, images, names: tuple(toy_extractor(calls).features(params, images, n) for n in names),
        stages=('second',),
    )
    heads = {'second': jnp.arange(7.0)}
    return perceptual.lpips_distance(extractor, lpips.build_lpips(['second'], [7])), (VGG, heads), calls


@pytest.mark.slow
def test_lpips_as_the_perceptual_term():
    distance, weights, calls = toy_lpips()
    objective = losses.objective(
        Linear(), tasks.inpaint(HOLE), layer=2, pixel=2.0, perceptual=0.5, distance=distance, extractor_size=4
    )
    observation = tasks.inpaint(HOLE).degrade(INPUT)
    x, y = (phi(image * (1 - HOLE), 4) for image in (inverted(), np.asarray(INPUT)))
    expected = 2.0 * np.mean(((inverted() - np.asarray(INPUT)) * (1 - HOLE)) ** 2, axis=(1, 2, 3))
    expected += 0.5 * reference_lpips([x], [y], [np.arange(7)])
    np.testing.assert_allclose(objective(CODES_AT, observation, PARAMS, weights), expected, rtol=1e-5)
    assert calls == ['second', 'second']
    arguments = objective.prepare(observation, PARAMS, weights)
    objective.evaluate(CODES_AT, *arguments)
    assert len(calls) == 4
    assert jax.tree.leaves(arguments[0].features)[0].shape == (BATCH, 4, 4, 7)
    gradient = jax.jit(jax.grad(lambda c, *rest: jnp.sum(objective(c, *rest))))(CODES_AT, observation, PARAMS, weights)
    assert all(np.isfinite(leaf).all() and leaf.any() for leaf in jax.tree.leaves(gradient))


@pytest.mark.slow
def test_an_inversion_with_lpips_compiles_once_and_descends():
    distance, weights, _ = toy_lpips()
    objective = losses.objective(Linear(), tasks.reconstruct(), layer=2, pixel=0, perceptual=1.0, distance=distance)
    optimizer = optax.adam(0.05)
    step = inversion.make_step(objective, optimizer)
    state, trace = inversion.run(step, inversion.init(CODES_AT, optimizer), INPUT, PARAMS, weights, num_steps=20)
    assert (trace['loss'][-1] < 0.9 * trace['loss'][0]).all()
    assert step.update._cache_size() == step.prepare._cache_size() == 1


@pytest.mark.parametrize('extractor', [None, 'unused'])
def test_without_a_perceptual_term_the_extractor_is_not_called(extractor):
    calls = []
    chosen = extractor and toy_extractor(calls)
    objective = losses.objective(Linear(), tasks.reconstruct(), layer=2, perceptual=0, extractor=chosen)
    expected = np.mean((inverted() - np.asarray(INPUT)) ** 2, axis=(1, 2, 3))
    np.testing.assert_allclose(objective(CODES_AT, INPUT, PARAMS), expected, rtol=1e-5)
    assert objective.prepare(INPUT, PARAMS)[0].features is None and calls == []


def test_a_perceptual_term_without_an_extractor():
    message = '^the perceptual weight is 0.001, but there is no extractor; give one, or the weight 0.$'
    with pytest.raises(ValueError, match=message):
        losses.objective(Linear(), tasks.reconstruct(), layer=2)


@pytest.mark.parametrize('shape', [(BATCH, 3, 3, 3), (BATCH, SIZE, SIZE, 1), (1, SIZE, SIZE, 3), (SIZE, SIZE, 3)])
def test_observations_of_a_wrong_shape(shape):
    objective, _ = make(perceptual=0, extractor=None)
    given, wanted = (', '.join(map(str, s)) for s in (shape, (BATCH, SIZE, SIZE, 3)))
    message = rf'^the observation has the shape \[{given}\]; this task makes \[{wanted}\] of an image.$'
    with pytest.raises(ValueError, match=message):
        objective(CODES_AT, jnp.zeros(shape), PARAMS)


def test_an_objective_goes_through_transformations_as_it_is():
    objective, _ = make()
    plain = objective(CODES_AT, INPUT, PARAMS, VGG)
    np.testing.assert_allclose(jax.jit(objective)(CODES_AT, INPUT, PARAMS, VGG), plain, rtol=1e-5)
    gradient = jax.jit(jax.grad(lambda codes: objective(codes, INPUT, PARAMS, VGG).sum()))(CODES_AT)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient))
