"""The command line from end to end, on networks so small that a run is mostly compilation."""

import contextlib
import csv
import json
import os
import pty
import shutil
import signal
import subprocess
import sys
import termios
import time
import zlib
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.experimental.compilation_cache import compilation_cache
from PIL import Image

from mgan_jax import composition, images, inversion, invert, losses, masks, models, presets, results, tasks
from mgan_jax.models import pggan, vgg

ROOT = Path(invert.__file__).parent.parent
SIDE = 16
FILES = {'input.png', 'result.png', 'inversion.png', 'latents.npz', 'metrics.json'}
CODES = {'layer': 3, 'num_codes': 2, 'steps': 3, 'batch_size': 2}


@pytest.fixture(scope='module', autouse=True)
def in_the_repository():
    """`--config configs/...` is relative."""
    with contextlib.chdir(ROOT):
        yield


@pytest.fixture(scope='module', autouse=True)
def quick_compilation(tmp_path_factory):
    """Programs are optimised little and kept on disk, since a run of this size is mostly compilation."""
    programs = str(tmp_path_factory.mktemp('programs'))
    with keep_programs(programs), optimization(False):
        yield


@contextlib.contextmanager
def keep_programs(directory):
    names = ('compilation_cache_dir', 'persistent_cache_min_compile_time_secs', 'persistent_cache_min_entry_size_bytes')
    before = [getattr(jax.config, f'jax_{name}') for name in names]
    for values in ([directory, 0, -1], before):
        for name, value in zip(names, values, strict=True):
            jax.config.update(f'jax_{name}', value)
        compilation_cache.reset_cache()
        if values is not before:
            yield


@contextlib.contextmanager
def optimization(on):
    jax.config.update('jax_disable_most_optimizations', not on)
    yield
    jax.config.update('jax_disable_most_optimizations', on)


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """The networks generator, grey, broken (NaN weights) and extractor, and the folder photos of five images."""
    folder = tmp_path_factory.mktemp('invert')
    shape = {'resolution': SIDE, 'latent_dim': 8, 'fmaps_base': 128, 'fmaps_max': 16}
    for name, channels in (('generator', 3), ('grey', 1), ('broken', 3)):
        configuration = shape | {'image_channels': channels}
        params = jax.jit(pggan.build(**configuration).init)(jax.random.key(0))
        if name == 'broken':
            params = jax.tree.map(lambda x: x * jnp.nan, params)
        models.save(folder / name, 'pggan', configuration, params)
    small = {'depths': [1, 1], 'channels': [4, 4]}
    models.save(folder / 'extractor', 'vgg', small, jax.jit(vgg.build(**small).init)(jax.random.key(1)))
    (folder / 'photos').mkdir()
    for number in range(5):
        photo(number).save(folder / 'photos' / f'photo{number}.png')
    return folder


def photo(seed, size=(SIDE, SIDE), low=60, high=200):
    """An image of smooth noise that stays away from black and white."""
    height, width = size
    coarse = np.random.default_rng(seed).integers(low, high, (4, 4, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BILINEAR)


def arguments(folder, config, out, **fields):
    fields = {
        'generator': folder / 'generator',
        'extractor': folder / 'extractor',
        'extractor_layer': 'relu2_1',
        'extractor_size': SIDE,
        'images': folder / 'photos',
        'out': out,
        **CODES,
        **fields,
    }
    return ['--config', f'configs/{config}', *(f'--config.{name}={value}' for name, value in fields.items())]


def table(out):
    with open(out / 'metrics.csv', encoding='utf-8', newline='') as file:
        return list(csv.DictReader(file))


def pixels(path):
    with Image.open(path) as image:
        return np.asarray(image)


def latents(out, name):
    with np.load(out / name / 'latents.npz') as arrays:
        return arrays['latents'], arrays['alpha']


def contents(out):
    """Every file below `out`: its content and when it was written."""
    return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in out.rglob('*') if path.is_file()}


def folders(out):
    return {path.name for path in out.iterdir() if path.is_dir()}


@pytest.fixture(scope='module')
def base(folder):
    """A reconstruction of the five photos in batches of two, and the step that it compiled."""
    out = folder / 'base'
    steps = []
    make_step = inversion.make_step
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(inversion, 'make_step', lambda *given: steps.append(make_step(*given)) or steps[-1])
        with optimization(True):
            assert invert.main(arguments(folder, 'invert.py', out, optimizer='sgd')) == 0
    return out, steps[0]


# What a run writes


