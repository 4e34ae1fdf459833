"""Files named by URLs: fsspec's file system in the memory, a local one, and a loopback HTTP server."""

import contextlib
import functools
import http.server
import os
import subprocess
import sys
import threading
import uuid

import fsspec
import pytest

from mgan_jax import remote
from mgan_jax.errors import sentence


@pytest.fixture
def folder():
    """A folder in the memory that no other test knows."""
    url = f'memory://{uuid.uuid4().hex}'
    yield url
    remote.delete(url)


@pytest.fixture
def filled(folder):
    for name in ['b.png', 'a.png', 'x/c.png', 'x/y/d.txt']:
        remote.write_bytes(f'{folder}/{name}', name.encode())
    return folder


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        pass


@pytest.fixture(scope='module')
def server(tmp_path_factory):
    """Files by HTTP; the standard library's server knows no ranges."""
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
    remote.write_bytes(f'{folder}/a/b.png', b'0123456789')
    assert remote.read(f'{folder}/a/b.png') == b'0123456789'
    assert remote.read(f'{folder}/a/b.png', 2) == b'23456789'
    assert remote.read(f'{folder}/a/b.png', 2, 3) == b'234'
    assert remote.read(f'{folder}/a/b.png', 8, 30) == b'89'
    remote.write_bytes(f'{folder}/a/b.png', b'new')
    assert remote.read(f'{folder}/a/b.png') == b'new'


def test_a_file_is_read_here_and_there(filled):
    with remote.pieces(f'{filled}/x/c.png') as (read, size):
        assert size == 7
        assert [read(2, 3), read(0, 1), read(5, 10)] == [b'c.p', b'x', b'ng']
        raise_outside = pytest.raises(ValueError, match='^mine$')
    with raise_outside, remote.pieces(f'{filled}/x/c.png'):
        raise ValueError('mine')  # what is raised meanwhile has nothing to do with the service


def test_exists(filled):
    assert remote.exists(f'{filled}/a.png')
    assert remote.exists(f'{filled}/x')
    assert not remote.exists(f'{filled}/a.pn')
    assert not remote.exists(f'{filled}/none/a.png')


def test_expand(filled):
    assert remote.expand(f'{filled}/a.png') == [f'{filled}/a.png']
    assert names(remote.expand(filled), filled) == ['a.png', 'b.png']
    assert names(remote.expand(f'{filled}/'), filled) == ['a.png', 'b.png']
    assert names(remote.expand(f'{filled}/*.png'), filled) == ['a.png', 'b.png']
    assert names(remote.expand(f'{filled}/**/*.png'), filled)[-1] == 'x/c.png'
    assert names(remote.expand(f'{filled}/x/*'), filled) == ['x/c.png']
    assert remote.expand(f'{filled}/*.bmp') == []


def test_below(filled):
    assert names(remote.below(filled), filled) == ['a.png', 'b.png', 'x/c.png', 'x/y/d.txt']
    assert remote.below(f'{filled}/none') == []


def test_local_urls(tmp_path):
    url = tmp_path.as_uri()
    remote.write_bytes(f'{url}/new/a.png', b'content')
    assert (tmp_path / 'new' / 'a.png').read_bytes() == b'content'
    assert remote.expand(f'{url}/new') == remote.expand(f'{url}/*/a.png') == [f'{url}/new/a.png']
    assert remote.read(f'{url}/new/a.png', 3, 2) == b'te'
    remote.delete(f'{url}/new')
    assert list(tmp_path.iterdir()) == []


def test_fetch(filled):
    local = remote.fetch(filled)
    found = {path.relative_to(local).as_posix(): path.read_text() for path in local.rglob('*') if path.is_file()}
    assert found == {name: name for name in ['a.png', 'b.png', 'x/c.png', 'x/y/d.txt']}
    assert remote.fetch(filled) != local
    with pytest.raises(FileNotFoundError, match='no such folder'):
        remote.fetch(f'{filled}/none')


def test_fetch_stays_in_its_folder(filled, tmp_path):
    memory = fsspec.filesystem('memory')
    path = memory._strip_protocol(filled) + '/x/../../../evil.png'
    memory.store[path] = memory.store[memory._strip_protocol(filled) + '/a.png']
    with pytest.raises(ValueError, match='leads out of the folder'):
        remote.fetch(filled)
    del memory.store[path]


def test_put_writes_the_last_file_last(folder, tmp_path, monkeypatch):
    for name in ['metrics.json', 'result.png', 'x/a.npz', 'z.png']:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    written = []
    memory = type(fsspec.filesystem('memory'))
    pipe = memory.pipe_file
    monkeypatch.setattr(memory, 'pipe_file', lambda self, path, *more: written.append(path) or pipe(self, path, *more))
    remote.put(tmp_path, f'{folder}/out/photo', 'metrics.json')
    assert names(remote.below(folder), folder + '/out/photo') == ['metrics.json', 'result.png', 'x/a.npz', 'z.png']
    assert remote.read(f'{folder}/out/photo/x/a.npz') == b'x/a.npz'
    assert len(written) == 4
    assert written[-1].endswith('/metrics.json')


