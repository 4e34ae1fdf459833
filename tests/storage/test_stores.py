"""Places of results: local folders and URLs."""

import os
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from mgan_jax.storage import remote, stores

ROOT = Path(stores.__file__).parent.parent.parent


@pytest.fixture(params=['local', 'remote'])
def place(request, tmp_path):
    if request.param == 'local':
        yield str(tmp_path / 'out')
    else:
        url = f'memory://{uuid.uuid4()}/out'
        yield url
        remote.delete_url(url)


def test_files_are_written_read_and_removed(place):
    with stores.open_store(place) as store:
        assert store.read('a.txt') is None and not store.exists('a.txt') and store.names('.run/x') == []
        store.write('a.txt', b'one')
        store.write('a.txt', b'two')
        assert store.read('a.txt') == b'two' and store.exists('a.txt')
    assert stores.place_has(place, 'a.txt') and not stores.place_has(place, 'b.txt')
    with stores.open_store(place) as store:
        assert store.read('a.txt') == b'two'
        store.remove('a.txt')
        store.remove('a.txt')
        assert store.read('a.txt') is None


def test_a_folder_replaces_an_older_one(place):
    with stores.open_store(place) as store:
        for text in (b'one', b'two'):
            with store.folder('.run/deep/photo', 'last.json') as folder:
                assert list(folder.iterdir()) == []
                (folder / 'sub').mkdir()
                (folder / 'sub' / 'a').write_bytes(text)
                (folder / 'last.json').write_bytes(text)
        assert store.names('.run/deep') == ['photo'] and store.names('.run/deep/photo') == ['last.json', 'sub']
        with store.fetched('.run/deep/photo') as folder:
            assert (folder / 'sub' / 'a').read_bytes() == b'two'
        store.remove('.run/deep/photo')
        assert store.names('.run/deep') == []


@pytest.mark.parametrize('error', [KeyboardInterrupt, OSError])
def test_an_exception_leaves_no_folder(place, error):
    with stores.open_store(place) as store:
        with pytest.raises(error), store.folder('photo', 'last.json') as folder:
            (folder / 'a').write_bytes(b'half')
            raise error
        assert not store.exists('photo')
        assert list(store.work.iterdir()) == []


def test_the_named_file_is_uploaded_last(monkeypatch):
    arrived = []
    write = remote.write_url
    monkeypatch.setattr(remote, 'write_url', lambda url, data: arrived.append(url) or write(url, data))
    with (
        stores.open_store(f'memory://{uuid.uuid4()}') as store,
        store.folder('photo', 'b') as folder,
    ):
        for name in 'abc':
            (folder / name).write_bytes(b'')
    assert [url[-1] for url in arrived] == ['a', 'c', 'b']


def test_a_second_run_is_refused(tmp_path):
    """Also from another process. A process with another index is allowed."""
    out = str(tmp_path)
    again = f'from mgan_jax.storage import stores\nwith stores.open_store({out!r}): pass'
    with stores.open_store(out), stores.open_store(out, 1, 2):
        with pytest.raises(ValueError, match=f'^another run writes into {out} at this moment; wait for its end or'):
            stores.open_store(out, 0, 3).__enter__()
        told = subprocess.run([sys.executable, '-c', again], cwd=ROOT, capture_output=True, text=True)
        assert 'another run writes into' in told.stderr
    subprocess.run([sys.executable, '-c', again], cwd=ROOT, check=True)


def test_unfinished_files_of_a_killed_run_are_removed(tmp_path):
    killed = f"""
import os
from mgan_jax.storage import stores
with stores.open_store({str(tmp_path)!r}) as store, store.folder('photo', 'x') as folder:
    (folder / 'a').write_text('half')
    os.kill(os.getpid(), 9)
"""
    assert subprocess.run([sys.executable, '-c', killed], cwd=ROOT).returncode == -9
    assert [path.name for path in tmp_path.iterdir()] == ['.run']
    work = tmp_path / '.run' / '0-of-1' / 'partial'
    assert len(list(work.iterdir())) == 1
    with stores.open_store(str(tmp_path)) as store:
        assert store.work == work and list(work.iterdir()) == []


def test_processes_have_folders_of_their_own(place):
    with stores.open_store(place, 0, 2) as one, stores.open_store(place, 1, 2) as two:
        assert (one.own, two.own) == ('.run/0-of-2', '.run/1-of-2')
        assert one.work != two.work and one.log != two.log
        (two.log / 'log.jsonl').write_text('line')
    with stores.open_store(place) as store:
        assert store.read('.run/1-of-2/log.jsonl') == b'line'


@pytest.mark.parametrize('below, reason', [('', 'File exists'), ('below', 'Not a directory')])
def test_a_file_in_place_of_the_folder_is_refused(tmp_path, below, reason):
    (tmp_path / 'file').write_text('text')
    with pytest.raises(ValueError, match=f'cannot be used: ({reason}|Not a directory); choose another --config.out'):
        stores.open_store(os.path.join(tmp_path, 'file', below)).__enter__()
    assert (tmp_path / 'file').read_text() == 'text'


def test_a_file_is_read_from_a_place_that_is_not_open(tmp_path):
    (tmp_path / 'photo').mkdir()
    (tmp_path / 'photo' / 'latents.npz').write_bytes(b'codes')
    assert stores.read_from_place(str(tmp_path), 'photo/latents.npz') == b'codes'
    assert stores.read_from_place(f'file://{tmp_path}', 'photo/latents.npz') == b'codes'
    for place in (str(tmp_path), f'file://{tmp_path}'):
        assert stores.read_from_place(place, 'none') is stores.read_from_place(place, 'none/file') is None
