"""The command that morphs from one finished result to another."""

import json
import shutil
import zipfile

import jax
import numpy as np
import pytest
from PIL import Image

from mgan_jax import composition, models, morph
from mgan_jax.data import images
from mgan_jax.editing import moves
from mgan_jax.engine import networks
from mgan_jax.models import pggan, stylegan2
from mgan_jax.results import evaluation
from mgan_jax.run import jobs
from mgan_jax.settings import command_line, presets
from tests import toy
from tests.small_runs import SIDE, photo, pixels

pytestmark = pytest.mark.usefixtures('quick_compilation')
SHAPE = {'resolution': 16, 'latent_dim': 8, 'fmaps_base': 128, 'fmaps_max': 16}
STYLED = {'resolution': 16, 'latent_dim': 4, 'style_dim': 6, 'fmaps_base': 64, 'fmaps_max': 8, 'mapping_layers': 1}
LAYER = 3


def draw_like(seed, leaf):
    return np.random.default_rng(seed).standard_normal(leaf.shape).astype(np.float32)


def write_result(root, name, generator, params, **fields):
    """Writes a result with the files of a run; returns its folder."""
    settings = (
        presets.preset_settings('reconstruct', 'fast') | {'generator': str(root / 'generator'), 'layer': LAYER} | fields
    )
    (root / 'run' / name).mkdir(parents=True, exist_ok=True)
    (root / 'run' / 'config.json').write_text(json.dumps({'config': settings}))
    key = jax.random.key(len(name))
    initial = composition.init(
        key, generator, params, batch=1, num_codes=2, layer=LAYER, space=settings['space'], noise=settings['noise']
    )
    codes = jax.tree.map(lambda leaf: np.asarray(leaf[0] + 0.3 * draw_like(len(name), leaf[0])), initial)
    np.savez(root / 'run' / name / 'latents.npz', **evaluation.code_arrays(codes))
    return root / 'run' / name


@pytest.fixture(scope='module')
def unstyled(tmp_path_factory):
    """(folder, generator, params) with the results run/a and run/bb."""
    root = tmp_path_factory.mktemp('morph')
    generator = pggan.build_pggan(**SHAPE)
    params = toy.draw_weights(generator.init)
    models.save(root / 'generator', 'pggan', SHAPE, params)
    for name in ('a', 'bb'):
        write_result(root, name, generator, params)
    return root, generator, params


@pytest.fixture(scope='module')
def styled(tmp_path_factory):
    root = tmp_path_factory.mktemp('styled')
    generator = stylegan2.build_stylegan2(**STYLED)
    params = toy.draw_weights(generator.init)
    models.save(root / 'generator', 'stylegan2', STYLED, params)
    for name in ('a', 'bb'):
        write_result(root, name, generator, params, space='w+', noise=True)
    return root, generator, params


def run(root, out, *more):
    return morph.main([str(root / 'run' / 'a'), str(root / 'run' / 'bb'), str(out), *more])


@pytest.mark.slow
def test_a_morph_ends_at_the_other_result(unstyled, tmp_path, capsys):
    root, generator, params = unstyled
    assert run(root, tmp_path / 'out', '--frames=3') == 0
    assert '3 frames from' in capsys.readouterr().out
    assert {path.name for path in (tmp_path / 'out').iterdir()} - {'morph.mp4'} == {
        'morph.png',
        'morph.webp',
        'last.png',
    }
    first, second = (
        morph.unpack_codes(morph.read_result(root / 'run' / name), generator, params) for name in ('a', 'bb')
    )  # fmt: skip
    image = composition.compose(generator, params, second, layer=LAYER)[0]
    np.testing.assert_allclose(pixels(tmp_path / 'out' / 'last.png'), images.to_uint8(image), atol=1)
    half = moves.morph_codes(first, moves.match_codes(first, second), 0.5)
    expected = [composition.compose(generator, params, codes, layer=LAYER)[0] for codes in (first, half, second)]
    with Image.open(tmp_path / 'out' / 'morph.png') as strip:
        tiles = np.asarray(strip)[-SIDE:, -3 * SIDE :].reshape(SIDE, 3, SIDE, 3).astype(float)
    for place, image in enumerate(expected):
        np.testing.assert_allclose(tiles[:, place].mean((0, 1)), images.to_uint8(image).mean((0, 1)), atol=6)  # of WebP


@pytest.mark.slow
def test_a_mix_ends_at_mixed_styles(styled, tmp_path):
    root, generator, params = styled
    assert run(root, tmp_path / 'out', '--frames=2', '--mix=2') == 0
    first, second = (
        morph.unpack_codes(morph.read_result(root / 'run' / name), generator, params) for name in ('a', 'bb')
    )  # fmt: skip
    assert first.noise is not None and first.tail.shape == (1, 3, 6)
    mixed = moves.mix_styles(first, moves.match_codes(first, second, space='w+'), 2, composing_layer=LAYER)
    image = composition.compose(generator, params, mixed, layer=LAYER, space='w+')[0]
    np.testing.assert_allclose(pixels(tmp_path / 'out' / 'last.png'), images.to_uint8(image), atol=1)
    assert (tmp_path / 'out' / 'mix.png').is_file() and (tmp_path / 'out' / 'mix.webp').is_file()