def test_delete(filled):
    remote.delete(f'{filled}/a.png')
    remote.delete(f'{filled}/x')
    remote.delete(f'{filled}/none')
    assert names(remote.below(filled), filled) == ['b.png']
    remote.write_bytes(f'{filled}/b.png.part', b'another name that begins so')
    remote.delete(f'{filled}/b.png')
    assert names(remote.below(filled), filled) == ['b.png.part']


def told(function, *arguments):
    """What a user is told: one sentence."""
    with pytest.raises((OSError, ValueError)) as caught:
        function(*arguments)
    text = sentence(caught.value)
    assert '\n' not in text
    assert str(arguments[0]) in text
    return text


def test_what_is_not_there(folder):
    for function in (remote.read, remote.expand, remote.fetch):
        assert 'there is no such' in told(function, f'{folder}/none')
    with pytest.raises(FileNotFoundError):
        remote.read(f'{folder}/none')


def test_a_scheme_without_its_package(monkeypatch):
    def missing(*arguments, **options):
        raise ImportError('Please install gcsfs to access Google Storage')

    monkeypatch.setattr(fsspec.core, 'url_to_fs', missing)
    text = told(remote.read, 'gs://bucket/a.png')
    assert text == "gs://bucket/a.png needs the package gcsfs: pip install 'mgan_jax[remote]'."
    assert 'a package that is missing: Please install gcsfs' in told(remote.check, 'az://bucket/a.png')


def test_unknown_schemes_and_chains():
    assert 'a scheme that nothing here knows' in told(remote.read, 'nope://bucket/a.png')
    assert 'chains file systems' in told(remote.read, 'zip://a.png::file:///tmp/a.zip')
    assert 'is no URL' in told(remote.read, 'a.png')
    remote.check('memory://whatever')


@pytest.mark.parametrize(
    ('error', 'words'),
    [
        (PermissionError('403'), 'access is refused; log in to the service'),
        (type('NoCredentialsError', (Exception,), {})('Unable to locate credentials'), 'access is refused'),
        (TimeoutError(), 'does not answer'),
        (ConnectionResetError(104, 'Connection reset by peer'), 'failed ([Errno 104] Connection reset by peer)'),
        (RuntimeError('a long\nstory ' * 100), 'the way to it failed (a long story'),
    ],
)
def test_errors_of_the_service(filled, monkeypatch, error, words):
    def fail(self, path, *arguments, **options):
        raise error

    monkeypatch.setattr(type(fsspec.filesystem('memory')), 'cat_file', fail)
    text = told(remote.read, f'{filled}/a.png')
    assert words in text
    assert len(text) < 400
    monkeypatch.setattr(type(fsspec.filesystem('memory')), 'info', fail)
    assert words in told(remote.exists, f'{filled}/a.png')  # a refusal is no absence


def test_memory_errors_stay_what_they_are(filled, monkeypatch):
    def fail(self, path, *arguments, **options):
        raise MemoryError

    monkeypatch.setattr(type(fsspec.filesystem('memory')), 'cat_file', fail)
    with pytest.raises(MemoryError):
        remote.read(f'{filled}/a.png')


def test_http(server):
    pytest.importorskip('aiohttp')
    assert remote.read(f'{server}/a.png') == b'0123456789'
    assert remote.exists(f'{server}/a.png')
    assert not remote.exists(f'{server}/b.png')
    assert remote.expand(f'{server}/a.png') == [f'{server}/a.png']
    assert 'there is no such file' in told(remote.read, f'{server}/b.png')
    with contextlib.suppress(OSError):  # this server sends everything
        assert remote.read(f'{server}/a.png', 2, 3) == b'234'


def test_http_that_nobody_answers():
    pytest.importorskip('aiohttp')
    assert 'failed' in told(remote.read, 'http://127.0.0.1:9/a.png')


def test_what_the_packages_log_is_not_shown():
    """Unless somebody asks for it; in a process of its own, since pytest listens to all logs."""
    code = "import logging, mgan_jax.remote; logging.basicConfig(); logging.getLogger('gcsfs').error('traceback'); print('done')"
    result = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)
    assert (result.stdout, result.stderr) == ('done\n', '')


def test_threads(filled):
    results = []
    threads = [
        threading.Thread(target=lambda: results.append([remote.read(f'{filled}/a.png') for _ in range(20)]))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [[b'a.png'] * 20] * 4


def test_fetched_folders_go_with_the_process(filled):
    local = remote.fetch(filled)
    assert os.path.isdir(local)
    remote._folders[-1].cleanup()
    assert not os.path.exists(local)
