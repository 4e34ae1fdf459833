"""The command that trains a boundary from files or from generated images."""

import sys

import numpy as np
import pytest

from mgan_jax import boundaries as command
from mgan_jax import models
from mgan_jax.editing import boundaries
from mgan_jax.models import pggan, vgg
from tests import toy

pytestmark = pytest.mark.usefixtures('quick_compilation')
NORMAL = np.arange(1, 7) / np.linalg.norm(np.arange(1, 7))


@pytest.fixture
def folder(tmp_path):
    """A folder with codes z.npy [600 6] and their scores s.npy [600 1], which rise along NORMAL."""
    rng = np.random.default_rng(0)
    latents = rng.standard_normal((600, 6))
    scores = 1 / (1 + np.exp(-4 * latents @ NORMAL)) + 0.02 * rng.standard_normal(600)
    np.save(tmp_path / 'z.npy', latents)
    np.save(tmp_path / 's.npy', scores[:, None])  # the shape of InterFaceGAN's files
    return tmp_path


def run(folder, out='b.npy', **options):
    files = {'latents', 'scores', 'generator', 'extractor'}
    options = {name: folder / value if name in files and value != 'demo' else value for name, value in options.items()}
    return command.main([str(folder / out), *(f'--{name}={value}' for name, value in options.items())])


def test_files_give_the_boundary_of_the_library(folder, capsys):
    assert run(folder, latents='z.npy', scores='s.npy') == 0
    output = capsys.readouterr().out
    assert 'trained on 600 codes of 6 numbers' in output and 'of 36 held-out samples' in output
    trained = boundaries.train_boundary(np.load(folder / 'z.npy'), np.load(folder / 's.npy')[:, 0])
    np.testing.assert_allclose(boundaries.load_boundary(folder / 'b.npy'), trained.normal, rtol=1e-6)


def test_conditioning(folder):
    other = np.eye(6)[0]
    boundaries.save_boundary(folder / 'other.npy', other)
    assert run(folder, latents='z.npy', scores='s.npy', conditioned_on=str(folder / 'other.npy')) == 0
    normal = boundaries.load_boundary(folder / 'b.npy')
    assert abs(normal @ other) < 1e-6 and normal @ NORMAL > 0.95


@pytest.mark.slow
def test_a_move_along_a_boundary_of_generated_images_raises_the_attribute(tmp_path):
    shape = {'resolution': 16, 'latent_dim': 4, 'fmaps_base': 32, 'fmaps_max': 4}
    generator = pggan.build_pggan(**shape)
    params = toy.draw_weights(generator.init, 3)
    models.save(tmp_path / 'generator', 'pggan', shape, params)
    configuration = {'depths': [1], 'channels': [4], 'attributes': ['first', 'second']}
    extractor = vgg.build_vgg(**configuration)
    weights = toy.draw_weights(extractor.init, 4)
    models.save(tmp_path / 'extractor', 'vgg', configuration, weights)
    assert run(tmp_path, attribute='second', samples=300, generator='generator', extractor='extractor') == 0
    z = np.random.default_rng(5).standard_normal((40, 4)).astype(np.float32)
    z /= np.sqrt(np.square(z).mean(axis=1, keepdims=True))
    normal = boundaries.load_boundary(tmp_path / 'b.npy')[None]
    low, high = (
        extractor.attributes(weights, generator.generate(params, z + strength * normal))[:, 1] for strength in (-1, 1)
    )
    assert np.mean(np.asarray(high > low)) > 0.7  # a random direction gives 0.5


def test_without_scikit_learn(folder, monkeypatch, capsys):
    for name in [name for name in sys.modules if name.split('.')[0] == 'sklearn']:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, 'sklearn', None)
    assert run(folder, latents='z.npy', scores='s.npy') == 2
    assert "needs scikit-learn: pip install 'mgan_jax[analysis]'" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize(
    'options, message',
    [
        ({}, "no attribute is given; extractor 'demo-extractor' has the attributes daylight, "),
        ({'attribute': 'smile'}, "attribute 'smile' is given; extractor 'demo-extractor' has the attributes daylight, "),
        ({'latents': 'z.npy'}, 'either --latents and --scores are wanted, or --attribute'),
        ({'latents': 'z.npy', 'scores': 's.npy', 'attribute': 'snow'}, 'either --latents and --scores'),
        ({'latents': 'none.npy', 'scores': 's.npy'}, 'there is no file'),
        ({'latents': 's.npy', 'scores': 'z.npy'}, 'are given; [M, D] and [M] are wanted'),
        ({'latents': 'z.npy', 'scores': 's.npy', 'conditioned_on': 'snow'}, "'snow' is of codes of 32 numbers; the codes here have 6"),
        ({'latents': 'z.npy', 'scores': 's.npy', 'out': '.'}, 'is a folder where a file is to be written'),
        ({'attribute': 'snow', 'space': 'w'}, "has only the space 'z'"),
        ({'attribute': 'snow', 'samples': 0}, '0 samples are asked for'),
        ({'attribute': 'snow', 'samples': 'all'}, "'all' is given; a whole number is wanted; see `python -m mgan_jax.boundaries --help`"),
        ({'attribute': 'snow', 'seed': -1}, 'a whole number from 0 to'),
        ({'attribute': 'snow', 'generator': 'none'}, 'there is no model directory'),
    ],
)  # fmt: skip
def test_errors_are_one_sentence(folder, capsys, options, message):
    assert run(folder, **options) == 2
    captured = capsys.readouterr()
    assert message in captured.err and captured.err.count('\n') == 1 and 'Traceback' not in captured.err
    assert not (folder / 'b.npy').exists()


def test_help_lists_all_arguments(capsys):
    with pytest.raises(SystemExit) as stopped:
        command.main(['--help'])
    assert stopped.value.code == 0
    text = capsys.readouterr().out
    for arguments in command.ARGUMENTS.values():
        assert all((argument.metavar or argument.name) in text for argument in arguments)
