"""What runs read and write, from settings to folders of results."""

import json
import shutil
import time
import zlib

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from PIL import Image
from tqdm import tqdm

from mgan_jax import composition, inversion, invert, losses, metrics, models, optimizers, tasks
from mgan_jax.data import images, masks
from mgan_jax.engine import networks, slots
from mgan_jax.metrics import colour, niqe
from mgan_jax.models import stylegan2
from mgan_jax.results import contributions
from mgan_jax.run import jobs, pipeline
from mgan_jax.settings import fields, presets
from tests import toy
from tests.small_runs import (
    FILES,
    SIDE,
    arguments,
    boundary,
    contents,
    folders,
    latents,
    optimization,
    photo,
    pixels,
    refused,
    table,
)

pytestmark = pytest.mark.usefixtures('in_the_repository', 'quick_compilation')


@pytest.fixture(scope='module')
def base(folder):
    """A reconstruction of the five photos, two at a time, and the program that it compiled."""
    out = folder / 'base'
    prepared = []
    prepare = jobs.prepare_job
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            jobs, 'prepare_job', lambda *given, **share: prepared.append(prepare(*given, **share)) or prepared[-1]
        )
        with optimization(True):
            assert invert.main(arguments(folder, 'invert.py', out, optimizer='sgd')) == 0
    return out, prepared[0].program


# What a run writes


@pytest.mark.slow
def test_result_folders(base):
    out, _ = base
    assert {path.name for path in out.iterdir() if path.is_file()} == {'config.json', 'metrics.csv', 'report.html'}
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


@pytest.mark.slow
def test_five_images_in_two_slots_compile_every_program_once(base):
    _, program = base
    assert [part._cache_size() for part in (program.begin, program.step.update, program.finish)] == [1, 1, 1]


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
    assert description['config'].keys() == fields.default_fields('reconstruct').keys()
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


@pytest.mark.slow
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
    assert changed == {out / 'metrics.csv', out / 'report.html', *(out / name).iterdir()}
    assert [row['name'] for row in table(out)] == [f'photo{number}' for number in range(5)]
    for found, expected in zip(latents(out, name), arrays, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)  # another place in the batch
    for picture in kept.glob('*.png'):
        again, before = (images.read_image(path).pixels for path in (out / name / picture.name, picture))
        np.testing.assert_allclose(again, before, atol=2.01 / 255)


@pytest.mark.slow
@pytest.mark.parametrize('batch_size', [0, 1, 3])
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


# Images that leave early, and devices that are too small


@pytest.fixture
def progress(monkeypatch):
    """What progress bars were asked for and told: [[total, sum of updates], ...]."""
    told = []

    class Recorded(tqdm):
        def __init__(self, *args, total, **options):
            super().__init__(*args, total=total, **options)
            told.append([total, 0])

        def update(self, n=1):
            told[-1][1] += n
            super().update(n)

    monkeypatch.setattr(pipeline, 'tqdm', Recorded)
    return told


@pytest.mark.slow
def test_images_that_converge_leave_early(folder, tmp_path, progress):
    """Each writes its own steps; the bar is full in the end, though one image cannot be read."""
    shutil.copytree(folder / 'photos', tmp_path / 'photos')
    (tmp_path / 'photos' / 'photo1.png').write_text('no image')
    fields = {'images': tmp_path / 'photos', 'perceptual': 0, 'steps': 20, 'tolerance': 0.9}
    assert invert.main(arguments(folder, 'invert.py', tmp_path / 'out', **fields)) == 3
    rows = table(tmp_path / 'out')
    assert [row['status'] == 'done' for row in rows] == [True, False, True, True, True]
    assert all(row['steps'] == '4' and float(row['seconds']) > 0 for row in rows if row['steps'])
    assert progress == [[5 * 20, 5 * 20]]


@pytest.mark.slow
def test_images_are_written_when_they_are_finished(folder, tmp_path, monkeypatch):
    """While later ones are on their way."""
    out, run = tmp_path / 'out', slots.run_slots
    there = []

    def watched(*given, **options):
        for turn in run(*given, **options):
            yield turn
            deadline = time.monotonic() + 10
            while len(folders(out)) < len(there) + 1 and time.monotonic() < deadline:
                time.sleep(0.01)
            there.append(len(folders(out)))

    monkeypatch.setattr(slots, 'run_slots', watched)
    assert invert.main(arguments(folder, 'invert.py', out, perceptual=0, steps=1, batch_size=1)) == 0
    assert there[0] < 5 and sorted(there) == there