def test_result_folders(base):
    out, _ = base
    assert {path.name for path in out.iterdir() if path.is_file()} == {'config.json', 'metrics.csv'}
    assert folders(out) == {f'photo{number}' for number in range(5)}
    for number in range(5):
        result = out / f'photo{number}'
        assert {path.name for path in result.iterdir()} == FILES | {'target.png'}
        for picture in result.glob('*.png'):
            assert pixels(picture).shape == (SIDE, SIDE, 3)
        np.testing.assert_array_equal(pixels(result / 'input.png'), np.asarray(photo(number)))
        np.testing.assert_array_equal(pixels(result / 'target.png'), np.asarray(photo(number)))
        assert latents(out, result.name)[0].shape == (2, 8)
        assert latents(out, result.name)[1].shape == (2, 16)


def test_ragged_batches_compile_one_step(base):
    _, step = base
    assert step.update._cache_size() == 1
    assert step.prepare._cache_size() == 1


def test_table_has_the_order_of_the_list_and_the_psnr_of_the_files(base):
    out, _ = base
    rows = table(out)
    assert [row['name'] for row in rows] == [f'photo{number}' for number in range(5)]
    for row in rows:
        assert row['status'] == 'done'
        assert row['steps'] == '3'
        assert float(row['seconds']) >= 0
        result, target = (pixels(out / row['name'] / f'{title}.png') / 255 for title in ('result', 'target'))
        assert float(row['psnr']) == pytest.approx(-10 * np.log10(np.mean((result - target) ** 2)), abs=0.1)
        metrics = json.loads((out / row['name'] / 'metrics.json').read_text())
        assert metrics['loss'] == float(row['loss'])


def test_config_says_what_was_run(base, folder):
    out, _ = base
    description = json.loads((out / 'config.json').read_text())
    assert description['config']['optimizer'] == 'sgd'
    assert description['config']['generator'] == str(folder / 'generator')
    assert description['config'].keys() == presets.FIELDS.keys()
    assert len(description['devices']) == 2
    assert description['versions']['jax'] == jax.__version__


def test_latents_reproduce_the_inversion(base, folder):
    out, _ = base
    generator, params = models.load(folder / 'generator')
    codes = composition.Codes(*(jnp.asarray(array)[None] for array in latents(out, 'photo3')))
    image = jax.jit(lambda params, codes: composition.compose(generator, params, codes, layer=3))(params, codes)[0]
    difference = images.to_uint8(np.asarray(image)).astype(int) - pixels(out / 'photo3' / 'inversion.png')
    assert np.abs(difference).max() <= 1


# Running again


def test_same_command_changes_nothing(base, folder, capsys):
    out, _ = base
    before = contents(out)
    assert invert.main(arguments(folder, 'invert.py', out, optimizer='sgd')) == 0
    assert contents(out) == before
    captured = capsys.readouterr()
    assert captured.err == ''
    assert captured.out.count('\n') == 1
    assert captured.out.startswith('5 of 5 images done, PSNR ')


@pytest.mark.parametrize('name', ['photo1', 'photo4'])
def test_missing_result_is_done_again_alone_and_the_same(base, folder, name):
    out, _ = base
    kept, before, arrays = folder / f'{name}.kept', contents(out), latents(out, name)
    (out / name).rename(kept)
    with optimization(True):
        assert invert.main(arguments(folder, 'invert.py', out, optimizer='sgd')) == 0
    after = contents(out)
    assert after.keys() == before.keys()
    changed = {path for path in after if after[path] != before[path]}
    assert changed == {out / 'metrics.csv', *(out / name).iterdir()}
    assert [row['name'] for row in table(out)] == [f'photo{number}' for number in range(5)]
    for found, expected in zip(latents(out, name), arrays, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)  # another place in the batch
    for picture in kept.glob('*.png'):
        again, before = (images.read(path).pixels for path in (out / name / picture.name, picture))
        np.testing.assert_allclose(again, before, atol=2.01 / 255)


@pytest.mark.parametrize('batch_size', [1, 3])
def test_results_depend_on_neither_batch_nor_order_nor_name(base, folder, tmp_path, batch_size):
    out, _ = base
    order = [3, 0, 4, 2, 1]
    for place, number in enumerate(order):
        shutil.copy(folder / 'photos' / f'photo{number}.png', tmp_path / f'{place}.png')
    again = arguments(folder, 'invert.py', tmp_path / 'out', optimizer='sgd', images=tmp_path, batch_size=batch_size)
    assert invert.main(again) == 0
    for place, number in enumerate(order):
        for found, expected in zip(latents(tmp_path / 'out', str(place)), latents(out, f'photo{number}'), strict=True):
            np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_results_of_other_settings_are_refused(base, folder, capsys):
    out, _ = base
    before = contents(out)
    line = refused(capsys, arguments(folder, 'invert.py', out, optimizer='sgd', steps=4))
    assert 'steps 3' in line
    assert '4 is asked for now' in line
    assert contents(out) == before


