"""Atomic writes: complete or absent after exceptions, kills and full disks."""

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from mgan_jax.storage import atomic

ROOT = str(Path(atomic.__file__).parent.parent.parent)


def contents(directory):
    return sorted(path.name for path in directory.iterdir())


def test_a_folder_appears_at_the_end(tmp_path):
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


def test_a_folder_has_ordinary_permissions(tmp_path):
    (tmp_path / 'ordinary').mkdir()
    with atomic.create_folder(tmp_path / 'result'):
        pass
    assert stat.S_IMODE((tmp_path / 'result').stat().st_mode) == stat.S_IMODE((tmp_path / 'ordinary').stat().st_mode)


@pytest.mark.parametrize('exception', [RuntimeError, KeyboardInterrupt, SystemExit])
def test_an_exception_leaves_nothing(tmp_path, exception):
    with pytest.raises(exception), atomic.create_folder(tmp_path / 'result') as folder:
        (folder / 'a.txt').write_text('a')
        raise exception
    assert contents(tmp_path) == []


def test_a_folder_can_be_created_after_an_exception(tmp_path):
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
def test_a_folder_replaces_nothing(tmp_path, kind):
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


def test_a_folder_does_not_replace_what_appeared_meanwhile(tmp_path):
    target = tmp_path / 'result'
    with pytest.raises(ValueError, match='exists already'), atomic.create_folder(target) as folder:
        (folder / 'mine.txt').write_text('mine')
        target.mkdir()
    assert contents(tmp_path) == ['result']
    assert contents(target) == []


def test_a_relative_path_is_resolved_at_the_start(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with atomic.create_folder('result') as folder:
        (folder / 'a.txt').write_text('a')
        monkeypatch.chdir('/')
    assert contents(tmp_path) == ['result']


WRITERS = {
    'folder': "with atomic.create_folder(target) as folder:\n    (folder / 'half.txt').write_text('half')\n    wait()",
    'text': "atomic.os.replace = lambda *_: wait()\natomic.write_text(target, 'half')",
}


@pytest.fixture
def writing(tmp_path, request):
    """A process that has begun to write `result` and does not end by itself."""
    script = (
        'import sys, time\nfrom pathlib import Path\nfrom mgan_jax.storage import atomic\ntarget = Path(sys.argv[1])\n'
        "def wait():\n    print('ready', flush=True)\n    time.sleep(600)\n" + WRITERS[request.param]
    )
    command = [sys.executable, '-c', script, str(tmp_path / 'result')]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
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


@pytest.mark.parametrize('kind', ['folder', 'text'])
@pytest.mark.parametrize('writing', ['folder', 'text'], indirect=True)
def test_left_overs_of_a_killed_run_are_removed(tmp_path, writing, kind):
    writing.send_signal(signal.SIGKILL)
    writing.wait()
    assert len(contents(tmp_path)) == 1  # hidden
    write(kind, tmp_path / 'result')
    assert contents(tmp_path) == ['result']


@pytest.mark.parametrize('writing', ['folder', 'text'], indirect=True)
def test_temporaries_of_a_living_process_are_left_alone(tmp_path, writing):
    before = contents(tmp_path)
    write('folder', tmp_path / 'result')
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
    write('folder', tmp_path / 'result')
    assert contents(tmp_path) == sorted([*others, 'result'])


def test_file_systems_without_locks(tmp_path, monkeypatch):
    def no_locks(*_, **options):
        raise OSError('no locks available')

    monkeypatch.setattr(atomic.filelock, 'lock_descriptor', no_locks)
    (tmp_path / '.result.0123abcd.partial').mkdir()
    write('folder', tmp_path / 'result')
    assert contents(tmp_path) == ['.result.0123abcd.partial', 'result']
    with atomic.lock_file(tmp_path / 'lock') as locked:
        assert locked


def test_a_locked_file_is_refused_until_the_end_of_the_block(tmp_path):
    for _ in range(2):
        with atomic.lock_file(tmp_path / 'lock') as locked, atomic.lock_file(tmp_path / 'lock') as again:
            assert (locked, again) == (True, False)
    with pytest.raises(OSError, match='No such file'), atomic.lock_file(tmp_path / 'none' / 'lock'):
        pytest.fail('the block ran')


def test_the_module_is_light_and_needs_no_fcntl(tmp_path):
    program = (
        "import sys, warnings\nsys.modules['fcntl'] = None\nwarnings.simplefilter('ignore')\n"
        'from mgan_jax.storage import atomic\n'
        "print({'jax', 'orbax', 'fsspec'} & {name.partition('.')[0] for name in sys.modules})\n"
        "atomic.write_text('file', 'text')\n"
        "with atomic.create_folder('folder'), atomic.lock_file('lock') as locked:\n    assert locked"
    )
    environment = os.environ | {'PYTHONPATH': ROOT}
    command = [sys.executable, '-c', program]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, 'set()\n', '')
    assert contents(tmp_path) == ['file', 'folder', 'lock']


def test_no_descriptor_stays_open(tmp_path):
    if not Path('/proc/self/fd').exists():
        pytest.skip('open descriptors cannot be counted here')
    before = len(os.listdir('/proc/self/fd'))
    for number in range(5):
        write('folder', tmp_path / f'folder{number}')
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