class Hungry:
    """A generator that asks for more memory than there is, for more than `most` images at once."""

    def __init__(self, generator, most):
        self.generator, self.most = generator, most

    def __getattr__(self, name):
        return getattr(self.generator, name)

    def image(self, params, features, start, **options):
        images = self.generator.image(params, features, start=start, **options)
        if len(images) <= self.most:
            return images
        much = jax.lax.broadcasted_iota(jnp.float32, (2**16, 2**30), 0) * jax.lax.stop_gradient(images[0, 0, 0, 0])
        return images + 1e-30 * jnp.sort(much, axis=0)[0, 0]


def own_settings(folder, out, **fields):
    own = {'images': str(folder / 'photos'), 'out': str(out), 'layer': 3, 'num_codes': 2, 'steps': 3, 'perceptual': 0.0}
    return presets.make_settings('reconstruct', **own | fields)


@pytest.mark.slow
def test_memory_that_does_not_suffice_for_the_batch(folder, tmp_path, progress, capsys):
    generator, params = models.load(folder / 'generator')
    rows = jobs.run_job(own_settings(folder, tmp_path / 'out', batch_size=5), own=(Hungry(generator, 2), params))
    assert [row['status'] for row in rows] == 5 * ['done']
    assert capsys.readouterr().err == 'not enough memory for 6 images at once; going on with 2\n'  # on two devices
    assert progress == [[15, 15]]
    expected = jobs.run_job(own_settings(folder, tmp_path / 'expected', batch_size=2), own=(generator, params))
    assert [row['psnr'] for row in rows] == pytest.approx([row['psnr'] for row in expected], abs=1e-3)


@pytest.mark.slow
def test_memory_that_does_not_suffice_for_one_image(folder, tmp_path, monkeypatch, capsys):
    generator, params = models.load(folder / 'generator')
    with pytest.raises(MemoryError, match='the device has not enough memory for a step of one image'):
        jobs.run_job(own_settings(folder, tmp_path / 'out', batch_size=1), own=(Hungry(generator, 0), params))
    monkeypatch.setattr(networks, 'load_generator', lambda *given, **options: (Hungry(generator, 0), params))
    assert invert.main(arguments(folder, 'invert.py', tmp_path / 'again', perceptual=0, batch_size=1)) == 3
    assert capsys.readouterr().err.startswith('the device has not enough memory for a step of one image; ')


# Tasks


@pytest.mark.slow
def test_super_resolution(folder, tmp_path):
    out = tmp_path / 'out'
    assert invert.main(arguments(folder, 'sr.py', out, images=folder / 'photos' / 'photo0.png')) == 0
    assert {path.name for path in (out / 'photo0').iterdir()} == FILES | {'target.png'}
    assert pixels(out / 'photo0' / 'input.png').shape == (4, 4, 3)
    assert pixels(out / 'photo0' / 'result.png').shape == (SIDE, SIDE, 3)
    assert float(table(out)[0]['input_psnr']) > 0 and float(table(out)[0]['input_ssim']) > 0


def test_super_resolution_of_a_low_resolution_image(folder, tmp_path, capsys):
    photo(0, (4, 4)).save(tmp_path / 'small.png')
    out = tmp_path / 'out'
    assert invert.main(arguments(folder, 'sr.py', out, images=tmp_path, low_res=True)) == 0
    assert {path.name for path in (out / 'small').iterdir()} == FILES
    np.testing.assert_array_equal(pixels(out / 'small' / 'input.png'), np.asarray(photo(0, (4, 4))))
    assert pixels(out / 'small' / 'result.png').shape == (SIDE, SIDE, 3)
    assert table(out)[0]['psnr'] == table(out)[0]['ssim'] == table(out)[0]['input_psnr'] == ''
    assert 'PSNR' not in capsys.readouterr().out


