"""Which measurements the figures and tables show. All files of a run are tested with the command."""

import csv
import io

from mgan_jax.analysis import figures
from mgan_jax.analysis.experiment import Analysis
from mgan_jax.analysis.runs import AnalysisRun
from mgan_jax.settings import analysis_fields
from mgan_jax.storage import stores


def make_analysis(**changes):
    flat = analysis_fields.analysis_preset('demo') | {'layers': '2,4', 'nums': '20', 'layer': 4} | changes
    return Analysis(analysis_fields.parse_analysis_settings(flat), {'demo': 8}, [])


def make_rows(tasks, **measures):
    runs = [AnalysisRun(task, 'demo', layer, 20) for task in tasks for layer in (2, 4)]
    return {
        run: [{'image': name} | {m: value + run.layer for m, value in measures.items()} for name in 'ab']
        for run in runs
    }


def read_csv(content):
    return list(csv.DictReader(io.StringIO(content.decode())))


def test_colourisation_is_also_measured_by_the_auc():
    files = figures.make_tasks(
        make_analysis(tasks='inpaint,colorize'), make_rows(('inpaint', 'colorize'), psnr=20.0, auc=0.9)
    )
    assert files.keys() == {'tasks.png', 'tasks.svg', 'tasks.csv', 'best_layers.csv'}
    measured = [(row['task'], row['measure'], row['layer']) for row in read_csv(files['best_layers.csv'])]
    assert measured == [('inpaint', 'psnr', '4'), ('colorize', 'psnr', '4'), ('colorize', 'auc', '4')]


def test_lpips_stands_for_the_distance_where_there_are_heads():
    rows = make_rows(('reconstruct',), psnr=20.0, lpips=0.1, distance=0.3)
    for changes, measure in (({}, 'distance'), ({'lpips': 'heads'}, 'lpips')):
        files = figures.make_codes_layers(make_analysis(**changes), rows)
        assert {row['measure'] for row in read_csv(files['codes_layers.csv'])} == {'psnr', measure}


def test_without_a_common_image_there_is_no_figure(tmp_path):
    rows = {run: [{'image': 'a', 'failed': 'no'}] for run in make_rows(('reconstruct',))}
    with stores.open_store(str(tmp_path)) as store:
        written = list(figures.write_figures(make_analysis(analyses='codes_layers'), rows, store))
    assert written == [f'{tmp_path}/codes_layers.csv']
    assert len(read_csv((tmp_path / 'measurements.csv').read_bytes())) == 2
    assert not (tmp_path / 'codes_layers.png').exists()
