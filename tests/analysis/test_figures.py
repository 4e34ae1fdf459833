"""What is to be measured for which analysis, and the images of it. The files are tested with the command."""

import pytest

from mgan_jax import models
from mgan_jax.analysis import curves, figures
from mgan_jax.analysis.curves import AnalysisRun
from mgan_jax.data import segmentation, sources
from mgan_jax.demo import drawing
from mgan_jax.storage import stores
from tests import small_runs

pytestmark = pytest.mark.usefixtures('quick_compilation')
DEMO = curves.analysis_settings('demo') | {
    'nums': '1,20',
    'layers': '2,6',
    'layer': 6,
    'num_codes': 20,
    'count': 9,
    'pictured': 2,
}


def test_what_is_pictured_comes_first_and_nothing_is_wanted_twice():
    found = figures.plan_runs(DEMO | {'tasks': 'reconstruct,inpaint'}, {'demo': 10})
    two, six, one = (AnalysisRun('reconstruct', 'demo', layer, n) for layer, n in ((2, 20), (6, 20), (6, 1)))
    holes = [AnalysisRun('inpaint', 'demo', layer, 20) for layer in (2, 6)]
    assert [(run, images) for run, images, pictured in found if pictured] == [(six, 2), (two, 2)]
    assert [(run, images) for run, images, pictured in found if not pictured] == [
        (run, 9) for run in (one, six, two, *holes)
    ]
    assert found == sorted(found, key=lambda wanted: not wanted.pictured)


@pytest.mark.parametrize(('name', 'count'), [('codes_layers', 3), ('roles', 1), ('generators', 4), ('tasks', 10)])
def test_each_analysis_wants_its_own(name, count):
    found = figures.plan_runs(DEMO | {'analyses': name, 'generators': 'demo,other'}, {'demo': 10, 'other': 8})
    assert len(found) == count
    assert {run.generator for run, *_ in found} == ({'demo', 'other'} if name == 'generators' else {'demo'})


def test_every_layer_of_each_generator():
    given = DEMO | {'analyses': 'generators', 'generators': 'demo,other', 'layers': ''}
    found = figures.plan_runs(given, {'demo': 4, 'other': 3})
    assert [(run.generator, run.layer) for run, *_ in found] == [
        *(('demo', layer) for layer in (1, 2, 3, 4)),
        *(('other', layer) for layer in (1, 2, 3)),
    ]


def test_held_out_scenes_are_drawn_with_their_segmentation(folder, tmp_path):
    given = (
        curves.analysis_settings('fast')
        | small_runs.CODES
        | {'images': 'held-out', 'count': 3, 'out': str(tmp_path / 'out')}
    )
    given = {name: given[name] for name in curves.analysis_settings('fast')} | {'perceptual': 0.0}
    given |= {'generator': str(folder / 'generator'), 'extractor': ''}
    with stores.open_store(given['out']) as store:
        study = figures.begin_analysis(given, {}, store)
    assert [source.name for source in study.images] == ['0100', '0101', '0102']
    assert all(sources.read_source(source) for source in study.images)
    size = models.load(folder / 'generator')[0].image_size
    found = segmentation.read_segmentation(study.settings['segmentation'], ['0100', '0101'], size)
    assert found.labels.shape == (2, *size) and found.classes == drawing.PARTS
