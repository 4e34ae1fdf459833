"""Morphs from one finished result to another, or mixes their styles.

    python -m mgan_jax.morph RESULT_A RESULT_B OUT [--frames=13] [--mix=LAYER]

A result is the folder of an image in a run's folder; the run's config.json tells the generator. OUT is a new folder with a
strip, an animation and the last frame. Without --mix the last frame is RESULT_B. With --mix it has the styles of layers 1 to
LAYER from RESULT_A and those of later layers from RESULT_B (StyleGAN and StyleGAN2).
"""

import json
import os
import sys
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from mgan_jax import composition, editing
from mgan_jax.composition import Codes
from mgan_jax.data import images
from mgan_jax.engine import networks
from mgan_jax.models.generator import Generator
from mgan_jax.results import evaluation, history, strips
from mgan_jax.settings import command_line, fields
from mgan_jax.settings.arguments import PATH, WHOLE_NUMBER, Argument, make_parser
from mgan_jax.settings.errors import one_sentence
from mgan_jax.storage import atomic

COMMAND = 'python -m mgan_jax.morph'
DESCRIPTION = (
    "Morphs from one finished result to another. A result is the folder of an image in a run's folder. OUT gets a strip, an "
    'animation and the last frame. With --mix the morph ends at a mix of styles (StyleGAN and StyleGAN2).'
)
ARGUMENTS = {
    '': (
        Argument('first', 'the result to begin with', PATH, metavar='RESULT_A'),
        Argument('second', 'the result to end with', PATH, metavar='RESULT_B'),
        Argument('out', 'a folder that does not exist yet', PATH, metavar='OUT'),
        Argument('--frames', 'frames of the animation', WHOLE_NUMBER, 13, check=fields.between(2, history.FRAMES)),
        Argument('--mix', 'last layer whose styles stay those of RESULT_A', WHOLE_NUMBER, metavar='LAYER'),
    ),
}
SAME = ('generator', 'layer', 'space', 'label')  # fields that both results must have in common
NEEDED = (*SAME, 'dtype', 'winograd', 'remat')


class FinishedResult(NamedTuple):
    """A finished result. config: the fields NEEDED of its run. arrays: those of latents.npz, float32."""

    config: dict[str, Any]
    arrays: dict[str, np.ndarray]


def main(arguments: list[str]) -> int:
    """Returns the exit code: 0 OUT is written; 2 nothing is written, and stderr has one sentence."""
    try:
        options = make_parser(COMMAND, DESCRIPTION, ARGUMENTS).parse_args(arguments)
        first, second = read_result(options.first), read_result(options.second)
        _require_same_kind(first, second)
        generator, params = _load_generator(first)
        begin, end = (unpack_codes(result, generator, params) for result in (first, second))
        place = {'layer': first.config['layer'], 'space': first.config['space']}
        end = _make_end(begin, end, options.mix, **place)
        weights = np.linspace(0, 1, options.frames, dtype=np.float32)
        with atomic.create_folder(options.out) as folder:
            frames = _render_frames(generator, params, begin, end, weights, **place)
            _write_frames(folder, 'morph' if options.mix is None else 'mix', weights, frames)
    except (OSError, ValueError) as error:
        print(one_sentence(error), file=sys.stderr)
        return 2
    print(f'{options.out}: {options.frames} frames from {options.first} to {options.second}')
    return 0


def read_result(folder: str | os.PathLike) -> FinishedResult:
    """Reads the folder of a finished image and the config.json of its run. Executes nothing from the files.

    Raises ValueError with one sentence if the files are missing, damaged, or of a generator that has no name.
    """
    path = Path(folder).expanduser().absolute()
    try:
        flat = json.loads((path.parent / 'config.json').read_text(encoding='utf-8'))['config']
        config = {field: flat[field] for field in NEEDED}
        with np.load(path / 'latents.npz', allow_pickle=False) as archive:
            arrays = {name: np.asarray(archive[name], np.float32) for name in archive.files}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(
            f"{folder} is no finished result; the folder of an image is wanted, with its latents.npz and with the run's "
            'config.json beside it.'
        ) from error
    try:
        fields.require_kinds(config, fields.default_fields('reconstruct'))
    except ValueError as error:
        raise ValueError(f'{path.parent / "config.json"} cannot be used: {one_sentence(error)}') from error
    if config['generator'] == command_line.OWN_GENERATOR:
        raise ValueError(
            f"{folder} was made with a generator of the caller's own; morph its codes in Python, see "
            'mgan_jax.editing.morph_codes.'
        )
    return FinishedResult(config, arrays)


