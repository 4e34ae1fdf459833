"""The composition against equations 2 and 3, written as loops; a generator with styles and several feature maps."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from mgan_jax import composition, models, optimizers
from mgan_jax.models import pggan, stylegan, stylegan2
from tests import toy
from tests.references import relative_error
from tests.toy import draw_weights

pytestmark = pytest.mark.usefixtures('quick_compilation')
LAYER = 3


def draw(*shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).standard_normal(shape), jnp.float32)


@pytest.fixture(scope='module')
def small():
    generator = pggan.build_pggan(16, 8, 128, 16)
    return generator, draw_weights(generator.init)


class Styled(NamedTuple):
    """A toy with what StyleGAN2 has: two feature maps with different channels, latents per layer, a tail of styles."""

    latent_dim: int = 4

    def features(self, params, latents, stop, space='z'):
        style = latents if space == 'z' else latents.sum(axis=1)  # [M W] or [M l W]
        x = jnp.einsum('mw,whc->mhc', style, params['body'])[:, :, None] * jnp.ones((1, 1, 3, 1)) * stop
        return {'x': x, 'rgb': jnp.tanh(x[..., :2])}

    def image(self, params, features, start, tail=None):
        styles = 0 if tail is None else jnp.einsum('blw,wc->bc', tail, params['tail'])[:, None, None]
        rgb = jnp.square(features['x']) @ params['to_rgb'] + start * features['rgb']
        return rgb + styles


STYLED = Styled()
STYLED_PARAMS = {'body': draw(4, 2, 5), 'to_rgb': draw(5, 2, seed=1), 'tail': draw(4, 2, seed=2)}


def loop(generator, params, codes, layer, space='z'):
    """Equations 2 and 3, image by image, code by code, channel by channel."""
    images = []
    for b in range(codes.latents.shape[0]):
        composed = None
        for n in range(codes.latents.shape[1]):
            features = generator.features(params, codes.latents[b, n][None], stop=layer, space=space)
            alpha = jax.tree.map(lambda a, b=b, n=n: a[b, n], codes.alpha)
            weighed = jax.tree.map(
                lambda f, a: np.stack([np.asarray(f)[..., c] * float(a[c]) for c in range(f.shape[-1])], axis=-1),
                features,
                alpha,
            )
            composed = weighed if composed is None else jax.tree.map(np.add, composed, weighed)
        tail = None if codes.tail is None else codes.tail[b][None]
        images.append(generator.image(params, jax.tree.map(jnp.asarray, composed), start=layer, tail=tail)[0])
    return np.stack(images)


@pytest.mark.slow
@pytest.mark.parametrize('layer', [1, 4, 6])
def test_equations_2_and_3(small, layer):
    generator, params = small
    channels = generator.features(params, jnp.zeros((1, 8)), stop=layer).shape[-1]
    codes = composition.Codes(draw(2, 3, 8), draw(2, 3, channels, seed=1))
    jitted = generator._replace(
        features=jax.jit(generator.features, static_argnames=('stop', 'space')),
        image=jax.jit(generator.image, static_argnames='start'),
    )
    expected = loop(jitted, params, codes, layer)
    assert expected.shape == (2, 16, 16, 3)
    found = jax.jit(lambda p, c: composition.compose(generator, p, c, layer=layer))(params, codes)
    assert relative_error(found, expected) < 1e-5


@pytest.mark.slow
def test_one_code_of_importance_one_is_the_generator(small):
    generator, params = small
    z = draw(2, 8)
    codes = composition.Codes(z[:, None], jnp.ones((2, 1, 16)))
    found = composition.compose(generator, params, codes, layer=4)
    np.testing.assert_array_equal(found, generator.generate(params, z))


@pytest.mark.slow
@pytest.mark.parametrize('tail', [None, draw(2, 3, 4, seed=7)], ids=['no tail', 'tail'])
@pytest.mark.parametrize('space, shape', [('z', (2, 3, 4)), ('w+', (2, 3, 5, 4))])
def test_several_feature_maps_styles_and_latents_per_layer(space, shape, tail):
    alpha = {'x': draw(2, 3, 5, seed=3), 'rgb': draw(2, 3, 2, seed=4)}
    codes = composition.Codes(draw(*shape), alpha, tail)
    found = composition.compose(STYLED, STYLED_PARAMS, codes, layer=LAYER, space=space)
    assert found.shape == (2, 2, 3, 2)
    assert relative_error(found, loop(STYLED, STYLED_PARAMS, codes, LAYER, space)) < 1e-5


@pytest.mark.slow
def test_gradients_reach_every_part():
    codes = composition.init(jax.random.key(0), STYLED, STYLED_PARAMS, batch=2, num_codes=3, layer=LAYER)
    codes = codes._replace(tail=draw(2, 3, 4))
    slope = jax.grad(lambda c: jnp.sum(jnp.square(composition.compose(STYLED, STYLED_PARAMS, c, layer=LAYER))))(codes)
    for leaf in jax.tree.leaves(slope):
        assert np.abs(leaf).max() > 1e-3


def test_initial_codes(small):
    generator, params = small
    codes = composition.init(jax.random.key(0), generator, params, batch=40, num_codes=5, layer=5)
    assert codes.latents.shape == (40, 5, 8) and codes.alpha.shape == (40, 5, 8) and codes.tail is None
    assert codes.latents.dtype == codes.alpha.dtype == jnp.float32
    np.testing.assert_array_equal(codes.alpha, np.float32(1 / 5))
    assert abs(np.mean(codes.latents)) < 0.1 and abs(np.std(codes.latents) - 1) < 0.1
    assert len(np.unique(codes.latents)) > 1500  # no two codes alike
    given = composition.init(jax.random.key(0), generator, params, batch=2, num_codes=5, layer=4, alpha=0.04)
    np.testing.assert_array_equal(given.alpha, np.full((2, 5, 16), np.float32(0.04)))


def test_initial_importances_are_like_the_features():
    codes = composition.init(jax.random.key(0), STYLED, STYLED_PARAMS, batch=2, num_codes=3, layer=LAYER)
    assert {name: leaf.shape for name, leaf in codes.alpha.items()} == {'x': (2, 3, 5), 'rgb': (2, 3, 2)}


def start(key, batch):
    return composition.init(key, STYLED, STYLED_PARAMS, batch=batch, num_codes=3, layer=LAYER).latents


def test_with_a_key_per_image_its_codes_do_not_depend_on_the_batch():
    keys = jax.random.split(jax.random.key(3), 4)
    together = start(keys, 4)
    for chosen in ([2], [3, 1], [0, 0]):
        np.testing.assert_array_equal(start(keys[np.array(chosen)], len(chosen)), together[np.array(chosen)])


def test_with_one_key_the_first_images_do_not_depend_on_how_many_follow():
    np.testing.assert_array_equal(start(jax.random.key(3), 2), start(jax.random.key(3), 4)[:2])
    assert np.any(start(jax.random.key(3), 2) != start(jax.random.key(4), 2))


def test_initial_codes_inside_jit():
    keys = jax.random.split(jax.random.key(3), 2)
    np.testing.assert_array_equal(jax.jit(start, static_argnums=1)(keys, 2), start(keys, 2))


def test_keys_of_the_old_kind_draw_the_same_codes():
    def start(key):
        return composition.init(key, STYLED, STYLED_PARAMS, batch=2, num_codes=3, layer=LAYER).latents

    np.testing.assert_array_equal(start(jax.random.PRNGKey(3)), start(jax.random.key(3)))
    old = jnp.stack([jax.random.PRNGKey(i) for i in (3, 4)])
    np.testing.assert_array_equal(start(old), start(jax.vmap(jax.random.key)(jnp.array([3, 4]))))


@pytest.mark.parametrize('num_codes', [0, -2])
def test_no_codes(num_codes):
    message = f'^num_codes is {num_codes}; at least one latent code is needed.$'
    with pytest.raises(ValueError, match=message):
        composition.init(jax.random.key(0), STYLED, STYLED_PARAMS, batch=1, num_codes=num_codes, layer=LAYER)


def test_a_wrong_number_of_keys():
    with pytest.raises(ValueError, match='^3 keys are given for a batch of 2; give one key, or one per image.$'):
        start(jax.random.split(jax.random.key(0), 3), 2)


@pytest.mark.parametrize('tail', [None, jnp.zeros((2, 3, 4))], ids=['no tail', 'tail'])
@pytest.mark.parametrize('rates', [(0.5, 0.0), (0.0, 0.25), (0.5, 0.25)])
def test_two_learning_rates(tail, rates):
    codes = composition.Codes(jnp.zeros((2, 3, 4)), {'x': jnp.zeros((2, 3, 5)), 'rgb': jnp.zeros((2, 3, 2))}, tail)
    optimizer = optimizers.split_optimizer(*map(optax.sgd, rates))
    change, _ = optimizer.update(jax.tree.map(jnp.ones_like, codes), optimizer.init(codes), codes)
    np.testing.assert_array_equal(change.latents, -rates[0])
    for leaf in jax.tree.leaves(change.alpha):
        np.testing.assert_array_equal(leaf, -rates[1])
    if tail is None:
        assert change.tail is None
    else:
        np.testing.assert_array_equal(change.tail, -rates[0])


@pytest.mark.parametrize('rest, expected', [(optax.sgd(2.0), -2.0), (None, -0.5)])
def test_tail_and_noise_may_have_an_optimiser_of_their_own(rest, expected):
    codes = composition.Codes(jnp.zeros((2, 3, 4)), jnp.zeros((2, 3, 5)), jnp.zeros((2, 1, 4)), (jnp.zeros((2, 4, 4)),))
    optimizer = optimizers.split_optimizer(optax.sgd(0.5), optax.sgd(0.25), rest)
    change, _ = optimizer.update(jax.tree.map(jnp.ones_like, codes), optimizer.init(codes), codes)
    np.testing.assert_array_equal(change.latents, -0.5)
    np.testing.assert_array_equal(change.alpha, -0.25)
    np.testing.assert_array_equal(change.tail, expected)
    np.testing.assert_array_equal(change.noise[0], expected)


STYLES = {'resolution': 16, 'latent_dim': 6, 'style_dim': 8, 'fmaps_base': 128, 'fmaps_max': 12, 'mapping_layers': 2}


@pytest.fixture(
    scope='module', params=[stylegan.build_stylegan, stylegan2.build_stylegan2], ids=['stylegan', 'stylegan2']
)
def styled(request):
    generator = request.param(**STYLES)
    return generator, toy.draw_weights(generator.init, seed=5)


@pytest.mark.slow
@pytest.mark.parametrize('space', ['z', 'w', 'w+'])
@pytest.mark.parametrize('noise', [False, True])
def test_one_code_of_weight_one_is_plain_generation(styled, space, noise):
    generator, params = styled
    options = {'batch': 2, 'num_codes': 1, 'layer': 3}
    codes = composition.init(jax.random.key(3), generator, params, space=space, tail=False, noise=noise, **options)
    z = composition.init(jax.random.key(3), generator, params, **options).latents[:, 0]
    image = composition.compose(generator, params, codes, layer=3, space=space)
    np.testing.assert_allclose(image, generator.generate(params, z), atol=1e-5)
    matching = codes._replace(tail=generator.styles.of(params, z, 'z'))
    image = composition.compose(generator, params, matching, layer=3, space=space)
    np.testing.assert_allclose(image, generator.generate(params, z), atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize('space', ['z', 'w', 'w+'])
def test_codes_of_a_space(styled, space):
    generator, params = styled
    codes = composition.init(
        jax.random.key(3), generator, params, batch=2, num_codes=3, layer=4, space=space, noise=True
    )
    assert codes.latents.shape == {'z': (2, 3, 6), 'w': (2, 3, 8), 'w+': (2, 3, 4, 8)}[space]
    np.testing.assert_array_equal(codes.tail, np.broadcast_to(params['w_avg'], codes.tail.shape))
    features = generator.features(params, codes.latents[:, 0], 4, space)
    assert jax.tree.map(lambda f: (2, 3, f.shape[-1]), features) == jax.tree.map(jnp.shape, codes.alpha)
    assert len(codes.noise) == generator.num_layers and codes.noise[-1].shape == (2, 16, 16)
    image = composition.compose(generator, params, codes, layer=4, space=space)
    assert image.shape == (2, 16, 16, 3) and np.isfinite(image).all()


@pytest.mark.slow
def test_every_part_of_the_codes_has_a_gradient(styled):
    generator, params = styled
    codes = composition.init(
        jax.random.key(3), generator, params, batch=1, num_codes=2, layer=4, space='w+', noise=True
    )

    def total(codes):
        return jnp.sum(composition.compose(generator, params, codes, layer=4, space='w+') ** 2)

    slopes = jax.tree_util.tree_flatten_with_path(jax.grad(total)(codes))[0]
    assert all(np.abs(slope).max() > 0 for _, slope in slopes)


@pytest.mark.slow
def test_an_image_does_not_depend_on_its_batch(styled):
    generator, params = styled
    keys = jax.random.split(jax.random.key(0), 3)
    place = {'num_codes': 2, 'layer': 2, 'space': 'w'}
    three = composition.init(keys, generator, params, batch=3, **place)
    one = composition.init(keys[1:2], generator, params, batch=1, **place)
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x[1:2], y, atol=1e-6), three, one)


@pytest.mark.slow
def test_half_precision_stays_inside_the_networks(styled):
    generator, params = styled
    half = models.cast(params, jnp.bfloat16)
    options = {'batch': 2, 'num_codes': 3, 'layer': 4, 'space': 'w', 'noise': True}
    codes = composition.init(jax.random.key(3), generator, half, **options)

    def total(params, codes):
        image = composition.compose(generator, params, codes, layer=4, space='w')
        return jnp.sum(image**2), image

    (_, image), slope = jax.jit(jax.value_and_grad(total, argnums=1, has_aux=True))(half, codes)
    assert {str(leaf.dtype) for leaf in jax.tree.leaves((codes, image, slope))} == {'float32'}
    expected = jax.jit(total)(params, codes)[1]
    assert 0 < jnp.std(image - expected) < 0.05 * jnp.std(expected)


def test_a_generator_of_ones_own_computes_in_the_type_of_its_weights():
    seen = []

    class Own:
        latent_dim = 2

        def features(self, params, latents, stop, space):
            seen.append(str(latents.dtype))
            return latents[:, None, None, :] * params

        def image(self, params, features, start, tail):
            seen.append(str(features.dtype))
            return features * params

    for dtype in ('float32', 'bfloat16'):
        params = jnp.ones(1, dtype).reshape(1, 1, 1, 1)
        codes = composition.init(jax.random.key(0), Own(), params, batch=1, num_codes=4096, layer=1)
        codes = codes._replace(latents=jnp.ones_like(codes.latents), alpha=jnp.ones_like(codes.alpha))
        image = composition.compose(Own(), params, codes, layer=1)
        assert set(seen) == {dtype} and image.dtype == jnp.float32
        np.testing.assert_array_equal(image, 4096)  # a sum that bfloat16 would end at 256
        seen.clear()
