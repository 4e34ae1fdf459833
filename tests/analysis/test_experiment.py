"""The images of the analyses: checked before anything is written, and drawn where they are held-out scenes."""

import pytest

from mgan_jax import models
from mgan_jax.analysis import experiment
from mgan_jax.analysis.runs import AnalysisRun
from mgan_jax.data import sources
from mgan_jax.demo import drawing
from mgan_jax.settings import analysis_fields
from mgan_jax.storage import stores
from tests import small_runs

pytestmark = pytest.mark.usefixtures('quick_compilation')
FAST = analysis_fields.analysis_preset('fast')


def parse(folder, **changes):
    small = {name: value for name, value in small_runs.CODES.items() if name in FAST}
    networks = {'generator': str(folder / 'generator'), 'extractor': '', 'perceptual': 0.0}
    flat = FAST | small | networks | {'layers': '3', 'nums': '2', 'analyses': 'codes_layers'} | changes
    return analysis_fields.parse_analysis_settings(flat)


@pytest.mark.slow
def test_images_are_the_first_of_the_list(folder):
    settings = parse(folder, images=str(folder / 'photos'), count=3)
    analysis = experiment.check_analysis(settings)
    assert [source.name for source in analysis.images] == ['photo0', 'photo1', 'photo2']
    assert analysis.settings == settings and analysis.num_layers == {str(folder / 'generator'): 6}


def test_held_out_scenes_are_drawn_with_their_segmentation(folder, tmp_path):
    settings = parse(folder, analyses='roles', images='held-out', count=3, pictured=2, out=str(tmp_path / 'out'))
    checked = experiment.check_analysis(settings)
    assert not checked.images and not (tmp_path / 'out').exists()
    with stores.open_store(settings.study.out) as store:
        analysis = experiment.draw_held_out(checked, store)
    assert [source.name for source in analysis.images] == ['0100', '0101', '0102']
    assert all(sources.read_source(source) for source in analysis.images)
    size = models.load(folder / 'generator')[0].image_size
    segmentation = experiment.read_labels(analysis, size)
    assert segmentation.labels.shape == (2, *size) and segmentation.classes == drawing.PARTS


def test_a_segmentation_of_held_out_scenes_is_checked_before_they_are_drawn(folder, tmp_path):
    (tmp_path / 'parts').mkdir()
    (tmp_path / 'parts' / 'classes.txt').write_text('sky\n')
    settings = parse(folder, analyses='roles', images='held-out', segmentation=str(tmp_path / 'parts'))
    with pytest.raises(ValueError, match='0100.png'):
        experiment.check_analysis(settings)


def test_failures_are_sentences():
    run = AnalysisRun('inpaint', 'demo', 4, 20)
    rows = {run: [{'image': 'a', 'psnr': 20.0}, {'image': 'b', 'failed': 'its loss is not finite'}]}
    assert experiment.list_failures(rows) == ['b, inpaint at l = 4, N = 20: its loss is not finite.']
