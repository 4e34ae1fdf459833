"""Results appear whole or not at all, whatever interrupts their writing."""

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from mgan_jax.storage import atomic


def contents(directory):
    return sorted(path.name for path in directory.iterdir())


def test_whole_appears_at_the_end(tmp_path):
    target = tmp_path / 'new' / 'result'
    with atomic.create_folder(target) as folder:
        assert folder.parent == target.parent
        assert folder.name.startswith('.result.')
        (folder / 'sub').mkdir()
        (folder / 'sub' / 'a.txt').write_text('a')
        (folder / 'b.txt').write_text('b')
        assert not target.exists()
    assert contents(target.parent) == ['result']
    assert (target / 'sub' / 'a.txt').read_text() == 'a'
    assert (target / 'b.txt').read_text() == 'b'


def test_whole_has_ordinary_permissions(tmp_path):
    (tmp_path / 'ordinary').mkdir()
    with atomic.create_folder(tmp_path / 'result'):
        pass
    assert stat.S_IMODE((tmp_path / 'result').stat().st_mode) == stat.S_IMODE((tmp_path / 'ordinary').stat().st_mode)


@pytest.mark.parametrize('exception', [RuntimeError, KeyboardInterrupt, SystemExit])
def test_whole_leaves_nothing_after_an_exception(tmp_path, exception):
    with pytest.raises(exception), atomic.create_folder(tmp_path / 'result') as folder:
        (folder / 'a.txt').write_text('a')
        raise exception
    assert contents(tmp_path) == []


def test_whole_can_be_tried_again_after_an_exception(tmp_path):
    for attempt in range(2):
        try:
            with atomic.create_folder(tmp_path / 'result') as folder:
                (folder / 'a.txt').write_text(str(attempt))
                if attempt == 0:
                    raise RuntimeError
        except RuntimeError:
            continue
    assert (tmp_path / 'result' / 'a.txt').read_text() == '1'


@pytest.mark.parametrize('kind', ['empty', 'full', 'file', 'dangling'])
def test_whole_replaces_nothing(tmp_path, kind):
    target = tmp_path / 'result'
    if kind == 'file':
        target.write_text('old')
    elif kind == 'dangling':
        target.symlink_to(tmp_path / 'nowhere')
    else:
        target.mkdir()
        if kind == 'full':
            (target / 'old.txt').write_text('old')
    with pytest.raises(ValueError, match='result exists already.*remove it'), atomic.create_folder(target):
        pytest.fail('the block ran')
    assert contents(tmp_path) == ['result']


def test_whole_does_not_replace_what_appeared_meanwhile(tmp_path):
    target = tmp_path / 'result'
    with pytest.raises(ValueError, match='exists already'), atomic.create_folder(target) as folder:
        (folder / 'mine.txt').write_text('mine')
        target.mkdir()
    assert contents(tmp_path) == ['result']
    assert contents(target) == []


def test_whole_takes_a_relative_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with atomic.create_folder('result') as folder:
        (folder / 'a.txt').write_text('a')
        monkeypatch.chdir('/')
    assert contents(tmp_path) == ['result']


WRITERS = {
    'whole': "with files.whole(target) as folder:\n    (folder / 'half.txt').write_text('half')\n    wait()",
    'text': "files.os.replace = lambda *_: wait()\nfiles.write_text_atomically(target, 'half')",
}


@pytest.fixture
def writing(tmp_path, request):
    """A process that has begun to write `result` and never ends by itself."""
    script = (
        'import sys, time\nfrom pathlib import Path\nfrom mgan_jax import files\ntarget = Path(sys.argv[1])\n'
        "def wait():\n    print('ready', flush=True)\n    time.sleep(600)\n" + WRITERS[request.param]
    )
    root = Path(atomic.__file__).parent.parent
    command = [sys.executable, '-c', script, str(tmp_path / 'result')]
    with subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout.readline() == 'ready\n'
            yield process
        finally:
            process.kill()


def write(kind, target):
    if kind == 'text':
        atomic.write_text(target, 'done')
    else:
        with atomic.create_folder(target):
            pass


@pytest.mark.parametrize('kind', ['whole', 'text'])
@pytest.mark.parametrize('writing', ['whole', 'text'], indirect=True)
def test_left_overs_of_a_killed_run_are_removed(tmp_path, writing, kind):
    writing.send_signal(signal.SIGKILL)
    writing.wait()
    assert len(contents(tmp_path)) == 1  # hidden
    write(kind, tmp_path / 'result')
    assert contents(tmp_path) == ['result']


@pytest.mark.parametrize('writing', ['whole', 'text'], indirect=True)
def test_another_run_that_is_still_writing_is_left_alone(tmp_path, writing):
    before = contents(tmp_path)
    write('whole', tmp_path / 'result')
    assert contents(tmp_path) == [*before, 'result']


def test_left_overs_of_other_targets_are_left_alone(tmp_path):
    others = [
        '.result.x.0123abcd.partial',
        '.resul.0123abcd.partial',
        '.result.0123abcd',
        '.result.01234567.partial.txt',
    ]
    for name in others:
        (tmp_path / name).mkdir()
    (tmp_path / '.result.0123abcd.partial').mkdir()
    write('whole', tmp_path / 'result')
    assert contents(tmp_path) == sorted([*others, 'result'])


def test_file_systems_without_locks(tmp_path, monkeypatch):
    def no_locks(*_):
        raise OSError('no locks available')

    monkeypatch.setattr(atomic.fcntl, 'flock', no_locks)
    (tmp_path / '.result.0123abcd.partial').mkdir()
    write('whole', tmp_path / 'result')
    assert contents(tmp_path) == ['.result.0123abcd.partial', 'result']


def test_no_descriptor_stays_open(tmp_path):
    if not Path('/proc/self/fd').exists():
        pytest.skip('open descriptors cannot be counted here')
    before = len(os.listdir('/proc/self/fd'))
    for number in range(5):
        write('whole', tmp_path / f'folder{number}')
        write('text', tmp_path / f'file{number}')
    assert len(os.listdir('/proc/self/fd')) == before


def test_write_text_is_utf8_and_keeps_line_ends(tmp_path):
    path = tmp_path / 'new' / 'metrics.csv'
    atomic.write_text(path, 'name\r\nStraße 東\n')
    assert path.read_bytes() == 'name\r\nStraße 東\n'.encode()
    atomic.write_text(path, '')
    assert path.read_bytes() == b''
    assert contents(path.parent) == ['metrics.csv']


@pytest.mark.parametrize('exception', [OSError, KeyboardInterrupt])
def test_write_text_keeps_the_old_content_when_it_fails(tmp_path, monkeypatch, exception):
    path = tmp_path / 'config.json'
    atomic.write_text(path, 'old')

    def fail(*_):
        raise exception

    monkeypatch.setattr(atomic.os, 'replace', fail)
    with pytest.raises(exception):
        atomic.write_text(path, 'new')
    assert path.read_text() == 'old'
    assert contents(tmp_path) == ['config.json']


def test_write_text_keeps_the_old_content_when_the_text_cannot_be_encoded(tmp_path):
    path = tmp_path / 'config.json'
    atomic.write_text(path, 'old')
    with pytest.raises(UnicodeEncodeError):
        atomic.write_text(path, 'new \ud800')
    assert path.read_text() == 'old'
    assert contents(tmp_path) == ['config.json']


def test_write_text_refuses_a_folder(tmp_path):
    with pytest.raises(ValueError, match='is a folder where a file is to be written'):
        atomic.write_text(tmp_path, 'text')
