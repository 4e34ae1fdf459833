"""Boundaries: usable and unusable files, training on samples with a known boundary, and sampling."""

import pickle
import struct

import jax
import numpy as np
import pytest

from mgan_jax import models
from mgan_jax.editing import boundaries
from mgan_jax.models import stylegan2
from tests import toy

pytestmark = pytest.mark.usefixtures('quick_compilation')
NORMAL = np.arange(1, 7) / np.linalg.norm(np.arange(1, 7))


@pytest.fixture(scope='module')
def samples():
    """Codes [600 6], and noisy scores that rise along NORMAL."""
    rng = np.random.default_rng(0)
    latents = rng.standard_normal((600, 6))
    return latents, 1 / (1 + np.exp(-4 * latents @ NORMAL)) + 0.02 * rng.standard_normal(600)


@pytest.mark.parametrize('shape', [(6,), (1, 6)])
@pytest.mark.parametrize('dtype', ['float64', 'float32', 'int32'])
def test_load_returns_unit_vectors_of_both_shapes(tmp_path, shape, dtype):
    np.save(tmp_path / 'b.npy', np.array([3, 0, -4, 0, 0, 0], dtype).reshape(shape))
    normal = boundaries.load_boundary(tmp_path / 'b.npy')
    assert normal.dtype == np.float32
    np.testing.assert_allclose(normal, [0.6, 0, -0.8, 0, 0, 0], rtol=1e-6)


def test_load_reads_what_save_wrote(tmp_path):
    boundaries.save_boundary(tmp_path / 'new' / 'b.npy', NORMAL)
    assert np.load(tmp_path / 'new' / 'b.npy').shape == (1, 6)
    np.testing.assert_allclose(boundaries.load_boundary(tmp_path / 'new' / 'b.npy'), NORMAL, rtol=1e-6)


def test_shipped_boundaries_fit_the_demo():
    generator = models.build_model('pggan', {'resolution': 64, 'latent_dim': 32})
    extractor, _ = models.load('demo-extractor')
    names = set(boundaries.list_boundaries())
    assert {'daylight', 'snow', 'autumn', 'tower_height'} <= names <= set(extractor.attribute_names)
    for name in names:
        normal = boundaries.load_boundary(name, generator.latent_dim)
        assert normal.shape == (32,) and np.linalg.norm(normal) == pytest.approx(1)


class Payload:
    def __reduce__(self):
        return (exec, ("raise SystemExit('executed')",))


@pytest.mark.parametrize(
    'array, message',
    [
        (np.zeros((2, 6)), r'is an array of shape \[2, 6\]; \[D\] or \[1, D\] is wanted'),
        (np.zeros((1, 1, 6)), r'shape \[1, 1, 6\]'),
        (np.float64(3.0), r'shape \[\]'),
        (np.zeros((1, 0)), r'shape \[1, 0\]'),
        (np.array([1, np.nan]), 'numbers that are not finite'),
        (np.array([1, np.inf]), 'numbers that are not finite'),
        (np.zeros((1, 6)), 'is all zeros, which is no direction'),
        (np.array(['a', 'b']), 'no .npy file of real numbers'),
        (np.array([1 + 2j, 3]), 'no .npy file of real numbers'),
        (np.ones(5), 'is of codes of 5 numbers; the codes here have 6'),
    ],
)
def test_load_refuses_other_arrays(tmp_path, array, message):
    np.save(tmp_path / 'b.npy', array)
    with pytest.raises(ValueError, match=message):
        boundaries.load_boundary(tmp_path / 'b.npy', 6)


def huge_header():
    """A file whose header promises more than any memory."""
    text = "{'descr': '<f8', 'fortran_order': False, 'shape': (1, 1099511627776), }"
    text += ' ' * (118 - len(text) - 1) + '\n'
    return b'\x93NUMPY\x01\x00' + struct.pack('<H', len(text)) + text.encode() + b'1234'