@pytest.mark.slow
def test_colorization(folder, tmp_path, capsys):
    """The result has the luminance of the input, wherever no channel is cut off at black or white."""
    photo(1).save(tmp_path / 'colour.png')
    photo(1).convert('L').save(tmp_path / 'grey.png')
    out = tmp_path / 'out'
    assert invert.main(arguments(folder, 'colorize.py', out, images=tmp_path)) == 0
    assert {path.name for path in (out / 'colour').iterdir()} == FILES | {'target.png'}
    assert {path.name for path in (out / 'grey').iterdir()} == FILES
    assert [row['psnr'] != '' for row in table(out)] == [True, False]
    target, result = (images.read_image(out / 'colour' / f'{title}.png').pixels[None] for title in ('target', 'result'))
    row = table(out)[0]
    assert float(row['auc']) == pytest.approx(float(colour.auc_ab(result, target)[0]), abs=1e-3)
    assert f', AuC {float(row["auc"]):.4f} (inputs {float(row["input_auc"]):.4f}): ' in capsys.readouterr().out
    for name in ('colour', 'grey'):
        given, result = pixels(out / name / 'input.png'), pixels(out / name / 'result.png')
        assert given.shape == (SIDE, SIDE)
        inside = ((result > 0) & (result < 255)).all(axis=-1)
        assert inside.mean() > 0.3
        assert np.abs(result @ np.array(tasks.LUMA) - given)[inside].max() < 1.1
        assert np.ptp(result.astype(int), axis=-1).max() > 5


@pytest.mark.slow
def test_inpainting(folder, tmp_path):
    out = tmp_path / 'out'
    assert invert.main(arguments(folder, 'inpaint.py', out, images=folder / 'photos' / 'photo0.png')) == 0
    assert {path.name for path in (out / 'photo0').iterdir()} == FILES | {'target.png'}
    hole = masks.parse_mask('center', (SIDE, SIDE), 0)[..., 0] > 0
    require_composite(out / 'photo0', hole)
    target, given = (pixels(out / 'photo0' / f'{title}.png') for title in ('target', 'input'))
    np.testing.assert_array_equal(given[~hole], target[~hole])
    assert (given[hole] == given[hole][0]).all()
    row = table(out)[0]  # known pixels have no error
    assert float(row['hole_psnr']) == pytest.approx(float(row['psnr']) + 10 * np.log10(hole.mean()), abs=1e-3)


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
def test_grey_generator(folder, tmp_path):
    out = tmp_path / 'out'
    fields = {'generator': folder / 'grey', 'images': folder / 'photos' / 'photo0.png'}
    assert invert.main(arguments(folder, 'invert.py', out, **fields)) == 0
    assert {path.name for path in (out / 'photo0').iterdir()} == FILES | {'target.png'}
    assert all(pixels(path).shape == (SIDE, SIDE) for path in (out / 'photo0').glob('*.png'))
    assert float(table(out)[0]['psnr']) > 0


@pytest.mark.slow
def test_upstream_preset_is_the_released_codes_descent(folder, tmp_path):
    """SGD of rate 1 from alpha = 1/N^2, whose rate is 1/N^2; the last iterate counts."""
    path, count, steps = folder / 'photos' / 'photo0.png', 3, 4
    out = tmp_path / 'out'
    fields = {'images': path, 'num_codes': count, 'steps': steps, 'layer': 4}
    assert invert.main(arguments(folder, 'invert.py:upstream', out, **fields)) == 0

    generator, params = models.load(folder / 'generator')
    extractor, weights = models.load(folder / 'extractor')
    observation = images.read_image(path, SIDE).pixels
    key = jax.random.fold_in(jax.random.key(0), zlib.crc32(observation.tobytes()))
    codes = composition.init(key[None], generator, params, batch=1, num_codes=count, layer=4, alpha=1 / count**2)
    optimizer = optimizers.split_optimizer(optax.sgd(1.0), optax.sgd(1 / count**2))
    objective = losses.objective(
        generator, tasks.reconstruct(), layer=4, extractor=extractor, extractor_layer='relu2_1', extractor_size=SIDE
    )
    step, state = inversion.make_step(objective, optimizer), inversion.init(codes, optimizer)
    state, trace = inversion.run(step, state, jnp.asarray(observation)[None], params, weights, num_steps=steps)
    found = latents(out, 'photo0')
    np.testing.assert_allclose(found[0], state.codes.latents[0], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found[1], state.codes.alpha[0], rtol=1e-5, atol=1e-6)
    assert float(table(out)[0]['loss']) == pytest.approx(float(trace['loss'][-1, 0]), rel=1e-5)


