"""The images that are on their way, saved so that a later run goes on with the same bits.

A checkpoint is a folder of the process's own part of the store: `images.json` says which images, of which settings, and how
far, with their curves and frames; `states.npz` holds their states. The newest one replaces those before it. Orbax, which
keeps the weights, is not for this: its threads wait for minutes for one another when a disk becomes full.
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
    """An image on its way, and how far it has come."""

    identity: Identity
    progress: ImageProgress


def save_checkpoint(store: Store, images: Sequence[SavedImage]) -> None:
    """Writes a checkpoint, whole or not at all, and removes the ones before; without images it just removes them."""
    before = _there(store)
    if images:
        with store.folder(f'{store.own}/checkpoint-{_number(before) + 1:06d}', INDEX) as folder:
            states = jax.tree.map(lambda *rows: np.stack(rows), *[image.progress.state for image in images])
            np.savez(
                folder / STATES, allow_pickle=False, **{str(i): leaf for i, leaf in enumerate(jax.tree.leaves(states))}
            )
            index = {'version': VERSION, 'images': [_described(image) for image in images]}
            (folder / INDEX).write_text(json.dumps(index), encoding='utf-8')
    for name in before:
        store.remove(name)


def load_checkpoint(store: Store, like: Any) -> dict[Identity, ImageProgress]:
    """What the last checkpoint holds, nothing if there is none.

    like: the state of one image, arrays or shapes. ValueError with one sentence if it cannot be used; a run may as well
    begin these images anew.
    """
    names = _there(store)
    if not names:
        return {}
    with store.fetched(names[-1]) as folder:
        try:
            index = json.loads((folder / INDEX).read_text(encoding='utf-8'))
            if index['version'] != VERSION:
                raise ValueError(f'it has version {index["version"]} and this release reads version {VERSION}')
            with open(folder / STATES, 'rb') as file, np.load(file, allow_pickle=False) as arrays:
                rows = _rows(arrays, like, len(index['images']))
            return {
                Identity(told['sha256'], told['made_by']): ImageProgress(
                    row,
                    told['steps'],
                    told['seconds'],
                    told['compared'],
                    tuple((step, loss) for step, loss in told['losses']),
                    history.unpack_frames(told['shown']),
                )
                for told, row in zip(index['images'], rows, strict=True)
            }
        except Exception as error:  # whatever becomes of damaged files
            reason = ' '.join(str(error).split())[:200]
            raise ValueError(f'the checkpoint {store.text}/{names[-1]} cannot be used ({reason})') from error


def _there(store: Store) -> list[str]:
    """The names of checkpoints, in their order."""
    return [f'{store.own}/{name}' for name in store.names(store.own) if name.startswith('checkpoint-')]


def _number(names: list[str]) -> int:
    return int(names[-1].rpartition('-')[2]) if names else 0


def _described(image: SavedImage) -> dict:
    now = image.progress
    return image.identity._asdict() | {
        'steps': now.steps,
        'seconds': now.seconds,
        'compared': float(now.compared),
        'losses': now.losses,
        'shown': history.pack_frames(now.shown),
    }


def _rows(arrays: Mapping[str, Any], like: Any, count: int) -> list[Any]:
    """The states, image by image, as trees of NumPy arrays."""
    leaves, structure = jax.tree.flatten(like)
    stacked = [np.asarray(arrays[str(i)]) for i in range(len(leaves))]
    for leaf, wanted in zip(stacked, leaves, strict=True):
        if leaf.shape != (count, *wanted.shape) or leaf.dtype != wanted.dtype:
            raise ValueError(
                f'it holds {leaf.dtype} {leaf.shape} where {wanted.dtype} {(count, *wanted.shape)} is wanted'
            )
    return [jax.tree.unflatten(structure, [leaf[i] for leaf in stacked]) for i in range(count)]