def test_result_of_another_image_of_the_same_name_is_refused(base, folder, tmp_path, capsys):
    out, _ = base
    before = contents(out)
    photo(77).save(tmp_path / 'photo0.png')
    line = refused(capsys, arguments(folder, 'invert.py', out, optimizer='sgd', images=tmp_path))
    assert 'another image' in line
    assert contents(out) == before


@pytest.mark.parametrize('text', ['{"config": ', '[]', '{}', '\udcff'])
def test_damaged_config_is_refused(folder, tmp_path, capsys, text):
    path = tmp_path / 'config.json'
    path.write_text(text, encoding='utf-8', errors='surrogateescape')
    line = refused(capsys, arguments(folder, 'invert.py', tmp_path))
    assert 'config.json is damaged' in line
    assert '--config.out' in line
    assert list(tmp_path.iterdir()) == [path]


def test_folder_in_the_way_is_refused(folder, tmp_path, capsys):
    (tmp_path / 'photo2').mkdir()
    line = refused(capsys, arguments(folder, 'invert.py', tmp_path))
    assert f'{tmp_path}/photo2 is in the way' in line
    assert folders(tmp_path) == {'photo2'}


def test_result_that_another_run_wrote_meanwhile_is_kept(folder, tmp_path, monkeypatch):
    write = results.write

    def write_twice(out, source, result):
        write(out, source, result)
        write(out, source, result)

    monkeypatch.setattr(results, 'write', write_twice)
    fields = {'images': folder / 'photos' / 'photo0.png', 'perceptual': 0, 'steps': 1}
    assert invert.main(arguments(folder, 'invert.py', tmp_path / 'out', **fields)) == 0
    assert table(tmp_path / 'out')[0]['status'] == 'done'


# Tasks


def test_super_resolution(folder, tmp_path):
    out = tmp_path / 'out'
    assert invert.main(arguments(folder, 'sr.py', out, images=folder / 'photos' / 'photo0.png')) == 0
    assert {path.name for path in (out / 'photo0').iterdir()} == FILES | {'target.png'}
    assert pixels(out / 'photo0' / 'input.png').shape == (4, 4, 3)
    assert pixels(out / 'photo0' / 'result.png').shape == (SIDE, SIDE, 3)
    assert float(table(out)[0]['input_psnr']) > 0


def test_super_resolution_of_a_low_resolution_image(folder, tmp_path, capsys):
    photo(0, (4, 4)).save(tmp_path / 'small.png')
    out = tmp_path / 'out'
    assert invert.main(arguments(folder, 'sr.py', out, images=tmp_path, low_res=True)) == 0
    assert {path.name for path in (out / 'small').iterdir()} == FILES
    np.testing.assert_array_equal(pixels(out / 'small' / 'input.png'), np.asarray(photo(0, (4, 4))))
    assert pixels(out / 'small' / 'result.png').shape == (SIDE, SIDE, 3)
    assert table(out)[0]['psnr'] == table(out)[0]['ssim'] == table(out)[0]['input_psnr'] == ''
    assert 'PSNR' not in capsys.readouterr().out


def test_colorization(folder, tmp_path):
    """The result has the luminance of the input, wherever no channel is cut off at black or white."""
    photo(1).save(tmp_path / 'colour.png')
    photo(1).convert('L').save(tmp_path / 'grey.png')
    out = tmp_path / 'out'
    assert invert.main(arguments(folder, 'colorize.py', out, images=tmp_path)) == 0
    assert {path.name for path in (out / 'colour').iterdir()} == FILES | {'target.png'}
    assert {path.name for path in (out / 'grey').iterdir()} == FILES
    assert [row['psnr'] != '' for row in table(out)] == [True, False]
    for name in ('colour', 'grey'):
        given, result = pixels(out / name / 'input.png'), pixels(out / name / 'result.png')
        assert given.shape == (SIDE, SIDE)
        inside = ((result > 0) & (result < 255)).all(axis=-1)
        assert inside.mean() > 0.3
        assert np.abs(result @ np.array(tasks.LUMA) - given)[inside].max() < 1.1
        assert np.ptp(result.astype(int), axis=-1).max() > 5


