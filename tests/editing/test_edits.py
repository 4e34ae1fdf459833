"""The task 'edit': boundaries and layers that are read and refused, and the files of a run."""

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
from mgan_jax.engine import networks, slots
from mgan_jax.results import evaluation
from mgan_jax.run import jobs
from mgan_jax.settings.fields import Edit
from tests import toy
from tests.small_runs import FILES, SIDE, arguments, boundary, contents, latents, pixels, refused, table

pytestmark = pytest.mark.usefixtures('quick_compilation', 'in_the_repository')
LAYER, FRAMES = 3, 3


# Boundaries and layers


def parse(task, space='z'):
    generator, _ = toy.generator()
    return edits.parse_edits(task, generator=generator, generator_name='toy', space=space, latent_size=8)


def test_edits_have_unit_normals_and_labels(folder):
    paths = [boundary(folder, seed=seed) for seed in (1, 2)]
    parsed = parse(Edit(attribute=', '.join(paths)))
    assert parsed.names == ['boundary1', 'boundary2'] and parsed.layers is None
    for path, normal in zip(paths, parsed.normals, strict=True):
        np.testing.assert_allclose(normal, boundaries.load_boundary(path), rtol=1e-6)


def test_attributes_are_conditioned_on_all_others_but_themselves(folder):
    both = f'{boundary(folder, seed=1)},{boundary(folder, seed=2)}'
    plain, conditioned = parse(Edit(attribute=both)), parse(Edit(attribute=both, conditioned_on=both))
    np.testing.assert_allclose((conditioned.normals * plain.normals[::-1]).sum(axis=1), 0, atol=1e-6)


def test_an_attribute_conditioned_on_its_copy_is_refused(folder, tmp_path):
    path, copy = boundary(folder, seed=1), tmp_path / 'copy.npy'
    boundaries.save_boundary(copy, boundaries.load_boundary(path))
    with pytest.raises(ValueError, match='cannot be edited: nothing is left of a boundary'):
        parse(Edit(attribute=path, conditioned_on=str(copy)))


def test_layers(folder):
    path = boundary(folder, seed=1)
    assert parse(Edit(attribute=path, edit_layers='2-4'), space='w+').layers == (2, 4)
    for text in ('4-2', '0-2', 'all', '2', '7-8'):
        with pytest.raises(ValueError, match=f"^edit_layers is '{text}'"):
            parse(Edit(attribute=path, edit_layers=text), space='w+')


@pytest.mark.parametrize(
    'fields, message',
    [
        ({}, 'no attribute was given; set --config.attribute to boundary files, or for the demo to autumn, daylight'),
        ({'attribute': 'smile'}, "boundary 'smile' cannot be used: there is no file smile; shipped are autumn, daylight"),
        ({'attribute': 'snow'}, "boundary 'snow' is of codes of 32 numbers; those of generator 'toy' in the space 'z' have 8"),
        ({'attribute': '{b}', 'conditioned_on': '{c},snow'}, "boundary 'snow' is of codes of 32 numbers"),
        ({'attribute': '{b}', 'conditioned_on': '{c},{b}x'}, 'cannot be used: there is no file'),
        ({'attribute': '{b},{c},{b}', 'frames': 50}, '3 attributes of 50 frames are asked for; 120 in all are possible'),
        ({'attribute': '{b}', 'edit_layers': '1-2'}, "edit_layers is '1-2'; a range of layers such as 1-4 is wanted, and the space"),
    ],
)  # fmt: skip
def test_unusable_edits_are_refused(folder, fields, message):
    paths = {'b': boundary(folder, seed=1), 'c': boundary(folder, seed=2)}
    task = Edit(**{name: value.format(**paths) if isinstance(value, str) else value for name, value in fields.items()})
    with pytest.raises(ValueError) as raised:
        parse(task)
    assert message in str(raised.value)


# The editor


def make_editor(parsed, **changes):
    generator, params = toy.generator()
    values = {'layer': LAYER, 'space': 'z', 'strength': 1.0, 'strength_range': 2.0, 'frames': FRAMES}
    return edits.make_editor(generator, params, parsed, **(values | changes))


