"""Boundaries of semantic editing: reads, writes and trains them (InterFaceGAN, Shen et al. 2020, arXiv 1907.10786).

A boundary is a hyperplane in latent space. It separates the codes of images with an attribute from those without. Its unit
normal [D] is the direction that adds the attribute. Files are those of the released InterFaceGAN: .npy arrays [1, D].
`python -m mgan_jax.boundaries` trains one.
"""

import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from jax import Array

from mgan_jax import models
from mgan_jax.storage import atomic

FOLDER = Path(__file__).parent.parent / 'demo' / 'boundaries'  # boundaries of the demo generator
EXTREME = 0.1  # share of all samples that is taken at each end of the scores
HELD_OUT = 0.3  # share of those samples that measures the accuracy
MIN_SAMPLES = 10  # at each end of the scores
BATCH_SIZE = 100  # generated images


class TrainedBoundary(NamedTuple):
    """A boundary and how well it separates.

    normal: [D] float32, of length 1. accuracy: in [0, 1], on `held_out` samples of both ends that were not trained on.
    """

    normal: np.ndarray
    accuracy: float
    held_out: int


def list_boundaries() -> list[str]:
    """Returns the names of the shipped boundaries, which are for codes of the demo generator."""
    return sorted(path.stem for path in FOLDER.glob('*.npy'))


def locate_boundary(name: str) -> Path:
    """Returns the file of a shipped boundary; any other name is taken as a path."""
    return FOLDER / f'{name}.npy' if name in list_boundaries() else Path(name).expanduser()


def load_boundary(
    name: str | os.PathLike, size: int | None = None, codes_in_words: str = 'the codes here'
) -> np.ndarray:
    """Reads the unit normal [D] float32 of a shipped boundary, or of a file with an array [D] or [1, D].

    size: the D that is wanted, None for any. codes_in_words: what has this D, for the error. Raises ValueError with one
    sentence for files that cannot be used and for another D.
    """
    try:
        array = read_npy(locate_boundary(os.fspath(name)))
    except ValueError as error:
        raise ValueError(
            f"boundary '{name}' cannot be used: {error}; shipped are {', '.join(list_boundaries()) or 'none'}."
        ) from error
    normal = array[0] if array.ndim == 2 and len(array) == 1 else array
    if normal.ndim != 1 or not normal.size:
        raise ValueError(f"boundary '{name}' is an array of shape {list(array.shape)}; [D] or [1, D] is wanted.")
    if not np.isfinite(normal).all():
        raise ValueError(f"boundary '{name}' has numbers that are not finite.")
    length = np.linalg.norm(normal)
    if not length:
        raise ValueError(f"boundary '{name}' is all zeros, which is no direction.")
    if size is not None and len(normal) != size:
        raise ValueError(f"boundary '{name}' is of codes of {len(normal)} numbers; {codes_in_words} have {size}.")
    return (normal / length).astype(np.float32)


def save_boundary(path: str | os.PathLike, normal: np.ndarray) -> None:
    """Writes a normal [D] as InterFaceGAN does, [1, D] float32. Raises ValueError if `path` is a folder."""
    content = io.BytesIO()
    np.save(content, np.asarray(normal, np.float32)[None], allow_pickle=False)
    atomic.write_bytes(path, content.getvalue())


def read_npy(path: Path) -> np.ndarray:
    """Reads the real numbers of a .npy file as float64.

    Executes nothing from the file, and allocates no more memory than the file has bytes, whatever its header says. Raises
    ValueError with a clause that begins with the path or names it.
    """
    try:
        array = np.load(path, mmap_mode='r', allow_pickle=False)
    except FileNotFoundError as error:
        raise ValueError(f'there is no file {path}') from error
    except OSError as error:
        raise ValueError(f'{path} cannot be read ({error.strerror or "it is empty"})') from error
    except (ValueError, EOFError, TypeError, SyntaxError, OverflowError) as error:
        raise ValueError(f'{path} is no .npy file of numbers') from error
    if not isinstance(array, np.ndarray) or array.dtype.kind not in 'fiu':
        raise ValueError(f'{path} is no .npy file of real numbers')
    return np.asarray(array, np.float64)