@pytest.mark.slow
def test_lpips_in_the_table(base, folder, tmp_path, capsys):
    """Measured between the result and the target as they are, here with the released code's loss."""
    out, image = tmp_path / 'out', folder / 'photos' / 'photo0.png'
    assert invert.main(arguments(folder, 'invert.py', out, lpips=folder / 'heads', images=image, perceptual=0)) == 0
    (extractor, params), (lpips, heads) = (models.load(folder / name) for name in ('extractor', 'heads'))
    result, target = (images.read_image(out / 'photo0' / f'{title}.png').pixels[None] for title in ('result', 'target'))
    expected = metrics.lpips(result, target, extractor, params, lpips, heads)[0]
    assert float(table(out)[0]['lpips']) == pytest.approx(float(expected), rel=0.05)
    assert f', LPIPS {float(table(out)[0]["lpips"]):.4f}' in capsys.readouterr().out
    assert table(base[0])[0]['lpips'] == ''


@pytest.mark.slow
def test_niqe_in_the_table(folder, tmp_path, capsys):
    """Of a result that has no target; another model at the same place makes it again."""
    out, path = tmp_path / 'out', tmp_path / 'model.npz'
    photo(0, (4, 4)).save(tmp_path / 'small.png')
    command = arguments(folder, 'sr.py', out, images=tmp_path / 'small.png', low_res=True, niqe=path)
    model = niqe.NiqeModel(np.zeros(36), np.eye(36), 8, 'made up')
    path.write_bytes(niqe.pack_niqe_model(model))
    assert invert.main(command) == 0
    result = images.read_image(out / 'small' / 'result.png').pixels[None]
    expected = float(jax.jit(lambda x: niqe.niqe_score(x, model))(result)[0])
    found = float(table(out)[0]['niqe'])
    assert found == pytest.approx(expected, rel=0.01)
    assert f', NIQE {found:.2f}: ' in capsys.readouterr().out

    path.write_bytes(niqe.pack_niqe_model(model._replace(mean=np.ones(36))))
    assert invert.main(command) == 0
    assert float(table(out)[0]['niqe']) != found
    assert '1 of 1 images done (1 again, since the image or the settings changed)' in capsys.readouterr().out


@pytest.mark.slow
def test_lpips_as_the_perceptual_loss(folder, tmp_path):
    """The run's loss is that of the objective with LPIPS."""
    out, path = tmp_path / 'out', folder / 'photos' / 'photo0.png'
    fields = {'lpips': folder / 'heads', 'perceptual_loss': 'lpips', 'perceptual': 0.5, 'images': path}
    fields |= {'extractor_layer': 'unused', 'keep': 'last', 'steps': 1, 'batch_size': 1}
    assert invert.main(arguments(folder, 'invert.py', out, **fields)) == 0

    generator, generator_params = models.load(folder / 'generator')
    (extractor, params), (lpips, heads) = (models.load(folder / name) for name in ('extractor', 'heads'))
    target = images.read_image(path, SIDE).pixels[None]
    key = jax.random.fold_in(jax.random.key(0), zlib.crc32(target.tobytes()))
    codes = composition.init(key[None], generator, generator_params, batch=1, num_codes=2, layer=3)
    image = composition.compose(generator, generator_params, codes, layer=3)
    expected = np.mean(np.square(image - target))
    expected += 0.5 * metrics.lpips(image, target, extractor, params, lpips, heads)[0]
    assert float(table(out)[0]['loss']) == pytest.approx(float(expected), rel=1e-4)


def test_lpips_heads_without_an_extractor(folder, tmp_path, capsys):
    command = arguments(folder, 'invert.py', tmp_path / 'out', lpips=folder / 'heads', extractor='', perceptual=0)
    assert 'were given, but no extractor; set --config.extractor' in refused(capsys, command)


# Inputs


@pytest.mark.slow
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


@pytest.mark.slow
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
    assert all(contents(out)[path] == before[path] for path in before if path.parent != out)


