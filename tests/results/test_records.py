"""Records of a run: config.json, fingerprints, the folders of images, and metrics.csv."""

import hashlib
import json
import threading

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from mgan_jax.composition import Codes
from mgan_jax.results import records
from mgan_jax.results.records import FoundRecord, Identity
from mgan_jax.settings import fields, presets
from mgan_jax.storage import stores

FLAT = presets.preset_settings('reconstruct', 'demo') | {'images': 'a', 'out': 'b', 'batch_size': 1, 'steps': 3}
SETTINGS = fields.parse_settings(FLAT)
SUPER_RESOLVE = {'task': 'super_resolve', 'factor': 2, 'method': 'area', 'low_res': False}
MACHINE = {'versions': {'jax': '1'}, 'devices': ['cpu']}
IDENTITY = Identity('the photo', 'these settings')


@pytest.fixture
def store(tmp_path):
    with stores.open_store(str(tmp_path / 'out')) as store:
        yield store


def change(**values):
    return fields.parse_settings(FLAT | values)


def make_result(**row):
    pictures = {'result': np.zeros((4, 5, 3), np.float32), 'input': np.ones((2, 2, 1), np.float32)}
    row = {'name': 'photo', 'status': records.DONE, 'loss': 0.5, 'psnr': 20.25, 'steps': 3, 'seconds': 0.1} | row
    return records.Result(
        pictures, {'latents': np.ones((2, 8), np.float32), 'alpha': np.full((2, 16), 0.5, np.float32)}, row
    )


# The configuration


def test_the_configuration_is_written(store):
    assert records.write_run_config(store, SETTINGS, MACHINE) is None
    assert json.loads(store.read('config.json')) == {'config': FLAT, **MACHINE}
    assert records.write_run_config(store, SETTINGS, MACHINE) is None


OTHER_VALUES = {
    'images': 'c', 'out': 'd', 'batch_size': 7, 'remat': 'on', 'generator': 'g', 'extractor': 'e', 'init_from': 'f',
    'dry_run': True, 'save_every': 7.0,
}  # fmt: skip


@pytest.mark.parametrize('field', records.NOT_PART_OF_THE_RESULT)
def test_some_fields_do_not_change_results(store, field):
    records.write_run_config(store, SETTINGS, MACHINE)
    changed = change(**{field: OTHER_VALUES[field]})
    assert records.write_run_config(store, changed, MACHINE) is None
    assert json.loads(store.read('config.json'))['config'][field] == OTHER_VALUES[field]
    assert records.fingerprint(changed, {}) == records.fingerprint(SETTINGS, {})


@pytest.mark.parametrize(
    ('changed', 'words'),
    [
        (change(steps=4), 'steps was 3 and is 4;'),
        (change(pixel=2.0, steps=4), 'pixel was 1.0 and is 2.0, steps was 3 and is 4;'),
        (
            change(**SUPER_RESOLVE),
            "factor was None and is 2, low_res was None and is False, method was None and is 'area', "
            "task was 'reconstruct' and is 'super_resolve';",
        ),
    ],
)
def test_other_settings_are_described(store, changed, words):
    records.write_run_config(store, SETTINGS, MACHINE)
    message = records.write_run_config(store, changed, MACHINE)
    assert message == f'{store.text}: {words} what is there is made again.'
    assert records.write_run_config(store, changed, MACHINE) is None
    assert records.fingerprint(changed, {}) != records.fingerprint(SETTINGS, {})


@pytest.mark.parametrize('text', [b'', b'{', b'[]', b'3', b'null', b'{"versions": {}}', b'{"config": 3}', b'\xff\xfe'])
def test_a_damaged_configuration_is_replaced(store, text):
    store.write('config.json', text)
    message = records.write_run_config(store, SETTINGS, MACHINE)
    assert 'its config.json was damaged; what is there is made again' in message
    assert json.loads(store.read('config.json'))['config'] == FLAT


# Checksums


