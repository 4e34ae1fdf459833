"""`python -m benchmarks.style_spaces FOLDER` compares the spaces z, w and w+ with multi-code inversion on a StyleGAN2.

Trains a small StyleGAN2 on drawn scenes first (run again, it continues where it was), then inverts 32 held-out scenes in each
space with one code and with many, at equal steps; writes FOLDER/style_spaces.md.
"""

import sys
from pathlib import Path

from mgan_jax.demo import gan, train

STAGES = (
    gan.Stage(16, 64_000, 5e-3, decay=64_000, architecture='stylegan2'),
    gan.Stage(32, 80_000, 4e-3, decay=80_000, architecture='stylegan2'),
    gan.Stage(32, 8_000, 1.5e-3, contest=True, memory=0.995, architecture='stylegan2'),
)


def main(folder: Path) -> None:
    train.save_generator(folder / 'stylegan2', STAGES[-1], train.train_gan(folder, STAGES))


if __name__ == '__main__':
    main(Path(sys.argv[1]))