@pytest.mark.slow
def test_a_result_of_a_run_gives_its_image(unstyled, tmp_path):
    root, generator, params = unstyled
    (tmp_path / 'photos').mkdir()
    photo(1).save(tmp_path / 'photos' / 'one.png')
    paths = {
        'images': str(tmp_path / 'photos'),
        'out': str(tmp_path / 'out'),
        'generator': str(root / 'generator'),
    }
    fields = {'layer': LAYER, 'num_codes': 2, 'steps': 2, 'perceptual': 0.0}
    jobs.run_job(presets.make_settings('reconstruct', **paths, **fields))
    result = morph.read_result(tmp_path / 'out' / 'one')
    generator, params = networks.load_generator(result.config['generator'])
    image = composition.compose(generator, params, morph.unpack_codes(result, generator, params), layer=LAYER)[0]
    np.testing.assert_allclose(pixels(tmp_path / 'out' / 'one' / 'inversion.png'), images.to_uint8(image), atol=1)


def copy_run(root, tmp_path):
    shutil.copytree(root / 'run', tmp_path / 'run')
    return tmp_path / 'run'


def change_config(run, **fields):
    config = json.loads((run / 'config.json').read_text())
    config['config'] |= fields
    (run / 'config.json').write_text(json.dumps(config))


def change_arrays(run, name='bb', **arrays):
    with np.load(run / name / 'latents.npz') as old:
        np.savez(run / name / 'latents.npz', **(dict(old) | arrays))


def write_objects(run):
    np.savez(run / 'bb' / 'latents.npz', latents=np.array([print], object), allow_pickle=True)


def write_no_array(run):
    with zipfile.ZipFile(run / 'bb' / 'latents.npz', 'w') as archive:
        archive.writestr('latents.npy', b'no array')


@pytest.mark.parametrize(
    'damage, words',
    [
        (lambda run: shutil.rmtree(run / 'bb'), 'run/bb is no finished result; the folder of an image is wanted'),
        (lambda run: (run / 'bb' / 'latents.npz').write_text('text'), 'run/bb is no finished result'),
        (write_objects, 'run/bb is no finished result'),
        (write_no_array, 'run/bb is no finished result'),
        (lambda run: (run / 'config.json').write_text('[]'), 'run/a is no finished result'),
        (lambda run: (run / 'config.json').write_text('{"config": {"layer": 3}}'), 'run/a is no finished result'),
        (lambda run: change_config(run, layer='3'), "config.json cannot be used: layer is '3'; a whole number is wanted"),
        (lambda run: change_config(run, layer=5), 'the codes are not of generator'),
        (lambda run: change_config(run, layer=9), 'layer 9 is given, but this generator has the layers 1 to 6'),
        (lambda run: change_config(run, generator='none'), 'there is no model directory'),
        (lambda run: change_config(run, generator=command_line.OWN_GENERATOR), "with a generator of the caller's own"),
        (lambda run: change_arrays(run, latents=np.zeros((2, 7), np.float32)), 'the codes are not of generator'),
        (lambda run: change_arrays(run, latents=np.float32(1)), 'the codes are not of generator'),
        (lambda run: change_arrays(run, latents=np.full((2, 8), np.nan)), 'the codes of a result are not finite'),
        (lambda run: change_arrays(run, latents=np.ones((3, 8)), alpha=np.ones((3, 16))), 'the inversions are of different kinds'),
    ],
)  # fmt: skip
def test_unusable_results_are_refused(unstyled, tmp_path, capsys, damage, words):
    damage(copy_run(unstyled[0], tmp_path))
    assert run(tmp_path, tmp_path / 'out', '--frames=2') == 2
    captured = capsys.readouterr()
    assert words in captured.err and captured.err.count('\n') == 1 and 'Traceback' not in captured.err
    assert not (tmp_path / 'out').exists()


@pytest.mark.parametrize(
    'more, words',
    [
        (['--frames=1'], 'argument --frames: 1 is given; 2 to 60 are possible; see `python -m mgan_jax.morph --help`'),
        (['--mix=2'], 'no styles of their own after the composing layer'),
    ],
)
def test_unusable_options_are_refused(unstyled, tmp_path, capsys, more, words):
    assert run(unstyled[0], tmp_path / 'out', *more) == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / 'out').exists()


def test_results_of_different_layers_and_an_existing_folder_are_refused(unstyled, tmp_path, capsys):
    other = copy_run(unstyled[0], tmp_path)
    change_config(other, layer=4)
    assert morph.main([str(unstyled[0] / 'run' / 'a'), str(other / 'bb'), str(tmp_path / 'out')]) == 2
    assert 'the results are of different kinds: their layer is 3 and 4' in capsys.readouterr().err
    assert run(unstyled[0], other) == 2
    assert 'exists already and is never replaced' in capsys.readouterr().err


def test_help_lists_all_arguments(capsys):
    with pytest.raises(SystemExit) as stopped:
        morph.main(['--help'])
    assert stopped.value.code == 0
    text = capsys.readouterr().out
    assert all(name in text for name in ('RESULT_A', 'RESULT_B', 'OUT', '--frames', 'default: 13', '--mix'))
