"""python -m benchmarks.paper_tables: the tables show the measurements, and a second run continues the first."""

import csv
import json

import numpy as np
import pytest
from PIL import Image

from benchmarks import paper_methods, paper_report, paper_tables
from mgan_jax import metrics
from mgan_jax.metrics import colour
from mgan_jax.models import stylegan2
from mgan_jax.settings import fields
from tests import toy
from tests.small_runs import SIDE


@pytest.fixture(scope='module')
def options(folder):
    networks = [f'--generator={folder / "generator"}', f'--extractor={folder / "extractor"}']
    fields = {'extractor_layer': 'relu2_1', 'extractor_size': SIDE, 'layer': 3, 'num_codes': 2}
    return [*networks, f'--images={folder / "photos"}', *(f'--set={name}={value}' for name, value in fields.items())]


@pytest.fixture(scope='module')
def measured(options, tmp_path_factory, quick_compilation):
    """Inpainting with a centred hole by two methods, three images in files of two."""
    place = tmp_path_factory.mktemp('tables')
    command = [str(place), *options, '--count=3', '--tables=4', '--methods=one-code,multi-code']
    command += ['--steps=multi-code=4', '--steps=one-code=2']
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(paper_tables, 'GROUP', 2)
        for module in (paper_tables, paper_report):
            patch.setattr(module, 'PROBLEMS', {'centre': paper_methods.PROBLEMS['centre']})
        paper_tables.main(command)
        yield place, command


def rows_of(place):
    with open(place / 'tables.csv', newline='', encoding='utf-8') as file:
        return {row['method']: row for row in csv.DictReader(file)}


@pytest.mark.slow
def test_means_are_of_all_images(measured):
    place, _ = measured
    files = sorted((place / 'measured').glob('centre_multi-code_*.json'))
    assert [path.stem[-4:] for path in files] == ['0000', '0002']
    runs = [json.loads(path.read_text()) for path in files]
    assert [run['images'] for run in runs] == [['photo0', 'photo1'], ['photo2']]
    rows = rows_of(place)
    assert list(rows) == ['input', 'one code', 'multi-code'] and {row['images'] for row in rows.values()} == {'3'}
    row = rows['multi-code']
    for column, part, name in (('PSNR', 'inversion', 'PSNR'), ('with known', 'measures', 'PSNR')):
        expected = np.mean([value for run in runs for value in run[part][name]])
        np.testing.assert_allclose(float(row[column]), expected, rtol=1e-6)
    assert float(row['with known']) > float(row['PSNR'])
    assert (row['steps'], row['N'], row['layer'], row['values']) == ('4', '2', '3', str(2 * (8 + 16)))
    assert (rows['one code']['steps'], rows['one code']['N'], rows['one code']['values']) == ('2', '1', '8')
    assert row['NIQE'] == '' and float(row['distance']) > 0


@pytest.mark.slow
def test_an_input_is_measured_as_it_is(measured, folder):
    place, _ = measured
    run = json.loads((place / 'measured' / 'centre_one-code_0000.json').read_text())
    with Image.open(folder / 'photos' / 'photo0.png') as image:
        target = np.asarray(image, np.float32)[None] / 127.5 - 1
    hole = target.copy()
    hole[:, 6:10, 6:10] = 0
    np.testing.assert_allclose(run['input']['PSNR'][0], metrics.psnr(hole, target)[0], rtol=1e-5)
    np.testing.assert_allclose(run['input']['AuC'][0], 100 * colour.auc_ab(hole, target)[0], rtol=1e-5)


def test_tables_describe_their_columns(measured):
    text = (measured[0] / 'tables.md').read_text()
    assert '### Table 4: inpainting, centre' in text and 'not LPIPS' in text and 'NIQE not measured' in text
    lines = {line.split(' | ')[0].strip('| '): line for line in text.splitlines() if line.startswith('| ')}
    assert lines['multi-code'].endswith('| 21.43 / 0.5320 |') and lines['one code'].endswith('| 10.37 / 0.1672 |')
    assert lines['deep image prior'].endswith('|  |  |  |  | 17.92 / 0.4327 |')  # not chosen here
    with Image.open(measured[0] / 'methods.png') as picture:
        assert picture.size == (8 * 128, 20 + 128)


@pytest.mark.slow
def test_only_what_is_missing_or_has_changed_is_measured(measured, capsys):
    place, command = measured
    (place / 'measured' / 'centre_multi-code_0002.json').unlink()
    before = (place / 'tables.md').read_text()
    capsys.readouterr()
    paper_tables.main(command)
    done = [line.split(':')[0] for line in capsys.readouterr().out.splitlines() if '.json:' in line]
    assert done == ['centre_multi-code_0002.json']
    assert (place / 'tables.md').read_text() == before
    paper_tables.main([*command, '--steps=one-code=3'])
    done = [line.split(':')[0] for line in capsys.readouterr().out.splitlines() if '.json:' in line]
    assert done == ['centre_one-code_0000.json', 'centre_one-code_0002.json']


@pytest.mark.parametrize(
    ('more', 'words'),
    [
        (['--steps=gan=3'], "there is no method 'gan' here; the methods are one-code, feature-map, dip, multi-code."),
        (['--steps=dip'], "'dip' is given; METHOD=NUMBER is wanted."),
        (['--steps=dip=0'], "'dip=0' is given; METHOD=NUMBER is wanted."),
        (['--set=layers=3'], "task 'inpaint' has no field 'layers'; the fields are in mgan_jax/settings/fields.py."),
        (['--set=steps=many'], "steps is 'many'; a whole number is wanted."),
        (['--set=noise=yes'], "noise is 'yes'; True or False is wanted."),
        (['--count=0'], 'count is 0; at least one image is wanted.'),
        (['--images='], 'no images were given for this generator; set --images to a folder of them.'),
    ],
)
def test_unusable_options(options, tmp_path, more, words):
    with pytest.raises(ValueError) as caught:
        paper_tables.main([str(tmp_path / 'out'), *options, '--tables=4', *more])
    assert str(caught.value) == words
    assert not (tmp_path / 'out').exists()


def test_styles_are_inverted_in_three_spaces():
    generator = stylegan2.build_stylegan2(
        resolution=8, latent_dim=8, style_dim=8, mapping_layers=1, fmaps_base=64, fmaps_max=8
    )
    found = paper_methods.list_methods(generator, 'somewhere')
    spaces = {found[f'one-code-{space}'].fields['space'] for space in ('z', 'w', 'w+')}
    assert spaces == {'z', 'w', 'w+'} and found['encoder'].fields['init_from'] == 'somewhere'
    plain = paper_methods.list_methods(toy.generator()[0], '')
    assert list(plain) == ['one-code', 'feature-map', 'dip', 'multi-code']


def test_every_method_has_settings_that_a_run_can_have():
    for method in paper_methods.list_methods(toy.generator()[0], 'demo-encoder').values():
        for name in method.problems:
            settings = paper_methods.make_run_settings(paper_methods.PROBLEMS[name], method, 'demo', {}, 7)
            fields.require_consistent(settings)
            assert settings.optimizer.steps == 7


def test_the_papers_numbers_have_a_figure_for_each_column():
    for name, problem in paper_methods.PROBLEMS.items():
        for title in paper_methods.PAPER[name]:
            for _, values in paper_methods.list_paper_values(name, title):
                assert 1 <= len(values.split(' / ')) <= len(problem.columns)
