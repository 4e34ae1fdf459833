"""Trains an encoder on random samples of a generator and writes its model directory; see docs/encoder.md.

`python -m mgan_jax.encoder GENERATOR DESTINATION --images=200000`
"""

import functools
import sys

from mgan_jax.encoder import training
from mgan_jax.encoder.training_setup import TrainingOptions
from mgan_jax.encoder.training_step import LossWeights
from mgan_jax.models.encoder import SPACES
from mgan_jax.settings import fields
from mgan_jax.settings.arguments import FLAG, NUMBER, PATH, WHOLE_NUMBER, WHOLE_NUMBERS, Argument, make_parser
from mgan_jax.settings.errors import one_sentence

COMMAND = 'python -m mgan_jax.encoder'
DESCRIPTION = (
    'Trains an encoder on random samples of a generator. DESTINATION becomes its model directory. DESTINATION.training has '
    'checkpoints and log.csv: the same command continues where it was stopped, and with more --images or --minutes (and '
    '--overwrite) it trains on.'
)
ARGUMENTS = {
    '': (
        Argument('generator', "a model directory, or 'demo'", metavar='GENERATOR'),
        Argument('destination', 'the model directory to write', PATH, metavar='DESTINATION'),
        Argument('--overwrite', 'replace the model directory DESTINATION', FLAG),
    ),
    'length, one of the two': (
        Argument('--images', 'samples to train on', WHOLE_NUMBER, 0),
        Argument('--minutes', 'minutes to train', NUMBER, 0.0),
    ),
    'network': (
        Argument('--space', 'the space of the predicted codes', default='z', choices=SPACES),
        Argument('--label', 'the class of a class-conditional generator, -1 for none', WHOLE_NUMBER, -1),
        Argument(
            '--channels',
            'channels after each halving, such as 16,32,64,80; none: by the size of the images',
            WHOLE_NUMBERS,
        ),
    ),
    'losses': (
        Argument(
            '--pixel',
            'weight of the mean squared difference of images',
            NUMBER,
            LossWeights().pixel,
            check=fields.finite_not_negative,
        ),
        Argument(
            '--perceptual',
            'weight of the mean absolute difference of features',
            NUMBER,
            LossWeights().perceptual,
            check=fields.finite_not_negative,
        ),
        Argument(
            '--extractor', "a model directory, or 'demo-extractor'; none: no difference of features", metavar='MODEL'
        ),
        Argument('--extractor-layer', 'the layer of the features', default='relu3_3', metavar='LAYER'),
    ),
}


def main(arguments: list[str]) -> int:
    """Returns the exit code: 0 the encoder is written; 2 it is not, and stderr has one sentence."""
    try:
        parsed = make_parser(COMMAND, DESCRIPTION, ARGUMENTS).parse_args(arguments)
        options = TrainingOptions(
            generator=parsed.generator,
            space=parsed.space,
            label=parsed.label,
            channels=parsed.channels,
            extractor=parsed.extractor or '',
            extractor_layer=parsed.extractor_layer,
            weights=LossWeights(parsed.pixel, parsed.perceptual),
            images=parsed.images,
            minutes=parsed.minutes,
        )
        report = functools.partial(print, flush=True)
        scores = training.train_encoder(options, parsed.destination, overwrite=parsed.overwrite, report=report)
    except (OSError, ValueError) as error:
        print(one_sentence(error), file=sys.stderr)
        return 2
    values = ', '.join(f'{name} {value}' for name, value in scores.items())
    print(f'{parsed.destination}: on {training.NUM_HELD_OUT} held-out samples, {values}')
    return 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
