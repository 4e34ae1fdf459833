"""The task 'edit' from settings to files: what is refused, what a result has, what its figures are of."""

import io

import jax
import numpy as np
import pytest
from PIL import Image

from mgan_jax import composition, invert, metrics
from mgan_jax.data import images
from mgan_jax.data.observations import ObservedImage
from mgan_jax.data.sources import Source
from mgan_jax.editing import boundaries, edits, moves
from mgan_jax.engine import slots
from mgan_jax.results import evaluation
from mgan_jax.run import jobs
from mgan_jax.settings import presets
from tests import toy
from tests.small_runs import FILES, SIDE, arguments, boundary, contents, latents, pixels, refused, table

pytestmark = pytest.mark.usefixtures('quick_compilation', 'in_the_repository')
LAYER, FRAMES = 3, 3


@pytest.fixture(scope='module')
def two(folder):
    """Paths of two boundaries, separated by a comma."""
    return f'{boundary(folder, seed=1)}, {boundary(folder, seed=2)}'


def edit(folder, out, **fields):
    own = {'images': folder / 'photos' / 'photo0.png', 'frames': FRAMES, 'strength': 1.0}
    return arguments(folder, 'edit.py:fast', out, **(own | fields))


def settings(**fields):
    return presets.preset_settings('edit', 'fast') | {'generator': 'toy', 'layer': LAYER, 'frames': FRAMES} | fields


@pytest.fixture(scope='module')
def run(folder, two, tmp_path_factory):
    """The folder of a finished run of two photos."""
    out = tmp_path_factory.mktemp('edit')
    chosen = ','.join(str(folder / 'photos' / f'photo{number}.png') for number in (0, 1))
    assert invert.main(edit(folder, out, attribute=two, images=chosen)) == 0
    return out


def test_a_result_has_the_edit_the_inversion_and_the_strip(run, folder, two):
    files = {path.name for path in (run / 'photo0').iterdir()} - {'edit.mp4'}
    assert files == FILES | {'target.png', 'edit.png', 'edit.webp'}
    codes = composition.Codes(*(array[None] for array in latents(run, 'photo0')))
    generator, params = jobs.networks.load_generator(settings(generator=str(folder / 'generator')))
    for name, strength in (('inversion', 0.0), ('result', 1.0)):
        both = sum(boundaries.load_boundary(path.strip()) for path in two.split(','))
        found = composition.compose(generator, params, moves.move_codes(codes, both, strength), layer=LAYER)[0]
        np.testing.assert_allclose(pixels(run / 'photo0' / f'{name}.png'), images.to_uint8(found), atol=1)
    assert (pixels(run / 'photo0' / 'result.png') != pixels(run / 'photo0' / 'inversion.png')).any()
    with Image.open(run / 'photo0' / 'edit.webp') as animation:
        assert animation.size == (SIDE, SIDE) and animation.n_frames == 2 * (2 * FRAMES - 2)


def test_figures_are_of_the_inversion(run):
    for row in table(run):
        inverted, target = (pixels(run / row['name'] / f'{name}.png') / 255 for name in ('inversion', 'target'))
        assert float(row['psnr']) == pytest.approx(-10 * np.log10(np.square(inverted - target).mean()), abs=0.1)
        assert row['input_psnr'] == ''


def test_the_report_and_the_same_command_again(run, folder, two):
    assert b'Semantic editing' in (run / 'report.html').read_bytes()
    before = contents(run)
    chosen = ','.join(str(folder / 'photos' / f'photo{number}.png') for number in (0, 1))
    assert invert.main(edit(folder, run, attribute=two, images=chosen)) == 0
    assert contents(run) == before


def test_another_boundary_of_the_same_name_is_another_result(folder, tmp_path):
    path = boundary(tmp_path, seed=3)
    first = jobs.prepare_job(invert.read_settings(edit(folder, tmp_path / 'out', attribute=path)))
    same = jobs.prepare_job(invert.read_settings(edit(folder, tmp_path / 'out', attribute=path)))
    boundaries.save_boundary(path, np.ones(8))
    other = jobs.prepare_job(invert.read_settings(edit(folder, tmp_path / 'out', attribute=path)))
    assert first.made_by == same.made_by != other.made_by


def test_the_strip_has_each_attribute_alone_from_end_to_end():
    generator, params = toy.generator()
    rng = np.random.default_rng(0)
    codes = composition.Codes(*(rng.standard_normal(shape).astype(np.float32) for shape in ((2, 8), (2, 16))))
    normals = np.stack([moves.condition_boundary(rng.standard_normal(8), []) for _ in range(2)])
    chosen = settings(strength_range=2.0)
    make = edits.make_editor(generator, params, chosen, edits.Edits(['one', 'two'], normals, None))
    _, files = make(codes)
    with Image.open(io.BytesIO(files['edit.png'])) as picture:
        values = np.asarray(picture).astype(float)
    tiles = values[-2 * SIDE :, -FRAMES * SIDE :].reshape(2, SIDE, FRAMES, SIDE, 3).transpose(0, 2, 1, 3, 4)
    batch = jax.tree.map(lambda leaf: leaf[None], codes)
    for line, normal in enumerate(normals):
        wanted = moves.render_edits(generator, params, batch, normal, [-2.0, 0.0, 2.0], layer=LAYER)[:, 0]
        np.testing.assert_allclose(tiles[line].mean((1, 2)), images.to_uint8(wanted).mean((1, 2)), atol=6)  # of WebP


