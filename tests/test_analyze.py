"""The command: its files, a second run, unusable settings and exit codes."""

import csv
import io
import json

import numpy as np
import pytest
from PIL import Image

from mgan_jax import analyze
from mgan_jax.analysis import measurements
from mgan_jax.settings import analysis_fields
from tests import small_runs

pytestmark = pytest.mark.usefixtures('in_the_repository', 'quick_compilation')
FIELDS = {
    'layer': 3,
    'num_codes': 2,
    'nums': '2',
    'layers': '3',
    'steps': 3,
    'batch_size': 2,
    'count': 3,
    'pictured': 1,
}


@pytest.fixture(scope='module')
def parts(folder):
    """A segmentation of the photos: left and right."""
    path = folder / 'parts'
    path.mkdir()
    (path / 'classes.txt').write_text('left\nright\n')
    labels = np.zeros((small_runs.SIDE, small_runs.SIDE), np.uint8)
    labels[:, small_runs.SIDE // 2 :] = 1
    for number in range(5):
        Image.fromarray(labels).save(path / f'photo{number}.png')
    return path


def command(folder, place, **changes):
    fields = {
        'generator': folder / 'generator',
        'extractor': folder / 'extractor',
        'extractor_layer': 'relu2_1',
        'extractor_size': small_runs.SIDE,
        'images': folder / 'photos',
        'segmentation': folder / 'parts',
        'out': place,
        'tasks': 'reconstruct,colorize',
        **FIELDS,
        **changes,
    }
    return ['--config', 'configs/analysis.py:fast', *(f'--config.{name}={value}' for name, value in fields.items())]


def read_table(path):
    return list(csv.DictReader(io.StringIO(path.read_text())))


@pytest.fixture(scope='module')
def out(folder, parts, tmp_path_factory):
    out = tmp_path_factory.mktemp('analyses') / 'out'
    (folder / 'other').symlink_to(folder / 'generator')
    generators = f'{folder / "generator"},{folder / "other"}'
    assert analyze.main(command(folder, out, generators=generators)) == 0
    return out


@pytest.mark.slow
def test_every_analysis_writes_figures_and_tables(out):
    for name in ('codes_layers', 'tasks', 'roles/photo0', 'generators/photo0'):
        with Image.open(out / f'{name}.png') as picture:
            assert picture.width > 200
        assert (out / f'{name}.svg').read_bytes().startswith(b'<?xml')
    assert {path.name for path in out.glob('*.csv')} == {
        *('measurements.csv', 'codes_layers.csv', 'tasks.csv', 'best_layers.csv', 'roles.csv')
    }
    assert json.loads((out / 'config.json').read_text())['config']['nums'] == '2'


@pytest.mark.slow
def test_the_table_has_every_measurement_once(folder, out):
    rows = read_table(out / 'measurements.csv')
    own = [row for row in rows if row['generator'] == str(folder / 'generator')]
    keys = [(row['task'], row['layer'], row['num_codes'], row['image']) for row in own]
    places = [('reconstruct', '3', '2'), ('colorize', '3', '2')]
    assert sorted(keys) == sorted((*place, f'photo{number}') for place in places for number in range(3))
    assert all(float(row['psnr']) > 0 and float(row['distance']) > 0 for row in rows)


def test_means_are_those_of_the_measurements(folder, out):
    rows = [row for row in read_table(out / 'measurements.csv') if row['generator'] == str(folder / 'generator')]
    for name in ('codes_layers.csv', 'tasks.csv'):
        for row in read_table(out / name):
            of_run = [other for other in rows if all(other[key] == row[key] for key in ('task', 'layer', 'num_codes'))]
            mean = np.mean([float(other[row['measure']]) for other in of_run])
            np.testing.assert_allclose(float(row['mean']), mean, rtol=1e-3)
    kinds = {(row['task'], row['measure']) for row in read_table(out / 'tasks.csv')}
    assert kinds == {('reconstruct', 'psnr'), ('colorize', 'psnr'), ('colorize', 'auc')}
    assert [row['layer'] for row in read_table(out / 'best_layers.csv')] == ['3', '3', '3']


def test_roles_have_labels_of_the_segmentation(out):
    rows = read_table(out / 'roles.csv')
    assert [(row['image'], row['code']) for row in rows] == [('photo0', '0'), ('photo0', '1')]
    assert {row['label'] for row in rows} <= {'left', 'right', 'nothing'}


def test_each_generator_has_a_row_of_measurements(folder, out):
    rows = [row for row in read_table(out / 'measurements.csv') if row['generator'] == str(folder / 'other')]
    assert [(row['task'], row['layer'], row['image']) for row in rows] == [('reconstruct', '3', 'photo0')]


@pytest.mark.slow
def test_more_images_are_added_to_stored_measures(folder, out):
    def list_stored():
        return {path: path.stat().st_mtime_ns for path in (out / measurements.FOLDER).rglob('*.*')}

    before, rows = list_stored(), read_table(out / 'measurements.csv')
    assert analyze.main(command(folder, out, analyses='codes_layers', count=4)) == 0
    after = list_stored()
    assert before.items() <= after.items() and len(after) == len(before) + 1  # the measures of a fourth photo
    now = {row['image']: row['loss'] for row in read_table(out / 'measurements.csv')}
    assert {'photo0', 'photo1', 'photo2', 'photo3'} == now.keys()
    assert all(now[row['image']] == row['loss'] for row in rows if row['task'] == 'reconstruct')
    assert {row['images'] for row in read_table(out / 'codes_layers.csv')} == {'4'}


@pytest.mark.slow
def test_failed_images_are_named(folder, parts, tmp_path, capsys):
    fields = {'generator': folder / 'broken', 'analyses': 'codes_layers,roles,generators'}
    assert analyze.main(command(folder, tmp_path / 'out', **fields)) == 3
    assert 'photo2, reconstruct at l = 3, N = 2: its loss or image is not finite' in capsys.readouterr().err
    assert not (tmp_path / 'out' / 'codes_layers.png').exists()  # no image has measures


REFUSED = [
    ({'num_code': 3}, "the configuration has no field 'num_code'; did you mean 'num_codes'?"),
    ({'steps': 0}, 'steps is 0; at least 1 is wanted'),
    (
        {'layers': '7,8'},
        "layers is '7,8', but the generator '{}/generator' has the layers 1 to 6; choose some of these.",
    ),
    ({'layer': 7}, 'layer 7 is given, but this generator has the layers 1 to 6'),
    ({'factor': 3, 'tasks': 'super_resolve'}, 'factor 3 does not divide images of 16x16 pixels'),
    ({'generator': '{}/grey'}, 'makes grey images; one that makes colours is wanted'),
    ({'segmentation': ''}, 'the roles of codes need a segmentation'),
    ({'segmentation': '{}/photos'}, 'classes.txt cannot be opened'),
    ({'out': '{}/generator/model.json'}, 'cannot be used: Not a directory'),
]


@pytest.mark.slow
@pytest.mark.parametrize(('fields', 'words'), REFUSED)
def test_unusable_settings(folder, parts, tmp_path, capsys, fields, words):
    fields = {name: str(value).format(folder) for name, value in fields.items()}
    assert analyze.main(command(folder, tmp_path / 'out', **fields)) == 2
    captured = capsys.readouterr()
    assert words.format(folder) in captured.err and captured.err.count('\n') == 1 and not captured.out
    assert not (tmp_path / 'out').exists()


def test_an_image_that_cannot_be_read_is_named_before_anything_is_written(folder, parts, tmp_path, capsys):
    (tmp_path / 'photos').mkdir()
    (tmp_path / 'photos' / 'photo0.png').write_bytes(b'no image')
    assert analyze.main(command(folder, tmp_path / 'out', images=tmp_path / 'photos')) == 2
    assert 'photo0.png' in capsys.readouterr().err
    assert not (tmp_path / 'out').exists()


@pytest.mark.slow
def test_interrupted(folder, parts, tmp_path, capsys, monkeypatch):
    def interrupt(*arguments):
        raise KeyboardInterrupt  # as SIGINT does, unless the shell that started the tests ignores it

    monkeypatch.setattr(measurements, 'measure_inversions', interrupt)
    assert analyze.main(command(folder, tmp_path / 'out')) == 130
    assert 'interrupted; what was measured is kept' in capsys.readouterr().err


def test_help_lists_every_field(capsys):
    assert analyze.main(['--help']) == 0
    text = capsys.readouterr().out
    assert 'python -m mgan_jax.analyze --config configs/analysis.py' in text
    assert all(name in text for name in analysis_fields.analysis_preset('demo'))
