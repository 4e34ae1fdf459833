"""The edits of a run: which boundaries its settings name, and what an inversion gets of them: pictures, a strip, an animation."""

import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from mgan_jax import composition
from mgan_jax.editing import boundaries, moves
from mgan_jax.models.generator import Generator
from mgan_jax.results import history, strips
from mgan_jax.settings.errors import one_sentence

MOST = 120  # frames of an image, which wait as compressed files
TITLE = 24  # letters of an attribute's label


class Edits(NamedTuple):
    """names of A attributes, the unit normals [A D] of their boundaries, and the range of layers that moves, None for all."""

    names: list[str]
    normals: np.ndarray
    layers: tuple[int, int] | None


def parse_edits(settings: dict, generator: Generator, latents: Any) -> Edits:
    """The edits that settings name. ValueError with one sentence if they cannot be used.

    latents: an image's, or their shape, of which the last axis is what a boundary has to fit.
    """
    _require_numbers(settings)
    names, others = _listed(settings['attribute']), _listed(settings['conditioned_on'])
    if not names:
        given = f'boundary files, or for the demo to {", ".join(boundaries.shipped_boundaries())}'
        raise ValueError(f'no attribute was given; set --config.attribute to {given}.')
    if len(names) * settings['frames'] > MOST:
        raise ValueError(
            f'{len(names)} attributes of {settings["frames"]} frames are asked for; {MOST} in all are possible.'
        )
    size, normals = latents.shape[-1], []
    for name in names:
        normal, apart = _load(name, size, settings), [_load(other, size, settings) for other in others if other != name]
        try:
            normals.append(moves.condition_boundary(normal, apart))
        except ValueError as error:
            raise ValueError(f"attribute '{name}' cannot be edited: {one_sentence(error)}") from error
    return Edits([_title(name) for name in names], np.stack(normals), _layers(settings, generator))


def make_editor(
    generator: Generator, params: Any, settings: dict, edits: Edits
) -> Callable[[composition.Codes], tuple[np.ndarray, dict]]:
    """-> edit(codes of one image, without the axis B) -> (the edited image [H W C], the contents of files by their names).

    The image is moved along all attributes, each by `strength`; edit.png has a row for each of them alone, and so have
    edit.webp and, where ffmpeg is found, edit.mp4, one after another. One compiled program, a strength at a time: it
    takes the memory of one image, whatever the number of frames.
    """
    own = jax.tree.map(lambda leaf: leaf.addressable_shards[0].data, params)
    place = {'layer': settings['layer'], 'space': settings['space']}

    @jax.jit
    def render(params, codes, normal, strength):
        moved = moves.move_codes(codes, normal, strength, space=place['space'], layers=edits.layers)
        return composition.compose(generator, params, moved, **place)[0]

    def edit(codes: composition.Codes) -> tuple[np.ndarray, dict[str, bytes]]:
        batch = jax.tree.map(lambda leaf: leaf[None], codes)

        def picture(normal: np.ndarray, strength: float) -> np.ndarray:
            return np.clip(np.asarray(render(own, batch, normal, np.float32(strength))), -1, 1)

        result = picture(edits.normals.sum(axis=0), settings['strength'])
        if not np.isfinite(result).all():
            raise ValueError('the edited image is not finite; choose a smaller strength')
        span, frames = settings['strength_range'], settings['frames']
        strengths = np.linspace(-span, span, frames).tolist()
        rows = [[history.make_frame(picture(normal, s), None) for s in strengths] for normal in edits.normals]
        labels = [f'{strength:+.2g}' if abs(strength) > 1e-9 else '0' for strength in strengths]
        return result, strips.make_strip_files('edit', edits.names, labels, rows)

    return edit


def _listed(text: str) -> list[str]:
    return [name for part in text.split(',') if (name := part.strip())]


def _title(name: str) -> str:
    """As a label: of a path its name, of InterFaceGAN's names what they are of."""
    return Path(name).stem.removesuffix('_boundary')[-TITLE:]


def _load(name: str, size: int, settings: dict) -> np.ndarray:
    normal = boundaries.load_boundary(name)
    if len(normal) != size:
        raise ValueError(
            f"boundary '{name}' is of codes of {len(normal)} numbers; those of generator '{settings['generator']}' in the "
            f"space '{settings['space']}' have {size}."
        )
    return normal


def _layers(settings: dict, generator: Generator) -> tuple[int, int] | None:
    """'' -> None, '1-4' -> (1, 4)."""
    text = settings['edit_layers']
    if not text:
        return None
    found = re.fullmatch(r'(\d+)-(\d+)', text, re.ASCII)
    first, last = map(int, found.groups()) if found else (0, 0)
    if settings['space'] != 'w+' or not 1 <= first <= last:
        raise ValueError(
            f"edit_layers is '{text}'; a range of layers such as 1-4 is wanted, and the space 'w+' for it."
        )
    if first > generator.num_layers:
        raise ValueError(f"edit_layers is '{text}', but this generator has the layers 1 to {generator.num_layers}.")
    return first, last


def _require_numbers(settings: dict) -> None:
    if not math.isfinite(settings['strength']):
        raise ValueError(f'strength is {settings["strength"]}; a finite number is wanted.')
    if not 0 < settings['strength_range'] < math.inf:
        raise ValueError(f'strength_range is {settings["strength_range"]}; a finite number above 0 is wanted.')
    if not 2 <= settings['frames'] <= history.FRAMES:
        raise ValueError(f'frames is {settings["frames"]}; 2 to {history.FRAMES} of them are wanted.')
