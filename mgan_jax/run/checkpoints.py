"""Checkpoints of unfinished images: a later run continues them with the same bits.

A checkpoint is a folder in the part of the store that belongs to this process. `images.json` has the identity, steps, curve
and frames of each image, `states.npz` their optimisation states. A new checkpoint replaces the older ones. These are NumPy
files and no Orbax checkpoints, because Orbax's threads wait minutes for one another on a full disk.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from mgan_jax.engine.slots import ImageProgress
from mgan_jax.results import history
from mgan_jax.results.records import Identity
from mgan_jax.storage.stores import Store

VERSION = 1
INDEX, STATES = 'images.json', 'states.npz'


class SavedImage(NamedTuple):
    """An unfinished image and its progress."""

    identity: Identity
    progress: ImageProgress


def save_checkpoint(store: Store, images: Sequence[SavedImage]) -> None:
    """Writes a checkpoint, whole or not at all, and removes older ones. Without images it only removes them."""
    before = _checkpoint_names(store)
    if images:
        with store.folder(f'{store.own}/checkpoint-{_number(before) + 1:06d}', INDEX) as folder:
            states = jax.tree.map(lambda *rows: np.stack(rows), *[image.progress.state for image in images])
            np.savez(
                folder / STATES, allow_pickle=False, **{str(i): leaf for i, leaf in enumerate(jax.tree.leaves(states))}
            )
            index = {'version': VERSION, 'images': [_describe_image(image) for image in images]}
            (folder / INDEX).write_text(json.dumps(index), encoding='utf-8')
    for name in before:
        store.remove(name)


def load_checkpoint(store: Store, like: Any) -> dict[Identity, ImageProgress]:
    """The images of the newest checkpoint; {} if there is none.

    like: the state of one image, arrays or shapes. Raises ValueError with one sentence if the checkpoint cannot be used.
    """
    names = _checkpoint_names(store)
    if not names:
        return {}
    with store.fetched(names[-1]) as folder:
        try:
            index = json.loads((folder / INDEX).read_text(encoding='utf-8'))
            if index['version'] != VERSION:
                raise ValueError(f'it has version {index["version"]} and this release reads version {VERSION}')
            with open(folder / STATES, 'rb') as file, np.load(file, allow_pickle=False) as arrays:
                rows = _unstack(arrays, like, len(index['images']))
            return {
                Identity(saved['sha256'], saved['made_by']): ImageProgress(
                    row,
                    saved['steps'],
                    saved['seconds'],
                    saved['compared'],
                    tuple((step, loss) for step, loss in saved['losses']),
                    history.unpack_frames(saved['shown']),
                )
                for saved, row in zip(index['images'], rows, strict=True)
            }
        except Exception as error:  # NumPy and json raise nearly any exception for damaged files
            reason = ' '.join(str(error).split())[:200]
            raise ValueError(f'the checkpoint {store.text}/{names[-1]} cannot be used ({reason})') from error


def _checkpoint_names(store: Store) -> list[str]:
    """The names of checkpoints, oldest first."""
    return [f'{store.own}/{name}' for name in store.names(store.own) if name.startswith('checkpoint-')]


def _number(names: list[str]) -> int:
    return int(names[-1].rpartition('-')[2]) if names else 0


def _describe_image(image: SavedImage) -> dict:
    now = image.progress
    return image.identity._asdict() | {
        'steps': now.steps,
        'seconds': now.seconds,
        'compared': float(now.compared),
        'losses': now.losses,
        'shown': history.pack_frames(now.shown),
    }


def _unstack(arrays: Mapping[str, Any], like: Any, count: int) -> list[Any]:
    """The states of `count` images as trees of NumPy arrays. ValueError if shapes or types differ from those of `like`."""
    leaves, structure = jax.tree.flatten(like)
    stacked = [np.asarray(arrays[str(i)]) for i in range(len(leaves))]
    for leaf, wanted in zip(stacked, leaves, strict=True):
        if leaf.shape != (count, *wanted.shape) or leaf.dtype != wanted.dtype:
            raise ValueError(
                f'it holds {leaf.dtype} {leaf.shape} where {wanted.dtype} {(count, *wanted.shape)} is wanted'
            )
    return [jax.tree.unflatten(structure, [leaf[i] for leaf in stacked]) for i in range(count)]
