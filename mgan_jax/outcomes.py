"""What is kept and measured of an image that has gone through the pool."""

from collections.abc import Callable

import jax
import numpy as np

from mgan_jax import cases, composition, history, metrics, pool, results, tasks, thumbnails

PREVIEW = 'preview.webp'
psnr, ssim = jax.jit(metrics.psnr), jax.jit(metrics.ssim)


def result(
    case: cases.Case, image: pool.Image, lpips: Callable | None, explain: Callable = lambda codes: {}
) -> results.Result:
    """The result of a finished image whose output is (inversion, result), [H W C]. ValueError if it is not finite.

    explain(codes) -> the contents of further files by their names.
    """
    if not (np.isfinite(image.loss) and np.isfinite(image.output[0]).all()):
        raise ValueError('its loss or image is not finite; check the weights and the learning rates')
    inverted, restored = (np.clip(pixels, -1, 1) for pixels in image.output)
    row = {'name': case.source.name, 'status': _status(image.failed_at), 'loss': image.loss}
    row |= _measure(case, restored[None], lpips) | {'steps': image.steps, 'seconds': round(image.seconds, 3)}
    pictures = {'input': np.clip(tasks.pixels(case.observation)[0], -1, 1), 'result': restored, 'inversion': inverted}
    if case.target is not None:
        pictures['target'] = case.target[0]
    arrays = {title: np.asarray(picture) for title, picture in pictures.items()}
    files = history.files(image.losses, image.shown) | explain(image.codes)
    return results.Result(arrays, _arrays(image.codes), row, files | {PREVIEW: thumbnails.of(arrays)})


def glimpse(case: cases.Case, output: tuple[np.ndarray, np.ndarray]) -> history.Glimpse:
    """What is kept of an image on its way, whose output is (inversion, result), [H W C]."""
    restored = np.clip(output[1], -1, 1)
    if case.target is None:
        return history.glimpse(restored, None)
    with cases.on_the_host():
        return history.glimpse(restored, float(psnr(restored[None], case.target)[0]))


def _arrays(codes: composition.Codes) -> dict[str, np.ndarray]:
    """The arrays of codes by their names: latents, alpha, and tail, noise, or parts such as alpha_rgb where there are any."""
    leaves = jax.tree_util.tree_flatten_with_path(codes)[0]
    return {jax.tree_util.keystr(path, simple=True, separator='_'): leaf for path, leaf in leaves}


def _status(failed_at: int) -> str:
    if failed_at < 0:
        return results.DONE
    return f'the loss became infinite or NaN at step {failed_at}; this is the best iterate before'


def _measure(case: cases.Case, restored: np.ndarray, lpips: Callable | None) -> dict[str, float]:
    """restored [1 H W C]. PSNR and SSIM are computed by the host, where nothing waits for the next step."""
    if case.target is None:
        return {}
    with cases.on_the_host():
        values = {'psnr': psnr(restored, case.target), 'input_psnr': psnr(case.naive, case.target)}
        if min(restored.shape[1:3]) >= 11:
            values['ssim'] = ssim(restored, case.target)
    if lpips is not None:
        values['lpips'] = lpips(restored, case.target)
    return {name: round(float(value[0]), 4) for name, value in values.items() if np.isfinite(value[0])}