def test_inpainting(folder, tmp_path):
    out = tmp_path / 'out'
    assert invert.main(arguments(folder, 'inpaint.py', out, images=folder / 'photos' / 'photo0.png')) == 0
    assert {path.name for path in (out / 'photo0').iterdir()} == FILES | {'target.png'}
    hole = masks.parse('center', (SIDE, SIDE), 0)[..., 0] > 0
    require_composite(out / 'photo0', hole)
    target, given = (pixels(out / 'photo0' / f'{title}.png') for title in ('target', 'input'))
    np.testing.assert_array_equal(given[~hole], target[~hole])
    assert (given[hole] == given[hole][0]).all()


def test_denoising(folder, tmp_path):
    out = tmp_path / 'out'
    assert invert.main(arguments(folder, 'denoise.py', out, images=folder / 'photos' / 'photo0.png')) == 0
    target, given = (pixels(out / 'photo0' / f'{title}.png') for title in ('target', 'input'))
    hole = (given != target).any(axis=-1)
    assert hole.mean() == pytest.approx(0.3, abs=0.01)
    assert set(given[hole].flat) == {0, 255}
    require_composite(out / 'photo0', hole)


def require_composite(result, hole):
    """Known pixels are the input's to the last bit, the others are the inversion's."""
    restored, inverted, target = (pixels(result / f'{title}.png') for title in ('result', 'inversion', 'target'))
    np.testing.assert_array_equal(restored[~hole], target[~hole])
    np.testing.assert_array_equal(restored[hole], inverted[hole])
    assert (inverted[~hole] != target[~hole]).any()


def test_inpainting_of_a_damaged_image(folder, tmp_path):
    """The holes are in the image already, and a mask file says where."""
    damaged, hole = np.array(photo(2)), np.zeros((SIDE, SIDE), bool)
    hole[3:9, 5:12] = True
    damaged[hole] = (255, 0, 255)
    (tmp_path / 'photos').mkdir()
    Image.fromarray(damaged).save(tmp_path / 'photos' / 'damaged.png')
    Image.fromarray(hole).save(tmp_path / 'mask.png')
    out = tmp_path / 'out'
    fields = {'images': tmp_path / 'photos', 'mask': tmp_path / 'mask.png', 'damaged': True}
    assert invert.main(arguments(folder, 'inpaint.py', out, **fields)) == 0
    assert {path.name for path in (out / 'damaged').iterdir()} == FILES
    restored, inverted = (pixels(out / 'damaged' / f'{title}.png') for title in ('result', 'inversion'))
    np.testing.assert_array_equal(restored[~hole], damaged[~hole])
    np.testing.assert_array_equal(restored[hole], inverted[hole])
    assert table(out)[0]['psnr'] == ''


def test_grey_generator(folder, tmp_path):
    out = tmp_path / 'out'
    fields = {'generator': folder / 'grey', 'images': folder / 'photos' / 'photo0.png'}
    assert invert.main(arguments(folder, 'invert.py', out, **fields)) == 0
    assert {path.name for path in (out / 'photo0').iterdir()} == FILES | {'target.png'}
    assert all(pixels(path).shape == (SIDE, SIDE) for path in (out / 'photo0').glob('*.png'))
    assert float(table(out)[0]['psnr']) > 0


def test_upstream_preset_is_the_released_codes_descent(folder, tmp_path):
    """SGD of rate 1 from alpha = 1/N^2, whose rate is 1/N^2; the last iterate counts."""
    path, count, steps = folder / 'photos' / 'photo0.png', 3, 4
    out = tmp_path / 'out'
    fields = {'images': path, 'num_codes': count, 'steps': steps, 'layer': 4}
    assert invert.main(arguments(folder, 'invert.py:upstream', out, **fields)) == 0

    generator, params = models.load(folder / 'generator')
    extractor, weights = models.load(folder / 'extractor')
    observation = images.read(path, SIDE).pixels
    key = jax.random.fold_in(jax.random.key(0), zlib.crc32(observation.tobytes()))
    codes = composition.init(key[None], generator, params, batch=1, num_codes=count, layer=4, alpha=1 / count**2)
    optimizer = composition.split_optimizer(optax.sgd(1.0), optax.sgd(1 / count**2))
    objective = losses.objective(
        generator, tasks.reconstruct(), layer=4, extractor=extractor, extractor_layer='relu2_1', extractor_size=SIDE
    )
    step, state = inversion.make_step(objective, optimizer), inversion.init(codes, optimizer)
    state, trace = inversion.run(step, state, jnp.asarray(observation)[None], params, weights, num_steps=steps)
    found = latents(out, 'photo0')
    np.testing.assert_allclose(found[0], state.codes.latents[0], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found[1], state.codes.alpha[0], rtol=1e-5, atol=1e-6)
    assert float(table(out)[0]['loss']) == pytest.approx(float(trace['loss'][-1, 0]), rel=1e-5)


