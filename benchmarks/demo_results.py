"""`python -m benchmarks.demo_results FOLDER` measures the embedded demo on 32 held-out scenes.

Runs the five demo presets and, for comparison, the best single code, all through the command line's own code; writes
FOLDER/demo_results.md (tables), and the README's pictures FOLDER/{task}.png. Run again, it goes on
where it was.
"""

import csv
import platform
import sys
import time
from pathlib import Path

import jax
import numpy as np
from PIL import Image

from mgan_jax import invert
from mgan_jax.demo import scenes, train

FIRST, COUNT = 100, 32  # held-out scenes that are not bundled
CONFIGS = {'invert': 'reconstruction', 'sr': 'super-resolution x4', 'colorize': 'colourisation'}
CONFIGS |= {'inpaint': 'inpainting, centre', 'denoise': 'denoising, 30 % impulse'}
SINGLE = [{'num_codes': 1, 'layer': layer} for layer in (2, 4, 6, 8)]
SINGLE += [{'num_codes': 1, 'layer': 8, 'alpha_rate': 0.0}]


def main(folder: Path) -> None:
    images = folder / 'images'
    images.mkdir(parents=True, exist_ok=True)
    for number, pixels in enumerate(scenes.draw_batch(train.HELD_OUT_SEED, FIRST, COUNT).images):
        Image.fromarray(pixels).save(images / f'{number:02d}.png')
    lines = [f'{platform.machine()}, {jax.devices()[0].device_kind}, jax {jax.__version__}', '']
    lines += [
        '| task | layer | N | steps | input PSNR | PSNR | SSIM | seconds an image |',
        '|---|---|---|---|---|---|---|---|',
    ]
    for name, title in CONFIGS.items():
        lines.append(_row(title, name, {}, folder))
        _picture(folder / name, folder / f'{name}.png')
    for number, fields in enumerate(SINGLE):
        title = 'one code, alpha = 1' if 'alpha_rate' in fields else 'one code, alpha learned'
        lines.append(_row(title, 'invert', fields, folder, f'single{number}'))
    (folder / 'demo_results.md').write_text('\n'.join(lines) + '\n')
    print('\n'.join(lines))


def _row(title: str, config: str, fields: dict, folder: Path, out: str = '') -> str:
    out = folder / (out or config)
    arguments = [f'--config.{name}={value}' for name, value in fields.items()]
    arguments = [
        '--config',
        f'configs/{config}.py',
        f'--config.images={folder}/images',
        f'--config.out={out}',
        *arguments,
    ]
    began = time.monotonic()
    if invert.main(arguments):
        raise SystemExit(f'{title} failed')
    print(f'{title}: {time.monotonic() - began:.0f} s', flush=True)
    rows = list(csv.DictReader((out / 'metrics.csv').open()))
    mean = {
        name: np.mean([float(row[name] or 'nan') for row in rows]) for name in ('input_psnr', 'psnr', 'ssim', 'seconds')
    }
    settings = invert.read_settings(arguments)
    before = '' if np.isnan(mean['input_psnr']) else f'{mean["input_psnr"]:.2f}'
    place = f'{settings["layer"]} | {settings["num_codes"]} | {settings["steps"]}'
    return f'| {title} | {place} | {before} | {mean["psnr"]:.2f} | {mean["ssim"]:.3f} | {mean["seconds"]:.1f} |'


def _picture(results: Path, path: Path, count: int = 6, side: int = 128) -> None:
    """Rows: input, result, target; nearest enlargement."""
    names = sorted(path.parent.name for path in results.glob('*/result.png'))[:count]
    sheet = Image.new('RGB', (count * side, 3 * side))
    for column, name in enumerate(names):
        for row, kind in enumerate(('input', 'result', 'target')):
            with Image.open(results / name / f'{kind}.png') as image:
                enlarged = image.convert('RGB').resize((side, side), Image.Resampling.NEAREST)
            sheet.paste(enlarged, (column * side, row * side))
    sheet.save(path, optimize=True)


if __name__ == '__main__':
    main(Path(sys.argv[1]))
