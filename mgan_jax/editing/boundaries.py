"""`python -m mgan_jax.boundaries BOUNDARY.npy --attribute=daylight` or `--latents=L.npy --scores=S.npy` trains a boundary.

A boundary is a hyperplane in a latent space that separates the images that have an attribute from those that do not; its unit
normal is the direction in which to move codes for more of it (InterFaceGAN, Shen et al. 2020, arXiv 1907.10786). The file is
the one of the released InterFaceGAN: an array [1, D].
"""

import argparse
import io
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from mgan_jax import models
from mgan_jax.editing import moves
from mgan_jax.settings.errors import one_sentence
from mgan_jax.storage import atomic

FOLDER = Path(__file__).parent.parent / 'demo' / 'boundaries'
EXTREME, HELD_OUT = 0.1, 0.3  # of all samples at each end; of those, what the accuracy is told of
LEAST, AT_ONCE = 10, 100  # samples at each end; images that are made at once


class TrainedBoundary(NamedTuple):
    """normal [D]; accuracy: on samples of both ends that were held out, of which there were `held_out`."""

    normal: np.ndarray
    accuracy: float
    held_out: int


def shipped_boundaries() -> list[str]:
    """Those that are shipped, for codes of the embedded demo generator."""
    return sorted(path.stem for path in FOLDER.glob('*.npy'))


def boundary_path(name: str) -> Path:
    return FOLDER / f'{name}.npy' if name in shipped_boundaries() else Path(name).expanduser()


def load_boundary(name: str | os.PathLike) -> np.ndarray:
    """The unit normal [D] float32 of a shipped boundary, or of a file with an array [D] or [1, D]. ValueError with one
    sentence if it cannot be used."""
    try:
        values = read_npy(boundary_path(os.fspath(name)))
    except ValueError as error:
        raise ValueError(
            f"boundary '{name}' cannot be used: {error}; shipped are {', '.join(shipped_boundaries()) or 'none'}."
        ) from error
    normal = values[0] if values.ndim == 2 and len(values) == 1 else values
    if normal.ndim != 1 or not normal.size:
        raise ValueError(f"boundary '{name}' is an array of shape {list(values.shape)}; [D] or [1, D] is wanted.")
    if not np.isfinite(normal).all():
        raise ValueError(f"boundary '{name}' has numbers that are not finite.")
    length = np.linalg.norm(normal)
    if not length:
        raise ValueError(f"boundary '{name}' is all zeros, which is no direction.")
    return (normal / length).astype(np.float32)


def save_boundary(path: str | os.PathLike, normal: np.ndarray) -> None:
    """Writes a normal [D] as InterFaceGAN does, [1, D]."""
    content = io.BytesIO()
    np.save(content, np.asarray(normal, np.float32)[None], allow_pickle=False)
    atomic.write_bytes(path, content.getvalue())


def read_npy(path: Path) -> np.ndarray:
    """Real numbers of a .npy file, float64. ValueError with a part of a sentence. Nothing in the file is executed, and no
    more is read than it holds, whatever it says."""
    try:
        values = np.load(path, mmap_mode='r', allow_pickle=False)
    except FileNotFoundError as error:
        raise ValueError(f'there is no file {path}') from error
    except OSError as error:
        raise ValueError(f'{path} cannot be read ({error.strerror or "it is empty"})') from error
    except (ValueError, EOFError, TypeError, SyntaxError, OverflowError) as error:
        raise ValueError(f'{path} is no .npy file of numbers') from error
    if not isinstance(values, np.ndarray) or values.dtype.kind not in 'fiu':
        raise ValueError(f'{path} is no .npy file of real numbers')
    return np.asarray(values, np.float64)


# Training


def train_boundary(latents: np.ndarray, scores: np.ndarray, extreme: float = EXTREME, seed: int = 0) -> TrainedBoundary:
    """A linear support vector machine on the samples of the highest and the lowest scores: latents [M D], scores [M].

    extreme: the share of all samples that is taken at each end; HELD_OUT of those are for the accuracy only. ValueError if
    they cannot be separated into two, ImportError without scikit-learn.
    """
    try:
        from sklearn import svm
    except ImportError as error:
        raise ImportError("training a boundary needs scikit-learn: pip install -e '.[analysis]'.") from error
    count = _require_samples(latents, scores, extreme)
    rank = np.argsort(scores, kind='stable')
    if scores[rank[count - 1]] >= scores[rank[-count]]:
        raise ValueError('the scores are the same at both ends, so there is nothing to separate; score other samples.')
    ends = np.concatenate([rank[:count], rank[-count:]])
    label, apart = np.repeat([0, 1], count), np.zeros(2 * count, bool)
    for end in (0, 1):
        chosen = np.random.default_rng([seed, end]).permutation(count)[: round(HELD_OUT * count)]
        apart[end * count + chosen] = True
    machine = svm.SVC(kernel='linear').fit(latents[ends[~apart]], label[~apart])
    accuracy = float(machine.score(latents[ends[apart]], label[apart]))
    normal = machine.coef_[0] / np.linalg.norm(machine.coef_[0])
    return TrainedBoundary(normal.astype(np.float32), accuracy, int(apart.sum()))


