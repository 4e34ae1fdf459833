"""The output folder."""

import json
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mgan_jax import results
from mgan_jax.sources import Source

SETTINGS = {'task': 'reconstruct', 'images': 'a', 'out': 'b', 'batch_size': 1, 'steps': 3, 'pixel': 1.0}
MACHINE = {'versions': {'jax': '1'}, 'devices': ['cpu']}


@pytest.fixture
def source(tmp_path):
    (tmp_path / 'photo.png').write_bytes(b'the photo')
    return Source(str(tmp_path / 'photo.png'), 'photo')


def result(**row):
    pictures = {'result': np.zeros((4, 5, 3), np.float32), 'input': np.ones((2, 2, 1), np.float32)}
    row = {'name': 'photo', 'status': results.DONE, 'loss': 0.5, 'psnr': 20.25, 'steps': 3, 'seconds': 0.1} | row
    return results.Result(
        pictures, {'latents': np.ones((2, 8), np.float32), 'alpha': np.full((2, 16), 0.5, np.float32)}, row
    )


def contents(folder):
    return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.rglob('*') if path.is_file()}


def test_start_writes_the_configuration(tmp_path, source):
    out = tmp_path / 'several' / 'levels'
    results.start(out, SETTINGS, MACHINE, [source])
    assert json.loads((out / 'config.json').read_text()) == {'config': SETTINGS, **MACHINE}
    assert [path.name for path in out.iterdir()] == ['config.json']


def test_start_again_changes_nothing(tmp_path, source):
    out = tmp_path / 'out'
    results.start(out, SETTINGS, MACHINE, [source])
    results.write(out, source, result())
    before = contents(out)
    results.start(out, SETTINGS, MACHINE, [source])
    assert contents(out) == before


@pytest.mark.parametrize('field', results.NOT_PART_OF_THE_RESULT)
def test_start_with_other_images_place_or_batches(tmp_path, source, field):
    results.start(tmp_path / 'out', SETTINGS, MACHINE, [source])
    results.start(tmp_path / 'out', SETTINGS | {field: 7}, MACHINE, [source])
    assert json.loads((tmp_path / 'out' / 'config.json').read_text())['config'][field] == 7


@pytest.mark.parametrize(
    ('change', 'words'),
    [
        ({'steps': 4}, 'steps 3, and 4 is'),
        ({'factor': 2}, 'factor None, and 2 is'),
        ({'pixel': 2.0}, 'pixel 1.0, and 2.0'),
    ],
)
def test_start_with_other_settings_is_refused(tmp_path, source, change, words):
    out = tmp_path / 'out'
    results.start(out, SETTINGS, MACHINE, [source])
    before = contents(out)
    with pytest.raises(ValueError, match=f'{out} holds results with {words}.*choose another --config.out'):
        results.start(out, SETTINGS | change, MACHINE, [source])
    assert contents(out) == before


@pytest.mark.parametrize('text', ['', '{', '[]', '3', 'null', '{"versions": {}}', '{"config": 3}', b'\xff\xfe'])
def test_damaged_configuration_is_refused(tmp_path, source, text):
    (tmp_path / 'out').mkdir()
    (tmp_path / 'out' / 'config.json').write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ValueError, match='config.json is damaged; move .* away or choose another --config.out'):
        results.start(tmp_path / 'out', SETTINGS, MACHINE, [source])


def test_a_folder_that_is_no_result_is_refused(tmp_path, source):
    (tmp_path / 'out' / 'photo').mkdir(parents=True)
    with pytest.raises(ValueError, match='out/photo is in the way and is no result of this run; move it'):
        results.start(tmp_path / 'out', SETTINGS, MACHINE, [source])
    assert not (tmp_path / 'out' / 'config.json').exists()


def test_results_without_their_configuration_are_refused(tmp_path, source):
    out = tmp_path / 'out'
    results.start(out, SETTINGS, MACHINE, [source])
    results.write(out, source, result())
    (out / 'config.json').unlink()
    with pytest.raises(ValueError, match='is no result of this run'):
        results.start(out, SETTINGS, MACHINE, [source])


