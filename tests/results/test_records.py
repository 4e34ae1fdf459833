"""The output folder."""

import json
import threading

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from mgan_jax.results import records
from mgan_jax.results.records import FoundRecord, Identity
from mgan_jax.settings import presets
from mgan_jax.storage import stores

SETTINGS = {'task': 'reconstruct', 'images': 'a', 'out': 'b', 'batch_size': 1, 'steps': 3, 'pixel': 1.0}
MACHINE = {'versions': {'jax': '1'}, 'devices': ['cpu']}
OWN = Identity('the photo', 'these settings')


@pytest.fixture
def store(tmp_path):
    with stores.open_store(str(tmp_path / 'out')) as store:
        yield store


def result(**row):
    pictures = {'result': np.zeros((4, 5, 3), np.float32), 'input': np.ones((2, 2, 1), np.float32)}
    row = {'name': 'photo', 'status': records.DONE, 'loss': 0.5, 'psnr': 20.25, 'steps': 3, 'seconds': 0.1} | row
    return records.Result(
        pictures, {'latents': np.ones((2, 8), np.float32), 'alpha': np.full((2, 16), 0.5, np.float32)}, row
    )


# The configuration


def test_start_writes_the_configuration(store):
    assert records.write_run_config(store, SETTINGS, MACHINE) is None
    assert json.loads(store.read('config.json')) == {'config': SETTINGS, **MACHINE}
    assert records.write_run_config(store, SETTINGS, MACHINE) is None


@pytest.mark.parametrize('field', records.NOT_PART_OF_THE_RESULT)
def test_start_with_other_images_place_or_batches(store, field):
    records.write_run_config(store, SETTINGS, MACHINE)
    assert records.write_run_config(store, SETTINGS | {field: 7}, MACHINE) is None
    assert json.loads(store.read('config.json'))['config'][field] == 7
    assert records.fingerprint(SETTINGS | {field: 7}, {}) == records.fingerprint(SETTINGS, {})


def test_fields_that_are_not_part_of_the_result_are_fields():
    assert set(records.NOT_PART_OF_THE_RESULT) <= presets.FIELDS.keys()


@pytest.mark.parametrize(
    ('change', 'words'),
    [
        ({'steps': 4}, 'steps was 3 and is 4;'),
        ({'factor': 2}, 'factor was None and is 2;'),
        ({'pixel': 2.0, 'steps': 4}, 'pixel was 1.0 and is 2.0, steps was 3 and is 4;'),
    ],
)
def test_start_with_other_settings_says_so(store, change, words):
    records.write_run_config(store, SETTINGS, MACHINE)
    told = records.write_run_config(store, SETTINGS | change, MACHINE)
    assert told == f'{store.text}: {words} what is there is made again.'
    assert records.write_run_config(store, SETTINGS | change, MACHINE) is None
    assert records.fingerprint(SETTINGS | change, {}) != records.fingerprint(SETTINGS, {})


@pytest.mark.parametrize('text', [b'', b'{', b'[]', b'3', b'null', b'{"versions": {}}', b'{"config": 3}', b'\xff\xfe'])
def test_a_damaged_configuration_is_written_anew(store, text):
    store.write('config.json', text)
    assert 'its config.json was damaged; what is there is made again' in records.write_run_config(
        store, SETTINGS, MACHINE
    )
    assert json.loads(store.read('config.json'))['config'] == SETTINGS


def test_the_fingerprint_is_of_weights_and_files_wherever_they_are():
    weights = {'a': {'kernel': np.arange(6, dtype=np.float32)}, 'scale': np.float32(2)}
    same = records.fingerprint(SETTINGS, weights)
    assert same == records.fingerprint(
        dict(reversed(SETTINGS.items())), {'a': {'kernel': jnp.arange(6.0)}, 'scale': jnp.float32(2)}
    )
    prepared = {'a': weights['a'] | {'transformed': np.ones(3)}, 'scale': weights['scale']}
    assert same == records.fingerprint(SETTINGS, prepared)
    others = [
        {'a': {'kernel': np.arange(6, dtype=np.float32)}, 'scale': np.float32(3)},
        {'a': {'kernel': np.arange(6, dtype=np.float32).reshape(2, 3)}, 'scale': np.float32(2)},
        {'a': {'kernel': np.arange(6, dtype=np.float32).astype(jnp.bfloat16)}, 'scale': np.float32(2)},
        {'b': {'kernel': np.arange(6, dtype=np.float32)}, 'scale': np.float32(2)},
    ]
    found = {
        same,
        records.fingerprint(SETTINGS, weights, b'mask'),
        records.fingerprint(SETTINGS, weights, b'other mask'),
    }
    found |= {records.fingerprint(SETTINGS, other) for other in others}
    assert len(found) == 3 + len(others)


# A folder per image


def test_write(store, tmp_path):
    assert records.find_record(store, 'photo', OWN) == FoundRecord(None, False)
    records.write_record(store, 'photo', OWN, result())
    folder = tmp_path / 'out' / 'photo'
    assert {path.name for path in folder.iterdir()} == {'result.png', 'input.png', 'latents.npz', 'metrics.json'}
    with Image.open(folder / 'result.png') as picture:
        assert picture.size == (5, 4)
    with np.load(folder / 'latents.npz') as arrays:
        assert arrays['latents'].dtype == arrays['alpha'].dtype == np.float32
        assert (arrays['latents'].shape, arrays['alpha'].shape) == ((2, 8), (2, 16))
    row = result().row | {'sha256': 'the photo', 'made_by': 'these settings'}
    assert json.loads((folder / 'metrics.json').read_text()) == row
    assert records.find_record(store, 'photo', OWN) == FoundRecord(row, False)