# Inputs


def test_sizes_modes_and_lists(folder, tmp_path):
    """Files, a folder and a glob in one list; each kind of file becomes an image of the generator's size."""
    kinds, globbed = tmp_path / 'kinds', tmp_path / 'globbed'
    kinds.mkdir()
    globbed.mkdir()
    photo(0, (40, 23)).convert('RGBA').save(kinds / 'alpha.png')
    photo(1, (9, 31)).quantize(8).save(kinds / 'palette.png')
    Image.fromarray(np.arange(20 * 20, dtype=np.uint16).reshape(20, 20) * 150).save(kinds / 'deep.png')
    turned = Image.Exif()
    turned[0x0112] = 6
    photo(2, (24, 48)).save(tmp_path / 'turned.jpg', exif=turned)
    photo(3, (1, 1)).save(globbed / 'dot.webp')
    photo(4, (SIDE, SIDE)).save(globbed / 'alpha.bmp')
    (kinds / 'notes.txt').write_text('not an image')
    out = tmp_path / 'out'
    spec = f'{tmp_path}/turned.jpg, {kinds},{globbed}/*.*'
    assert invert.main(arguments(folder, 'invert.py', out, images=spec, perceptual=0, batch_size=6)) == 0
    names = ['turned', 'alpha-png', 'deep', 'palette', 'alpha-bmp', 'dot']
    assert [row['name'] for row in table(out)] == names
    assert folders(out) == set(names)
    assert all(pixels(out / name / 'input.png').shape == (SIDE, SIDE, 3) for name in names)
    upright = np.asarray(photo(2, (24, 48)).transpose(Image.Transpose.ROTATE_270).crop((0, 12, 24, 36)), float)
    shrunk = pixels(out / 'turned' / 'input.png').astype(float)
    assert np.abs(shrunk.mean(axis=(0, 1)) - upright.mean(axis=(0, 1))).max() < 4


def test_text_file_in_place_of_an_image(folder, tmp_path, capsys):
    (tmp_path / 'photo.png').write_text('no image')
    assert invert.main(arguments(folder, 'invert.py', tmp_path / 'out', images=tmp_path)) == 3
    (row,) = table(tmp_path / 'out')
    assert row['name'] == 'photo'
    assert 'looks like a text file' in row['status']
    assert folders(tmp_path / 'out') == set()
    captured = capsys.readouterr()
    assert captured.err == ''
    assert '0 of 1 images done' in captured.out
    assert row['status'] in captured.out


