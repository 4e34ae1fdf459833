"""Boundaries: files that can and cannot be used, training on samples whose boundary is known, and the command."""

import pickle
import struct
import sys

import jax
import numpy as np
import pytest

from mgan_jax import models
from mgan_jax.editing import boundaries
from mgan_jax.models import pggan, stylegan2, vgg
from tests import toy

pytestmark = pytest.mark.usefixtures('quick_compilation')
KNOWN = np.arange(1, 7) / np.linalg.norm(np.arange(1, 7))


@pytest.fixture(scope='module')
def samples():
    """(codes [600 6], scores that rise along KNOWN with noise)."""
    rng = np.random.default_rng(0)
    latents = rng.standard_normal((600, 6))
    return latents, 1 / (1 + np.exp(-4 * latents @ KNOWN)) + 0.02 * rng.standard_normal(600)


@pytest.mark.parametrize('shape', [(6,), (1, 6)])
@pytest.mark.parametrize('dtype', ['float64', 'float32', 'int32'])
def test_both_forms_are_read_as_unit_vectors(tmp_path, shape, dtype):
    values = np.array([3, 0, -4, 0, 0, 0], dtype).reshape(shape)
    np.save(tmp_path / 'b.npy', values)
    found = boundaries.load_boundary(tmp_path / 'b.npy')
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, [0.6, 0, -0.8, 0, 0, 0], rtol=1e-6)


def test_what_is_saved_is_read(tmp_path):
    boundaries.save_boundary(tmp_path / 'new' / 'b.npy', KNOWN)
    assert np.load(tmp_path / 'new' / 'b.npy').shape == (1, 6)
    np.testing.assert_allclose(boundaries.load_boundary(tmp_path / 'new' / 'b.npy'), KNOWN, rtol=1e-6)


def test_shipped_ones_are_of_the_demo():
    generator, extractor = (
        models.build_model('pggan', {'resolution': 64, 'latent_dim': 32}),
        models.load('demo-extractor')[0],
    )
    assert (
        {'daylight', 'snow', 'autumn', 'tower_height'}
        <= set(boundaries.shipped_boundaries())
        <= set(extractor.attribute_names)
    )
    for name in boundaries.shipped_boundaries():
        normal = boundaries.load_boundary(name)
        assert normal.shape == (generator.latent_dim,) and np.linalg.norm(normal) == pytest.approx(1)


class Payload:
    def __reduce__(self):
        return (exec, ("raise SystemExit('executed')",))


@pytest.mark.parametrize(
    'values, words',
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
    ],
)
def test_arrays_that_are_no_boundary(tmp_path, values, words):
    np.save(tmp_path / 'b.npy', values)
    with pytest.raises(ValueError, match=words):
        boundaries.load_boundary(tmp_path / 'b.npy')


def huge():
    """A header that promises more than any memory."""
    text = "{'descr': '<f8', 'fortran_order': False, 'shape': (1, 1099511627776), }"
    text += ' ' * (118 - len(text) - 1) + '\n'
    return b'\x93NUMPY\x01\x00' + struct.pack('<H', len(text)) + text.encode() + b'1234'


@pytest.mark.parametrize(
    'content',
    [b'', b'text', b'\x93NUMPY', pickle.dumps(Payload()), pickle.dumps([1.0, 2.0]), huge()],
    ids=['empty', 'text', 'cut', 'program', 'pickle', 'huge'],
)  # fmt: skip
def test_files_that_are_no_array(tmp_path, content):
    (tmp_path / 'b.npy').write_bytes(content)
    with pytest.raises(ValueError, match=r"^boundary '.*b\.npy' cannot be used: .* shipped are autumn, ") as caught:
        boundaries.load_boundary(tmp_path / 'b.npy')
    assert '\n' not in str(caught.value)


def test_objects_are_never_unpickled(tmp_path):
    np.save(tmp_path / 'b.npy', np.array([Payload()], object), allow_pickle=True)
    with pytest.raises(ValueError, match='is no .npy file of numbers'):
        boundaries.load_boundary(tmp_path / 'b.npy')


