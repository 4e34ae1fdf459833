"""The metrics of a result for each task, compared with the metrics themselves."""

import jax
import numpy as np
import pytest

from mgan_jax import composition, metrics, tasks
from mgan_jax.data.observations import ObservedImage
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


def make_observed(observation, input_image=TARGET, target=TARGET):
    return ObservedImage(Source('a.png', 'a'), observation, input_image, target, 0)


def make_slot_image(output=(RESULT, RESULT)):
    codes = composition.Codes(draw(2, 2, 8), draw(3, 2, 4))
    return slots.SlotImage(None, codes, output, 0.5, failed_at=-1, steps=3, left=0, seconds=0.12345, finished=True)


def make_row(observed, image=None, *, colours=False, lpips=None, niqe=None):
    measures = evaluation.Measures(colours, lpips, niqe)
    return evaluation.make_result(observed, image or make_slot_image(), measures).row


def measured(row):
    """The names of the metrics in a row."""
    return set(row) - {'name', 'status', 'loss', 'steps', 'seconds'}


@pytest.mark.slow
def test_reconstruction():
    """The input is the target, so that there are no metrics of the input."""
    row = make_row(make_observed(TARGET))
    assert measured(row) == {'psnr', 'ssim', 'ms_ssim'}
    assert row['psnr'] == pytest.approx(float(metrics.psnr(RESULT[None], TARGET)[0]), abs=1e-3)
    assert row['ssim'] == pytest.approx(float(metrics.ssim(RESULT[None], TARGET)[0]), abs=1e-4)
    assert row['ms_ssim'] == pytest.approx(float(metrics.ms_ssim(RESULT[None], TARGET, 2)[0]), abs=1e-4)
    assert row | {'name': 'a', 'status': 'done', 'loss': 0.5, 'steps': 3, 'seconds': 0.123} == row


@pytest.mark.slow
def test_colourisation():
    grey = np.asarray(tasks.gray(TARGET))
    input_image = grey.repeat(3, axis=-1)
    row = make_row(make_observed(grey, input_image), colours=True)
    assert measured(row) == {'psnr', 'ssim', 'ms_ssim', 'auc', 'input_psnr', 'input_ssim', 'input_auc'}
    assert row['auc'] == pytest.approx(float(colour.auc_ab(RESULT[None], TARGET)[0]), abs=1e-4)
    assert row['input_auc'] == pytest.approx(float(colour.auc_ab(input_image, TARGET)[0]), abs=1e-4)
    assert row['input_auc'] < row['auc']


def test_hole():
    """Masked tasks also measure the PSNR of the masked pixels."""
    hole = np.zeros((1, SIDE, SIDE, 1), np.float32)
    hole[:, 5:9, 3:12] = 1
    observation = tasks.Masked(TARGET * (1 - hole), hole)
    restored = np.where(hole > 0, TARGET + 0.2, TARGET)[0]
    row = make_row(make_observed(observation, observation.pixels), make_slot_image(output=(RESULT, restored)))
    assert measured(row) == {'psnr', 'ssim', 'ms_ssim', 'hole_psnr', 'input_psnr', 'input_ssim'}
    squared_error = np.square(np.clip(restored, -1, 1) - TARGET[0])[5:9, 3:12]
    assert row['hole_psnr'] == pytest.approx(10 * np.log10(4 / squared_error.mean()), abs=1e-3)
    assert row['hole_psnr'] == pytest.approx(row['psnr'] + 10 * np.log10(hole.mean()), abs=1e-3)


def test_lpips_of_the_result_and_of_the_input():
    row = make_row(make_observed(TARGET, -TARGET), lpips=lambda x, y: np.abs(x - y).mean(axis=(1, 2, 3)))
    assert row['lpips'] == pytest.approx(np.abs(RESULT - TARGET[0]).mean(), abs=1e-4)
    assert row['input_lpips'] == pytest.approx(np.abs(2 * TARGET).mean(), abs=1e-4)


def test_without_a_target_only_niqe():
    row = make_row(make_observed(TARGET, target=None), niqe=lambda x: x.shape[1:2] + np.zeros(1))
    assert measured(row) == {'niqe'} and row['niqe'] == SIDE
    assert measured(make_row(make_observed(TARGET, target=None))) == set()


def test_every_column_is_in_the_table():
    observed = make_observed(tasks.Masked(TARGET, np.ones((1, SIDE, SIDE, 1))), -TARGET)
    row = make_row(observed, colours=True, lpips=lambda x, y: np.ones(1), niqe=lambda x: np.ones(1))
    assert tuple(sorted(row)) == tuple(sorted(records.COLUMNS))


def test_small_and_equal_images():
    """Metrics that need larger images and the infinite PSNR of the result are left out."""
    small = make_observed(TARGET[:, :10], -TARGET[:, :10], TARGET[:, :10])
    row = make_row(small, make_slot_image(output=(TARGET[0, :10], TARGET[0, :10])))
    assert measured(row) == {'input_psnr'}


@pytest.mark.slow
def test_niqe_of_a_model_file(tmp_path):
    path = str(tmp_path / 'model.npz')
    covariance = np.diag(np.linspace(1, 2, 36))
    (tmp_path / 'model.npz').write_bytes(niqe.pack_niqe_model(niqe.NiqeModel(np.zeros(36), covariance, 8, 'made up')))
    measures = evaluation.choose_measures(colours=False, niqe=path, image_size=(SIDE, SIDE))
    row = make_row(make_observed(TARGET, target=None), niqe=measures.niqe)
    model = evaluation.read_niqe_model(path)
    expected = jax.jit(lambda x: niqe.niqe_score(x, model))(RESULT[None])[0]
    assert row['niqe'] == pytest.approx(float(expected), rel=1e-3)
    with pytest.raises(
        ValueError, match='patches of 8 pixels a side, and the results have 22x7; make a model of smaller'
    ):
        evaluation.choose_measures(colours=False, niqe=path, image_size=(SIDE, 7))
    with pytest.raises(ValueError, match='the NIQE model none.npz cannot be read .No such file'):
        evaluation.choose_measures(colours=False, niqe='none.npz', image_size=(SIDE, SIDE))


def test_measures_of_a_run():
    lpips = len
    assert evaluation.choose_measures(colours=True, niqe='', image_size=(SIDE, 7), lpips=lpips) == (True, lpips, None)