def draw_codes():
    rng = np.random.default_rng(0)
    codes = composition.Codes(*(rng.standard_normal(shape).astype(np.float32) for shape in ((2, 8), (2, 16))))
    return codes, np.stack([moves.condition_boundary(rng.standard_normal(8), []) for _ in range(2)])


def test_the_edited_image_moves_along_all_attributes():
    codes, normals = draw_codes()
    generator, params = toy.generator()
    edited, files = make_editor(edits.Edits(['one', 'two'], normals, None), strength=0.5)(codes)
    batch = jax.tree.map(lambda leaf: leaf[None], codes)
    expected = moves.render_edits(generator, params, batch, normals.sum(axis=0), [0.5], layer=LAYER)[0, 0]
    np.testing.assert_allclose(edited, np.clip(expected, -1, 1), atol=1e-5)
    assert {'edit.png', 'edit.webp'} <= files.keys()


def test_the_strip_has_a_row_of_strengths_for_each_attribute():
    codes, normals = draw_codes()
    generator, params = toy.generator()
    _, files = make_editor(edits.Edits(['one', 'two'], normals, None))(codes)
    with Image.open(io.BytesIO(files['edit.png'])) as strip:
        values = np.asarray(strip).astype(float)
    tiles = values[-2 * SIDE :, -FRAMES * SIDE :].reshape(2, SIDE, FRAMES, SIDE, 3).transpose(0, 2, 1, 3, 4)
    batch = jax.tree.map(lambda leaf: leaf[None], codes)
    for row, normal in enumerate(normals):
        expected = moves.render_edits(generator, params, batch, normal, [-2.0, 0.0, 2.0], layer=LAYER)[:, 0]
        webp_error = 6
        np.testing.assert_allclose(tiles[row].mean((1, 2)), images.to_uint8(expected).mean((1, 2)), atol=webp_error)


def test_an_image_that_is_not_finite_is_refused():
    codes, normals = draw_codes()
    edit = make_editor(edits.Edits(['one', 'two'], np.full_like(normals, np.nan), None))
    with pytest.raises(ValueError, match='the edited image is not finite; choose a smaller strength'):
        edit(codes)


def finished_image():
    output = np.zeros((SIDE, SIDE, 3), np.float32)
    codes = composition.Codes(np.zeros((2, 8), np.float32), np.zeros((2, 4), np.float32))
    image = slots.SlotImage(
        None, codes, (output, output), 0.5, failed_at=-1, steps=3, left=0, seconds=1.0, finished=True
    )
    target = np.full((1, SIDE, SIDE, 3), 0.2, np.float32)
    return ObservedImage(Source('a.png', 'a'), target, target, target, 0), image


def test_the_edited_image_is_the_result_and_the_inversion_is_measured():
    observed, image = finished_image()
    edited, measures = np.ones((SIDE, SIDE, 3), np.float32), evaluation.Measures(colours=False)
    plain = evaluation.make_result(observed, image, measures)
    result = evaluation.make_result(observed, image, measures, edit=lambda codes: (edited, {'edit.png': b'strip'}))
    assert (result.pictures['result'] == 1).all() and (result.pictures['inversion'] == 0).all()
    assert result.row == plain.row and result.files['edit.png'] == b'strip'
    psnr = float(metrics.psnr(image.output[0][None], observed.target)[0])
    assert result.row['psnr'] == pytest.approx(psnr, abs=1e-3)
    assert result.files['preview.webp'] != plain.files['preview.webp']


# Runs


def command(folder, out, **fields):
    own = {'images': folder / 'photos' / 'photo0.png', 'frames': FRAMES, 'strength': 1.0}
    return arguments(folder, 'edit.py:fast', out, **(own | fields))


@pytest.fixture(scope='module')
def two_boundaries(folder):
    """The paths of two boundaries, separated by a comma."""
    return f'{boundary(folder, seed=1)}, {boundary(folder, seed=2)}'


@pytest.fixture(scope='module')
def two_photos(folder):
    return ','.join(str(folder / 'photos' / f'photo{number}.png') for number in (0, 1))


@pytest.fixture(scope='module')
def finished_run(folder, two_boundaries, two_photos, tmp_path_factory):
    """The folder of a finished run of two photos."""
    out = tmp_path_factory.mktemp('edit')
    assert invert.main(command(folder, out, attribute=two_boundaries, images=two_photos)) == 0
    return out


