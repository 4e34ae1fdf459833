"""Measures inversions once and stores the measures: a later run inverts only the images that it lacks.

`.run/measured/SETTINGS/IMAGE.json` has the measures of an image. SETTINGS is the fingerprint of settings and weights, IMAGE
the checksum of the image file. `IMAGE.npz` beside it, if it was asked for, has the inversion and the codes.
"""

import hashlib
import io
import json
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from mgan_jax import composition, resize
from mgan_jax.analysis import batch_inversion
from mgan_jax.data.observations import ObservedImage
from mgan_jax.data.sources import Source, read_source
from mgan_jax.engine.networks import Perception
from mgan_jax.results import evaluation
from mgan_jax.run.pipeline import Job
from mgan_jax.storage import stores
from mgan_jax.storage.stores import Store

FOLDER = f'{stores.RUN}/measured'
DIGITS = 24  # of checksums in names

Distance = Callable[[Any, Any], Any]  # [B H W C] twice -> [B]


class StoredInversion(NamedTuple):
    """An inversion [H W C] in [-1, 1] and its codes, without the axis B."""

    inversion: np.ndarray
    codes: composition.Codes


def make_distance(perception: Perception, size: int) -> Distance | None:
    """The perceptual loss as a measure of complete images, at `size` pixels a side; None without a perceptual loss."""
    phi = perception.distance
    if phi is None:
        return None

    @jax.jit
    def measure(weights: Any, x: Any, y: Any) -> Any:
        return phi(weights, resize.nearest(x, size), resize.nearest(y, size))

    return lambda x, y: measure(perception.weights, x, y)


def measure_inversions(
    store: Store,
    job: Job,
    sources: Sequence[Source],
    distance: Distance | None,
    pictured: bool,
    advance: Callable[[int], Any],
) -> list[dict]:
    """A row for each source: `image`, its name, and its measures, or `failed`, the reason why there are none.

    The measures are `loss`, those of `evaluation.measure_image`, and `distance`, see `make_distance`. pictured: also store
    the inversions and codes. advance(n) is called when n more images are measured. Raises ValueError with one sentence for
    an image that cannot be read and for damaged measures.
    """
    names = {source: _stored_name(job, source) for source in sources}
    missing = _list_missing(store, job, names, ('.json', '.npz') if pictured else ('.json',))
    advance(len(sources) - len(missing))
    failed: dict[Source, str] = {}
    for first in range(0, len(missing), job.batch_size):
        part = missing[first : first + job.batch_size]
        batch = batch_inversion.invert_images(job, part)
        for index, source in enumerate(part):
            codes, inversion, result, loss = jax.tree.map(lambda leaf, index=index: leaf[index], batch[1:-1])
            if not all(np.isfinite(array).all() for array in (inversion, result, loss)):
                failed[source] = 'its loss or image is not finite; check the weights and the learning rates'
                continue
            if pictured:
                store.write(f'{names[source]}.npz', _encode_inversion(StoredInversion(inversion, codes)))
            row = {'loss': float(loss)} | _measure_result(batch.observed[index], result, job, distance)
            store.write(f'{names[source]}.json', json.dumps(row).encode())
        advance(len(part))
    return [
        {'image': source.name} | ({'failed': failed[source]} if source in failed else _read_row(store, name))
        for source, name in names.items()
    ]


def load_inversion(store: Store, job: Job, source: Source) -> StoredInversion:
    """The inversion that `measure_inversions` has stored. Raises ValueError with one sentence if it is damaged."""
    name = f'{_stored_name(job, source)}.npz'
    try:
        with np.load(io.BytesIO(store.read(name) or b''), allow_pickle=False) as arrays:
            codes = jax.tree_util.tree_map_with_path(lambda path, _: arrays[_leaf_name(path)], job.state.codes)
            return StoredInversion(arrays['inversion'], codes)
    except (OSError, ValueError, KeyError, EOFError) as error:
        raise ValueError(f'{store.text}/{name} is damaged; remove it and run the command again.') from error


def _stored_name(job: Job, source: Source) -> str:
    """The path of an image's measures in the store, without the extension."""
    checksum = hashlib.sha256(read_source(source)).hexdigest()
    return f'{FOLDER}/{job.made_by[:DIGITS]}/{checksum[:DIGITS]}'


def _list_missing(store: Store, job: Job, names: dict[Source, str], extensions: Sequence[str]) -> list[Source]:
    stored = set(store.names(f'{FOLDER}/{job.made_by[:DIGITS]}'))
    return [
        source
        for source, name in names.items()
        if any(name.rpartition('/')[2] + extension not in stored for extension in extensions)
    ]


def _measure_result(observed: ObservedImage, result: np.ndarray, job: Job, distance: Distance | None) -> dict:
    """The measures of a result [H W C]."""
    row: dict[str, float] = evaluation.measure_image(observed, result[None], job.measures)
    if distance is not None and observed.target is not None:
        row = row | {'distance': float(distance(result[None], observed.target)[0])}
    return row


def _read_row(store: Store, name: str) -> dict:
    try:
        return dict(json.loads(store.read(f'{name}.json') or b''))
    except ValueError as error:
        raise ValueError(f'{store.text}/{name}.json is damaged; remove it and run the command again.') from error


def _encode_inversion(stored: StoredInversion) -> bytes:
    """The content of an .npz file."""
    content = io.BytesIO()
    leaves = jax.tree_util.tree_flatten_with_path(stored.codes)[0]
    arrays = {_leaf_name(path): leaf for path, leaf in leaves}
    np.savez(content, allow_pickle=False, inversion=stored.inversion, **arrays)
    return content.getvalue()


def _leaf_name(path: Any) -> str:
    return jax.tree_util.keystr(path, simple=True, separator='_')
