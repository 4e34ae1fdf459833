"""Records of a run: the folder of each image, config.json, and metrics.csv with a row for each image.

The folder of an image appears whole or not at all. Its metrics.json identifies the image file (`sha256`) and the settings
and weights (`made_by`), so that a later run skips it whatever the file is called. Each process keeps the rows of its images
in a file of its own; the process that ends last writes the table of all of them.
"""

import csv
import hashlib
import io
import json
import threading
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import jax
import numpy as np

from mgan_jax.data import images
from mgan_jax.settings.fields import Settings, flatten_settings
from mgan_jax.storage import atomic
from mgan_jax.storage.stores import RUN, Store

# The columns of metrics.csv: metrics of the result, then those of the input; empty without a value, see docs/metrics.md.
MEASURED = ('psnr', 'ssim', 'ms_ssim', 'lpips', 'hole_psnr', 'auc', 'niqe')
INPUT_MEASURED = ('input_psnr', 'input_ssim', 'input_lpips', 'input_auc')
COLUMNS = ('name', 'status', 'loss', *MEASURED, *INPUT_MEASURED, 'steps', 'seconds')
DONE = 'done'
RECORD = 'metrics.json'
# Fields that do not change the result of an image, and names of files whose content is part of `fingerprint`.
NOT_PART_OF_THE_RESULT = (
    'images', 'out', 'batch_size', 'remat', 'generator', 'extractor', 'init_from', 'dry_run', 'save_every',
)  # fmt: skip


class Result(NamedTuple):
    """The result of one image.

    pictures: {title: [H W C] in [-1, 1]}. codes: {name: array}, such as latents [N D] and alpha [N C]. row: values of
    COLUMNS. files: {name: content} of further files.
    """

    pictures: dict[str, np.ndarray]
    codes: dict[str, np.ndarray]
    row: dict
    files: dict[str, bytes] = {}


class Identity(NamedTuple):
    """Identifies a result.

    sha256: of the image file, and of the initial codes if they come from an earlier run. made_by: the `fingerprint` of
    settings and weights.
    """

    sha256: str
    made_by: str


def fingerprint(settings: Settings, weights: Any, *files: bytes) -> str:
    """Returns a SHA-256 of everything that changes the result of an image, in hexadecimal digits.

    weights: a pytree of the weights of all networks; kernels that `prepare` adds do not count. files: the contents of files
    that the settings name.
    """
    fields = {name: value for name, value in flatten_settings(settings).items() if name not in NOT_PART_OF_THE_RESULT}
    digest = hashlib.sha256(json.dumps(fields, sort_keys=True).encode())
    _add_arrays(digest, weights)
    for content in files:
        digest.update(hashlib.sha256(content).digest())
    return digest.hexdigest()


def codes_checksum(codes: Any) -> str:
    """Returns a SHA-256 of a pytree of codes, in hexadecimal digits."""
    digest = hashlib.sha256(b'{}')
    _add_arrays(digest, codes)
    return digest.hexdigest()


def _add_arrays(digest: Any, tree: Any) -> None:
    """Adds names, types, shapes and values of arrays to a digest. Skips 'transformed' leaves, which derive from others."""
    for path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]:
        name = jax.tree_util.keystr(path, simple=True, separator='/')
        if name.rsplit('/', 1)[-1] != 'transformed':
            array = np.ascontiguousarray(leaf)
            digest.update(f'{name} {array.dtype} {array.shape}'.encode())
            digest.update(array.view(np.uint8).data)


def write_run_config(store: Store, settings: Settings, machine: dict) -> str | None:
    """Writes config.json: the flat fields of the settings under 'config', and `machine`.

    Returns a sentence if the results in the store were made with other settings and will be replaced; otherwise None.
    """
    fields = flatten_settings(settings)
    content = (json.dumps({'config': fields, **machine}, indent=2) + '\n').encode()
    old_content = store.read('config.json')
    if old_content != content:
        store.write('config.json', content)
    changes = [] if old_content is None else _describe_changes(old_content, fields)
    return f'{store.text}: {", ".join(changes)}; what is there is made again.' if changes else None


