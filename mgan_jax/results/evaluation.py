"""What is kept and measured of an image that has gone through the pool."""

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
from mgan_jax.engine import slots
from mgan_jax.metrics import colour, niqe
from mgan_jax.results import history, records, thumbnails
from mgan_jax.storage import remote

PREVIEW = 'preview.webp'
jitted_psnr = jax.jit(metrics.psnr)


class Measures(NamedTuple):
    """What the results of a run are measured with. lpips(x, y): [B H W C] twice -> [B]; niqe(x) -> [B]; None without."""

    task: str
    lpips: Callable | None = None
    niqe: Callable | None = None


def choose_measures(settings: dict, image_size: tuple[int, int], lpips: Callable | None) -> Measures:
    """Those that settings name, for results of (H, W) pixels. ValueError if the NIQE model cannot be used for them."""
    if not settings['niqe']:
        return Measures(settings['task'], lpips)
    model = read_niqe_model(os.path.expanduser(settings['niqe']))
    if min(image_size) < model.patch_size:
        raise ValueError(
            f"niqe '{settings['niqe']}' looks at patches of {model.patch_size} pixels a side, and the results have "
            f'{image_size[0]}x{image_size[1]}; '
            'make a model of smaller patches with `python -m mgan_jax.pristine`.'
        )
    return Measures(settings['task'], lpips, jax.jit(functools.partial(niqe.niqe_score, model=model)))


def read_niqe_model(path: str) -> niqe.NiqeModel:
    """Reads a NIQE model from a file or URL. ValueError with one sentence if it cannot be used."""
    try:
        content = remote.read_url(path) if remote.is_remote(path) else Path(path).read_bytes()
    except OSError as error:
        raise ValueError(
            f'the NIQE model {path} cannot be read ({error.strerror}); give a file that `python -m mgan_jax.pristine` wrote.'
        ) from error
    return niqe.unpack_niqe_model(content, path)


def make_result(
    case: observations.ObservedImage,
    image: slots.SlotImage,
    measures: Measures,
    explain: Callable = lambda codes: {},
    edit: Callable | None = None,
) -> records.Result:
    """The result of a finished image whose output is (inversion, result), [H W C]. ValueError if it is not finite.

    explain(codes) -> the contents of further files by their names. edit(codes) -> what becomes the result, [H W C], and
    further files; what is measured is how good the inversion is, for of an edit there is no target.
    """
    if not (np.isfinite(image.loss) and np.isfinite(image.output[0]).all()):
        raise ValueError('its loss or image is not finite; check the weights and the learning rates')
    inverted, restored = (np.clip(pixels, -1, 1) for pixels in image.output)
    row = {'name': case.source.name, 'status': _status(image.failed_at), 'loss': image.loss}
    row |= measure_image(case, restored[None], measures) | {'steps': image.steps, 'seconds': round(image.seconds, 3)}
    pictures = {'input': np.clip(tasks.pixels(case.observation)[0], -1, 1), 'result': restored, 'inversion': inverted}
    if case.target is not None:
        pictures['target'] = case.target[0]
    files = history.history_files(image.losses, image.shown) | explain(image.codes)
    if edit is not None:
        pictures['result'], more = edit(image.codes)
        files |= more
    arrays = {title: np.asarray(picture) for title, picture in pictures.items()}
    return records.Result(arrays, code_arrays(image.codes), row, files | {PREVIEW: thumbnails.make_thumbnail(arrays)})


def take_snapshot(case: observations.ObservedImage, output: tuple[np.ndarray, np.ndarray]) -> history.Frame:
    """What is kept of an image on its way, whose output is (inversion, result), [H W C]."""
    restored = np.clip(output[1], -1, 1)
    if case.target is None:
        return history.make_frame(restored, None)
    with observations.on_host():
        return history.make_frame(restored, float(jitted_psnr(restored[None], case.target)[0]))


def code_arrays(codes: composition.Codes) -> dict[str, np.ndarray]:
    """The arrays of codes by their names: latents, alpha, and tail, noise, or parts such as alpha_rgb where there are any."""
    leaves = jax.tree_util.tree_flatten_with_path(codes)[0]
    return {jax.tree_util.keystr(path, simple=True, separator='_'): leaf for path, leaf in leaves}


def _status(failed_at: int) -> str:
    if failed_at < 0:
        return records.DONE
    return f'the loss became infinite or NaN at step {failed_at}; this is the best iterate before'


def measure_image(case: observations.ObservedImage, restored: np.ndarray, measures: Measures) -> dict[str, float]:
    """What is finite, by its name, of restored [1 H W C]. All but LPIPS is computed by the host, where nothing waits for the
    next step."""
    with observations.on_host():
        values = {'niqe': measures.niqe(restored)} if measures.niqe is not None else {}
        if case.target is not None:
            values |= _against(case.target, restored, case, measures)
    return {name: round(float(value[0]), 4) for name, value in values.items() if np.isfinite(value[0])}


def _against(
    target: np.ndarray, restored: np.ndarray, case: observations.ObservedImage, measures: Measures
) -> dict[str, Array]:
    """The result against the target, and for comparison the input, where that is not the target itself."""
    hole = case.observation.hole if isinstance(case.observation, tasks.Masked) else None
    colours, scales = measures.task == 'colorize', metrics.num_scales(target.shape[1:3])
    values = _compare(restored, target, hole, colours=colours, scales=scales)
    given = {} if np.array_equal(case.naive, target) else _compare(case.naive, target, colours=colours)
    if measures.lpips is not None:
        values['lpips'] = measures.lpips(restored, target)
        if given:
            given['lpips'] = measures.lpips(case.naive, target)
    return values | {f'input_{name}': value for name, value in given.items()}


@functools.partial(jax.jit, static_argnames=('colours', 'scales'))
def _compare(x: Array, y: Array, hole: Array | None = None, *, colours: bool, scales: int = 0) -> dict[str, Array]:
    """[B H W C] twice -> name: [B]. MS-SSIM of one scale would be SSIM."""
    values = {'psnr': metrics.psnr(x, y)}
    if min(x.shape[1:3]) >= metrics.fidelity.WINDOW:
        values['ssim'] = metrics.ssim(x, y)
    if scales > 1:
        values['ms_ssim'] = metrics.ms_ssim(x, y, scales)
    if hole is not None:
        values['hole_psnr'] = metrics.psnr(x, y, hole)
    if colours:
        values['auc'] = colour.auc_ab(x, y)
    return values
