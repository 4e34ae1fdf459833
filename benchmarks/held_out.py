"""Held-out scenes of the demo as files: drawn with another seed than the scenes that the demo was trained on."""

from pathlib import Path

from PIL import Image

from mgan_jax.demo import scenes, train

FIRST = 100  # number of the first scene; those before are bundled, or were seen while the demo was made


def write_scenes(folder: Path, count: int, *, first: int = FIRST, digits: int = 3) -> str:
    """Writes `count` scenes as 000.png, 001.png, ... and returns the folder. first: number of the first scene."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, pixels in enumerate(scenes.draw_batch(train.HELD_OUT_SEED, first, count).images):
        Image.fromarray(pixels).save(folder / f'{number:0{digits}d}.png')
    return str(folder)
