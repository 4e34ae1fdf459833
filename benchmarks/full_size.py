"""`python -m benchmarks.full_size FOLDER [IMAGES]` measures networks of full size with random weights.

Writes weight files (PGGAN 256 and 1024, StyleGAN 1024 and StyleGAN2 1024, in TensorFlow's and PyTorch's forms, and VGG-16) and
converts them with the command line. With IMAGES, also inverts the first of them for a few steps: 256 pixels at l = 8, 1024
pixels at l = 6, N = 20. Prints a Markdown table of seconds and peak memory of each whole process.
"""

import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks import commands
from mgan_jax.data import sources
from tests.converters import foreign_states, pickle_writer
from tests.converters.foreign_states import VGG16, pggan, vgg
from tests.converters.torch_writer import zip_file

STEPS = 5
INVERSIONS = ((256, 8), (1024, 6))  # resolution, composing layer

# Starts a process from a small one: the peak of a process counts what its parent held when it started the process.
_WATCHER = (
    'import resource, subprocess, sys; code = subprocess.call(sys.argv[1:]); '
    'print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss); sys.exit(code)'
)


def main(arguments: Sequence[str]) -> None:
    parser = commands.make_parser('full_size', __doc__)
    parser.add_argument('folder', type=Path)
    parser.add_argument('images', nargs='?', help='images, as in --config.images')
    options = parser.parse_args(arguments)
    folder = options.folder
    photo = sources.find_images(options.images)[0].path if options.images else ''
    folder.mkdir(parents=True, exist_ok=True)
    rows = ['| command | file MB | seconds | peak MB |', '|---|---|---|---|']
    rows.append(_convert(folder, 'small', zip_file(pggan(8))))  # the cost of a conversion of nearly no weights
    for resolution, _ in INVERSIONS:
        state = pggan(resolution, latent_dim=512, fmaps_base=16384, fmaps_max=512)
        rows.append(_convert(folder, f'pggan{resolution}', zip_file(state)))
    rows.append(_convert(folder, 'vgg16', zip_file(vgg(VGG16, divisor=1))))
    rows += _convert_styles(folder)
    print('\n'.join(rows), flush=True)
    if photo:
        rows += [_invert(folder, photo, resolution, layer) for resolution, layer in INVERSIONS]
        print('\n'.join(rows))


def _invert(folder: Path, photo: str, resolution: int, layer: int) -> str:
    models = [f'--config.generator={folder}/pggan{resolution}', f'--config.extractor={folder}/vgg16']
    size = [f'--config.layer={layer}', '--config.num_codes=20', f'--config.steps={STEPS}']
    files = [f'--config.images={photo}', f'--config.out={folder}/{time.time_ns()}']
    command = ['mgan_jax.invert', '--config', 'configs/invert.py:fast', *models, *size, *files]
    return f'| invert {resolution}, l = {layer}, N = 20, {STEPS} steps | | {_measure(command)}'


def _convert_styles(folder: Path) -> list[str]:
    """The networks of 1024 pixels, as TensorFlow's pickles and in PyTorch's forms."""
    sizes = {'resolution': 1024, 'latent_dim': 512, 'fmaps_base': 16384, 'fmaps_max': 512}
    rows = [_convert(folder, 'pggan1024_tf', pickle_writer.tf_file(foreign_states.pggan_tf(**sizes)))]
    variables = foreign_states.stylegan_tf(**sizes)
    rows.append(_convert(folder, 'stylegan1024_tf', pickle_writer.tf_file(variables)))
    rows.append(_convert(folder, 'stylegan1024', zip_file(foreign_states.stylegan_authors(variables))))
    variables = foreign_states.stylegan2_tf(**(sizes | {'fmaps_base': 32768}))
    rows.append(_convert(folder, 'stylegan2_1024_tf', pickle_writer.tf_file(variables)))
    nvidia = pickle_writer.nvidia_file(foreign_states.stylegan2_nvidia(variables))
    return [*rows, _convert(folder, 'stylegan2_1024_nvidia', nvidia)]


def _convert(folder: Path, name: str, content: bytes) -> str:
    """Writes a weight file, converts it and returns a row of the table."""
    source = folder / f'{name}.weights'
    source.write_bytes(content)
    measured = _measure(['converters', str(source), str(folder / name), '--overwrite'])
    return f'| convert {name} | {source.stat().st_size / 1e6:.0f} | {measured}'


def _measure(arguments: list[str]) -> str:
    """Runs `python -m ARGUMENTS` and returns 'seconds | peak MB |' of that process."""
    began = time.monotonic()
    done = subprocess.run([sys.executable, '-c', _WATCHER, sys.executable, '-m', *arguments], stdout=subprocess.PIPE)
    if done.returncode:
        raise SystemExit(f'{" ".join(arguments)} failed')
    return f'{time.monotonic() - began:.1f} | {int(done.stdout.split()[-1]) / 1000:.0f} |'


if __name__ == '__main__':
    commands.run_command(main)
