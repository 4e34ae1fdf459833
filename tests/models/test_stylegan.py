"""StyleGAN and StyleGAN2: their cuts, spaces, truncation, noise, labels and sizes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mgan_jax.models import stylegan, stylegan2
from mgan_jax.models.styles import truncate_styles
from tests import toy

SIZES = {'resolution': 16, 'latent_dim': 6, 'style_dim': 8, 'fmaps_base': 128, 'fmaps_max': 12, 'mapping_layers': 2}
BUILDERS = {'stylegan': stylegan.build_stylegan, 'stylegan2': stylegan2.build_stylegan2}
LAYERS = {'stylegan': 6, 'stylegan2': 5}
pytestmark = pytest.mark.usefixtures('quick_compilation')


def build(name, **changes):
    generator = BUILDERS[name](**(SIZES | changes))
    return generator, toy.draw_weights(generator.init, seed=5)


@pytest.fixture(scope='module', params=BUILDERS)
def network(request):
    generator, params = build(request.param)
    z = jax.random.normal(jax.random.key(1), (2, 6))
    return generator, params, z, generator.generate(params, z)


@pytest.mark.slow
def test_numbers(network):
    generator = network[0]
    assert (generator.resolution, generator.latent_dim, generator.image_channels) == (16, 6, 3)
    assert generator.num_layers in LAYERS.values()


@pytest.mark.slow
@pytest.mark.parametrize('l', [1, 2, 3, 5])
@pytest.mark.parametrize('space', ['z', 'w', 'w+'])
def test_a_cut_changes_nothing(network, l, space):
    generator, params, z, whole = network
    latents = generator.styles.to_space(params, z, l, space)
    w = generator.styles.of(params, z, 'z')
    features = generator.features(params, latents, l, space)
    np.testing.assert_allclose(generator.image(params, features, l, tail=w), whole, atol=1e-5)
    rows = len(generator.styles.average(params, l))
    full = jnp.broadcast_to(w[:, None], (2, rows, 8))
    np.testing.assert_allclose(generator.image(params, features, l, tail=full), whole, atol=1e-5)


@pytest.mark.slow
def test_w_plus_rows_belong_to_layers(network):
    generator, params, z, whole = network
    w = generator.styles.of(params, z, 'z')
    count = 1 + len(generator.styles.average(params, 1))
    styles = jnp.broadcast_to(w[:, None], (2, count, 8))
    np.testing.assert_allclose(generator.generate(params, styles, space='w+'), whole, atol=1e-5)
    l = 3
    changed = styles.at[:, l].add(1.0)  # the row of layer l + 1
    before = generator.features(params, styles[:, :l], l, 'w+')
    after = generator.features(params, changed[:, :l], l, 'w+')
    jax.tree.map(np.testing.assert_array_equal, before, after)
    image = generator.image(params, before, l, tail=changed[:, l:])
    np.testing.assert_allclose(image, generator.generate(params, changed, space='w+'), atol=1e-5)
    assert np.abs(image - whole).max() > 1e-3


def test_truncation(network):
    generator, params, z, whole = network
    same = generator.generate(params, z, truncation_psi=1.0)
    np.testing.assert_allclose(same, whole, atol=1e-4)
    average = jnp.broadcast_to(params['w_avg'], (2, 8))
    collapsed = generator.generate(params, z, truncation_psi=0.0)
    np.testing.assert_allclose(collapsed, generator.generate(params, average, space='w'), atol=1e-4)
    untouched = generator.generate(params, z, truncation_psi=0.0, truncation_layers=0)
    np.testing.assert_allclose(untouched, whole, atol=1e-5)


def test_truncate_is_the_equation():
    styles = np.arange(12, dtype=np.float32).reshape(1, 3, 4)
    average = np.array([1, 0, -1, 2], np.float32)
    expected = styles.copy()
    expected[:, :2] = average + (styles[:, :2] - average) * 0.25
    np.testing.assert_allclose(truncate_styles(jnp.asarray(styles), jnp.asarray(average), 0.25, 2), expected)


@pytest.mark.slow
def test_noise(network):
    generator, params, z, whole = network
    stored = [image[None] for image in generator.styles.noise(params)]
    explicit = [jnp.broadcast_to(image, (2, *image.shape[1:])) for image in stored]
    np.testing.assert_allclose(generator.generate(params, z, noise=explicit), whole, atol=1e-5)
    silent = generator.generate(params, z, noise='none')
    np.testing.assert_allclose(
        generator.generate(params, z, noise=[0 * image for image in explicit]), silent, atol=1e-5
    )
    assert np.abs(silent - whole).max() > 1e-3
    key = jax.random.key(7)
    drawn = generator.generate(params, z, noise=key)
    assert np.abs(drawn - whole).max() > 1e-3
    w = generator.styles.of(params, z, 'z')
    parts = generator.image(params, generator.features(params, z, 3, noise=key), 3, tail=w, noise=key)
    np.testing.assert_allclose(parts, drawn, atol=1e-5)  # one key, the same noise on both sides of the cut


@pytest.mark.slow
@pytest.mark.parametrize('name', BUILDERS)
@pytest.mark.parametrize('norm', ['together', 'alone'])
def test_labels(name, norm):
    generator, params = build(name, num_classes=3, label_dim=4, label_norm=norm)
    z = jax.random.normal(jax.random.key(1), (2, 6))
    by_number = generator.generate(params, z, label=jnp.array([0, 2]))
    by_weights = generator.generate(params, z, label=jnp.array([[1.0, 0, 0], [0, 0, 1]]))
    np.testing.assert_array_equal(by_number, by_weights)
    other = generator.generate(params, z, label=1)
    assert np.abs(other - by_number).max() > 1e-3
    features = generator.features(params, z, 2, label=1)
    w = generator.styles.of(params, z, 'z', label=1)
    np.testing.assert_allclose(generator.image(params, features, 2, tail=w), other, atol=1e-5)
    with pytest.raises(ValueError, match='3 classes and needs a label'):
        generator.generate(params, z)


@pytest.mark.slow
@pytest.mark.parametrize('name', BUILDERS)
def test_rows_are_cropped_from_the_middle(name):
    square, params = build(name)
    wide, _ = build(name, height=12)
    z = jax.random.normal(jax.random.key(1), (1, 6))
    np.testing.assert_array_equal(wide.generate(params, z), square.generate(params, z)[:, 2:14])
    assert wide.height == 12


@pytest.mark.slow
def test_activations_are_limited():
    free, params = build('stylegan2')
    limited, _ = build('stylegan2', clamp=0.1)
    z = jax.random.normal(jax.random.key(1), (1, 6))
    assert np.abs(limited.features(params, z, 4).x).max() <= 0.1 < np.abs(free.features(params, z, 4).x).max()


@pytest.mark.parametrize(
    'call, message',
    [
        (lambda g, p, z: g.features(p, z, 0), 'layer 0 is given'),
        (lambda g, p, z: g.features(p, z, 7), 'has the layers 1 to'),
        (lambda g, p, z: g.features(p, z, 2, 'y'), "spaces 'z', 'w' and 'w[+]'"),
        (lambda g, p, z: g.features(p, z[:, :3], 2), r"shape \[2, 3\] are given as 'z'; \[M, 6\] is wanted"),
        (lambda g, p, z: g.features(p, z, 2, 'w'), r"as 'w'; \[M, 8\]"),
        (lambda g, p, z: g.features(p, z, 2, 'w+'), r"as 'w[+]'; \[M, 2, 8\]"),
        (lambda g, p, z: g.image(p, g.features(p, z, 2), 2), 'no tail is given; the [0-9] styles'),
        (lambda g, p, z: g.image(p, g.features(p, z, 2), 2, tail=z), "are given as 'tail'"),
        (lambda g, p, z: g.generate(p, z, label=1), 'no classes and takes no label'),
        (lambda g, p, z: g.generate(p, z, noise='loud'), "noise 'loud' is given"),
        (lambda g, p, z: g.generate(p, z, noise=[z]), '1 noise images are given'),
    ],
)
def test_wrong_arguments_are_refused(network, call, message):
    generator, params, z, _ = network
    with pytest.raises(ValueError, match=message):
        call(generator, params, z)


@pytest.mark.parametrize('name', BUILDERS)
@pytest.mark.parametrize(
    'changes, message',
    [
        ({'resolution': 24}, 'resolution 24 is given'),
        ({'fmaps_base': 8}, 'fmaps_base leaves 0 channels'),
        ({'num_classes': 2}, 'both are 0 or neither is'),
        ({'label_norm': 'x'}, "label_norm 'x' is given"),
        ({'height': 17}, 'height 17 is given'),
    ],
)
def test_impossible_networks_are_refused(name, changes, message):
    with pytest.raises(ValueError, match=message):
        build(name, **changes)
