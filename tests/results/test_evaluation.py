"""What is measured of a result, task by task, against the metrics themselves."""

import jax
import numpy as np
import pytest

from mgan_jax import composition, metrics, tasks
from mgan_jax.data import observations
from mgan_jax.data.sources import Source
from mgan_jax.engine import slots
from mgan_jax.metrics import colour, niqe
from mgan_jax.results import evaluation, records

pytestmark = pytest.mark.usefixtures('quick_compilation')
SIDE = 22  # the least that holds two scales of MS-SSIM


def draw(seed, *shape):
    return np.random.default_rng(seed).uniform(-1, 1, shape).astype(np.float32)


TARGET = draw(0, 1, SIDE, SIDE, 3)
RESULT = np.clip(TARGET[0] + 0.2 * draw(1, SIDE, SIDE, 3), -1, 1)


def case(observation, naive=None, target=TARGET):
    return observations.ObservedImage(Source('a.png', 'a'), observation, TARGET if naive is None else naive, target, 0)


def image(output=(RESULT, RESULT)):
    codes = composition.Codes(draw(2, 2, 8), draw(3, 2, 4))
    return slots.SlotImage(None, codes, output, 0.5, failed_at=-1, steps=3, left=0, seconds=0.12345, finished=True)


def row(given, **fields):
    measures = evaluation.Measures(**({'task': 'reconstruct'} | fields))
    return evaluation.make_result(given, image(), measures).row


def filled(row):
    return set(row) - {'name', 'status', 'loss', 'steps', 'seconds'}


def test_reconstruction():
    """The input is the target, and there is nothing to compare it with."""
    found = row(case(TARGET))
    assert filled(found) == {'psnr', 'ssim', 'ms_ssim'}
    assert found['psnr'] == pytest.approx(float(metrics.psnr(RESULT[None], TARGET)[0]), abs=1e-3)
    assert found['ssim'] == pytest.approx(float(metrics.ssim(RESULT[None], TARGET)[0]), abs=1e-4)
    assert found['ms_ssim'] == pytest.approx(float(metrics.ms_ssim(RESULT[None], TARGET, 2)[0]), abs=1e-4)
    assert found | {'name': 'a', 'status': 'done', 'loss': 0.5, 'steps': 3, 'seconds': 0.123} == found


def test_colourisation():
    grey = np.asarray(tasks.gray(TARGET))
    naive = grey.repeat(3, axis=-1)
    found = row(case(grey, naive), task='colorize')
    assert filled(found) == {'psnr', 'ssim', 'ms_ssim', 'auc', 'input_psnr', 'input_ssim', 'input_auc'}
    assert found['auc'] == pytest.approx(float(colour.auc_ab(RESULT[None], TARGET)[0]), abs=1e-4)
    assert found['input_auc'] == pytest.approx(float(colour.auc_ab(naive, TARGET)[0]), abs=1e-4)
    assert found['input_auc'] < found['auc']


def test_hole():
    """Inpainting and denoising are measured where the pixels were unknown, too."""
    hole = np.zeros((1, SIDE, SIDE, 1), np.float32)
    hole[:, 5:9, 3:12] = 1
    observation = tasks.Masked(TARGET * (1 - hole), hole)
    restored = np.where(hole > 0, TARGET + 0.2, TARGET)[0]
    measures = evaluation.Measures('inpaint')
    found = evaluation.make_result(
        case(observation, observation.pixels), image(output=(RESULT, restored)), measures
    ).row
    assert filled(found) == {'psnr', 'ssim', 'ms_ssim', 'hole_psnr', 'input_psnr', 'input_ssim'}
    inside = np.square(np.clip(restored, -1, 1) - TARGET[0])[5:9, 3:12]
    assert found['hole_psnr'] == pytest.approx(10 * np.log10(4 / inside.mean()), abs=1e-3)
    assert found['hole_psnr'] == pytest.approx(found['psnr'] + 10 * np.log10(hole.mean()), abs=1e-3)


def test_lpips_of_the_result_and_of_the_input():
    found = row(case(TARGET, -TARGET), task='super_resolve', lpips=lambda x, y: np.abs(x - y).mean(axis=(1, 2, 3)))
    assert found['lpips'] == pytest.approx(np.abs(RESULT - TARGET[0]).mean(), abs=1e-4)
    assert found['input_lpips'] == pytest.approx(np.abs(2 * TARGET).mean(), abs=1e-4)


def test_without_a_target_only_niqe():
    found = row(case(TARGET, target=None), niqe=lambda x: x.shape[1:2] + np.zeros(1))
    assert filled(found) == {'niqe'} and found['niqe'] == SIDE
    assert filled(row(case(TARGET, target=None))) == set()


def test_every_column_is_in_the_table():
    both = {'lpips': lambda x, y: np.ones(1), 'niqe': lambda x: np.ones(1)}
    found = row(case(tasks.Masked(TARGET, np.ones((1, SIDE, SIDE, 1))), -TARGET), task='colorize', **both)
    assert tuple(sorted(found)) == tuple(sorted(records.COLUMNS))


def test_small_and_equal_images():
    """Nothing that needs a larger image, and no infinite PSNR."""
    small = case(TARGET[:, :10], -TARGET[:, :10], TARGET[:, :10])
    measures = evaluation.Measures('reconstruct')
    found = evaluation.make_result(small, image(output=(TARGET[0, :10], TARGET[0, :10])), measures).row
    assert filled(found) == {'input_psnr'}


def test_niqe_of_a_model_file(tmp_path):
    covariance = np.diag(np.linspace(1, 2, 36))
    (tmp_path / 'model.npz').write_bytes(niqe.pack_niqe_model(niqe.NiqeModel(np.zeros(36), covariance, 8, 'made up')))
    settings = {'task': 'super_resolve', 'niqe': str(tmp_path / 'model.npz')}
    measures = evaluation.choose_measures(settings, (SIDE, SIDE), None)
    found = row(case(TARGET, target=None), **measures._asdict())
    model = evaluation.read_niqe_model(str(tmp_path / 'model.npz'))
    assert found['niqe'] == pytest.approx(
        float(jax.jit(lambda x: niqe.niqe_score(x, model))(RESULT[None])[0]), rel=1e-3
    )
    with pytest.raises(
        ValueError, match='patches of 8 pixels a side, and the results have 22x7; make a model of smaller'
    ):
        evaluation.choose_measures(settings, (SIDE, 7), None)
    assert evaluation.choose_measures(settings | {'niqe': ''}, (SIDE, 7), None) == evaluation.Measures('super_resolve')