def test_the_fingerprint_depends_on_settings_weights_and_files():
    weights = {'a': {'kernel': np.arange(6, dtype=np.float32)}, 'scale': np.float32(2)}
    fingerprint = records.fingerprint(SETTINGS, weights)
    reordered = fields.parse_settings(dict(reversed(FLAT.items())))
    on_device = {'a': {'kernel': jnp.arange(6.0)}, 'scale': jnp.float32(2)}
    prepared = {'a': weights['a'] | {'transformed': np.ones(3)}, 'scale': weights['scale']}
    assert fingerprint == records.fingerprint(reordered, on_device) == records.fingerprint(SETTINGS, prepared)
    other_weights = [
        {'a': {'kernel': np.arange(6, dtype=np.float32)}, 'scale': np.float32(3)},
        {'a': {'kernel': np.arange(6, dtype=np.float32).reshape(2, 3)}, 'scale': np.float32(2)},
        {'a': {'kernel': np.arange(6, dtype=np.float32).astype(jnp.bfloat16)}, 'scale': np.float32(2)},
        {'b': {'kernel': np.arange(6, dtype=np.float32)}, 'scale': np.float32(2)},
    ]
    fingerprints = {fingerprint, *(records.fingerprint(SETTINGS, weights, content) for content in (b'mask', b'other'))}
    fingerprints |= {records.fingerprint(SETTINGS, other) for other in other_weights}
    assert len(fingerprints) == 3 + len(other_weights)


def test_checksums_do_not_change_between_releases():
    """Results and codes of earlier runs are recognised: checksums are those of these bytes."""
    changing = {name: value for name, value in FLAT.items() if name not in records.NOT_PART_OF_THE_RESULT}
    kernel = np.arange(6, dtype=np.float32)
    digest = hashlib.sha256(json.dumps(changing, sort_keys=True).encode())
    digest.update(b'a/kernel float32 (6,)' + kernel.tobytes() + b'scale float32 (1,)' + np.float32(2).tobytes())
    digest.update(hashlib.sha256(b'mask').digest())
    weights = {'a': {'kernel': kernel}, 'scale': np.float32(2)}
    assert records.fingerprint(SETTINGS, weights, b'mask') == digest.hexdigest()
    codes = Codes(kernel.reshape(1, 2, 3), None)
    expected = hashlib.sha256(b'{}latents float32 (1, 2, 3)' + kernel.tobytes()).hexdigest()
    assert records.codes_checksum(codes) == expected


# A folder per image


def test_the_folder_of_an_image(store, tmp_path):
    assert records.find_record(store, 'photo', IDENTITY) == FoundRecord()
    records.write_record(store, 'photo', IDENTITY, make_result())
    folder = tmp_path / 'out' / 'photo'
    assert {path.name for path in folder.iterdir()} == {'result.png', 'input.png', 'latents.npz', 'metrics.json'}
    with Image.open(folder / 'result.png') as picture:
        assert picture.size == (5, 4)
    with np.load(folder / 'latents.npz') as arrays:
        assert arrays['latents'].dtype == arrays['alpha'].dtype == np.float32
        assert (arrays['latents'].shape, arrays['alpha'].shape) == ((2, 8), (2, 16))
    row = make_result().row | {'sha256': 'the photo', 'made_by': 'these settings'}
    assert json.loads((folder / 'metrics.json').read_text()) == row
    assert records.find_record(store, 'photo', IDENTITY) == FoundRecord(row)


@pytest.mark.parametrize(
    'other', [IDENTITY._replace(sha256='another photo'), IDENTITY._replace(made_by='other settings')]
)
def test_results_of_other_images_or_settings_are_outdated(store, other):
    records.write_record(store, 'photo', IDENTITY, make_result())
    assert records.find_record(store, 'photo', other) == FoundRecord(outdated=True)
    records.write_record(store, 'photo', other, make_result(loss=0.25))
    assert records.find_record(store, 'photo', other).row['loss'] == 0.25
    assert records.find_record(store, 'photo', IDENTITY) == FoundRecord(outdated=True)


def test_files_that_no_run_has_written_are_in_the_way(store, tmp_path):
    (tmp_path / 'out' / 'photo').mkdir()
    (tmp_path / 'out' / 'file').write_text('text')
    for name in ('photo', 'file'):
        with pytest.raises(ValueError, match=f'out/{name} is in the way and is no result of a run; move it or choose'):
            records.find_record(store, name, IDENTITY)


@pytest.mark.parametrize('text', ['', '{"name": "pho', '[]', '3', '{"name": "photo", "crc32": "1234"}'])
def test_a_damaged_result_is_refused(store, text):
    store.write('photo/metrics.json', text.encode())
    with pytest.raises(
        ValueError, match='out/photo/metrics.json is damaged or of another release; move the folder away'
    ):
        records.find_record(store, 'photo', IDENTITY)


