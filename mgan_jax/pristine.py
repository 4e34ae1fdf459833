"""Fits a NIQE model to pristine images and writes it to a .npz file.

    python -m mgan_jax.pristine IMAGES MODEL.npz [--size=256] [--patch_size=96]

Images are cropped and resized as those of a run. See docs/metrics.md.
"""

import contextlib
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np

from mgan_jax.data import images, sources
from mgan_jax.metrics import niqe
from mgan_jax.settings import fields
from mgan_jax.settings.arguments import PATH, WHOLE_NUMBER, Argument, make_parser
from mgan_jax.settings.errors import one_sentence
from mgan_jax.storage import atomic, prefetch

COMMAND = 'python -m mgan_jax.pristine'
DESCRIPTION = 'Fits a NIQE model to pristine images and writes it to a .npz file. The images are cropped and resized as those of a run.'
ARGUMENTS = {
    '': (
        Argument(
            'images', 'the images, as in --config.images: a file, folder, glob, list, tar file or URL', metavar='IMAGES'
        ),
        Argument('model', 'the file to write', PATH, metavar='MODEL.npz'),
        Argument(
            '--size',
            'pixels a side of the images that the model will measure: those of the generator',
            WHOLE_NUMBER,
            256,
            check=fields.at_least(1),
        ),
        Argument(
            '--patch_size',
            'pixels a side of a patch, an even number; smaller patches suit images that hold few patches of 96',
            WHOLE_NUMBER,
            96,
            check=fields.at_least(1),
        ),
    ),
}
NUM_WORKERS, PREFETCH_DEPTH = 2, 8


def main(arguments: list[str]) -> int:
    """Returns the exit code: 0 the model is written; 2 nothing is written, and stderr has one sentence."""
    try:
        options = make_parser(COMMAND, DESCRIPTION, ARGUMENTS).parse_args(arguments)
        image_sources = sources.find_images(options.images)
        model = niqe.fit_niqe_model(_read_pixels(image_sources, options.size), options.patch_size, options.images)
        atomic.write_bytes(options.model, niqe.pack_niqe_model(model))
    except (OSError, ValueError) as error:
        print(one_sentence(error), file=sys.stderr)
        return 2
    print(
        f'{options.model}: patches of {model.patch_size} pixels a side, from {len(image_sources)} images of {options.images}'
    )
    return 0


def _read_pixels(image_sources: list[sources.Source], size: int) -> Iterator[Any]:
    """Yields the images [H W 3] in [-1, 1], which threads read ahead."""

    def read(source: sources.Source) -> np.ndarray:
        return images.decode_photo(sources.read_source(source), source.title, size).pixels

    with contextlib.closing(
        prefetch.prefetch(read, image_sources, workers=NUM_WORKERS, depth=PREFETCH_DEPTH)
    ) as prefetched:
        for item in prefetched:
            if item.error is not None:
                raise item.error
            yield item.value


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
