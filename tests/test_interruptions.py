"""Real processes that are really killed, real disks that are full, permissions that are gone: nothing is lost."""

import itertools
import json
import os
import shutil
import signal
import subprocess
import sys

import jax
import pytest

from benchmarks.interruptions import (
    after_seconds,
    compare_results,
    interrupt_repeatedly,
    interrupt_run,
    while_writing,
)
from mgan_jax import invert
from mgan_jax.engine import slots
from mgan_jax.results import records
from mgan_jax.run import events
from tests.small_runs import ROOT, arguments, folders, photo, refused

pytestmark = pytest.mark.usefixtures('in_the_repository', 'quick_compilation')
FIELDS = {'optimizer': 'adam', 'perceptual': 0, 'steps': 20, 'save_every': 0}
NOBODY = 65534


def words(folder, out, **fields):
    return arguments(folder, 'invert.py', out, **FIELDS | fields)


@pytest.fixture(scope='module')
def undisturbed(folder):
    out = folder / 'undisturbed'
    assert invert.main(words(folder, out)) == 0
    return out


# Processes


@pytest.fixture(scope='module')
def command(folder):
    """command(out) of a process of its own, which computes as this one does and has its programs from it."""
    config = jax.config
    same = {
        'JAX_COMPILATION_CACHE_DIR': config.jax_compilation_cache_dir,
        'JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS': '0',
        'JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES': '-1',
        'JAX_DISABLE_MOST_OPTIMIZATIONS': '1',
        'JAX_DEFAULT_MATMUL_PRECISION': config.jax_default_matmul_precision,
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in same.items():
            patch.setenv(name, value)
        yield lambda out, **fields: [sys.executable, '-m', 'mgan_jax.invert', *words(folder, out, steps=60, **fields)]


@pytest.fixture(scope='module')
def expected(folder):
    out = folder / 'expected'
    assert invert.main(words(folder, out, steps=60)) == 0
    return out


@pytest.mark.slow
def test_a_run_that_is_killed_again_and_again(command, expected, tmp_path):
    """While it writes a checkpoint, while it writes a result, and in between; each goes on where the one before ended."""
    out = tmp_path / 'out'
    plan = [
        (signal.SIGKILL, while_writing(out, 'checkpoint')),
        (signal.SIGKILL, while_writing(out, 'photo')),
        (signal.SIGTERM, after_seconds(0.3)),
        (signal.SIGKILL, after_seconds(0.1)),
    ]
    kills = interrupt_repeatedly(command(out), out, iter(plan))
    assert [kill.code for kill in kills] == [-9, -9, 75, -9]
    assert sum(kill.their_steps > 0 for kill in kills) >= 2
    assert len(folders(expected)) == 5 and compare_results(out, expected) == []


@pytest.mark.slow
def test_what_is_wrong_is_seen(expected, tmp_path):
    shutil.copytree(expected, tmp_path, dirs_exist_ok=True)
    assert compare_results(tmp_path, expected) == []
    (tmp_path / 'photo0').rename(tmp_path / 'photo7')
    (tmp_path / 'photo1' / 'result.png').write_bytes(b'')
    (tmp_path / '.run' / '0-of-1' / 'checkpoint-000003').mkdir()
    (tmp_path / '.run' / '0-of-1' / 'partial' / '.photo2.0123.partial').mkdir()
    table = tmp_path / 'metrics.csv'
    table.write_text(table.read_text().replace('photo3', 'photo4'))
    log = tmp_path / '.run' / '0-of-1' / events.LOG
    log.write_bytes(log.read_bytes() + b'{"event": "done", "name": "photo4"}\n')
    assert compare_results(tmp_path, expected) == [
        'photo0 is not in both',
        'photo7 is not in both',
        'photo1/result.png has other bits',
        'metrics.csv differs',
        'photo4 was done 2 times',
        'checkpoint-000003 is left over',
        '.photo2.0123.partial is left over',
    ]


SHARES = """
import sys
from mgan_jax import invert
from mgan_jax.run import jobs, processes
share = processes.Share(int(sys.argv[1]), int(sys.argv[2]))
jobs.carry_out(jobs.prepare_job(invert.read_settings(sys.argv[3:]), share=share))
"""


@pytest.mark.slow
def test_two_processes_of_which_one_is_killed(folder, command, expected, tmp_path, capfd):
    """The other one neither waits nor fails, and what the killed one had finished is not done again."""
    out = tmp_path / 'out'
    shares = [[sys.executable, '-c', SHARES, str(i), '2', *words(folder, out, steps=60)] for i in range(2)]
    both = [subprocess.Popen(share, cwd=ROOT) for share in shares]
    while not (out / 'photo1').exists():
        assert all(process.poll() is None or not process.returncode for process in both)
    both[1].kill()
    assert (both[1].wait(), both[0].wait()) == (-9, 0)
    assert {'photo0', 'photo1', 'photo2', 'photo4'} <= folders(out)
    before = (out / 'photo1' / 'latents.npz').stat().st_mtime_ns
    subprocess.run(shares[1], cwd=ROOT, check=True)
    assert (out / 'photo1' / 'latents.npz').stat().st_mtime_ns == before
    assert compare_results(out, expected) == []
    assert capfd.readouterr().err == ''


@pytest.mark.slow
def test_a_folder_belongs_to_one_run_until_its_process_ends(folder, command, tmp_path, capsys):
    out, found = tmp_path / 'out', []

    def refuse_another(seconds):
        found.append(refused(capsys, words(folder, out, steps=60)))
        return True

    assert interrupt_run(command(out), out, signal.SIGKILL, refuse_another)
    assert found == [f'another run writes into {out} at this moment; wait for its end or choose another --config.out.']
    assert invert.main(words(folder, out, steps=60)) == 0  # nobody has to remove the lock


# Disks, permissions, files


def after(monkeypatch, count, action):
    """Does `action` after `count` turns."""
    inner = slots.run_slots

    def watched(*given, **options):
        for number, turn in enumerate(inner(*given, **options)):
            if number == count:
                action()
            yield turn

    monkeypatch.setattr(slots, 'run_slots', watched)


def require_one_sentence(capsys):
    said = capsys.readouterr()
    lines = [line for line in said.err.splitlines() if not line.startswith('the journal in ')]
    assert len(lines) == 1 and 'Traceback' not in said.err and said.out == ''
    return lines[0]


@pytest.fixture
def small_disk(tmp_path):
    """A file system of half a megabyte."""
    disk = tmp_path / 'disk'
    disk.mkdir()
    mounted = subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=512k', 'tmpfs', disk], capture_output=True)
    if mounted.returncode:
        pytest.skip('nothing can be mounted here')
    yield disk
    subprocess.run(['umount', '--lazy', disk], check=True)


@pytest.mark.slow
@pytest.mark.parametrize('room', [0, 20, 60, 100, 140])
def test_a_disk_that_is_full(folder, undisturbed, small_disk, capsys, room):
    """From one with no room at all, to one with room for nearly all results; the next run goes on."""
    out, filler = small_disk / 'out', small_disk / 'filler'
    free = shutil.disk_usage(small_disk).free
    filler.write_bytes(bytes(free - room * 1024))
    code = invert.main(words(folder, out))
    assert code == (3 if folders(out) or (out / 'config.json').exists() else 2)
    assert 'No space left on device' in require_one_sentence(capsys)
    before = {name: (out / name / 'metrics.json').read_bytes() for name in folders(out)}
    filler.unlink()
    assert invert.main(words(folder, out)) == 0
    assert capsys.readouterr().err == ''
    assert {name: (out / name / 'metrics.json').read_bytes() for name in before} == before
    assert compare_results(out, undisturbed) == []


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason='only root can become somebody else')
def test_a_permission_that_is_gone(folder, undisturbed, tmp_path, monkeypatch, capsys):
    with monkeypatch.context() as patch:
        after(patch, 12, lambda: os.seteuid(NOBODY))
        try:
            code = invert.main(words(folder, tmp_path))
        finally:
            os.seteuid(0)
    assert code == 3
    assert 'Permission denied' in require_one_sentence(capsys)
    assert folders(tmp_path) >= {'photo0', 'photo1'}
    assert invert.main(words(folder, tmp_path)) == 0
    assert compare_results(tmp_path, undisturbed) == []


