"""What a run leaves: a folder per image, whole or not at all, the configuration, and the table of all images.

An image's `metrics.json` says of which image file (`sha256`) and by which settings and weights (`made_by`) the folder was made,
so that a later run knows what is done, whatever it is called. Each process keeps the rows of its images in a file of its own;
whichever ends last makes the table of all of them.
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
from mgan_jax.storage import atomic
from mgan_jax.storage.stores import RUN, Store

# Of the result, then of the input for comparison; empty where there is nothing to measure, see docs/metrics.md.
MEASURED = ('psnr', 'ssim', 'ms_ssim', 'lpips', 'hole_psnr', 'auc', 'niqe')
COLUMNS = (
    'name',
    'status',
    'loss',
    *MEASURED,
    'input_psnr',
    'input_ssim',
    'input_lpips',
    'input_auc',
    'steps',
    'seconds',
)
DONE = 'done'
RECORD = 'metrics.json'
# Fields that say what is done where and how fast, or that name what `fingerprint` knows by its content.
NOT_PART_OF_THE_RESULT = (
    'images', 'out', 'batch_size', 'remat', 'generator', 'extractor', 'init_from', 'dry_run', 'save_every',
)  # fmt: skip


class Result(NamedTuple):
    """What is kept of one image. Pictures [H W C] in [-1, 1]; codes: latents [N D], alpha [N C], ...; row: see COLUMNS;
    files: the contents of further ones by their names."""

    pictures: dict[str, np.ndarray]
    codes: dict[str, np.ndarray]
    row: dict
    files: dict[str, bytes] = {}


class Identity(NamedTuple):
    """What a result is of: the checksum of the image file (and of the codes of an earlier run, if it began with those), and the
    `fingerprint` of settings and weights."""

    sha256: str
    made_by: str


def fingerprint(settings: dict, weights: Any, *files: bytes) -> str:
    """A checksum of all that makes one result differ from another of the same image.

    weights: of all networks; kernels that `prepare` has transformed stand beside those that they are made of and do not
    count. files: the contents of further ones that the settings name.
    """
    told = {field: value for field, value in settings.items() if field not in NOT_PART_OF_THE_RESULT}
    total = hashlib.sha256(json.dumps(told, sort_keys=True).encode())
    for path, leaf in jax.tree_util.tree_flatten_with_path(weights)[0]:
        name = jax.tree_util.keystr(path, simple=True, separator='/')
        if name.rsplit('/', 1)[-1] != 'transformed':
            array = np.ascontiguousarray(leaf)
            total.update(f'{name} {array.dtype} {array.shape}'.encode())
            total.update(array.view(np.uint8).data)
    for content in files:
        total.update(hashlib.sha256(content).digest())
    return total.hexdigest()


def write_run_config(store: Store, settings: dict, machine: dict) -> str | None:
    """Writes config.json. -> a sentence if results there were made with other settings, which are made again then."""
    text = json.dumps({'config': settings, **machine}, indent=2) + '\n'
    old = store.read('config.json')
    if old != text.encode():
        store.write('config.json', text.encode())
    if old is None:
        return None
    try:
        before = json.loads(old)['config']
        fields = [name for name in sorted(before.keys() | settings.keys()) if name not in NOT_PART_OF_THE_RESULT]
        changes = [
            f'{name} was {before.get(name)!r} and is {settings.get(name)!r}'
            for name in fields
            if before.get(name) != settings.get(name)
        ]
    except (ValueError, KeyError, TypeError, AttributeError):
        changes = ['its config.json was damaged']
    return f'{store.text}: {", ".join(changes)}; what is there is made again.' if changes else None


class FoundRecord(NamedTuple):
    """What is there of an image. row: of its result, None if it is to be made; again: there is one that is out of date."""

    row: dict | None = None
    again: bool = False


def find_record(store: Store, name: str, identity: Identity) -> FoundRecord:
    """Whether the result of an image is there. ValueError if something stands in its place that no run has made."""
    content = store.read(f'{name}/{RECORD}')
    if content is None:
        if store.exists(name):
            raise ValueError(
                f'{store.text}/{name} is in the way and is no result of a run; move it or choose another --config.out'
            )
        return FoundRecord()
    try:
        record = json.loads(content)
        same = Identity(record['sha256'], record['made_by']) == identity
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f'{store.text}/{name}/{RECORD} is damaged or of another release; move the folder away or choose another '
            '--config.out'
        ) from error
    return FoundRecord(record if same else None, not same)


def write_record(store: Store, name: str, identity: Identity, result: Result) -> None:
    """Writes the folder of one image, in place of an older one."""
    row = result.row | identity._asdict()
    with store.folder(name, RECORD) as folder:
        for title, picture in result.pictures.items():
            images.write_png(folder / f'{title}.png', picture)
        np.savez(folder / 'latents.npz', allow_pickle=False, **result.codes)
        for title, content in result.files.items():
            (folder / title).write_bytes(content)
        (folder / RECORD).write_text(json.dumps(row, indent=2) + '\n', encoding='utf-8')


class RowWriter(NamedTuple):
    """The rows of one process. add(place in the list, row): from any thread; finish() makes them seen by other processes."""

    add: Callable[[int, dict], None]
    finish: Callable[[], None]


def open_rows(store: Store) -> RowWriter:
    """Those of a new run of this process; what an earlier one left is forgotten."""
    name = f'{store.own}/rows.jsonl'
    store.remove(name)
    lock, path = threading.Lock(), store.work / 'rows.jsonl'
    path.unlink(missing_ok=True)

    def add(place: int, row: dict) -> None:
        line = json.dumps({'place': place} | {name: row[name] for name in COLUMNS if name in row})
        with lock:
            atomic.append_bytes(path, line.encode() + b'\n')

    def finish() -> None:
        with lock:
            store.write(name, path.read_bytes() if path.exists() else b'')

    return RowWriter(add, finish)


def write_table(store: Store) -> list[dict]:
    """Writes metrics.csv: the rows of all processes that have finished, in the order of the list. -> the rows.

    Whichever process ends last does this with all of them, whatever the others do meanwhile.
    """
    while True:
        parts = _parts(store)
        rows = read_table(store)
        content = _csv(rows)
        if content != store.read('metrics.csv'):
            store.write('metrics.csv', content)
        if parts == _parts(store):  # else another one has finished meanwhile, and may have written before this one
            return rows


def read_table(store: Store) -> list[dict]:
    """The rows of all processes that have finished, in the order of the list."""
    return _in_order(store.read(part) or b'' for part in _parts(store))


def all_processes_finished(store: Store) -> bool:
    """Whether all processes of this run have finished, so that the table has all rows."""
    return len(_parts(store)) == int(store.own.rpartition('-')[2])


def _parts(store: Store) -> list[str]:
    """The files of rows of the processes of this run; of other numbers of processes they are left-overs."""
    count = store.own.rpartition('-')[2]
    own = [name for name in store.names(RUN) if name.endswith(f'-of-{count}')]
    return [f'{RUN}/{name}/rows.jsonl' for name in own if store.exists(f'{RUN}/{name}/rows.jsonl')]


def _in_order(parts: Iterable[bytes]) -> list[dict]:
    """All rows by their places in the list."""
    return sorted((json.loads(line) for part in parts for line in part.splitlines()), key=lambda row: row['place'])


def _csv(rows: Iterable[dict]) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, restval='', extrasaction='ignore', lineterminator='\n')
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()