def _describe_changes(old_content: bytes, fields: dict[str, Any]) -> list[str]:
    """Returns a text for each field that differs from an earlier config.json and changes results."""
    try:
        old = json.loads(old_content)['config']
        names = [name for name in sorted(old.keys() | fields.keys()) if name not in NOT_PART_OF_THE_RESULT]
        return [
            f'{name} was {old.get(name)!r} and is {fields.get(name)!r}'
            for name in names
            if old.get(name) != fields.get(name)
        ]
    except (ValueError, KeyError, TypeError, AttributeError):
        return ['its config.json was damaged']


class FoundRecord(NamedTuple):
    """What a store has of an image. row: metrics.json of its result, None if there is no current one. outdated: whether
    there is a result of another image file, other settings or other weights."""

    row: dict | None = None
    outdated: bool = False


def find_record(store: Store, name: str, identity: Identity) -> FoundRecord:
    """Looks for the result `name`. Raises ValueError if what is in its place is damaged or was not written by a run."""
    content = store.read(f'{name}/{RECORD}')
    if content is None:
        if store.exists(name):
            raise ValueError(
                f'{store.text}/{name} is in the way and is no result of a run; move it or choose another --config.out'
            )
        return FoundRecord()
    try:
        record = json.loads(content)
        current = Identity(record['sha256'], record['made_by']) == identity
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f'{store.text}/{name}/{RECORD} is damaged or of another release; move the folder away or choose another '
            '--config.out'
        ) from error
    return FoundRecord(record if current else None, not current)


def write_record(store: Store, name: str, identity: Identity, result: Result) -> None:
    """Writes the folder of one image, and replaces an older one."""
    row = result.row | identity._asdict()
    with store.folder(name, RECORD) as folder:
        for title, picture in result.pictures.items():
            images.write_png(folder / f'{title}.png', picture)
        np.savez(folder / 'latents.npz', allow_pickle=False, **result.codes)
        for title, content in result.files.items():
            (folder / title).write_bytes(content)
        (folder / RECORD).write_text(json.dumps(row, indent=2) + '\n', encoding='utf-8')


class RowWriter(NamedTuple):
    """Writes the rows of one process. add(index of the image in the list, row) is thread-safe. finish() publishes the rows
    to other processes."""

    add: Callable[[int, dict], None]
    finish: Callable[[], None]


def open_rows(store: Store) -> RowWriter:
    """Starts the rows of this process, and removes those of an earlier run."""
    name = f'{store.own}/rows.jsonl'
    store.remove(name)
    lock, path = threading.Lock(), store.work / 'rows.jsonl'
    path.unlink(missing_ok=True)

    def add(index: int, row: dict) -> None:
        line = json.dumps({'place': index} | {name: row[name] for name in COLUMNS if name in row})
        with lock:
            atomic.append_bytes(path, line.encode() + b'\n')

    def finish() -> None:
        with lock:
            store.write(name, path.read_bytes() if path.exists() else b'')

    return RowWriter(add, finish)


def write_table(store: Store) -> list[dict]:
    """Writes metrics.csv and returns its rows: those of all processes that have finished, in the order of the list.

    Every process calls this at its end. The table of the last one has all rows, even if others write at the same time.
    """
    while True:
        finished = _finished_parts(store)
        rows = read_table(store)
        content = _format_table(rows)
        if content != store.read('metrics.csv'):
            store.write('metrics.csv', content)
        if finished == _finished_parts(store):  # otherwise the table of a process that finished since is overwritten
            return rows


def read_table(store: Store) -> list[dict]:
    """Returns the rows of all processes that have finished, in the order of the list."""
    parts = (store.read(part) or b'' for part in _finished_parts(store))
    return sorted((json.loads(line) for part in parts for line in part.splitlines()), key=lambda row: row['place'])


def all_processes_finished(store: Store) -> bool:
    """Whether all processes of this run have finished, so that the table is complete."""
    return len(_finished_parts(store)) == _num_processes(store)


def _finished_parts(store: Store) -> list[str]:
    """Returns the published files of rows. Those of runs with another number of processes are ignored."""
    folders = [name for name in store.names(RUN) if name.endswith(f'-of-{_num_processes(store)}')]
    return [f'{RUN}/{name}/rows.jsonl' for name in folders if store.exists(f'{RUN}/{name}/rows.jsonl')]


def _num_processes(store: Store) -> int:
    """Reads N from the folder of this process, .run/K-of-N."""
    return int(store.own.rpartition('-')[2])


def _format_table(rows: Iterable[dict]) -> bytes:
    """Returns the content of metrics.csv."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, restval='', extrasaction='ignore', lineterminator='\n')
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()
