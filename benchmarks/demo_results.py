"""`python -m benchmarks.demo_results FOLDER` measures the embedded demo on 32 held-out scenes.

Runs the five demo presets and, for comparison, inversions with a single code, all through the command
`python -m mgan_jax.invert`. Writes the table FOLDER/demo_results.md and the README's pictures FOLDER/CONFIG.png. The same
command continues where it was stopped.
"""

import csv
import json
import platform
import time
from collections.abc import Sequence
from pathlib import Path

import jax
import numpy as np
from PIL import Image

from benchmarks import commands, held_out
from mgan_jax import invert

COUNT = 32  # scenes
CONFIGS = {'invert': 'reconstruction', 'sr': 'super-resolution x4', 'colorize': 'colourisation'}
CONFIGS |= {'inpaint': 'inpainting, centre', 'denoise': 'denoising, 30 % impulse'}
SINGLE_CODE: list[dict] = [{'num_codes': 1, 'layer': layer} for layer in (2, 4, 6, 8)]
SINGLE_CODE += [{'num_codes': 1, 'layer': 8, 'alpha_rate': 0.0}]
MEASURES = ('input_psnr', 'psnr', 'ssim', 'seconds')


def main(arguments: Sequence[str]) -> None:
    parser = commands.make_parser('demo_results', __doc__)
    parser.add_argument('folder', type=Path)
    folder = parser.parse_args(arguments).folder
    held_out.write_scenes(folder / 'images', COUNT, digits=2)
    lines = [f'{platform.machine()}, {jax.devices()[0].device_kind}, jax {jax.__version__}', '']
    lines += [
        '| task | layer | N | steps | input PSNR | PSNR | SSIM | seconds an image |',
        '|---|---|---|---|---|---|---|---|',
    ]
    for config, title in CONFIGS.items():
        lines.append(_measure(title, config, {}, folder, folder / config))
        _draw_examples(folder / config, folder / f'{config}.png')
    for number, fields in enumerate(SINGLE_CODE):
        title = 'one code, alpha = 1' if 'alpha_rate' in fields else 'one code, alpha learned'
        lines.append(_measure(title, 'invert', fields, folder, folder / f'single{number}'))
    (folder / 'demo_results.md').write_text('\n'.join(lines) + '\n')
    print('\n'.join(lines))


def _measure(title: str, config: str, fields: dict, folder: Path, out: Path) -> str:
    """Inverts all scenes into `out` and returns a row of the table."""
    given = {'images': folder / 'images', 'out': out} | fields
    began = time.monotonic()
    if invert.main(
        ['--config', f'configs/{config}.py', *(f'--config.{name}={value}' for name, value in given.items())]
    ):
        raise SystemExit(f'{title} failed')
    print(f'{title}: {time.monotonic() - began:.0f} s', flush=True)
    with open(out / 'metrics.csv', encoding='utf-8', newline='') as file:
        rows = list(csv.DictReader(file))
    mean = {name: np.mean([float(row[name] or 'nan') for row in rows]) for name in MEASURES}
    settings = json.loads((out / 'config.json').read_text(encoding='utf-8'))['config']
    before = '' if np.isnan(mean['input_psnr']) else f'{mean["input_psnr"]:.2f}'
    place = f'{settings["layer"]} | {settings["num_codes"]} | {settings["steps"]}'
    return f'| {title} | {place} | {before} | {mean["psnr"]:.2f} | {mean["ssim"]:.3f} | {mean["seconds"]:.1f} |'


def _draw_examples(results: Path, path: Path, count: int = 6, side: int = 128) -> None:
    """A picture with the rows input, result and target of the first images, enlarged to the nearest pixel."""
    names = sorted(path.parent.name for path in results.glob('*/result.png'))[:count]
    sheet = Image.new('RGB', (count * side, 3 * side))
    for column, name in enumerate(names):
        for row, kind in enumerate(('input', 'result', 'target')):
            with Image.open(results / name / f'{kind}.png') as image:
                enlarged = image.convert('RGB').resize((side, side), Image.Resampling.NEAREST)
            sheet.paste(enlarged, (column * side, row * side))
    sheet.save(path, optimize=True)


if __name__ == '__main__':
    commands.run_command(main)