@pytest.mark.parametrize(
    'fields, words',
    [
        ({}, 'no attribute was given; set --config.attribute to boundary files, or for the demo to autumn, daylight'),
        ({'attribute': 'smile'}, "boundary 'smile' cannot be used: there is no file smile; shipped are autumn, daylight"),
        ({'attribute': 'snow'}, "boundary 'snow' is of codes of 32 numbers; those of generator '"),
        ({'attribute': '{b}', 'conditioned_on': '{c},snow'}, "boundary 'snow' is of codes of 32 numbers"),
        ({'attribute': '{b}', 'conditioned_on': '{c},{b}x'}, 'cannot be used: there is no file'),
        ({'attribute': '{b}', 'strength': 'nan'}, 'strength is nan; a finite number is wanted'),
        ({'attribute': '{b}', 'strength_range': 0}, 'strength_range is 0.0; a finite number above 0'),
        ({'attribute': '{b}', 'frames': 1}, 'frames is 1; 2 to 60 of them are wanted'),
        ({'attribute': '{b},{c},{b}', 'frames': 50}, '3 attributes of 50 frames are asked for; 120 in all are possible'),
        ({'attribute': '{b}', 'edit_layers': '1-2'}, "edit_layers is '1-2'; a range of layers such as 1-4 is wanted, and the space"),
    ],
)  # fmt: skip
def test_what_is_refused(folder, tmp_path, capsys, fields, words):
    names = {'b': boundary(folder, seed=1), 'c': boundary(folder, seed=2)}
    given = {name: value.format(**names) if isinstance(value, str) else value for name, value in fields.items()}
    assert words in refused(capsys, edit(folder, tmp_path / 'out', **given))
    assert not (tmp_path / 'out').exists()


def test_what_is_left_of_an_attribute_that_is_conditioned_on_itself(folder, tmp_path):
    generator, _ = toy.generator()
    same = tmp_path / 'copy.npy'
    path = boundary(folder, seed=1)
    boundaries.save_boundary(same, boundaries.load_boundary(path))
    shape = jax.ShapeDtypeStruct((2, 8), np.float32)
    with pytest.raises(ValueError, match='cannot be edited: nothing is left of a boundary'):
        edits.parse_edits(settings(attribute=path, conditioned_on=str(same)), generator, shape)
    both = f'{path},{boundary(folder, seed=2)}'
    several = edits.parse_edits(settings(attribute=both, conditioned_on=both), generator, shape)  # each on the other
    plain = edits.parse_edits(settings(attribute=both), generator, shape)
    np.testing.assert_allclose((several.normals * plain.normals[::-1]).sum(axis=1), 0, atol=1e-6)
    assert several.names == ['boundary1', 'boundary2']


def test_ranges_of_layers(folder):
    generator, _ = toy.generator()
    shape, path = jax.ShapeDtypeStruct((2, 3, 8), np.float32), boundary(folder, seed=1)
    found = edits.parse_edits(settings(attribute=path, space='w+', edit_layers='2-4'), generator, shape)
    assert found.layers == (2, 4)
    for text in ('4-2', '0-2', 'all', '2', '7-8'):
        with pytest.raises(ValueError, match=f"^edit_layers is '{text}'"):
            edits.parse_edits(settings(attribute=path, space='w+', edit_layers=text), generator, shape)


def finished():
    pixels = np.zeros((SIDE, SIDE, 3), np.float32)
    codes = composition.Codes(np.zeros((2, 8), np.float32), np.zeros((2, 4), np.float32))
    image = slots.SlotImage(
        None, codes, (pixels, pixels), 0.5, failed_at=-1, steps=3, left=0, seconds=1.0, finished=True
    )
    target = np.full((1, SIDE, SIDE, 3), 0.2, np.float32)
    return ObservedImage(Source('a.png', 'a'), target, target, target, 0), image


def test_the_edit_takes_the_place_of_the_result_and_changes_no_figure():
    case, image = finished()
    edited = np.ones((SIDE, SIDE, 3), np.float32)
    plain = evaluation.make_result(case, image, evaluation.Measures('edit'))
    found = evaluation.make_result(
        case, image, evaluation.Measures('edit'), edit=lambda codes: (edited, {'edit.png': b'strip'})
    )
    assert (found.pictures['result'] == 1).all() and (found.pictures['inversion'] == 0).all()
    assert found.row == plain.row and found.files['edit.png'] == b'strip'
    assert found.row['psnr'] == pytest.approx(float(metrics.psnr(image.output[0][None], case.target)[0]), abs=1e-3)
    assert found.files['preview.webp'] != plain.files['preview.webp']


def test_an_edit_that_does_not_fit_into_the_memory_is_told(folder, tmp_path, monkeypatch):
    def exhausted(*arguments):
        def edit(codes):
            raise jax.errors.JaxRuntimeError('RESOURCE_EXHAUSTED: out of memory')

        return edit

    monkeypatch.setattr(edits, 'make_editor', exhausted)
    command = edit(folder, tmp_path, attribute=boundary(folder, seed=1))
    assert invert.main(command) == 3
    assert 'not enough memory for its edit' in table(tmp_path)[0]['status']
    assert not (tmp_path / 'photo0').exists()
