"""`python -m mgan_jax.demo.train FOLDER` trains the embedded demo. A second call continues from the last checkpoint.

FOLDER receives checkpoints, logs and sample sheets. At the end it has the content of `mgan_jax/demo`: the model
directories `generator` and `extractor`, and `images`.
"""

import csv
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax import Array
from PIL import Image

from mgan_jax import models
from mgan_jax.demo import extractor, gan, scenes
from mgan_jax.models.orbax import ocp

SEED, HELD_OUT_SEED = 1, 2
STAGES = (
    gan.Stage(16, 96_000, 1e-2, decay=96_000),
    gan.Stage(32, 64_000, 7e-3, decay=64_000),
    gan.Stage(64, 104_000, 5e-3, decay=104_000),
    gan.Stage(64, 8_000, 1.5e-3, adversarial=True, average_decay=0.995),
)
LOG_EVERY, SAVE_EVERY = 100, 500  # steps
NUM_BUNDLED = 8


def main(arguments: list[str]) -> int:
    if len(arguments) != 1:
        print('usage: python -m mgan_jax.demo.train FOLDER', file=sys.stderr)
        return 2
    folder = Path(arguments[0]).resolve()
    save_generator(folder / 'generator', STAGES[-1], train_gan(folder, STAGES))
    source = {'file': 'drawn scenes', 'format': 'trained by mgan_jax.demo.train'}
    params = extractor.train_extractor(folder, SEED, HELD_OUT_SEED)
    models.save(folder / 'extractor', 'vgg', extractor.CONFIGURATION, params, source, overwrite=True)
    save_images(folder / 'images')
    return 0


def save_generator(directory: Path, stage: gan.Stage, state: gan.GanState) -> None:
    """Writes the model directory of the averaged generator."""
    source = {'file': 'drawn scenes', 'format': 'trained by mgan_jax.demo.train'}
    params = gan.add_average_style(stage, gan.equalise_weights(state.average))
    models.save(directory, stage.architecture, gan.generator_configuration(stage), params, source, overwrite=True)


def save_images(folder: Path) -> None:
    """Writes the bundled inputs, held-out scenes, as PNG files."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, pixels in enumerate(scenes.draw_batch(HELD_OUT_SEED, 0, NUM_BUNDLED).images):
        Image.fromarray(pixels).save(folder / f'scene{number}.png')


def train_gan(folder: Path, stages: Sequence[gan.Stage]) -> gan.GanState:
    """Runs the stages from the last checkpoint in `folder` on. Returns the last state."""
    folder.mkdir(parents=True, exist_ok=True)
    keep = ocp.training.preservation_policies.LatestN(2)
    with ocp.training.Checkpointer(folder / 'checkpoints', preservation_policy=keep) as checkpoints:
        seen, state = _resume(checkpoints, stages)
        start = 0
        for number, stage in enumerate(stages):
            if seen == start and number > 0:
                state = _begin(stages, number, state)
            for reached, at in _run_stage(stage, state, start, seen, folder / 'gan_log.csv'):
                seen, state = reached, at
                checkpoints.save(seen, state._asdict(), overwrite=True)
                _sample_sheet(stage, state, folder / f'samples_{seen:07d}.png')
            start += stage.images
    return state


def _resume(checkpoints: Any, stages: Sequence[gan.Stage]) -> tuple[int, gan.GanState]:
    """The number of images seen and the state of the last checkpoint, or those before training."""
    state = _begin(stages, 0, None)
    if checkpoints.latest is None:
        return 0, state
    seen, start = checkpoints.latest.step, 0
    for number, stage in enumerate(stages):
        if seen > start and number > 0:
            state = _begin(stages, number, state)
        start += stage.images
    return seen, gan.GanState(**checkpoints.load(seen, state._asdict()))


def _begin(stages: Sequence[gan.Stage], number: int, previous: gan.GanState | None) -> gan.GanState:
    return gan.init_gan_state(stages[number], jax.random.key(SEED + number), previous)


def _run_stage(
    stage: gan.Stage, state: gan.GanState, start: int, seen: int, log_file: Path
) -> Iterator[tuple[int, gan.GanState]]:
    """Trains from image `seen` to the end of the stage; yields (seen, state) whenever a checkpoint is due."""
    plain, regularised = (gan.make_gan_step(stage, flag) for flag in (False, True))
    began, before, end = time.monotonic(), seen, start + stage.images
    with ThreadPoolExecutor(1) as pool:
        upcoming = pool.submit(scenes.draw_batch, SEED, seen, gan.BATCH)
        while seen < end:
            batch, upcoming = upcoming.result(), pool.submit(scenes.draw_batch, SEED, seen + gan.BATCH, gan.BATCH)
            number = (seen - start) // gan.BATCH
            step = regularised if stage.adversarial and number % gan.R1_EVERY == 0 else plain
            state, log = step(state, batch.latents, gan.prepare_images(batch.images, stage.resolution))
            seen += gan.BATCH
            if (number + 1) % LOG_EVERY == 0:
                seconds = (time.monotonic() - began) / (seen - before) * gan.BATCH
                _write_log(log_file, seen, stage.resolution, seconds, log)
            if (number + 1) % SAVE_EVERY == 0 or seen >= end:
                yield seen, state


def _write_log(path: Path, seen: int, resolution: int, seconds: float, log: dict[str, Array]) -> None:
    row: dict[str, Any] = {'images': seen, 'resolution': resolution, 'seconds_per_step': round(seconds, 4)}
    row |= {name: round(float(log.get(name, 'nan')), 4) for name in ('lesson', 'on_real', 'on_fake')}
    fresh = not path.exists()
    with path.open('a', newline='') as file:
        writer = csv.DictWriter(file, row)
        if fresh:
            writer.writeheader()
        writer.writerow(row)
    print(*(f'{name} {value}' for name, value in row.items()), flush=True)


def _sample_sheet(stage: gan.Stage, state: gan.GanState, path: Path) -> None:
    """Writes the images of the averaged generator for the codes of 48 held-out scenes."""
    z = scenes.draw_batch(HELD_OUT_SEED, 0, 48).latents
    pixels = np.asarray(gan.build_demo_generator(stage).generate(gan.equalise_weights(state.average), z))
    rows = np.clip(pixels * 127.5 + 128, 0, 255).astype(np.uint8).reshape(6, 8, *pixels.shape[1:])
    sheet = rows.transpose(0, 2, 1, 3, 4).reshape(6 * stage.resolution, 8 * stage.resolution, 3)
    Image.fromarray(sheet).resize((1024, 768), Image.Resampling.NEAREST).save(path)


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
