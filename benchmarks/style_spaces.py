"""`python -m benchmarks.style_spaces FOLDER` compares the latent spaces z, w and w+ of a StyleGAN2 by inversion.

First trains a small StyleGAN2 on drawn scenes; the same command continues a training that was stopped. Then inverts 32
held-out scenes in each space with one code and with ten, with the same number of steps, and writes
FOLDER/style_spaces.md. It takes about an hour on two cores.
"""

import platform
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from benchmarks import commands, held_out
from mgan_jax import composition, inversion, losses, metrics, models, optimizers, tasks
from mgan_jax.demo import gan, scenes, train

STAGES = (
    gan.Stage(16, 64_000, 5e-3, decay=64_000, architecture='stylegan2'),
    gan.Stage(32, 80_000, 4e-3, decay=80_000, architecture='stylegan2'),
    gan.Stage(32, 8_000, 1.5e-3, contest=True, memory=0.995, architecture='stylegan2'),
)
COUNT, BATCH, STEPS = 32, 16, 150


class Setting(NamedTuple):
    """An inversion. tail: learn the styles after the composing layer. rate: learning rate of the codes. alpha_rate: of the
    channel importances; 0 leaves them at 1. start: 'random' codes, or the 'average' style."""

    space: str
    num_codes: int
    layer: int
    tail: bool
    rate: float
    alpha_rate: float
    start: str = 'random'


LAST = 7  # the last layer
SETTINGS = (
    Setting('z', 1, LAST, False, 0.2, 0.0),
    Setting('w', 1, LAST, False, 0.1, 0.0, 'average'),
    Setting('w+', 1, LAST, True, 0.1, 0.0, 'average'),
    Setting('w+', 1, LAST, True, 0.2, 0.0, 'average'),
    Setting('w+', 1, 4, True, 0.1, 0.01, 'average'),
    *(Setting(space, 10, 4, True, rate, 0.01) for space in ('z', 'w', 'w+') for rate in (0.05, 0.1)),
)


def main(arguments: Sequence[str]) -> None:
    parser = commands.make_parser('style_spaces', __doc__)
    parser.add_argument('folder', type=Path)
    folder = parser.parse_args(arguments).folder
    folder.mkdir(parents=True, exist_ok=True)
    if not models.is_model_directory(folder / 'stylegan2'):
        train.save_generator(folder / 'stylegan2', STAGES[-1], train.train_gan(folder, STAGES))
    generator, params = models.load(folder / 'stylegan2')
    held_out_scenes = scenes.draw_batch(train.HELD_OUT_SEED, held_out.FIRST, COUNT)
    targets = jnp.asarray(gan.to_network(held_out_scenes.images, generator.resolution))
    rendered = jnp.clip(generator.generate(params, jnp.asarray(held_out_scenes.latents)), -1, 1)
    lines = [
        f'{platform.machine()}, {jax.devices()[0].device_kind}, jax {jax.__version__}; {COUNT} held-out scenes, {STEPS} steps',
        f"The scenes' own codes render at {float(metrics.psnr(rendered, targets).mean()):.2f} dB.",
        '',
        '| space | N | layer | learning rate | start | PSNR | SSIM | seconds an image |',
        '|---|---|---|---|---|---|---|---|',
    ]
    for setting in SETTINGS:
        lines.append(_measure(setting, generator, params, targets))
        print(lines[-1], flush=True)
    (folder / 'style_spaces.md').write_text('\n'.join(lines) + '\n')


def _measure(setting: Setting, generator: models.Generator, params: dict, targets: jax.Array) -> str:
    """Inverts all targets and returns a row of the table."""
    began = time.monotonic()
    batches = [invert_targets(setting, generator, params, targets[i : i + BATCH], i) for i in range(0, COUNT, BATCH)]
    seconds = (time.monotonic() - began) / COUNT
    inversions = jnp.concatenate(batches)
    psnr, ssim = (float(np.mean(measure(inversions, targets))) for measure in (metrics.psnr, metrics.ssim))
    place = f'{setting.space} | {setting.num_codes} | {setting.layer} | {setting.rate} | {setting.start}'
    return f'| {place} | {psnr:.2f} | {ssim:.3f} | {seconds:.1f} |'


def invert_targets(
    setting: Setting, generator: models.Generator, params: dict, targets: jax.Array, seed: int
) -> jax.Array:
    """Inverts targets [B R R 3] -> [B R R 3] by Adam with cosine decay and the pixel loss alone."""
    place = {'layer': setting.layer, 'space': setting.space}
    codes = composition.init(
        jax.random.key(seed),
        generator,
        params,
        batch=len(targets),
        num_codes=setting.num_codes,
        tail=setting.tail,
        **place,
    )
    if setting.start == 'average':
        codes = codes._replace(latents=jnp.broadcast_to(params['w_avg'], codes.latents.shape))
    rates = [optax.cosine_decay_schedule(rate, STEPS) for rate in (setting.rate, setting.alpha_rate)]
    optimizer = optimizers.split_optimizer(*map(optax.adam, rates))
    objective = losses.objective(generator, tasks.reconstruct(), perceptual=0.0, **place)
    step = inversion.make_step(objective, optimizer)
    state, _ = inversion.run(step, inversion.init(codes, optimizer), targets, params, None, num_steps=STEPS)
    return jnp.clip(composition.compose(generator, params, state.best_codes, **place), -1, 1)


if __name__ == '__main__':
    commands.run_command(main)
