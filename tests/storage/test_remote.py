"""Files behind URLs: fsspec's memory file system, a local one, and an HTTP server on the loopback interface."""

import contextlib
import functools
import http.server
import os
import subprocess
import sys
import threading
import uuid
from pathlib import Path

import fsspec
import pytest

from mgan_jax.settings.errors import one_sentence
from mgan_jax.storage import remote

ROOT = Path(remote.__file__).parent.parent.parent


@pytest.fixture
def folder():
    """A folder of the memory file system for one test."""
    url = f'memory://{uuid.uuid4().hex}'
    yield url
    remote.delete_url(url)


@pytest.fixture
def filled(folder):
    for name in ['b.png', 'a.png', 'x/c.png', 'x/y/d.txt']:
        remote.write_url(f'{folder}/{name}', name.encode())
    return folder


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        pass


@pytest.fixture(scope='module')
def server(tmp_path_factory):
    """Serves a file by HTTP; the server of the standard library does not support ranges."""
    root = tmp_path_factory.mktemp('http')
    (root / 'a.png').write_bytes(b'0123456789')
    handler = functools.partial(Quiet, directory=root)
    with http.server.ThreadingHTTPServer(('127.0.0.1', 0), handler) as running:
        thread = threading.Thread(target=running.serve_forever, daemon=True)
        thread.start()
        yield f'http://127.0.0.1:{running.server_port}'
        running.shutdown()
        thread.join()


def names(urls, folder):
    assert all(url.startswith(folder + '/') for url in urls)
    return [url.removeprefix(folder + '/') for url in urls]


@pytest.mark.parametrize('path', ['gs://b/x', 's3://b', 'memory://a', 'file:///tmp/a.png', 'HTTPS://host/a.png'])
def test_urls_are_remote(path):
    assert remote.is_remote(path)


def test_paths_are_not_remote(tmp_path):
    for path in ['a.png', '/tmp/a.png', 'a:b.png', 'C:\\a.png', '//a', '', tmp_path, 'gs:/b']:
        assert not remote.is_remote(path)


def test_what_is_written_is_read(folder):
    remote.write_url(f'{folder}/a/b.png', b'0123456789')
    assert remote.read_url(f'{folder}/a/b.png') == b'0123456789'
    assert remote.read_url(f'{folder}/a/b.png', 2) == b'23456789'
    assert remote.read_url(f'{folder}/a/b.png', 2, 3) == b'234'
    assert remote.read_url(f'{folder}/a/b.png', 8, 30) == b'89'
    remote.write_url(f'{folder}/a/b.png', b'new')
    assert remote.read_url(f'{folder}/a/b.png') == b'new'


def test_a_file_is_read_in_parts(filled):
    with remote.open_ranges(f'{filled}/x/c.png') as (read, size):
        assert size == 7
        assert [read(2, 3), read(0, 1), read(5, 10)] == [b'c.p', b'x', b'ng']
        raise_outside = pytest.raises(ValueError, match='^mine$')
    with raise_outside, remote.open_ranges(f'{filled}/x/c.png'):
        raise ValueError('mine')  # an exception of the block is not one of the service


def test_exists(filled):
    assert remote.url_exists(f'{filled}/a.png')
    assert remote.url_exists(f'{filled}/x')
    assert not remote.url_exists(f'{filled}/a.pn')
    assert not remote.url_exists(f'{filled}/none/a.png')


def test_expand(filled):
    assert remote.expand_url(f'{filled}/a.png') == [f'{filled}/a.png']
    assert names(remote.expand_url(filled), filled) == ['a.png', 'b.png']
    assert names(remote.expand_url(f'{filled}/'), filled) == ['a.png', 'b.png']
    assert names(remote.expand_url(f'{filled}/*.png'), filled) == ['a.png', 'b.png']
    assert names(remote.expand_url(f'{filled}/**/*.png'), filled)[-1] == 'x/c.png'
    assert names(remote.expand_url(f'{filled}/x/*'), filled) == ['x/c.png']
    assert remote.expand_url(f'{filled}/*.bmp') == []


def test_below(filled):
    assert names(remote.list_below(filled), filled) == ['a.png', 'b.png', 'x/c.png', 'x/y/d.txt']
    assert remote.list_below(f'{filled}/none') == []


def test_local_urls(tmp_path):
    url = tmp_path.as_uri()
    remote.write_url(f'{url}/new/a.png', b'content')
    assert (tmp_path / 'new' / 'a.png').read_bytes() == b'content'
    assert remote.expand_url(f'{url}/new') == remote.expand_url(f'{url}/*/a.png') == [f'{url}/new/a.png']
    assert remote.read_url(f'{url}/new/a.png', 3, 2) == b'te'
    remote.delete_url(f'{url}/new')
    assert list(tmp_path.iterdir()) == []


def test_fetch(filled):
    local = remote.fetch_folder(filled)
    found = {path.relative_to(local).as_posix(): path.read_text() for path in local.rglob('*') if path.is_file()}
    assert found == {name: name for name in ['a.png', 'b.png', 'x/c.png', 'x/y/d.txt']}
    assert remote.fetch_folder(filled) != local
    with pytest.raises(FileNotFoundError, match='no such folder'):
        remote.fetch_folder(f'{filled}/none')


def test_names_that_lead_out_of_a_folder_are_refused(filled, tmp_path):
    memory = fsspec.filesystem('memory')
    path = filled.removeprefix('memory:/')
    memory.store[f'{path}/x/../../../evil.png'] = memory.store[f'{path}/a.png']
    with pytest.raises(ValueError, match='leads out of the folder'):
        remote.fetch_folder(filled)
    del memory.store[f'{path}/x/../../../evil.png']