def test_weights_that_give_nan(folder, tmp_path, capsys):
    out = tmp_path / 'out'
    assert invert.main(arguments(folder, 'invert.py', out, generator=folder / 'broken', perceptual=0)) == 3
    assert folders(out) == set()
    assert all('not finite' in row['status'] for row in table(out))
    assert len(table(out)) == 5
    assert capsys.readouterr().err == ''


@pytest.mark.slow
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


@pytest.fixture(scope='module')
def wide(tmp_path_factory):
    """A class-conditional StyleGAN2 whose images are 12 x 16 pixels, and photos of another shape."""
    root = tmp_path_factory.mktemp('wide')
    shape = {'resolution': 16, 'latent_dim': 4, 'style_dim': 6, 'fmaps_base': 128, 'fmaps_max': 8, 'mapping_layers': 2}
    configuration = shape | {'height': 12, 'num_classes': 3, 'label_dim': 4}
    params = toy.draw_weights(stylegan2.build_stylegan2(**configuration).init)
    models.save(root / 'generator', 'stylegan2', configuration, params)
    (root / 'photos').mkdir()
    photo(1, (40, 23)).save(root / 'photos' / 'one.png')
    photo(2, (3, 4)).save(root / 'low.png')
    return root


def wide_settings(root, out, task='reconstruct', **fields):
    own = {'generator': str(root / 'generator'), 'images': str(root / 'photos'), 'out': str(out), 'perceptual': 0.0}
    own |= {'layer': 3, 'num_codes': 2, 'steps': 2, 'space': 'w+', 'label': 1}
    own |= {'factor': 4} if task == 'super_resolve' else {}
    own |= {'attribute': boundary(root, 6), 'frames': 2} if task == 'edit' else {}
    return presets.make_settings(task, **own | fields)


@pytest.mark.slow
@pytest.mark.parametrize('task', presets.TASKS)
def test_generator_with_styles_that_is_not_square(wide, tmp_path, task):
    rows = jobs.run_job(wide_settings(wide, tmp_path / 'out', task, noise=True))
    assert [row['status'] for row in rows] == ['done']
    with Image.open(tmp_path / 'out' / 'one' / 'result.png') as image:
        assert image.size == (16, 12)
    with np.load(tmp_path / 'out' / 'one' / 'latents.npz') as arrays:
        shapes = {name: arrays[name].shape for name in arrays}
    assert shapes['latents'] == (2, 3, 6) and shapes['tail'] == (3, 6) and shapes['noise_0'] == (4, 4)
    assert shapes['alpha_x'] == (2, 8) and shapes['alpha_rgb'] == (2, 3)


@pytest.mark.slow
def test_history_and_contributions_with_styles(wide, tmp_path):
    (row,) = jobs.run_job(wide_settings(wide, tmp_path, noise=True, history_every=1, contributions=True))
    assert row['status'] == 'done'
    sizes = {'codes.png': (2 * 16, 12), 'alpha.png': (8, 2 * contributions.ROW), 'history.webp': (16, 12)}
    for name, size in sizes.items():
        with Image.open(tmp_path / 'one' / name) as image:
            assert image.size == size, name
    assert (tmp_path / 'report.html').is_file()


@pytest.mark.slow
def test_low_resolution_image_that_is_not_square(wide, tmp_path):
    fields = {'low_res': True, 'images': str(wide / 'low.png')}
    rows = jobs.run_job(wide_settings(wide, tmp_path / 'out', 'super_resolve', **fields))
    assert [row['status'] for row in rows] == ['done']


@pytest.mark.parametrize(
    'fields, message',
    [
        ({'label': 3}, 'label 3 is given, but this generator has the classes 0 to 2'),
        ({'label': -1}, '3 classes and needs a label'),
        ({'space': 'v'}, "space 'v' is given"),
        ({'tail': 'long'}, "tail is 'long'"),
        ({'layer': 6}, 'layer 6 is given'),
    ],
)
def test_settings_that_do_not_fit_the_styles(wide, tmp_path, fields, message):
    with pytest.raises(ValueError, match=message):
        jobs.run_job(wide_settings(wide, tmp_path / 'out', **fields))
    assert not (tmp_path / 'out').exists()
