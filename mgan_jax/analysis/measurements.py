"""Inversions that are measured once: what is known of an image under some settings is kept, and only the rest is done.

`.run/measured/SETTINGS/IMAGE.json` are the measures, by the fingerprint of settings and weights and the checksum of the image
file; `IMAGE.npz` beside it, where it was asked for, has the inversion and the codes.
"""

import hashlib
import io
import json
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from mgan_jax import composition, resize
from mgan_jax.analysis import batches
from mgan_jax.data import observations, sources
from mgan_jax.data.sources import Source
from mgan_jax.engine import networks
from mgan_jax.results import evaluation
from mgan_jax.run.pipeline import Job
from mgan_jax.storage import stores
from mgan_jax.storage.stores import Store

FOLDER = f'{stores.RUN}/measured'
DIGITS = 24  # of checksums in names


class KeptInversion(NamedTuple):
    """An inversion [H W C] in [-1, 1] and its codes, without the axis B."""

    inversion: np.ndarray
    codes: composition.Codes


def perceptual_distance(settings: dict, image_size: tuple[int, int]) -> Callable | None:
    """distance(x, y): [B H W C] twice -> [B], what the perceptual loss is of images that are known whole; None without."""
    perception = networks.load_perception(settings, image_size)
    phi, size = perception.distance, settings['extractor_size']
    if phi is None:
        return None

    @jax.jit
    def between(weights: Any, x: Any, y: Any) -> Any:
        return phi(weights, resize.nearest(x, size), resize.nearest(y, size))

    return lambda x, y: between(perception.weights, x, y)


def measure_inversions(
    store: Store, job: Job, chosen: Sequence[Source], look: Callable | None, pictured: bool, done: Callable[[int], None]
) -> list[dict]:
    """A row of each of the chosen images: `image`, the measures of `evaluation.measure_image`, loss, distance; or `failed`, a reason.

    look: see `perceptual_distance`. pictured: whether the inversions are to be kept, too. done(n) is called when n more are known.
    """
    names = [_name(job, source) for source in chosen]
    there = set(store.names(f'{FOLDER}/{job.made_by[:DIGITS]}'))
    wanted = ('.json', '.npz') if pictured else ('.json',)
    missing = [
        (source, name)
        for source, name in zip(chosen, names, strict=True)
        if not all(name.rpartition('/')[2] + kind in there for kind in wanted)
    ]
    done(len(chosen) - len(missing))
    failed = {}
    for first in range(0, len(missing), job.batch_size):
        part = missing[first : first + job.batch_size]
        inverted = batches.invert_images(job, [source for source, _ in part])
        for place, (source, name) in enumerate(part):
            one = jax.tree.map(lambda leaf, place=place: leaf[place], inverted[1:-1])
            if not all(np.isfinite(array).all() for array in one[1:]):
                failed[source.name] = 'its loss or image is not finite; check the weights and the learning rates'
                continue
            if pictured:
                store.write(f'{name}.npz', _packed(KeptInversion(one[1], one[0])))
            row = _row(inverted.cases[place], one[2], float(one[3]), job, look)
            store.write(f'{name}.json', json.dumps(row).encode())
        done(len(part))
    return [
        {'image': source.name} | ({'failed': failed[source.name]} if source.name in failed else _kept(store, name))
        for source, name in zip(chosen, names, strict=True)
    ]


def kept_inversion(store: Store, job: Job, source: Source) -> KeptInversion:
    """What `measure_inversions` has kept of an image. ValueError if it is damaged."""
    name = f'{_name(job, source)}.npz'
    try:
        with np.load(io.BytesIO(store.read(name) or b''), allow_pickle=False) as arrays:
            codes = jax.tree_util.tree_map_with_path(lambda path, _: arrays[_key(path)], job.state.codes)
            return KeptInversion(arrays['inversion'], codes)
    except (OSError, ValueError, KeyError, EOFError) as error:
        raise ValueError(f'{store.text}/{name} is damaged; remove it and run the command again.') from error


def _name(job: Job, source: Source) -> str:
    content = hashlib.sha256(sources.read_source(source)).hexdigest()
    return f'{FOLDER}/{job.made_by[:DIGITS]}/{content[:DIGITS]}'


def _row(case: observations.ObservedImage, result: np.ndarray, loss: float, job: Job, look: Callable | None) -> dict:
    row = {'loss': loss} | evaluation.measure_image(case, result[None], job.measures)
    if look is not None and case.target is not None:
        row['distance'] = float(look(result[None], case.target)[0])
    return row


def _kept(store: Store, name: str) -> dict:
    try:
        return dict(json.loads(store.read(f'{name}.json') or b''))
    except ValueError as error:
        raise ValueError(f'{store.text}/{name}.json is damaged; remove it and run the command again.') from error


def _packed(found: KeptInversion) -> bytes:
    content = io.BytesIO()
    leaves = jax.tree_util.tree_flatten_with_path(found.codes)[0]
    arrays = {_key(path): leaf for path, leaf in leaves}
    np.savez(content, allow_pickle=False, inversion=found.inversion, **arrays)
    return content.getvalue()


def _key(path: Any) -> str:
    return jax.tree_util.keystr(path, simple=True, separator='_')