def train_boundary(latents: np.ndarray, scores: np.ndarray, extreme: float = EXTREME, seed: int = 0) -> TrainedBoundary:
    """Fits a linear support vector machine to the samples with the highest and the lowest scores.

    latents: [M D]. scores: [M], how much of the attribute each image has. extreme: the share of the M samples at each end,
    above 0 and up to 0.5; HELD_OUT of those measure the accuracy alone. seed: chooses the held-out samples.

    Raises ValueError for arrays that do not fit, numbers that are not finite, too few samples and scores that are the same
    at both ends; ImportError without scikit-learn.
    """
    try:
        from sklearn import svm
    except ImportError as error:
        raise ImportError("training a boundary needs scikit-learn: pip install 'mgan_jax[analysis]'.") from error
    count = _count_extremes(latents, scores, extreme)
    order = np.argsort(scores, kind='stable')
    if scores[order[count - 1]] >= scores[order[-count]]:
        raise ValueError('the scores are the same at both ends, so there is nothing to separate; score other samples.')
    samples, labels = latents[np.concatenate([order[:count], order[-count:]])], np.repeat([0, 1], count)
    held_out = _hold_out(count, seed)
    machine = svm.SVC(kernel='linear').fit(samples[~held_out], labels[~held_out])
    accuracy = float(machine.score(samples[held_out], labels[held_out]))
    normal = machine.coef_[0] / np.linalg.norm(machine.coef_[0])
    return TrainedBoundary(normal.astype(np.float32), accuracy, int(held_out.sum()))


def _count_extremes(latents: np.ndarray, scores: np.ndarray, extreme: float) -> int:
    """The number of samples at each end of the scores. ValueError if the samples cannot be used."""
    if latents.ndim != 2 or scores.shape != (len(latents),):
        shapes = f'{list(latents.shape)} and {list(scores.shape)}'
        raise ValueError(f'latents and scores of the shapes {shapes} are given; [M, D] and [M] are wanted.')
    if not (np.isfinite(latents).all() and np.isfinite(scores).all()):
        raise ValueError('latents and scores have to be finite, and some are not.')
    if not 0 < extreme <= 0.5:
        raise ValueError(f'extreme is {extreme}; a share of the samples above 0 and up to 0.5 is wanted.')
    if (count := int(extreme * len(latents))) < MIN_SAMPLES:
        raise ValueError(
            f'{len(latents)} samples leave {count} at each end of the scores; at least {MIN_SAMPLES} are wanted: take more '
            'samples, or a larger share of them (--extreme).'
        )
    return count


def _hold_out(count: int, seed: int) -> np.ndarray:
    """Random samples of both ends: True for those held out, [2 count]; the lowest scores come first."""
    held_out = np.zeros((2, count), bool)
    for end in (0, 1):
        held_out[end, np.random.default_rng([seed, end]).permutation(count)[: round(HELD_OUT * count)]] = True
    return held_out.reshape(-1)


def sample_attributes(
    generator: models.Generator,
    params: Any,
    attributes: Callable[[Array], Array],
    count: int,
    space: str = 'z',
    seed: int = 0,
) -> tuple[np.ndarray, np.ndarray]:
    """Generates `count` random images and scores them: -> latents [M D] of `space`, 'z' or 'w', and scores [M ...].

    attributes(images [B H W C], about [-1, 1]) -> scores [B ...]; it is compiled. Raises ValueError for a count below 1, and for
    'w' of a generator without styles.
    """
    if count < 1:
        raise ValueError(f'{count} samples are asked for; at least 1 is wanted.')
    styles = generator.styles
    if space != 'z' and styles is None:
        raise ValueError(f"space '{space}' is given, but this generator has only the space 'z'.")

    @jax.jit
    def draw(number: Array) -> tuple[Array, Array]:
        key = jax.random.fold_in(jax.random.key(seed), number)
        z = jax.random.normal(key, (BATCH_SIZE, generator.latent_dim))
        latents = z if styles is None or space == 'z' else styles.to_space(params, z, 1, space)
        return latents, attributes(generator.generate(params, z))

    batches = [jax.device_get(draw(np.uint32(number))) for number in range(-(-count // BATCH_SIZE))]
    latents, scores = (np.concatenate(arrays)[:count] for arrays in zip(*batches, strict=True))
    return latents, scores