def test_the_result_of_another_image_is_refused(tmp_path, source):
    """Two folders may hold files of the same name."""
    out = tmp_path / 'out'
    results.start(out, SETTINGS, MACHINE, [source])
    results.write(out, source, result())
    (tmp_path / 'moved.png').write_bytes(Path(source.path).read_bytes())
    results.start(out, SETTINGS, MACHINE, [Source(str(tmp_path / 'moved.png'), 'photo')])
    (tmp_path / 'other.png').write_bytes(b'another photo')
    with pytest.raises(ValueError, match='out/photo is the result of another image than .*other.png; choose'):
        results.start(out, SETTINGS, MACHINE, [Source(str(tmp_path / 'other.png'), 'photo')])


def test_a_damaged_result_is_refused(tmp_path, source):
    out = tmp_path / 'out'
    results.start(out, SETTINGS, MACHINE, [source])
    results.write(out, source, result())
    (out / 'photo' / 'metrics.json').write_text('{"name": "pho')
    with pytest.raises(ValueError, match='out/photo/metrics.json is damaged; move .*/out/photo away'):
        results.start(out, SETTINGS, MACHINE, [source])


@pytest.mark.parametrize(('below', 'reason'), [('', 'File exists'), ('below', 'Not a directory')])
def test_a_file_in_place_of_the_folder_is_refused(tmp_path, source, below, reason):
    (tmp_path / 'file').write_text('text')
    with pytest.raises(ValueError, match=f'cannot be used: {reason}; choose another --config.out'):
        results.start(tmp_path / 'file' / below, SETTINGS, MACHINE, [source])
    assert (tmp_path / 'file').read_text() == 'text'


def test_write(tmp_path, source):
    assert not results.is_done(tmp_path, 'photo')
    results.write(tmp_path, source, result())
    assert results.is_done(tmp_path, 'photo')
    names = {path.name for path in (tmp_path / 'photo').iterdir()}
    assert names == {'result.png', 'input.png', 'latents.npz', 'metrics.json'}
    with Image.open(tmp_path / 'photo' / 'result.png') as picture:
        assert picture.size == (5, 4)
    with np.load(tmp_path / 'photo' / 'latents.npz') as arrays:
        assert arrays['latents'].dtype == arrays['alpha'].dtype == np.float32
        assert (arrays['latents'].shape, arrays['alpha'].shape) == ((2, 8), (2, 16))
    row = json.loads((tmp_path / 'photo' / 'metrics.json').read_text())
    assert row == result().row | {'crc32': f'{zlib.crc32(b"the photo"):08x}'}


@pytest.mark.parametrize('error', [KeyboardInterrupt, OSError])
def test_a_folder_appears_whole_or_not_at_all(tmp_path, source, monkeypatch, error):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(np, 'savez', fail)
    with pytest.raises(error):
        results.write(tmp_path / 'out', source, result())
    assert list((tmp_path / 'out').iterdir()) == []


def test_table(tmp_path, source):
    """Rows in the order of the names; what is neither done nor failed has none."""
    for name in ('b', 'a'):
        results.write(tmp_path, source._replace(name=name), result(name=name, psnr={'a': 1.5, 'b': 2.5}[name]))
    rows = results.write_table(tmp_path, ['b', 'c', 'a', 'd'], {'c': 'no, "nothing"\nat all', 'a': 'done since'})
    assert [row['name'] for row in rows] == ['b', 'c', 'a']
    assert (tmp_path / 'metrics.csv').read_text() == (
        'name,status,loss,psnr,ssim,lpips,input_psnr,steps,seconds\n'
        'b,done,0.5,2.5,,,,3,0.1\n'
        'c,"no, ""nothing""\nat all",,,,,,,\n'
        'a,done,0.5,1.5,,,,3,0.1\n'
    )


def test_the_same_table_is_not_written_again(tmp_path):
    results.write_table(tmp_path, ['a'], {'a': 'unreadable'})
    before = contents(tmp_path)
    results.write_table(tmp_path, ['a'], {'a': 'unreadable'})
    assert contents(tmp_path) == before
    results.write_table(tmp_path, ['a'], {'a': 'unreadable still'})
    assert contents(tmp_path) != before