@pytest.mark.slow
def test_a_file_that_is_gone_when_its_turn_comes(folder, undisturbed, tmp_path, monkeypatch):
    photos, out = tmp_path / 'photos', tmp_path / 'out'
    shutil.copytree(folder / 'photos', photos)
    photo(5).save(photos / 'photo5.png')
    prepare = invert.jobs.prepare_job
    with monkeypatch.context() as patch:
        patch.setattr(
            invert.jobs,
            'prepare_job',
            lambda settings, **more: (prepare(settings, **more), (photos / 'photo2.png').unlink())[0],
        )
        assert invert.main(words(folder, out, images=photos)) == 3
    assert 'No such file' in (out / 'metrics.csv').read_text()
    shutil.copy(folder / 'photos' / 'photo2.png', photos)
    (photos / 'photo5.png').unlink()
    shutil.rmtree(out / 'photo5')
    assert invert.main(words(folder, out, images=photos)) == 0
    assert compare_results(out, undisturbed) == []


def stopped(folder, out):
    """A run that left a checkpoint -> its files."""
    with pytest.MonkeyPatch.context() as patch:
        after(patch, 2, lambda: signal.raise_signal(signal.SIGTERM))
        assert invert.main(words(folder, out)) == 75
    (checkpoint,) = out.glob('.run/0-of-1/checkpoint-*')
    return sorted(path for path in checkpoint.rglob('*') if path.is_file())