@pytest.mark.parametrize('name', ['daylihgt', '.', 'archive.npz'])
def test_names_that_are_none(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    np.savez('archive.npz', KNOWN)
    with pytest.raises(ValueError, match=f"boundary '{name}' cannot be used: .*daylight"):
        boundaries.load_boundary(name)


# Training


def test_a_known_boundary_is_found(samples):
    found = boundaries.train_boundary(*samples)
    assert found.normal @ KNOWN > 0.98 and np.linalg.norm(found.normal) == pytest.approx(1, abs=1e-6)
    assert found.accuracy > 0.95 and found.held_out == 2 * 18
    again = boundaries.train_boundary(*samples)
    np.testing.assert_array_equal(again.normal, found.normal)


def test_accuracy_is_that_of_samples_that_were_held_out():
    """Of scores that mean nothing, half is told right, however well the others are separated."""
    rng = np.random.default_rng(1)
    found = boundaries.train_boundary(rng.standard_normal((600, 200)), rng.standard_normal(600), extreme=0.5)
    assert 0.35 < found.accuracy < 0.65


@pytest.mark.parametrize(
    'change, words',
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
def test_samples_that_cannot_be_used(samples, change, words):
    with pytest.raises(ValueError, match=words):
        boundaries.train_boundary(*change(*samples))


def test_without_scikit_learn(samples, tmp_path, monkeypatch, capsys):
    for name in [name for name in sys.modules if name.split('.')[0] == 'sklearn']:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, 'sklearn', None)
    np.save(tmp_path / 'z.npy', samples[0])
    np.save(tmp_path / 's.npy', samples[1])
    assert run(tmp_path, latents='z.npy', scores='s.npy') == 2
    assert "needs scikit-learn: pip install -e '.[analysis]'" in capsys.readouterr().err


# The command


def run(folder, out='b.npy', **options):
    places = {'latents', 'scores', 'generator', 'extractor'}
    given = {name: folder / value if name in places and value != 'demo' else value for name, value in options.items()}
    return boundaries.main([str(folder / out), *(f'--{name}={value}' for name, value in given.items())])


@pytest.fixture
def files(samples, tmp_path):
    np.save(tmp_path / 'z.npy', samples[0])
    np.save(tmp_path / 's.npy', samples[1][:, None])  # as InterFaceGAN wants them
    return tmp_path


def test_the_command_trains_of_files(files, samples, capsys):
    assert run(files, latents='z.npy', scores='s.npy') == 0
    told = capsys.readouterr().out
    assert 'from 600 codes of 6 numbers' in told and 'of 36 held-out samples' in told
    np.testing.assert_allclose(
        boundaries.load_boundary(files / 'b.npy'), boundaries.train_boundary(*samples).normal, rtol=1e-6
    )


def test_the_command_conditions(files):
    other = np.eye(6)[0]
    boundaries.save_boundary(files / 'other.npy', other)
    assert run(files, latents='z.npy', scores='s.npy', conditioned_on=str(files / 'other.npy')) == 0
    found = boundaries.load_boundary(files / 'b.npy')
    assert abs(found @ other) < 1e-6 and found @ KNOWN > 0.95


def test_the_command_samples(tmp_path):
    """An attribute of the images of a small generator: moving along what was found raises it."""
    shape = {'resolution': 16, 'latent_dim': 4, 'fmaps_base': 32, 'fmaps_max': 4}
    generator = pggan.build_pggan(**shape)
    params = toy.draw_weights(generator.init, 3)
    models.save(tmp_path / 'generator', 'pggan', shape, params)
    tells = {'depths': [1], 'channels': [4], 'attributes': ['first', 'second']}
    extractor = vgg.build_vgg(**tells)
    weights = toy.draw_weights(extractor.init, 4)
    models.save(tmp_path / 'extractor', 'vgg', tells, weights)
    networks = {'generator': 'generator', 'extractor': 'extractor'}
    assert run(tmp_path, attribute='second', samples=300, **networks) == 0
    z = np.random.default_rng(5).standard_normal((40, 4)).astype(np.float32)
    z /= np.sqrt(np.square(z).mean(axis=1, keepdims=True))
    normal = boundaries.load_boundary(tmp_path / 'b.npy')[None]
    low, high = (
        extractor.attributes(weights, generator.generate(params, z + s * normal))[:, 1] for s in (-1, 1)
    )  # fmt: skip
    assert np.mean(np.asarray(high > low)) > 0.7  # of any other direction a half


def test_samples_of_a_generator_with_styles():
    shape = {'resolution': 8, 'latent_dim': 3, 'style_dim': 5, 'fmaps_base': 16, 'fmaps_max': 4, 'mapping_layers': 1}
    network = stylegan2.build_stylegan2(**shape)
    params = toy.draw_weights(network.init)
    latents, scores = boundaries.sample_attributes(network, params, lambda images: images.mean((1, 2, 3)), 150, 'w')
    assert latents.shape == (150, 5) and scores.shape == (150,)
    image = network.generate(params, jax.numpy.asarray(latents[-1:]), space='w')
    assert scores[-1] == pytest.approx(float(image.mean()), abs=1e-4)


@pytest.mark.parametrize(
    'options, words',
    [
        ({}, "no attribute is given; extractor 'demo-extractor' tells daylight, "),
        ({'attribute': 'smile'}, "attribute 'smile' is given; extractor 'demo-extractor' tells daylight, "),
        ({'latents': 'z.npy'}, 'either --latents and --scores are wanted, or --attribute'),
        ({'latents': 'z.npy', 'scores': 's.npy', 'attribute': 'snow'}, 'either --latents and --scores'),
        ({'latents': 'none.npy', 'scores': 's.npy'}, 'there is no file'),
        ({'latents': 's.npy', 'scores': 'z.npy'}, 'are given; [M, D] and [M] are wanted'),
        ({'latents': 'z.npy', 'scores': 's.npy', 'conditioned_on': 'snow'}, "'snow' is of codes of 32 numbers; the codes here have 6"),
        ({'latents': 'z.npy', 'scores': 's.npy', 'out': '.'}, 'is a folder where a file is to be written'),
        ({'attribute': 'snow', 'space': 'w'}, "has only the space 'z'"),
        ({'attribute': 'snow', 'samples': 0}, '0 samples are asked for'),
        ({'attribute': 'snow', 'generator': 'none'}, 'there is no model directory'),
    ],
)  # fmt: skip
def test_what_the_command_refuses(files, capsys, options, words):
    assert run(files, **options) == 2
    captured = capsys.readouterr()
    assert words in captured.err and captured.err.count('\n') == 1 and 'Traceback' not in captured.err
    assert not (files / 'b.npy').exists()