def _require_samples(latents: np.ndarray, scores: np.ndarray, extreme: float) -> int:
    """-> how many samples are taken at each end."""
    if latents.ndim != 2 or scores.shape != (len(latents),):
        shapes = f'{list(latents.shape)} and {list(scores.shape)}'
        raise ValueError(f'latents and scores of the shapes {shapes} are given; [M, D] and [M] are wanted.')
    if not (np.isfinite(latents).all() and np.isfinite(scores).all()):
        raise ValueError('latents and scores have to be finite, and some are not.')
    if not 0 < extreme <= 0.5:
        raise ValueError(f'extreme is {extreme}; a share of the samples above 0 and up to 0.5 is wanted.')
    if (count := int(extreme * len(latents))) < LEAST:
        raise ValueError(
            f'{len(latents)} samples leave {count} at each end of the scores; at least {LEAST} are wanted: take more '
            'samples, or a larger share of them (--extreme).'
        )
    return count


def sample_attributes(
    generator: models.Generator, params: Any, attributes: Any, count: int, space: str = 'z', seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """-> (latents [count D] of a space, 'z' or 'w', what attributes(images [B H W C]) -> [B ...] tells of their images)."""
    if count < 1:
        raise ValueError(f'{count} samples are asked for; at least 1 is wanted.')

    @jax.jit
    def draw(number):
        z = jax.random.normal(jax.random.fold_in(jax.random.key(seed), number), (AT_ONCE, generator.latent_dim))
        latents = z if space == 'z' else generator.styles.to_space(params, z, 1, space)
        return latents, attributes(generator.generate(params, z))

    parts = [jax.device_get(draw(np.uint32(number))) for number in range(-(-count // AT_ONCE))]
    latents, told = (np.concatenate(part)[:count] for part in zip(*parts, strict=True))
    return latents, told


def main(arguments: Sequence[str]) -> int:
    """The exit code: 0 the boundary is written, 2 it is not, and why is said in one sentence."""
    options = _parser().parse_args(arguments)
    try:
        latents, scores = _given(options) if options.latents or options.scores else _sampled(options)
        trained = train_boundary(latents, scores, options.extreme, options.seed)
        normal = trained.normal
        if options.conditioned_on:
            normal = moves.condition_boundary(
                normal, [_fitting(name, len(normal)) for name in options.conditioned_on.split(',')]
            )
        save_boundary(options.boundary, normal)
    except (ImportError, OSError, ValueError) as error:
        print(one_sentence(error), file=sys.stderr)
        return 2
    print(
        f'{options.boundary}: from {len(latents)} codes of {latents.shape[1]} numbers; it tells {100 * trained.accuracy:.1f} % '
        f'of {trained.held_out} held-out samples of the highest and lowest scores'
    )
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog='python -m mgan_jax.boundaries', description=__doc__)
    parser.add_argument('boundary', metavar='BOUNDARY.npy', help='what is written')
    parser.add_argument('--latents', metavar='L.npy', help='codes [M, D] of your own')
    parser.add_argument('--scores', metavar='S.npy', help='and how much of the attribute the image of each has, [M]')
    parser.add_argument('--attribute', help='instead of those: one that the extractor tells of generated images')
    parser.add_argument('--generator', default='demo', help='a model directory')
    parser.add_argument('--extractor', default='demo-extractor', help='a model directory')
    parser.add_argument('--space', choices=('z', 'w'), default='z', help='of the codes; w serves w+, too')
    parser.add_argument('--samples', type=int, default=5000, help='images that are generated')
    parser.add_argument('--extreme', type=float, default=EXTREME, help='the share of them at each end of the scores')
    parser.add_argument(
        '--conditioned_on', metavar='NAMES', help='boundaries to be independent of, separated by commas'
    )
    parser.add_argument('--seed', type=int, default=0)
    return parser


def _given(options: argparse.Namespace) -> tuple[np.ndarray, np.ndarray]:
    """-> (latents [M D], scores [M]) of the user's files."""
    if not (options.latents and options.scores) or options.attribute:
        raise ValueError('either --latents and --scores are wanted, or --attribute for samples that are generated.')
    latents, scores = (read_npy(Path(name).expanduser()) for name in (options.latents, options.scores))
    return latents, scores[:, 0] if scores.ndim == 2 and scores.shape[1] == 1 else scores


def _sampled(options: argparse.Namespace) -> tuple[np.ndarray, np.ndarray]:
    """-> (latents [M D], scores [M]) of generated images."""
    generator, params = models.load(options.generator)
    extractor, weights = models.load(options.extractor)
    if not (isinstance(generator, models.Generator) and isinstance(extractor, models.Extractor)):
        raise ValueError(f"'{options.generator}' and '{options.extractor}' are not a generator and an extractor.")
    told = extractor.attribute_names
    if options.attribute not in told:
        what = (
            f'tells {", ".join(told)}' if told else 'tells no attributes; score images yourself (--latents, --scores)'
        )
        given = f"attribute '{options.attribute}'" if options.attribute else 'no attribute'
        raise ValueError(f"{given} is given; extractor '{options.extractor}' {what}.")
    if options.space == 'w' and generator.styles is None:
        raise ValueError(f"generator '{options.generator}' has only the space 'z'.")
    if jax.default_backend() == 'cpu':
        params, weights = generator.prepare(params), extractor.prepare(weights)
    place = told.index(options.attribute)
    score = lambda images: extractor.attributes(weights, images)[:, place]  # noqa: E731
    return sample_attributes(generator, params, score, options.samples, options.space, options.seed)


def _fitting(name: str, size: int) -> np.ndarray:
    """The boundary of that name. ValueError if it is not of codes of `size` numbers."""
    normal = load_boundary(name.strip())
    if len(normal) != size:
        raise ValueError(f"boundary '{name}' is of codes of {len(normal)} numbers; the codes here have {size}.")
    return normal


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
