"""Trains a boundary for semantic editing and writes it to a .npy file.

    python -m mgan_jax.boundaries BOUNDARY.npy --attribute=daylight
    python -m mgan_jax.boundaries BOUNDARY.npy --latents=L.npy --scores=S.npy

The samples are generated images that an extractor scores, or latent codes with scores of your own. See docs/editing.md.
"""

import argparse
import sys

import jax
import numpy as np

from mgan_jax import editing, models
from mgan_jax.editing import boundaries
from mgan_jax.settings import fields
from mgan_jax.settings.arguments import NUMBER, PATH, WHOLE_NUMBER, Argument, make_parser
from mgan_jax.settings.errors import one_sentence

COMMAND = 'python -m mgan_jax.boundaries'
DESCRIPTION = (
    'Trains a boundary for semantic editing and writes it to a .npy file. The samples are generated images that an extractor '
    'scores (--attribute), or latent codes with scores of your own (--latents and --scores). See docs/editing.md.'
)
ARGUMENTS = {
    '': (Argument('boundary', 'the file to write', PATH, metavar='BOUNDARY.npy'),),
    'samples of your own': (
        Argument('--latents', 'latent codes, an array [M, D]', PATH, metavar='L.npy'),
        Argument(
            '--scores', 'how much of the attribute the image of each code has, [M] or [M, 1]', PATH, metavar='S.npy'
        ),
    ),
    'generated samples': (
        Argument('--attribute', 'the attribute of the extractor that scores the images', metavar='NAME'),
        Argument('--generator', "a model directory, or 'demo'", default='demo', metavar='MODEL'),
        Argument('--extractor', "a model directory, or 'demo-extractor'", default='demo-extractor', metavar='MODEL'),
        Argument('--space', 'the space of the codes; a boundary in w also serves w+', default='z', choices=('z', 'w')),
        Argument('--samples', 'images to generate', WHOLE_NUMBER, 5000),
    ),
    'training': (
        Argument('--extreme', 'share of the samples to train on at each end of the scores', NUMBER, boundaries.EXTREME),
        Argument(
            '--conditioned_on',
            'boundaries that an edit is not to approach: names or files, separated by commas',
            metavar='NAMES',
        ),
        Argument('--seed', 'seed of the images and the held-out samples', WHOLE_NUMBER, 0, check=fields.seed_range),
    ),
}


def main(arguments: list[str]) -> int:
    """Returns the exit code: 0 the boundary is written; 2 nothing is written, and stderr has one sentence."""
    try:
        options = make_parser(COMMAND, DESCRIPTION, ARGUMENTS).parse_args(arguments)
        latents, scores = _read_samples(options) if options.latents or options.scores else _generate_samples(options)
        trained = boundaries.train_boundary(latents, scores, options.extreme, options.seed)
        boundaries.save_boundary(options.boundary, _condition(trained.normal, options.conditioned_on))
    except (ImportError, OSError, ValueError) as error:
        print(one_sentence(error), file=sys.stderr)
        return 2
    print(
        f'{options.boundary}: trained on {len(latents)} codes of {latents.shape[1]} numbers; correct for '
        f'{100 * trained.accuracy:.1f} % of {trained.held_out} held-out samples with the highest and lowest scores'
    )
    return 0


def _read_samples(options: argparse.Namespace) -> tuple[np.ndarray, np.ndarray]:
    """Latents [M D] and scores [M] of the user's files."""
    if not (options.latents and options.scores) or options.attribute:
        raise ValueError('either --latents and --scores are wanted, or --attribute for samples that are generated.')
    latents, scores = (boundaries.read_npy(path.expanduser()) for path in (options.latents, options.scores))
    return latents, scores[:, 0] if scores.ndim == 2 and scores.shape[1] == 1 else scores


def _generate_samples(options: argparse.Namespace) -> tuple[np.ndarray, np.ndarray]:
    """Latents [M D] and scores [M] of generated images."""
    generator, params = models.load(options.generator)
    extractor, weights = models.load(options.extractor)
    if not (isinstance(generator, models.Generator) and isinstance(extractor, models.Extractor)):
        raise ValueError(f"'{options.generator}' and '{options.extractor}' are not a generator and an extractor.")
    index = _find_attribute(extractor, options)
    if options.space == 'w' and generator.styles is None:
        raise ValueError(f"generator '{options.generator}' has only the space 'z'.")
    if jax.default_backend() == 'cpu':
        params, weights = generator.prepare(params), extractor.prepare(weights)

    def score(images: jax.Array) -> jax.Array:
        return extractor.attributes(weights, images)[:, index]

    return boundaries.sample_attributes(generator, params, score, options.samples, options.space, options.seed)


def _find_attribute(extractor: models.Extractor, options: argparse.Namespace) -> int:
    """The index of --attribute among the attributes of the extractor."""
    names = extractor.attribute_names
    if options.attribute in names:
        return names.index(options.attribute)
    request = f"attribute '{options.attribute}'" if options.attribute else 'no attribute'
    if not names:
        raise ValueError(
            f"{request} is given; extractor '{options.extractor}' has no attributes; score images yourself (--latents, --scores)."
        )
    raise ValueError(f"{request} is given; extractor '{options.extractor}' has the attributes {', '.join(names)}.")


def _condition(normal: np.ndarray, names: str | None) -> np.ndarray:
    """The normal [D] without its part along the boundaries `names`."""
    if not names:
        return normal
    others = [boundaries.load_boundary(name.strip(), len(normal)) for name in names.split(',')]
    return editing.condition_boundary(normal, others)


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
