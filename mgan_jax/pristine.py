"""`python -m mgan_jax.pristine IMAGES MODEL [--size=256] [--patch_size=96]` makes a model for NIQE from pristine images.

IMAGES: as in --config.images. They are cropped and resized as those of a run are; size: the pixels a side of the images
that the model is to measure, so of the generator's. patch_size: smaller ones for images that hold few patches of 96.
"""

import contextlib
import sys
from collections.abc import Iterator

from absl import flags

from mgan_jax.data import images, sources
from mgan_jax.metrics import niqe
from mgan_jax.settings.errors import one_sentence
from mgan_jax.storage import atomic, prefetch

USAGE = 'python -m mgan_jax.pristine IMAGES MODEL.npz [--size=256] [--patch_size=96]'
WORKERS, DEPTH = 2, 8


def main(arguments: list[str]) -> int:
    """The exit code: 0 the model is written, 2 it is not, and why is said in one sentence."""
    values = flags.FlagValues()
    values.set_gnu_getopt()
    size = flags.DEFINE_integer('size', 256, 'pixels a side', lower_bound=1, flag_values=values)
    patch_size = flags.DEFINE_integer('patch_size', 96, 'pixels a side of a patch', lower_bound=1, flag_values=values)
    try:
        given = values(['pristine', *arguments])[1:]
        if len(given) != 2:
            raise ValueError(f'usage: {USAGE}')
        found = sources.find_images(given[0])
        model = niqe.fit_niqe_model(_pixels(found, size.value or 256), patch_size.value or 96, given[0])
        atomic.write_bytes(given[1], niqe.pack_niqe_model(model))
    except flags.Error as error:
        print(f'{one_sentence(error)}; usage: {USAGE}', file=sys.stderr)
        return 2
    except (OSError, ValueError) as error:
        print(one_sentence(error), file=sys.stderr)
        return 2
    print(f'{given[1]}: patches of {model.patch_size} pixels a side, from {len(found)} images of {given[0]}')
    return 0


def _pixels(found: list[sources.Source], size: int) -> Iterator:
    """[H W 3] of each, read ahead by other threads."""

    def read(source: sources.Source):
        return images.decode_photo(sources.read_source(source), source.title, size).pixels

    with contextlib.closing(prefetch.prefetch(read, found, workers=WORKERS, depth=DEPTH)) as outcomes:
        for outcome in outcomes:
            if outcome.error is not None:
                raise outcome.error
            yield outcome.value


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