def test_truncated_image_among_good_ones(folder, tmp_path):
    for number in range(3):
        shutil.copy(folder / 'photos' / f'photo{number}.png', tmp_path)
    data = (tmp_path / 'photo1.png').read_bytes()
    (tmp_path / 'photo1.png').write_bytes(data[: len(data) // 2])
    out = tmp_path / 'out'
    command = arguments(folder, 'invert.py', out, images=tmp_path, perceptual=0, steps=1)
    assert invert.main(command) == 3
    assert [row['name'] for row in table(out)] == ['photo0', 'photo1', 'photo2']
    assert [row['status'] == 'done' for row in table(out)] == [True, False, True]
    assert 'truncated or damaged PNG' in table(out)[1]['status']
    assert folders(out) == {'photo0', 'photo2'}

    before = contents(out)
    (tmp_path / 'photo1.png').write_bytes(data)  # mended: the same command finishes it
    assert invert.main(command) == 0
    assert folders(out) == {'photo0', 'photo1', 'photo2'}
    assert all(contents(out)[path] == before[path] for path in before if path.name != 'metrics.csv')


def test_weights_that_give_nan(folder, tmp_path, capsys):
    out = tmp_path / 'out'
    assert invert.main(arguments(folder, 'invert.py', out, generator=folder / 'broken', perceptual=0)) == 3
    assert folders(out) == set()
    assert all('not finite' in row['status'] for row in table(out))
    assert len(table(out)) == 5
    assert capsys.readouterr().err == ''


@pytest.mark.parametrize(
    ('keep', 'steps', 'status'),
    [('last', 1, 'not finite'), ('last', 3, 'step 1'), ('best', 3, 'step 1')],
)
def test_steps_that_leave_the_finite_numbers(folder, tmp_path, keep, steps, status):
    """The best iterate is kept with a word on what happened; if there is none to keep, the image failed."""
    out = tmp_path / 'out'
    fields = {'optimizer': 'sgd', 'keep': keep, 'steps': steps, 'alpha_rate': 1e38, 'perceptual': 0, 'pixel': 1e6}
    fields |= {'images': folder / 'photos' / 'photo0.png'}
    assert invert.main(arguments(folder, 'invert.py', out, **fields)) == 3
    assert status in table(out)[0]['status']
    assert folders(out) == (set() if status == 'not finite' else {'photo0'})
    json.loads((out / 'config.json').read_text(), parse_constant=pytest.fail)
    if folders(out):
        json.loads((out / 'photo0' / 'metrics.json').read_text(), parse_constant=pytest.fail)


# Refusals: one line on standard error, exit code 2, nothing written


def refused(capsys, command):
    capsys.readouterr()
    assert invert.main(command) == 2
    captured = capsys.readouterr()
    assert captured.out == ''
    assert captured.err.count('\n') == 1
    assert 'Traceback' not in captured.err
    return captured.err.strip()


REFUSED = [
    # configuration file, a field, its value, what the line says
    ('invert.py', 'generator', '{}/none', 'there is no model directory {}/none'),
    ('invert.py', 'generator', '', 'no generator was given; set --config.generator'),
    ('invert.py', 'generator', '{}/extractor', 'holds a feature extractor; a generator is wanted'),
    ('invert.py', 'extractor', '{}/none', 'there is no model directory {}/none'),
    ('invert.py', 'extractor', '', 'no extractor was given; set --config.extractor to a model directory, or'),
    ('invert.py', 'extractor', '{}/generator', 'holds a generator; a feature extractor is wanted'),
    ('invert.py', 'extractor_layer', 'relu9_9', "extractor_layer 'relu9_9'"),
    ('invert.py', 'extractor_layer', 'relu9_9', 'this extractor has relu1_1, relu2_1'),
    ('invert.py', 'extractor_size', 1, 'at extractor_size 1: images of 1x1 pixels are too small'),
    ('invert.py', 'extractor_size', 0, 'extractor_size is 0; at least 1'),
    ('invert.py', 'images', '{}/none', '{}/none does not exist: give an image file, a folder or a glob'),
    ('invert.py', 'images', '{}/*.jpg', 'the glob {}/*.jpg matches no image'),
    ('invert.py', 'images', '{}/empty', 'the folder {}/empty holds no image'),
    ('invert.py', 'images', '', 'no images were given; set --config.images'),
    ('invert.py', 'images', ' , ', 'no images were given; set --config.images'),
    ('invert.py', 'out', '', 'no output folder was given; set --config.out'),
    ('invert.py', 'out', '{}/generator/model.json', 'cannot be used: File exists; choose another --config.out'),
    ('invert.py', 'out', '{}/generator/model.json/x', 'cannot be used: Not a directory; choose another --config.out'),
    ('invert.py', 'layer', 0, 'layer 0 is given, but this generator has the layers 1 to 6'),
    ('invert.py', 'layer', 7, 'layer 7 is given, but this generator has the layers 1 to 6'),
    ('invert.py', 'space', 'w', "space 'w' is given, but a PGGAN has only the space 'z'"),
    ('invert.py', 'num_codes', 0, 'num_codes is 0; at least 1 is wanted'),
    ('invert.py', 'steps', 0, 'steps is 0; at least 1 is wanted'),
    ('invert.py', 'steps', -3, 'steps is -3; at least 1 is wanted'),
    ('invert.py', 'batch_size', 0, 'batch_size is 0; at least 1 is wanted'),
    ('invert.py', 'optimizer', 'admm', "optimizer is 'admm'; 'adam' or 'sgd' is wanted"),
    ('invert.py', 'keep', 'lasst', "keep is 'lasst'; 'best' or 'last' is wanted"),
    ('invert.py', 'latent_rate', 'nan', 'latent_rate is nan; a finite number of at least 0'),
    ('invert.py', 'pixel', 'inf', 'pixel is inf; a finite number of at least 0'),
    ('invert.py', 'perceptual', -1, 'perceptual is -1.0; a finite number of at least 0'),
    ('invert.py', 'seed', -1, 'seed is -1; a whole number from 0 to 4294967295'),
    ('invert.py', 'seed', 2**70, 'a whole number from 0 to 4294967295'),
    ('invert.py', 'task', 'restore', "task 'restore' is given; reconstruct, super_resolve"),
    ('invert.py', 'task', 'inpaint', "the task 'inpaint'; take that task's file in configs/"),
    ('sr.py', 'factor', 3, 'factor 3 does not divide images of 16x16 pixels'),
    ('sr.py', 'factor', 0, 'factor 0 does not divide images of 16x16 pixels'),
    ('sr.py', 'method', 'cubic', "method 'cubic' is given; bilinear, area, bicubic, lanczos"),
    ('colorize.py', 'generator', '{}/grey', 'makes grey images; one that makes colours is wanted'),
    ('inpaint.py', 'mask', 'centre', "the mask 'centre' is neither a known form nor a file"),
    ('inpaint.py', 'mask', '{}/black.png', 'has no hole at 16 x 16 pixels'),
    ('inpaint.py', 'mask', '{}/white.png', 'leaves nothing known at 16 x 16 pixels'),
    ('inpaint.py', 'mask', '{}/generator/model.json', 'looks like a text file'),
    ('denoise.py', 'mask', 'random:0.0001', 'has no hole at 16 x 16 pixels'),
]


@pytest.mark.parametrize(('config', 'field', 'value', 'words'), REFUSED)
def test_unusable_settings(folder, tmp_path, capsys, config, field, value, words):
    (folder / 'empty').mkdir(exist_ok=True)
    Image.new('L', (SIDE, SIDE), 0).save(folder / 'black.png')
    Image.new('L', (SIDE, SIDE), 255).save(folder / 'white.png')
    out = tmp_path / 'out'
    fields = {'out': out, field: str(value).format(folder)}
    assert words.format(folder) in refused(capsys, arguments(folder, config, **fields))
    assert not out.exists()


def test_no_loss_at_all(folder, tmp_path, capsys):
    command = arguments(folder, 'invert.py', tmp_path / 'out', pixel=0, perceptual=0)
    assert 'pixel and perceptual are both 0' in refused(capsys, command)


@pytest.mark.parametrize(
    ('command', 'words'),
    [
        (['--config.num_code=3'], "task 'reconstruct' has no field 'num_code'; did you mean 'num_codes'?"),
        (['--config.num_code', '3'], "did you mean 'num_codes'?"),
        (['--config.zzz=3'], "has no field 'zzz'; the fields are alpha_over_n, "),
        (['--config.mask=center'], "task 'reconstruct' has no field 'mask'"),
        (['--config.steps.x=3'], "has no field 'steps.x'; did you mean 'steps'?"),
        (['--config.=3'], "has no field ''"),
        (['--config.steps=many'], '--config.steps=many; a whole number is wanted, as in --config.steps=100.'),
        (['--config.steps=1.5'], '--config.steps=1.5; a whole number is wanted'),
        (['--config.pixel=much'], '--config.pixel=much; a number is wanted'),
        (['--config.alpha_over_n=maybe'], '--config.alpha_over_n=maybe; True or False is wanted'),
        (['--config.steps'], 'Missing value for flag --config.steps; a whole number is wanted'),
        (['--confg.steps=3'], "there is no flag 'confg.steps'; usage: python -m mgan_jax.invert --config"),
        (['--steps=3'], "there is no flag 'steps'; usage: "),
        (['-v'], "there is no flag 'v'; usage: "),
        (['more'], "'more' is not a flag; usage: "),
        (['--flagfile=/none/at/all'], 'Unable to open flagfile'),
    ],
)
def test_unusable_flags(command, words, capsys):
    assert words in refused(capsys, ['--config', 'configs/invert.py', *command])


@pytest.mark.parametrize(
    ('command', 'words'),
    [
        ([], 'no --config was given; usage: python -m mgan_jax.invert --config configs/sr.py'),
        (['--config='], 'no --config was given; usage: '),
        (['--config'], 'Missing value for flag --config; usage: '),
        (['configs/sr.py'], 'configs/sr.py without --config was given; usage: '),
        (['configs/sr.py', '--config.steps=3'], 'configs/sr.py, --config.steps=3 without --config was given'),
        (['--config', 'configs/none.py'], "there is no configuration file 'configs/none.py'; usage: "),
        (['--config', 'configs'], "there is no configuration file 'configs'; usage: "),
        (['--config', 'configs/sr.py:fasst'], "there is no preset 'fasst'; choose one of demo, fast, upstream, paper."),
        (['--config', 'configs/sr.py:'], "there is no preset ''; choose one of demo, fast, upstream, paper."),
    ],
)
def test_unusable_configuration(command, words, capsys):
    assert words in refused(capsys, command)


@pytest.mark.parametrize(
    ('program', 'words'),
    [
        ('x = 1', 'it has no function get_config'),
        ('x = = 1', 'it raises SyntaxError: invalid syntax'),
        ('import no_such_module_anywhere', "it raises ModuleNotFoundError: No module named 'no_such_module_anywhere'"),
        ('def get_config(): return 1 / 0', 'it raises ZeroDivisionError: division by zero'),
        ('def get_config(): return {}', 'returns dict; a ConfigDict is wanted'),
        ('import ml_collections\ndef get_config(): return ml_collections.ConfigDict()', "task 'None' is given"),
    ],
)
def test_own_configuration_that_cannot_be_used(program, words, tmp_path, capsys):
    (tmp_path / 'own.py').write_text(program)
    assert words in refused(capsys, ['--config', f'{tmp_path}/own.py'])


def test_own_configuration(folder, tmp_path):
    """Flags may stand before or after --config, with = or without."""
    (tmp_path / 'own.py').write_text(
        'import ml_collections\nfrom mgan_jax import presets\n'
        "def get_config(): return ml_collections.ConfigDict(presets.settings('denoise', 'fast') | {'steps': 7})\n"
    )
    command = [
        '--config.layer=2',
        '--config',
        f'{tmp_path}/own.py',
        '--config.mask',
        'random:0.5',
        '--noconfig.composite',
    ]
    settings = invert.read_settings(command)
    changed = {'steps': 7, 'layer': 2, 'mask': 'random:0.5', 'composite': False}
    assert settings == presets.settings('denoise', 'fast') | changed


def test_help(capsys):
    assert invert.main(['--help']) == 0
    assert capsys.readouterr().out.startswith('usage: python -m mgan_jax.invert --config configs/sr.py')


# As a process


def command_line(folder, out, **fields):
    command = arguments(folder, 'invert.py', out, perceptual=0, batch_size=1, **fields)
    return [sys.executable, '-m', 'mgan_jax.invert', *command]


def test_quiet_without_a_terminal(folder, tmp_path):
    command = command_line(folder, tmp_path / 'out', images=folder / 'photos' / 'photo0.png')
    process = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert process.returncode == 0
    assert process.stderr == ''
    assert process.stdout.startswith('1 of 1 images done')
    assert process.stdout.count('\n') == 1


# Shells start background jobs, and so perhaps the tests, with SIGINT ignored.
HEAR_INTERRUPTIONS = (
    'import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_DFL); os.execv(sys.argv[1], sys.argv[1:])'
)


def test_progress_bar_and_interruption(folder, tmp_path):
    """On a terminal a bar shows the figures; Ctrl-C leaves whole folders and a sentence."""
    out = tmp_path / 'out'
    terminal, its_end = pty.openpty()
    termios.tcsetwinsize(its_end, (24, 120))
    command = [sys.executable, '-c', HEAR_INTERRUPTIONS, *command_line(folder, out, steps=4000)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=its_end, text=True) as process:
        os.close(its_end)
        os.set_blocking(terminal, False)
        seen, deadline = '', time.monotonic() + 300
        while not (out / 'photo0').exists() and process.poll() is None and time.monotonic() < deadline:
            seen += read_terminal(terminal)
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        while process.poll() is None and time.monotonic() < deadline:
            seen += read_terminal(terminal)
            time.sleep(0.01)
        if process.poll() is None:
            process.kill()
        stdout = process.communicate()[0]
    seen += read_terminal(terminal)
    os.close(terminal)
    assert process.returncode == 130, seen
    assert 'Traceback' not in seen
    assert seen.strip().splitlines()[-1].startswith('interrupted; what was finished is kept')
    for figure in ('loss=', 'PSNR=', ' dB', 'images/min=', ' left'):
        assert figure in seen
    assert stdout == ''
    assert 'photo0' in folders(out)
    assert 'photo4' not in folders(out)
    for name in folders(out):
        assert {path.name for path in (out / name).iterdir()} == FILES | {'target.png'}
    assert not list(out.rglob('*.partial'))


def read_terminal(descriptor):
    try:
        return os.read(descriptor, 1 << 16).decode()
    except OSError:  # nothing there yet, or its other end is closed
        return ''
