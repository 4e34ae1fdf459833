"""The edits of a run of the task 'edit': reads its boundaries, and renders the edited image, a strip and an animation."""

import functools
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from jax import Array

from mgan_jax import composition
from mgan_jax.composition import Codes
from mgan_jax.editing import boundaries, moves
from mgan_jax.models.generator import Generator
from mgan_jax.results import history, strips
from mgan_jax.settings import fields
from mgan_jax.settings.errors import one_sentence

MAX_FRAMES = 120  # of one image; they stay in memory as compressed files
LABEL_LENGTH = 24  # letters of an attribute's label

Editor = Callable[[Codes], tuple[np.ndarray, dict[str, bytes]]]


class Edits(NamedTuple):
    """Directions in latent space for A attributes.

    names: labels of the attributes. normals: unit normals of their boundaries, [A D] float32. layers: the first and the last
    layer whose styles move, from 1; None for all.
    """

    names: list[str]
    normals: np.ndarray
    layers: tuple[int, int] | None


def parse_edits(task: fields.Edit, *, generator: Generator, generator_name: str, space: str, latent_size: int) -> Edits:
    """Reads the boundaries and layers that the task names.

    generator_name: as the settings have it, for errors. latent_size: D of the codes in `space`. Each attribute's boundary is
    conditioned on all of `task.conditioned_on` but itself.

    Raises ValueError with one sentence for no attribute, too many frames, boundaries that cannot be used and layers that do
    not exist.
    """
    names, others = _split_names(task.attribute), _split_names(task.conditioned_on)
    _require_attributes(names, task.frames)
    load = functools.partial(
        boundaries.load_boundary,
        size=latent_size,
        codes_in_words=f"those of generator '{generator_name}' in the space '{space}'",
    )
    normals = [_load_conditioned(name, [other for other in others if other != name], load) for name in names]
    layers = _parse_layers(task.edit_layers, space, generator.num_layers)
    return Edits([_make_label(name) for name in names], np.stack(normals), layers)


def make_editor(
    generator: Generator,
    params: Any,
    edits: Edits,
    *,
    layer: int,
    space: str,
    strength: float,
    strength_range: float,
    frames: int,
) -> Editor:
    """Returns edit(codes) -> (edited image [H W C] in [-1, 1], {file name: content}), for codes without the axis B.

    The image is moved along all attributes together, each by `strength`. The files are edit.png, edit.webp and, where ffmpeg
    is installed, edit.mp4. They show each attribute alone at `frames` strengths from -strength_range to +strength_range.
    layer: the composing layer.

    One compiled program renders one strength at a time, so memory does not grow with the number of frames. `edit` raises
    ValueError with a clause if the image is not finite.
    """
    local_params = jax.tree.map(lambda leaf: leaf.addressable_shards[0].data, params)
    strengths = np.linspace(-strength_range, strength_range, frames).tolist()
    labels = [f'{amount:+.2g}' if abs(amount) > 1e-9 else '0' for amount in strengths]

    @jax.jit
    def render(params: Any, codes: Codes, normal: Array, amount: Array) -> Array:
        moved = moves.move_codes(codes, normal, amount, space=space, layers=edits.layers)
        return composition.compose(generator, params, moved, layer=layer, space=space)[0]

    def edit(codes: Codes) -> tuple[np.ndarray, dict[str, bytes]]:
        batch = jax.tree.map(lambda leaf: leaf[None], codes)

        def render_clipped(normal: np.ndarray, amount: float) -> np.ndarray:
            return np.clip(np.asarray(render(local_params, batch, normal, np.float32(amount))), -1, 1)

        edited = render_clipped(edits.normals.sum(axis=0), strength)
        if not np.isfinite(edited).all():
            raise ValueError('the edited image is not finite; choose a smaller strength')
        rows = [[history.make_frame(render_clipped(n, amount), None) for amount in strengths] for n in edits.normals]
        return edited, strips.make_strip_files('edit', edits.names, labels, rows)

    return edit


def _split_names(text: str) -> list[str]:
    return [name for part in text.split(',') if (name := part.strip())]


def _require_attributes(names: Sequence[str], frames: int) -> None:
    if not names:
        shipped = ', '.join(boundaries.list_boundaries())
        raise ValueError(
            f'no attribute was given; set --config.attribute to boundary files, or for the demo to {shipped}.'
        )
    if len(names) * frames > MAX_FRAMES:
        raise ValueError(f'{len(names)} attributes of {frames} frames are asked for; {MAX_FRAMES} in all are possible.')


def _load_conditioned(name: str, others: Sequence[str], load: Callable[[str], np.ndarray]) -> np.ndarray:
    """The normal [D] of a boundary without its part along `others`."""
    normal, other_normals = load(name), [load(other) for other in others]
    try:
        return moves.condition_boundary(normal, other_normals)
    except ValueError as error:
        raise ValueError(f"attribute '{name}' cannot be edited: {one_sentence(error)}") from error


def _make_label(name: str) -> str:
    """A file's name without its folder and ending, and without what InterFaceGAN's names end with."""
    return Path(name).stem.removesuffix('_boundary')[-LABEL_LENGTH:]


def _parse_layers(text: str, space: str, num_layers: int) -> tuple[int, int] | None:
    """'' -> None, '1-4' -> (1, 4)."""
    if not text:
        return None
    bounds = re.fullmatch(r'(\d+)-(\d+)', text, re.ASCII)
    first, last = map(int, bounds.groups()) if bounds else (0, 0)
    if space != 'w+' or not 1 <= first <= last:
        raise ValueError(
            f"edit_layers is '{text}'; a range of layers such as 1-4 is wanted, and the space 'w+' for it."
        )
    if first > num_layers:
        raise ValueError(f"edit_layers is '{text}', but this generator has the layers 1 to {num_layers}.")
    return first, last
