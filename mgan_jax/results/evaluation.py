"""Makes the result of an image: its pictures, codes, files and metrics."""

import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
from jax import Array

from mgan_jax import composition, metrics, tasks
from mgan_jax.data import observations
from mgan_jax.data.observations import ObservedImage
from mgan_jax.engine import slots
from mgan_jax.metrics import colour
from mgan_jax.metrics.niqe import NiqeModel, niqe_score, unpack_niqe_model
from mgan_jax.results import history, records, thumbnails
from mgan_jax.storage import remote

PREVIEW = 'preview.webp'
jitted_psnr = jax.jit(metrics.psnr)


class Measures(NamedTuple):
    """The metrics of a run beside PSNR, SSIM and MS-SSIM.

    colours: whether AuC of the colours is measured. lpips(x, y): [B H W C] twice -> [B]. niqe(x): [B H W C] -> [B].
    None for those that are not measured.
    """

    colours: bool
    lpips: Callable | None = None
    niqe: Callable | None = None


def choose_measures(
    *, colours: bool, niqe: str, image_size: tuple[int, int], lpips: Callable | None = None
) -> Measures:
    """Returns the metrics of a run.

    Args:
        colours: whether the task is colourisation.
        niqe: file or URL of a NIQE model; '' for none.
        image_size: (H, W) of the results in pixels.
        lpips: see `Measures`.

    Raises:
        ValueError: the NIQE model cannot be read, or its patches are larger than the results.
    """
    if not niqe:
        return Measures(colours, lpips)
    model = read_niqe_model(os.path.expanduser(niqe))
    if min(image_size) < model.patch_size:
        raise ValueError(
            f"niqe '{niqe}' looks at patches of {model.patch_size} pixels a side, and the results have "
            f'{image_size[0]}x{image_size[1]}; '
            'make a model of smaller patches with `python -m mgan_jax.pristine`.'
        )
    return Measures(colours, lpips, jax.jit(functools.partial(niqe_score, model=model)))


def read_niqe_model(path: str) -> NiqeModel:
    """Reads a NIQE model from a file or URL. Raises ValueError with one sentence if it cannot be used."""
    try:
        content = remote.read_url(path) if remote.is_remote(path) else Path(path).read_bytes()
    except OSError as error:
        raise ValueError(
            f'the NIQE model {path} cannot be read ({error.strerror}); give a file that `python -m mgan_jax.pristine` wrote.'
        ) from error
    return unpack_niqe_model(content, path)


def make_result(
    observed: ObservedImage,
    image: slots.SlotImage,
    measures: Measures,
    explain: Callable[[composition.Codes], dict[str, bytes]] = lambda codes: {},
    edit: Callable[[composition.Codes], tuple[np.ndarray, dict[str, bytes]]] | None = None,
) -> records.Result:
    """Returns the result of a finished image. Metrics are those of the inversion, also after an edit.

    Args:
        observed: the image that was restored.
        image: its slot, whose output is (inversion, result), [H W C] each.
        measures: the metrics of the run.
        explain: explain(codes) -> {name: content} of further files.
        edit: edit(codes) -> (the edited image [H W C], {name: content}); the edited image replaces the result.

    Raises:
        ValueError: the loss or the image is not finite.
    """
    if not (np.isfinite(image.loss) and np.isfinite(image.output[0]).all()):
        raise ValueError('its loss or image is not finite; check the weights and the learning rates')
    inverted, restored = (np.clip(pixels, -1, 1) for pixels in image.output)
    row = {'name': observed.source.name, 'status': _status_text(image.failed_at), 'loss': image.loss}
    row |= measure_image(observed, restored[None], measures)
    row |= {'steps': image.steps, 'seconds': round(image.seconds, 3)}
    pictures = {
        'input': np.clip(tasks.pixels(observed.observation)[0], -1, 1),
        'result': restored,
        'inversion': inverted,
    }
    if observed.target is not None:
        pictures['target'] = observed.target[0]
    files = history.make_history_files(image.losses, image.shown) | explain(image.codes)
    if edit is not None:
        pictures['result'], edit_files = edit(image.codes)
        files |= edit_files
    arrays = {title: np.asarray(picture) for title, picture in pictures.items()}
    files |= {PREVIEW: thumbnails.make_thumbnail(arrays)}
    return records.Result(arrays, code_arrays(image.codes), row, files)


def take_snapshot(observed: ObservedImage, output: tuple[np.ndarray, np.ndarray]) -> history.Frame:
    """Returns a frame of an unfinished image. output: (inversion, result), [H W C] each."""
    restored = np.clip(output[1], -1, 1)
    if observed.target is None:
        return history.make_frame(restored, None)
    with observations.on_host():
        return history.make_frame(restored, float(jitted_psnr(restored[None], observed.target)[0]))


def code_arrays(codes: composition.Codes) -> dict[str, np.ndarray]:
    """Returns {name: array} of codes, as in latents.npz: latents, alpha, and tail and noise if they are optimised.

    An alpha of several feature maps has a name for each of them, such as alpha_rgb.
    """
    leaves = jax.tree_util.tree_flatten_with_path(codes)[0]
    return {jax.tree_util.keystr(path, simple=True, separator='_'): leaf for path, leaf in leaves}


def measure_image(observed: ObservedImage, restored: np.ndarray, measures: Measures) -> dict[str, float]:
    """Returns {metric: value} of a restored image [1 H W C], without non-finite values.

    The host computes all metrics but LPIPS, so that they do not wait for a step on an accelerator.
    """
    with observations.on_host():
        values = {} if measures.niqe is None else {'niqe': measures.niqe(restored)}
        if observed.target is not None:
            values |= _compare_with_target(observed, observed.target, restored, measures)
    return {name: round(float(value[0]), 4) for name, value in values.items() if np.isfinite(value[0])}


def _compare_with_target(
    observed: ObservedImage, target: np.ndarray, restored: np.ndarray, measures: Measures
) -> dict[str, Array]:
    """Returns the metrics of the result and, as input_METRIC, those of the input if it differs from the target."""
    hole = observed.observation.hole if isinstance(observed.observation, tasks.Masked) else None
    num_scales = metrics.num_scales(target.shape[1:3])
    values = _compare(restored, target, hole, colours=measures.colours, num_scales=num_scales)
    if measures.lpips is not None:
        values['lpips'] = measures.lpips(restored, target)
    if np.array_equal(observed.input_image, target):
        return values
    input_values = _compare(observed.input_image, target, colours=measures.colours)
    if measures.lpips is not None:
        input_values['lpips'] = measures.lpips(observed.input_image, target)
    return values | {f'input_{name}': value for name, value in input_values.items()}


@functools.partial(jax.jit, static_argnames=('colours', 'num_scales'))
def _compare(x: Array, y: Array, hole: Array | None = None, *, colours: bool, num_scales: int = 0) -> dict[str, Array]:
    """Returns {metric: [B]} of [B H W C] twice. MS-SSIM needs at least two scales: of one scale it is SSIM."""
    values = {'psnr': metrics.psnr(x, y)}
    if min(x.shape[1:3]) >= metrics.fidelity.WINDOW:
        values['ssim'] = metrics.ssim(x, y)
    if num_scales > 1:
        values['ms_ssim'] = metrics.ms_ssim(x, y, num_scales)
    if hole is not None:
        values['hole_psnr'] = metrics.psnr(x, y, hole)
    if colours:
        values['auc'] = colour.auc_ab(x, y)
    return values


def _status_text(failed_at: int) -> str:
    if failed_at < 0:
        return records.DONE
    return f'the loss became infinite or NaN at step {failed_at}; this is the best iterate before'