@pytest.mark.parametrize(
    'content',
    [b'', b'text', b'\x93NUMPY', pickle.dumps(Payload()), pickle.dumps([1.0, 2.0]), huge_header()],
    ids=['empty', 'text', 'truncated', 'program', 'pickle', 'huge'],
)
def test_load_refuses_other_files(tmp_path, content):
    (tmp_path / 'b.npy').write_bytes(content)
    with pytest.raises(ValueError, match=r"^boundary '.*b\.npy' cannot be used: .* shipped are autumn, ") as raised:
        boundaries.load_boundary(tmp_path / 'b.npy')
    assert '\n' not in str(raised.value)


def test_load_never_unpickles(tmp_path):
    np.save(tmp_path / 'b.npy', np.array([Payload()], object), allow_pickle=True)
    with pytest.raises(ValueError, match='is no .npy file of numbers'):
        boundaries.load_boundary(tmp_path / 'b.npy')


@pytest.mark.parametrize('name', ['daylihgt', '.', 'archive.npz'])
def test_load_lists_the_shipped_boundaries(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    np.savez('archive.npz', NORMAL)
    with pytest.raises(ValueError, match=f"boundary '{name}' cannot be used: .*daylight"):
        boundaries.load_boundary(name)


def test_training_finds_a_known_boundary(samples):
    trained = boundaries.train_boundary(*samples)
    assert trained.normal @ NORMAL > 0.98 and np.linalg.norm(trained.normal) == pytest.approx(1, abs=1e-6)
    assert trained.accuracy > 0.95 and trained.held_out == 2 * 18
    np.testing.assert_array_equal(boundaries.train_boundary(*samples).normal, trained.normal)


def test_accuracy_is_measured_on_held_out_samples():
    """Random scores are predicted at chance, although the training samples can be separated."""
    rng = np.random.default_rng(1)
    trained = boundaries.train_boundary(rng.standard_normal((600, 200)), rng.standard_normal(600), extreme=0.5)
    assert 0.35 < trained.accuracy < 0.65


@pytest.mark.parametrize(
    'change, message',
    [
        (lambda z, s: (z, s[:-1]), r'shapes \[600, 6\] and \[599\] are given; \[M, D\] and \[M\]'),
        (lambda z, s: (z[:, 0], s), r'shapes \[600\] and \[600\]'),
        (lambda z, s: (z, np.where(s > 1, np.nan, s)), 'have to be finite'),
        (lambda z, s: (z, 0 * s), 'the scores are the same at both ends'),
        (lambda z, s: (z[:50], s[:50]), '50 samples leave 5 at each end of the scores; at least 10'),
        (lambda z, s: (z, s, 0.7), 'extreme is 0.7'),
        (lambda z, s: (z, s, float('nan')), 'extreme is nan'),
    ],
)
def test_training_refuses_unusable_samples(samples, change, message):
    with pytest.raises(ValueError, match=message):
        boundaries.train_boundary(*change(*samples))


def styled_generator():
    shape = {'resolution': 8, 'latent_dim': 3, 'style_dim': 5, 'fmaps_base': 16, 'fmaps_max': 4, 'mapping_layers': 1}
    network = stylegan2.build_stylegan2(**shape)
    return network, toy.draw_weights(network.init)


@pytest.mark.slow
def test_samples_in_w():
    network, params = styled_generator()
    latents, scores = boundaries.sample_attributes(network, params, lambda images: images.mean((1, 2, 3)), 150, 'w')
    assert latents.shape == (150, 5) and scores.shape == (150,)
    image = network.generate(params, jax.numpy.asarray(latents[-1:]), space='w')
    assert scores[-1] == pytest.approx(float(image.mean()), abs=1e-4)


@pytest.mark.parametrize(
    'count, space, message',
    [(0, 'z', '0 samples are asked for; at least 1 is wanted'), (1, 'w', "this generator has only the space 'z'")],
)
def test_sampling_refuses_a_count_or_space(count, space, message):
    with pytest.raises(ValueError, match=message):
        boundaries.sample_attributes(*toy.generator(), lambda images: images.mean((1, 2, 3)), count, space)