@pytest.mark.slow
def test_damaged_checkpoints(folder, undisturbed, tmp_path, capsys):
    """Whichever of its files is cut short or missing: either it does not matter, or it is told in a sentence."""
    files = stopped(folder, tmp_path / 'stopped')
    told = 0
    assert [path.name for path in files] == ['images.json', 'states.npz']
    for number, (path, cut) in enumerate(itertools.product(files, (True, False))):
        out = tmp_path / str(number)
        shutil.copytree(tmp_path / 'stopped', out)
        capsys.readouterr()
        damaged = out / path.relative_to(tmp_path / 'stopped')
        damaged.write_bytes(path.read_bytes()[: path.stat().st_size // 2]) if cut else damaged.unlink()
        assert invert.main(words(folder, out)) == 0
        said = capsys.readouterr().err
        assert said == '' or (said.count('\n') == 1 and 'the images that it holds begin anew' in said), (path, cut)
        told += bool(said)
        assert compare_results(out, undisturbed) == [], (path, cut)
    assert told == 4


@pytest.mark.slow
@pytest.mark.parametrize(
    'change, reason',
    [
        ({'version': 99}, 'it has version 99 and this release reads version 1'),
        ({'images': []}, 'it holds '),
        ({'images': 7}, 'cannot be used'),
    ],
)
def test_checkpoints_of_other_releases(folder, undisturbed, tmp_path, capsys, change, reason):
    index = next(path for path in stopped(folder, tmp_path) if path.name == 'images.json')
    index.write_text(json.dumps(json.loads(index.read_text()) | change))
    capsys.readouterr()
    assert invert.main(words(folder, tmp_path)) == 0
    said = capsys.readouterr().err
    assert said.count('\n') == 1 and reason in said and 'begin anew' in said
    assert compare_results(tmp_path, undisturbed) == []


# What is on its way


def steps_done(folder, out, monkeypatch, count=10**9, action=lambda: None, code=0, **fields):
    """Steps of a run that does `action` after `count` turns, of all images together."""
    turns, inner = [], slots.run_slots

    def watched(*given, **options):
        for turn in inner(*given, **options):
            turns.append(turn.steps * len(turn.images))
            if len(turns) == count:
                action()
            yield turn

    with monkeypatch.context() as patch:
        patch.setattr(slots, 'run_slots', watched)
        assert invert.main(words(folder, out, **fields)) == code
    return sum(turns)


def stop():
    signal.raise_signal(signal.SIGTERM)


@pytest.mark.slow
def test_a_result_that_cannot_be_written_leaves_its_checkpoint(folder, undisturbed, tmp_path, monkeypatch, capsys):
    """All steps of an image but those of its last turn are saved, until its result stands there."""
    write = records.write_record

    def full(store, name, *given):
        if name == 'photo4':
            raise OSError(28, 'No space left on device', name)
        write(store, name, *given)

    with monkeypatch.context() as patch:
        patch.setattr(records, 'write_record', full)
        assert steps_done(folder, tmp_path, patch, code=3) == 5 * 20
    assert steps_done(folder, tmp_path, monkeypatch) == 2
    assert compare_results(tmp_path, undisturbed) == []


@pytest.mark.slow
def test_images_whose_turn_has_not_come_again_stay_saved(folder, tmp_path, monkeypatch):
    """Four images are stopped, and go on in two slots, which are stopped, too."""
    done = [
        steps_done(folder, tmp_path, monkeypatch, 3, stop, 75, batch_size=4),
        steps_done(folder, tmp_path, monkeypatch, 1, stop, 75, batch_size=2),
        steps_done(folder, tmp_path, monkeypatch, 9, stop, 75, batch_size=2),
        steps_done(folder, tmp_path, monkeypatch, batch_size=2),
    ]
    assert done[:2] == [24, 4] and sum(done) == 5 * 20


def test_a_checkpoint_keeps_nothing_of_other_settings(folder, tmp_path, monkeypatch):
    steps_done(folder, tmp_path, monkeypatch, 3, stop, 75)
    steps_done(folder, tmp_path, monkeypatch, 1, stop, 75, seed=1)
    (index,) = tmp_path.glob('.run/0-of-1/checkpoint-*/images.json')
    assert len(json.loads(index.read_text())['images']) == 2


@pytest.mark.slow
def test_a_run_that_is_stopped_is_not_over_though_images_failed(folder, tmp_path, monkeypatch, capsys):
    photos = tmp_path / 'photos'
    shutil.copytree(folder / 'photos', photos)
    (photos / 'photo0.png').write_bytes(b'no image')
    steps_done(folder, tmp_path / 'out', monkeypatch, 3, stop, 75, images=photos)
    assert capsys.readouterr().err.startswith('stopped; what was finished is kept')
    steps_done(folder, tmp_path / 'out', monkeypatch, code=3, images=photos)


def test_a_row_that_could_not_be_written_whole_breaks_no_table(folder, tmp_path, monkeypatch):
    from mgan_jax.storage import stores

    with stores.open_store(str(tmp_path), 0, 2) as store:
        rows = records.open_rows(store)
        rows.add(0, {'name': 'a', 'status': 'done'})
        resource = pytest.importorskip('resource')
        limit = (store.work / 'rows.jsonl').stat().st_size + 10
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
        try:
            with pytest.raises(OSError, match='File too large'):
                rows.add(2, {'name': 'b', 'status': 'done'})
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        rows.finish()
        assert [row['name'] for row in records.write_table(store)] == ['a']