@pytest.mark.parametrize('other', [OWN._replace(sha256='another photo'), OWN._replace(made_by='other settings')])
def test_the_result_of_another_image_or_of_other_settings_is_made_again(store, other):
    records.write_record(store, 'photo', OWN, result())
    assert records.find_record(store, 'photo', other) == FoundRecord(None, True)
    records.write_record(store, 'photo', other, result(loss=0.25))
    assert records.find_record(store, 'photo', other).row['loss'] == 0.25
    assert records.find_record(store, 'photo', OWN) == FoundRecord(None, True)


def test_what_no_run_has_made_is_in_the_way(store, tmp_path):
    (tmp_path / 'out' / 'photo').mkdir()
    (tmp_path / 'out' / 'file').write_text('text')
    for name in ('photo', 'file'):
        with pytest.raises(ValueError, match=f'out/{name} is in the way and is no result of a run; move it or choose'):
            records.find_record(store, name, OWN)


@pytest.mark.parametrize('text', ['', '{"name": "pho', '[]', '3', '{"name": "photo", "crc32": "1234"}'])
def test_a_damaged_result_is_refused(store, text):
    store.write('photo/metrics.json', text.encode())
    with pytest.raises(
        ValueError, match='out/photo/metrics.json is damaged or of another release; move the folder away'
    ):
        records.find_record(store, 'photo', OWN)


@pytest.mark.parametrize('error', [KeyboardInterrupt, OSError])
def test_a_folder_appears_whole_or_not_at_all(store, monkeypatch, error):
    def fail(*_, **__):
        raise error

    records.write_record(store, 'old', OWN, result())
    monkeypatch.setattr(np, 'savez', fail)
    for name in ('new', 'old'):
        with pytest.raises(error):
            records.write_record(store, name, OWN._replace(sha256='another'), result())
    assert not store.exists('new') and records.find_record(store, 'old', OWN).row
    assert list(store.work.iterdir()) == []


# The table


def test_rows_from_many_threads_come_in_the_order_of_the_list(store):
    rows = records.open_rows(store)
    threads = [threading.Thread(target=rows.add, args=(place, result(name=f'photo{place}').row)) for place in range(30)]
    for thread in reversed(threads):
        thread.start()
    for thread in threads:
        thread.join()
    assert records.write_table(store) == []  # nothing is finished yet
    rows.finish()
    assert [row['name'] for row in records.write_table(store)] == [f'photo{place}' for place in range(30)]


def test_table(store):
    rows = records.open_rows(store)
    rows.add(4, result(name='b', psnr=2.5, sha256='x').row)
    rows.add(0, {'name': 'c', 'status': 'no, "nothing"\nat all'})
    rows.finish()
    records.write_table(store)
    assert store.read('metrics.csv').decode() == (
        'name,status,loss,psnr,ssim,ms_ssim,lpips,hole_psnr,auc,niqe,'
        'input_psnr,input_ssim,input_lpips,input_auc,steps,seconds\n'
        'c,"no, ""nothing""\nat all",,,,,,,,,,,,,,\n'
        'b,done,0.5,2.5,,,,,,,,,,,3,0.1\n'
    )


def test_the_same_table_is_not_written_again(store, tmp_path):
    written = []
    for reason in ('unreadable', 'unreadable', 'unreadable still'):
        rows = records.open_rows(store)
        rows.add(0, {'name': 'a', 'status': reason})
        rows.finish()
        records.write_table(store)
        written.append((tmp_path / 'out' / 'metrics.csv').stat().st_mtime_ns)
    assert written[0] == written[1] != written[2]


def test_the_last_process_makes_the_whole_table(tmp_path):
    out = str(tmp_path)
    with (
        stores.open_store(out, 0, 2) as one,
        stores.open_store(out, 1, 2) as two,
        stores.open_store(out, 2, 3) as stale,
    ):
        for store, places in ((one, (0, 2)), (two, (1, 3)), (stale, (2,))):
            rows = records.open_rows(store)
            for place in places:
                rows.add(place, result(name=f'{store.own}/{place}').row)
            if store is not two:
                rows.finish()
        assert [row['place'] for row in records.write_table(one)] == [0, 2]
        rows.finish()  # not of `two`
        assert [row['place'] for row in records.write_table(one)] == [0, 2]
        late = records.open_rows(two)
        for place in (3, 1):
            late.add(place, result(name='late').row)
        late.finish()
        assert [row['place'] for row in records.write_table(two)] == [0, 1, 2, 3]


def test_a_process_that_finishes_while_another_writes_the_table(tmp_path):
    """The slower one sees that its table has been overtaken."""
    with stores.open_store(str(tmp_path), 0, 2) as one, stores.open_store(str(tmp_path), 1, 2) as two:
        for store, place in ((one, 0), (two, 1)):
            rows = records.open_rows(store)
            rows.add(place, result(name=f'photo{place}').row)
            if store is one:
                rows.finish()

        def write(name, content):
            if not two.exists(f'{two.own}/rows.jsonl'):
                rows.finish()
                records.write_table(two)
            one.write(name, content)

        assert len(records.write_table(one._replace(write=write))) == 2
        assert one.read('metrics.csv').count(b'\n') == 3


def test_a_new_run_forgets_the_rows_of_the_one_before(store):
    for place in range(2):
        rows = records.open_rows(store)
        rows.add(place, result().row)
        rows.finish()
    assert [row['place'] for row in records.write_table(store)] == [1]
