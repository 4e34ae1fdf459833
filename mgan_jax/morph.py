"""`python -m mgan_jax.morph RESULT_A RESULT_B OUT [--frames=13] [--mix=LAYER]` goes from one finished result to another.

A result is the folder of an image in a run's folder, whose config.json tells the generator. OUT, a new folder, gets a strip,
an animation and the last frame. With --mix, the way ends where styles of the layers 1 to LAYER are still A's and the
later ones B's (StyleGAN and StyleGAN2).
"""

import argparse
import json
import os
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from mgan_jax import composition
from mgan_jax.data import images
from mgan_jax.editing import moves
from mgan_jax.engine import networks
from mgan_jax.models.generator import Generator
from mgan_jax.results import evaluation, history, strips
from mgan_jax.settings import command_line, presets
from mgan_jax.settings.errors import one_sentence
from mgan_jax.storage import atomic

DECIDE = ('generator', 'layer', 'space', 'label')  # what two results must have in common
COMPUTE = ('dtype', 'winograd', 'remat')


class FinishedResult(NamedTuple):
    """A finished result: the settings of its run that its codes need, and the arrays of latents.npz."""

    settings: dict
    arrays: dict[str, np.ndarray]


def main(arguments: Sequence[str]) -> int:
    """The exit code: 0 OUT is written, 2 it is not, and why is said in one sentence."""
    options = _parser().parse_args(arguments)
    try:
        if not 2 <= options.frames <= history.FRAMES:
            raise ValueError(f'{options.frames} frames are asked for; 2 to {history.FRAMES} are possible.')
        first, second = read_result(options.first), read_result(options.second)
        for field in DECIDE:
            if first.settings[field] != second.settings[field]:
                both = f'{first.settings[field]!r} and {second.settings[field]!r}'
                raise ValueError(f'the results are of different kinds: their {field} is {both}.')
        generator, params = networks.load_generator(first.settings)
        ends = [result_codes(kept, generator, params) for kept in (first, second)]
        with atomic.create_folder(options.out) as folder:
            _write(folder, (generator, params), first.settings, ends, options)
    except (OSError, ValueError) as error:
        print(one_sentence(error), file=sys.stderr)
        return 2
    print(f'{options.out}: {options.frames} frames from {options.first} to {options.second}')
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog='python -m mgan_jax.morph', description=__doc__)
    parser.add_argument('first', metavar='RESULT_A')
    parser.add_argument('second', metavar='RESULT_B')
    parser.add_argument('out', metavar='OUT', help='a folder that does not exist yet')
    parser.add_argument('--frames', type=int, default=13)
    parser.add_argument(
        '--mix', type=int, metavar='LAYER', help='styles of later layers become those of RESULT_B, no others'
    )
    return parser


def read_result(folder: str | os.PathLike) -> FinishedResult:
    """ValueError with one sentence if there is no result that can be used. Nothing in the files is executed."""
    path = Path(folder).expanduser().absolute()
    try:
        config = json.loads((path.parent / 'config.json').read_text(encoding='utf-8'))['config']
        settings = presets.FIELDS | {field: config[field] for field in (*DECIDE, *COMPUTE)}
        with np.load(path / 'latents.npz', allow_pickle=False) as archive:
            arrays = {name: np.asarray(archive[name], np.float32) for name in archive.files}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(
            f"{folder} is no finished result; the folder of an image is wanted, with its latents.npz and with the run's "
            'config.json beside it.'
        ) from error
    for field in (*DECIDE, *COMPUTE):
        if type(settings[field]) is not type(presets.FIELDS[field]):
            raise ValueError(f'{path.parent / "config.json"}: {field} is {settings[field]!r}, which no run has.')
    if settings['generator'] == command_line.OWN_GENERATOR:
        raise ValueError(
            f"{folder} was made with a generator of the caller's own; morph its codes in Python, see editing.py."
        )
    return FinishedResult(settings, arrays)


def result_codes(kept: FinishedResult, generator: Generator, params: Any) -> composition.Codes:
    """The codes of a result, with the axis B = 1. ValueError if they are not of this generator."""
    latents = kept.arrays.get('latents', np.zeros(()))
    wanted = jax.eval_shape(
        lambda params: composition.init(
            jax.random.key(0),
            generator,
            params,
            batch=1,
            num_codes=max(1, latents.shape[0] if latents.ndim else 1),
            layer=kept.settings['layer'],
            space=kept.settings['space'],
            tail='tail' in kept.arrays,
            noise=any(name.startswith('noise') for name in kept.arrays),
        ),
        params,
    )
    shapes = {name: leaf.shape[1:] for name, leaf in evaluation.code_arrays(wanted).items()}
    if shapes != {name: array.shape for name, array in kept.arrays.items()}:
        raise ValueError(
            f"the codes are not of generator '{kept.settings['generator']}'; was it exchanged after the run?"
        )
    if not all(np.isfinite(array).all() for array in kept.arrays.values()):
        raise ValueError('the codes of a result are not finite.')
    leaves = [kept.arrays[name][None] for name in evaluation.code_arrays(wanted)]
    return jax.tree.unflatten(jax.tree.structure(wanted), leaves)


def _write(folder: Path, own: tuple[Generator, Any], settings: dict, ends: list, options: argparse.Namespace) -> None:
    """The frames between the codes of both ends, one rendered after another."""
    (generator, params), (first, second) = own, ends
    place = {'layer': settings['layer'], 'space': settings['space']}
    end = moves.match_codes(first, second, space=settings['space'])
    if options.mix is not None:
        end = moves.mix_styles(first, end, options.mix, composing=settings['layer'])

    @jax.jit
    def render(params, first, end, share):
        return composition.compose(
            generator, params, moves.morph_codes(first, end, share, space=place['space']), **place
        )[0]

    row = []
    for share in (shares := np.linspace(0, 1, options.frames, dtype=np.float32)):
        last = np.clip(np.asarray(render(params, first, end, share)), -1, 1)
        row.append(history.make_frame(last, None))
    title = 'morph' if options.mix is None else 'mix'
    for name, content in strips.make_strip_files(title, [''], [f'{share:.2g}' for share in shares], [row]).items():
        (folder / name).write_bytes(content)
    images.write_png(folder / 'last.png', last)


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