def test_the_last_file_is_uploaded_last(folder, tmp_path, monkeypatch):
    for name in ['metrics.json', 'result.png', 'x/a.npz', 'z.png']:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    written = []
    memory = type(fsspec.filesystem('memory'))
    pipe = memory.pipe_file
    monkeypatch.setattr(memory, 'pipe_file', lambda self, path, *more: written.append(path) or pipe(self, path, *more))
    remote.upload_folder(tmp_path, f'{folder}/out/photo', 'metrics.json')
    assert names(remote.list_below(folder), folder + '/out/photo') == ['metrics.json', 'result.png', 'x/a.npz', 'z.png']
    assert remote.read_url(f'{folder}/out/photo/x/a.npz') == b'x/a.npz'
    assert len(written) == 4
    assert written[-1].endswith('/metrics.json')


def test_delete(filled):
    remote.delete_url(f'{filled}/a.png')
    remote.delete_url(f'{filled}/x')
    remote.delete_url(f'{filled}/none')
    assert names(remote.list_below(filled), filled) == ['b.png']
    remote.write_url(f'{filled}/b.png.part', b'another name that begins so')
    remote.delete_url(f'{filled}/b.png')
    assert names(remote.list_below(filled), filled) == ['b.png.part']


def told(function, *arguments):
    """The error as a user reads it, which is one sentence with the URL."""
    with pytest.raises((OSError, ValueError)) as caught:
        function(*arguments)
    text = one_sentence(caught.value)
    assert '\n' not in text
    assert str(arguments[0]) in text
    return text


def test_missing_files_and_folders(folder):
    for function in (remote.read_url, remote.expand_url, remote.fetch_folder):
        assert 'there is no such' in told(function, f'{folder}/none')
    with pytest.raises(FileNotFoundError):
        remote.read_url(f'{folder}/none')


def test_a_scheme_without_its_package(monkeypatch):
    def missing(*arguments, **options):
        raise ImportError('Please install gcsfs to access Google Storage')

    monkeypatch.setattr(fsspec.core, 'url_to_fs', missing)
    text = told(remote.read_url, 'gs://bucket/a.png')
    assert text == "gs://bucket/a.png needs the package gcsfs: pip install 'mgan_jax[remote]'."
    assert 'a package that is missing: Please install gcsfs' in told(remote.require_scheme, 'az://bucket/a.png')


def test_unknown_schemes_and_chains():
    assert 'a scheme that nothing here knows' in told(remote.read_url, 'nope://bucket/a.png')
    assert 'chains file systems' in told(remote.read_url, 'zip://a.png::file:///tmp/a.zip')
    assert 'is no URL' in told(remote.read_url, 'a.png')
    remote.require_scheme('memory://whatever')


@pytest.mark.parametrize(
    ('error', 'words'),
    [
        (PermissionError('403'), 'access is refused; log in to the service'),
        (type('NoCredentialsError', (Exception,), {})('Unable to locate credentials'), 'access is refused'),
        (TimeoutError(), 'does not answer'),
        (ConnectionResetError(104, 'Connection reset by peer'), 'failed ([Errno 104] Connection reset by peer)'),
        (RuntimeError('a long\nstory ' * 100), 'the connection to it failed (a long story'),
    ],
)
def test_errors_of_the_service(filled, monkeypatch, error, words):
    def fail(self, path, *arguments, **options):
        raise error

    monkeypatch.setattr(type(fsspec.filesystem('memory')), 'cat_file', fail)
    text = told(remote.read_url, f'{filled}/a.png')
    assert words in text
    assert len(text) < 400
    monkeypatch.setattr(type(fsspec.filesystem('memory')), 'info', fail)
    assert words in told(remote.url_exists, f'{filled}/a.png')  # a refusal does not mean absence


def test_memory_errors_are_not_changed(filled, monkeypatch):
    def fail(self, path, *arguments, **options):
        raise MemoryError

    monkeypatch.setattr(type(fsspec.filesystem('memory')), 'cat_file', fail)
    with pytest.raises(MemoryError):
        remote.read_url(f'{filled}/a.png')


def test_http(server):
    pytest.importorskip('aiohttp')
    assert remote.read_url(f'{server}/a.png') == b'0123456789'
    assert remote.url_exists(f'{server}/a.png')
    assert not remote.url_exists(f'{server}/b.png')
    assert remote.expand_url(f'{server}/a.png') == [f'{server}/a.png']
    assert 'there is no such file' in told(remote.read_url, f'{server}/b.png')
    with contextlib.suppress(OSError):  # this server sends everything
        assert remote.read_url(f'{server}/a.png', 2, 3) == b'234'


def test_http_without_a_server():
    pytest.importorskip('aiohttp')
    assert 'failed' in told(remote.read_url, 'http://127.0.0.1:9/a.png')


def test_packages_log_nothing_and_fsspec_is_imported_when_it_is_used():
    """In another process, because pytest records all logs."""
    code = "import sys, logging, mgan_jax.storage.remote; logging.basicConfig(); logging.getLogger('gcsfs').error('traceback'); print('fsspec' in sys.modules)"
    result = subprocess.run([sys.executable, '-c', code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert (result.stdout, result.stderr) == ('False\n', '')


def test_threads(filled):
    results = []
    threads = [
        threading.Thread(target=lambda: results.append([remote.read_url(f'{filled}/a.png') for _ in range(20)]))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [[b'a.png'] * 20] * 4


def test_fetched_folders_are_removed_when_the_process_ends(tmp_path):
    (tmp_path / 'a.png').write_bytes(b'content')
    code = f'from mgan_jax.storage import remote; print(remote.fetch_folder({tmp_path.as_uri()!r}), end="")'
    local = subprocess.run([sys.executable, '-c', code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert os.path.basename(local).startswith('mgan_jax-')
    assert not os.path.exists(local)
