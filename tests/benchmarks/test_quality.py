"""python -m benchmarks.quality: both optimisers on the same images, and a second run continues the first."""

import json

import numpy as np
import pytest

from benchmarks import quality
from mgan_jax.settings.fields import flatten_settings
from tests.small_runs import SIDE


@pytest.fixture(scope='module')
def command(folder, tmp_path_factory):
    networks = {'generator': folder / 'generator', 'extractor': folder / 'extractor', 'extractor_layer': 'relu2_1'}
    fields = networks | {'extractor_size': SIDE, 'layer': 3, 'num_codes': 2}
    place = [str(tmp_path_factory.mktemp('quality')), f'--images={folder / "photos"}']
    size = ['--tasks=reconstruct', '--seeds=0,1', '--count=3', '--batch=2', '--steps=12', '--sgd-steps=12']
    return place + size + [f'--set={name}={value}' for name, value in fields.items()]


@pytest.mark.slow
def test_tables(command, quick_compilation, tmp_path, capsys):
    quality.main(command)
    rows = {row['optimiser']: row for row in quality.summarise_runs(quality.Path(command[0]))}
    assert rows.keys() == {'ours', 'sgd'} and all(row['runs'] == 6 and row['seeds'] == 2 for row in rows.values())
    record = json.loads((quality.Path(command[0]) / 'quality.json').read_text())
    assert record['rows'] == list(rows.values()) and 'machine' in record
    ours = json.loads((quality.Path(command[0]) / 'reconstruct_0_ours_12_0.json').read_text())['curve']
    assert (np.array(ours['12']['loss']) <= ours['10']['loss']).all()  # the best iterate is kept
    first = json.loads((quality.Path(command[0]) / 'reconstruct_0_sgd_12_0.json').read_text())
    assert first['images'] == ['photo0', 'photo1'] and list(first['curve']) == ['10', '12']
    assert np.isfinite(first['curve']['12']['psnr']).all() and len(first['curve']['12']['loss']) == 2
    capsys.readouterr()
    quality.main(command)
    assert '.json' not in capsys.readouterr().out.replace('quality.json', '')  # nothing was measured again


def test_sides_differ_in_the_optimiser_only():
    sides = (quality.make_side_settings('inpaint', side, 7, 3) for side in quality.SIDES)
    ours, theirs = map(flatten_settings, sides)
    different = {name for name in ours if ours[name] != theirs[name]}
    assert different == {'optimizer', 'latent_rate', 'alpha_rate', 'alpha_over_n', 'keep', 'batch_size'}


@pytest.mark.parametrize(('spread', 'expected'), [([], [[4, 5]] * 3), (['--spread'], [[4], [5], [4]])])
def test_seeds_of_batches(spread, expected):
    options = quality._parse(['folder', '--seeds=4,5', *spread])
    assert [quality._seeds_of(batch, options) for batch in range(3)] == expected


@pytest.mark.slow
@pytest.mark.parametrize(
    ('given', 'words'),
    [
        (['--tasks=recnstruct'], "there is no task 'recnstruct' here; the tasks are reconstruct, "),
        (['--set=nofield=1'], "task 'reconstruct' has no field 'nofield'"),
        (['--set=layer=x'], "layer is 'x'; "),
        (['--set=layer'], "'layer' is given; FIELD=VALUE is wanted."),
        (['--set=seed=0'], 'missing does not exist'),
    ],
)
def test_unusable_options(tmp_path, given, words):
    with pytest.raises(ValueError) as caught:
        quality.main([str(tmp_path), '--tasks=reconstruct', '--count=1', '--images=missing', *given])
    assert words in str(caught.value) and not list(tmp_path.glob('*.json'))


def test_a_damaged_measurement_is_named(tmp_path):
    (tmp_path / 'reconstruct_0_sgd_12_0.json').write_text('{"task": "rec')
    with pytest.raises(ValueError, match=r'reconstruct_0_sgd_12_0\.json is damaged; remove it'):
        quality.summarise_runs(tmp_path)