@pytest.mark.parametrize('error', [KeyboardInterrupt, OSError])
def test_a_folder_appears_whole_or_not_at_all(store, monkeypatch, error):
    def fail(*_, **__):
        raise error

    records.write_record(store, 'old', IDENTITY, make_result())
    monkeypatch.setattr(np, 'savez', fail)
    for name in ('new', 'old'):
        with pytest.raises(error):
            records.write_record(store, name, IDENTITY._replace(sha256='another'), make_result())
    assert not store.exists('new') and records.find_record(store, 'old', IDENTITY).row
    assert list(store.work.iterdir()) == []


# The table


def test_rows_of_many_threads_are_sorted_by_their_index(store):
    rows = records.open_rows(store)
    threads = [
        threading.Thread(target=rows.add, args=(place, make_result(name=f'photo{place}').row)) for place in range(30)
    ]
    for thread in reversed(threads):
        thread.start()
    for thread in threads:
        thread.join()
    assert records.write_table(store) == []  # nothing is finished yet
    rows.finish()
    assert [row['name'] for row in records.write_table(store)] == [f'photo{place}' for place in range(30)]


def test_table(store):
    rows = records.open_rows(store)
    rows.add(4, make_result(name='b', psnr=2.5, sha256='x').row)
    rows.add(0, {'name': 'c', 'status': 'no, "nothing"\nat all'})
    rows.finish()
    records.write_table(store)
    assert store.read('metrics.csv').decode() == (
        'name,status,loss,psnr,ssim,ms_ssim,lpips,hole_psnr,auc,niqe,'
        'input_psnr,input_ssim,input_lpips,input_auc,steps,seconds\n'
        'c,"no, ""nothing""\nat all",,,,,,,,,,,,,,\n'
        'b,done,0.5,2.5,,,,,,,,,,,3,0.1\n'
    )


def test_an_unchanged_table_is_not_written_again(store, tmp_path):
    written = []
    for reason in ('unreadable', 'unreadable', 'unreadable still'):
        rows = records.open_rows(store)
        rows.add(0, {'name': 'a', 'status': reason})
        rows.finish()
        records.write_table(store)
        written.append((tmp_path / 'out' / 'metrics.csv').stat().st_mtime_ns)
    assert written[0] == written[1] != written[2]


def test_the_last_process_writes_the_whole_table(tmp_path):
    out = str(tmp_path)
    with (
        stores.open_store(out, 0, 2) as one,
        stores.open_store(out, 1, 2) as two,
        stores.open_store(out, 2, 3) as stale,
    ):
        for store, places in ((one, (0, 2)), (two, (1, 3)), (stale, (2,))):
            rows = records.open_rows(store)
            for place in places:
                rows.add(place, make_result(name=f'{store.own}/{place}').row)
            if store is not two:
                rows.finish()
        assert [row['place'] for row in records.write_table(one)] == [0, 2]
        rows.finish()  # not of `two`
        assert [row['place'] for row in records.write_table(one)] == [0, 2]
        late = records.open_rows(two)
        for place in (3, 1):
            late.add(place, make_result(name='late').row)
        late.finish()
        assert [row['place'] for row in records.write_table(two)] == [0, 1, 2, 3]


def test_a_process_that_finishes_while_another_writes_the_table(tmp_path):
    """The slower process writes its table again."""
    with stores.open_store(str(tmp_path), 0, 2) as one, stores.open_store(str(tmp_path), 1, 2) as two:
        for store, place in ((one, 0), (two, 1)):
            rows = records.open_rows(store)
            rows.add(place, make_result(name=f'photo{place}').row)
            if store is one:
                rows.finish()

        def write(name, content):
            if not two.exists(f'{two.own}/rows.jsonl'):
                rows.finish()
                records.write_table(two)
            one.write(name, content)

        assert len(records.write_table(one._replace(write=write))) == 2
        assert one.read('metrics.csv').count(b'\n') == 3


def test_a_new_run_removes_the_rows_of_the_run_before(store):
    for place in range(2):
        rows = records.open_rows(store)
        rows.add(place, make_result().row)
        rows.finish()
    assert [row['place'] for row in records.write_table(store)] == [1]