def unpack_codes(result: FinishedResult, generator: Generator, params: Any) -> Codes:
    """Returns the codes of a result as a batch of one, B = 1. Raises ValueError if they are not of this generator."""
    expected = _expect_codes(result, generator, params)
    shapes = {name: leaf.shape[1:] for name, leaf in evaluation.code_arrays(expected).items()}
    if shapes != {name: array.shape for name, array in result.arrays.items()}:
        raise ValueError(
            f"the codes are not of generator '{result.config['generator']}'; was it exchanged after the run?"
        )
    if not all(np.isfinite(array).all() for array in result.arrays.values()):
        raise ValueError('the codes of a result are not finite.')
    leaves = [result.arrays[name][None] for name in evaluation.code_arrays(expected)]
    return jax.tree.unflatten(jax.tree.structure(expected), leaves)


def _expect_codes(result: FinishedResult, generator: Generator, params: Any) -> Codes:
    """The shapes of a run's codes with as many latent codes as the result, B = 1."""
    latents = result.arrays.get('latents', np.zeros(()))
    return jax.eval_shape(
        lambda params: composition.init(
            jax.random.key(0),
            generator,
            params,
            batch=1,
            num_codes=max(1, latents.shape[0] if latents.ndim else 1),
            layer=result.config['layer'],
            space=result.config['space'],
            tail='tail' in result.arrays,
            noise=any(name.startswith('noise') for name in result.arrays),
        ),
        params,
    )


def _require_same_kind(first: FinishedResult, second: FinishedResult) -> None:
    for field in SAME:
        a, b = first.config[field], second.config[field]
        if a != b:
            raise ValueError(f'the results are of different kinds: their {field} is {a!r} and {b!r}.')


def _load_generator(result: FinishedResult) -> tuple[Generator, Any]:
    """The generator as the run computed it."""
    config = result.config
    compute = networks.Compute(dtype=config['dtype'], winograd=config['winograd'], remat=config['remat'] == 'on')
    return networks.load_generator(config['generator'], compute=compute, label=config['label'])


def _make_end(first: Codes, second: Codes, mix: int | None, *, layer: int, space: str) -> Codes:
    """The codes of the last frame, in the order of those of `first`."""
    matched = editing.match_codes(first, second, space=space)
    return matched if mix is None else editing.mix_styles(first, matched, mix, composing_layer=layer)


def _render_frames(
    generator: Generator, params: Any, first: Codes, end: Codes, weights: np.ndarray, *, layer: int, space: str
) -> Iterator[np.ndarray]:
    """Yields an image [H W C] in [-1, 1] for each weight, 0 for `first` and 1 for `end`."""

    @jax.jit
    def render(params: Any, first: Codes, end: Codes, t: jax.Array) -> jax.Array:
        codes = editing.morph_codes(first, end, t, space=space)
        return composition.compose(generator, params, codes, layer=layer, space=space)[0]

    for t in weights:
        yield np.clip(np.asarray(render(params, first, end, t)), -1, 1)


def _write_frames(folder: Path, title: str, weights: np.ndarray, frames: Iterable[np.ndarray]) -> None:
    """Writes the strip, the animation and the last frame; keeps one frame at a time uncompressed."""
    row = []
    for frame in frames:
        row.append(history.make_frame(frame, None))
    for name, content in strips.make_strip_files(title, [''], [f'{t:.2g}' for t in weights], [row]).items():
        (folder / name).write_bytes(content)
    images.write_png(folder / 'last.png', frame)


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