@pytest.mark.slow
def test_a_run_writes_the_edit_the_inversion_and_the_strip(finished_run, folder, two_boundaries):
    files = {path.name for path in (finished_run / 'photo0').iterdir()} - {'edit.mp4'}
    assert files == FILES | {'target.png', 'edit.png', 'edit.webp'}
    codes = composition.Codes(*(array[None] for array in latents(finished_run, 'photo0')))
    generator, params = networks.load_generator(str(folder / 'generator'))
    both = sum(boundaries.load_boundary(path.strip()) for path in two_boundaries.split(','))
    for name, strength in (('inversion', 0.0), ('result', 1.0)):
        moved = moves.move_codes(codes, both, strength)
        expected = images.to_uint8(composition.compose(generator, params, moved, layer=LAYER)[0])
        np.testing.assert_allclose(pixels(finished_run / 'photo0' / f'{name}.png'), expected, atol=1)
    result, inversion = (pixels(finished_run / 'photo0' / f'{name}.png') for name in ('result', 'inversion'))
    assert (result != inversion).any()
    with Image.open(finished_run / 'photo0' / 'edit.webp') as animation:
        assert animation.size == (SIDE, SIDE) and animation.n_frames == 2 * (2 * FRAMES - 2)


@pytest.mark.slow
def test_the_table_measures_the_inversion(finished_run):
    for row in table(finished_run):
        folder = finished_run / row['name']
        inversion, target = (pixels(folder / f'{name}.png') / 255 for name in ('inversion', 'target'))
        assert float(row['psnr']) == pytest.approx(-10 * np.log10(np.square(inversion - target).mean()), abs=0.1)
        assert row['input_psnr'] == ''


def test_the_same_command_changes_nothing(finished_run, folder, two_boundaries, two_photos):
    assert b'Semantic editing' in (finished_run / 'report.html').read_bytes()
    before = contents(finished_run)
    assert invert.main(command(folder, finished_run, attribute=two_boundaries, images=two_photos)) == 0
    assert contents(finished_run) == before


def test_the_content_of_a_boundary_is_part_of_the_fingerprint(folder, tmp_path):
    def prepare():
        return jobs.prepare_job(invert.read_settings(command(folder, tmp_path / 'out', attribute=path)))

    path = boundary(tmp_path, seed=3)
    first, same = prepare(), prepare()
    boundaries.save_boundary(path, np.ones(8))
    assert first.made_by == same.made_by != prepare().made_by


@pytest.mark.parametrize(
    'fields, message',
    [
        ({}, 'no attribute was given; set --config.attribute to boundary files, or for the demo to autumn, daylight'),
        ({'attribute': 'snow'}, "boundary 'snow' is of codes of 32 numbers; those of generator '"),
        ({'attribute': '{b}', 'strength': 'nan'}, 'strength is nan; a finite number is wanted'),
        ({'attribute': '{b}', 'strength_range': 0}, 'strength_range is 0.0; a finite number above 0'),
        ({'attribute': '{b}', 'frames': 1}, 'frames is 1; 2 to 60 of them are wanted'),
    ],
)
def test_a_run_of_unusable_edits_writes_nothing(folder, tmp_path, capsys, fields, message):
    path = boundary(folder, seed=1)
    options = {name: value.format(b=path) if isinstance(value, str) else value for name, value in fields.items()}
    assert message in refused(capsys, command(folder, tmp_path / 'out', **options))
    assert not (tmp_path / 'out').exists()


def test_an_edit_without_enough_memory_fails_one_image(folder, tmp_path, monkeypatch):
    def make_failing_editor(*arguments, **options):
        def edit(codes):
            raise jax.errors.JaxRuntimeError('RESOURCE_EXHAUSTED: out of memory')

        return edit

    monkeypatch.setattr(edits, 'make_editor', make_failing_editor)
    assert invert.main(command(folder, tmp_path, attribute=boundary(folder, seed=1))) == 3
    assert 'not enough memory for its edit' in table(tmp_path)[0]['status']
    assert not (tmp_path / 'photo0').exists()
