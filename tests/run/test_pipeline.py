"""No work is lost and none is done twice: runs that are stopped, disturbed, repeated and changed."""

import errno
import json
import os
import shutil
import signal
import threading

import jax
import numpy as np
import pytest
from PIL import Image

from mgan_jax import invert
from mgan_jax.engine import slots
from mgan_jax.results import contributions, history, records, report
from mgan_jax.run import checkpoints
from mgan_jax.storage import prefetch, remote, stores
from tests.small_runs import CODES, arguments, contents, folders, photo, refused, table

pytestmark = pytest.mark.usefixtures('in_the_repository', 'quick_compilation')
FIELDS = {'optimizer': 'adam', 'perceptual': 0, 'steps': 20}
PHOTOS = {f'photo{number}' for number in range(5)}


def run(folder, out, **fields):
    return invert.main(arguments(folder, 'invert.py', out, **FIELDS | fields))


@pytest.fixture(scope='module')
def undisturbed(folder):
    out = folder / 'undisturbed'
    assert run(folder, out) == 0
    return out


def require_same_results(out, expected, names=PHOTOS):
    """Bit by bit, but for the times in the table."""
    assert folders(out) == names
    for name in names:
        files = {path.name for path in (expected / name).iterdir()}
        assert {path.name for path in (out / name).iterdir()} == files
        for file in files - {'metrics.json'}:
            assert (out / name / file).read_bytes() == (expected / name / file).read_bytes(), (name, file)
    rows, others = ([row | {'seconds': ''} for row in table(path)] for path in (out, expected))
    assert [row for row in rows if row['name'] in names] == [row for row in others if row['name'] in names]


def no_left_overs(out):
    return [path for path in out.rglob('*') if 'partial' in path.name and path.name != 'partial'] == [] and not list(
        out.glob('.run/*/checkpoint*')
    )


def after(monkeypatch, count, action):
    """Does `action` after `count` turns of the pool, before the run sees them."""
    turns, inner = [], slots.run_slots

    def watched(*given, **options):
        for turn in inner(*given, **options):
            turns.append(turn)
            if len(turns) == count:
                action()
            yield turn

    monkeypatch.setattr(slots, 'run_slots', watched)
    return turns


# Stopping and going on


@pytest.mark.slow
@pytest.mark.parametrize('count', [1, 4, 11, 25])
@pytest.mark.parametrize('number, code', [(signal.SIGTERM, 75), (signal.SIGINT, 130)])
def test_a_stopped_run_goes_on_bit_by_bit(undisturbed, folder, tmp_path, monkeypatch, capsys, number, code, count):
    handlers = [signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)]
    with monkeypatch.context() as patch:
        after(patch, count, lambda: signal.raise_signal(number))
        assert run(folder, tmp_path) == code
    assert [signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)] == handlers
    captured = capsys.readouterr()
    assert captured.out == '' and captured.err.count('\n') == 1 and 'the same command goes on' in captured.err
    assert len(table(tmp_path)) == len(folders(tmp_path)) < 5
    turns = after(monkeypatch, 0, None)
    assert run(folder, tmp_path) == 0
    assert capsys.readouterr().err == ''
    assert sum(turn.steps * len(turn.images) for turn in turns) == 5 * 20 - steps_before(count)
    require_same_results(tmp_path, undisturbed)
    assert no_left_overs(tmp_path)


def steps_before(count):
    """The steps of five images in two slots, each turn two of them."""
    return sum(min(2, 5 - 2 * (turn // 10)) * 2 for turn in range(count))


@pytest.mark.slow
def test_a_stopped_run_keeps_curves_and_frames(folder, tmp_path, monkeypatch):
    out, expected, fields = tmp_path / 'out', tmp_path / 'expected', {'history_every': 6, 'contributions': True}
    assert run(folder, expected, **fields) == 0
    with monkeypatch.context() as patch:
        after(patch, 4, lambda: signal.raise_signal(signal.SIGTERM))
        assert run(folder, out, **fields) == 75
    assert (out / 'report.html').read_bytes() != (expected / 'report.html').read_bytes()
    assert run(folder, out, **fields) == 0
    require_same_results(out, expected)
    for name in PHOTOS:
        curves = history.parse_history((out / name / 'history.csv').read_bytes())
        assert list(curves['loss']) == list(range(20)) and list(curves['psnr']) == [6, 12, 18, 20]
        row = next(row for row in table(out) if row['name'] == name)
        assert curves['psnr'][20] == pytest.approx(float(row['psnr']), abs=1e-3)
        with Image.open(out / name / 'history.webp') as animation:
            assert (animation.n_frames, animation.size) == (4, (16, 16))
        with Image.open(out / name / 'codes.png') as codes, Image.open(out / name / 'alpha.png') as alpha:
            assert codes.size == (32, 16) and alpha.size[0] == 16


@pytest.mark.slow
def test_memory_that_does_not_suffice_for_contributions(folder, tmp_path, monkeypatch, capsys):
    def exhausted(*_):
        def explain(codes):
            raise jax.errors.JaxRuntimeError('RESOURCE_EXHAUSTED: Out of memory allocating 9 bytes.')

        return explain

    monkeypatch.setattr(contributions, 'make_explainer', exhausted)
    assert run(folder, tmp_path, contributions=True) == 0
    assert 'not enough memory for the contributions of an image; it has none.' in capsys.readouterr().err
    assert folders(tmp_path) == PHOTOS and not list(tmp_path.glob('*/codes.png'))


@pytest.mark.slow
def test_a_stop_is_seen_within_a_turn(folder, tmp_path, monkeypatch):
    """A turn is a tenth of the steps, which may take minutes."""
    update = slots.execution.repeat_step
    calls = []

    def stopped(*given, **options):
        calls.append(0)
        if len(calls) == 13:
            signal.raise_signal(signal.SIGTERM)
        return update(*given, **options)

    monkeypatch.setattr(slots.execution, 'repeat_step', stopped)
    out, expected = tmp_path / 'out', tmp_path / 'expected'
    assert run(folder, out, steps=100) == 75
    assert len(calls) == 13
    monkeypatch.undo()
    assert run(folder, out, steps=100) == 0
    assert run(folder, expected, steps=100) == 0
    require_same_results(out, expected)


def test_a_second_signal_ends_at_once(folder, tmp_path, monkeypatch, capsys):
    def twice():
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)

    after(monkeypatch, 2, twice)
    assert run(folder, tmp_path) == 130
    assert 'Traceback' not in capsys.readouterr().err


def test_a_run_that_is_stopped_before_it_begins(folder, tmp_path, monkeypatch):
    start = records.write_run_config
    monkeypatch.setattr(
        records, 'write_run_config', lambda *given: signal.raise_signal(signal.SIGTERM) or start(*given)
    )
    assert run(folder, tmp_path) == 75
    assert folders(tmp_path) == set()


def test_signals_are_left_alone_in_other_threads(folder, tmp_path):
    codes = []
    thread = threading.Thread(target=lambda: codes.append(run(folder, tmp_path)))
    thread.start()
    thread.join()
    assert codes == [0]


@pytest.mark.slow
def test_images_on_their_way_are_saved_now_and_then(undisturbed, folder, tmp_path, monkeypatch):
    """A run that dies between two checkpoints goes on from the last one."""
    turns = after(monkeypatch, 6, lambda: (_ for _ in ()).throw(ZeroDivisionError))
    with pytest.raises(ZeroDivisionError):
        run(folder, tmp_path, save_every=0)
    monkeypatch.undo()
    turns = after(monkeypatch, 0, None)
    assert run(folder, tmp_path) == 0
    assert sum(turn.steps * len(turn.images) for turn in turns) == 5 * 20 - 5 * 4
    require_same_results(tmp_path, undisturbed)


@pytest.mark.slow
@pytest.mark.parametrize('change', [{'steps': 21}, {'seed': 1}])
def test_a_checkpoint_of_other_settings_is_not_used(folder, tmp_path, monkeypatch, capsys, change):
    with monkeypatch.context() as patch:
        after(patch, 3, lambda: signal.raise_signal(signal.SIGTERM))
        assert run(folder, tmp_path) == 75
    capsys.readouterr()
    turns = after(monkeypatch, 0, None)
    assert run(folder, tmp_path, **change) == 0
    assert 'what is there is made again' in capsys.readouterr().err
    assert sum(turn.steps * len(turn.images) for turn in turns) == 5 * (FIELDS | change)['steps']


@pytest.mark.slow
def test_a_damaged_checkpoint_is_told_and_not_used(undisturbed, folder, tmp_path, monkeypatch, capsys):
    with monkeypatch.context() as patch:
        after(patch, 3, lambda: signal.raise_signal(signal.SIGTERM))
        assert run(folder, tmp_path) == 75
    (index,) = tmp_path.glob('.run/0-of-1/checkpoint-*/images.json')
    index.write_text(index.read_text()[:50])
    capsys.readouterr()
    assert run(folder, tmp_path) == 0
    told = capsys.readouterr().err
    assert told.count('\n') == 1 and 'cannot be used' in told and 'the images that it holds begin anew' in told
    require_same_results(tmp_path, undisturbed)
    assert no_left_overs(tmp_path)


# What is done, and what has changed


@pytest.mark.slow
def test_a_changed_image_is_done_again_alone(folder, tmp_path, capsys):
    shutil.copytree(folder / 'photos', tmp_path / 'photos')
    out = tmp_path / 'out'
    assert run(folder, out, images=tmp_path / 'photos') == 0
    before = contents(out)
    photo(77).save(tmp_path / 'photos' / 'photo3.png')
    capsys.readouterr()
    assert run(folder, out, images=tmp_path / 'photos') == 0
    assert capsys.readouterr().out.startswith('5 of 5 images done (1 again, since the image or the settings changed), ')
    after = contents(out)
    assert {path for path in after if after[path] != before[path]} == {
        out / 'metrics.csv', out / 'report.html', *(out / 'photo3').iterdir()
    }  # fmt: skip


@pytest.mark.slow
def test_other_settings_make_all_again(undisturbed, folder, tmp_path, capsys):
    shutil.copytree(undisturbed, tmp_path, dirs_exist_ok=True)
    capsys.readouterr()
    assert run(folder, tmp_path, seed=5) == 0
    captured = capsys.readouterr()
    assert captured.err == f'{tmp_path}: seed was 0 and is 5; what is there is made again.\n'
    assert captured.out.startswith('5 of 5 images done (5 again, ')
    assert run(folder, tmp_path) == 0
    require_same_results(tmp_path, undisturbed)


def test_a_name_is_no_content(folder, tmp_path):
    """The same files under other names are other images; the results are told apart by what is in the files."""
    for number in range(2):
        shutil.copy(folder / 'photos' / f'photo{number}.png', tmp_path / f'{number}.png')
    out = tmp_path / 'out'
    assert run(folder, out, images=tmp_path) == 0
    first = {name: (out / name / 'latents.npz').read_bytes() for name in '01'}
    (tmp_path / '0.png').rename(tmp_path / 'x.png')
    (tmp_path / '1.png').rename(tmp_path / '0.png')
    (tmp_path / 'x.png').rename(tmp_path / '1.png')
    assert run(folder, out, images=tmp_path) == 0
    assert {name: (out / name / 'latents.npz').read_bytes() for name in '01'} == {'0': first['1'], '1': first['0']}


@pytest.mark.slow
def test_other_weights_of_the_same_name_make_all_again(folder, tmp_path, capsys):
    shutil.copytree(folder / 'generator', tmp_path / 'model')
    fields = {'generator': tmp_path / 'model', 'out': tmp_path / 'out', 'steps': 1}
    assert run(folder, **fields) == 0
    shutil.rmtree(tmp_path / 'model')
    shutil.copytree(folder / 'broken', tmp_path / 'model')
    assert run(folder, **fields) == 3
    shutil.copytree(folder / 'generator', tmp_path / 'moved')
    capsys.readouterr()
    assert run(folder, **fields | {'generator': tmp_path / 'moved'}) == 0
    assert capsys.readouterr().out.startswith('5 of 5 images done, ')  # the first results are still of these weights


@pytest.mark.slow
def test_what_is_in_the_way_stops_nothing_else(undisturbed, folder, tmp_path, capsys):
    (tmp_path / 'photo2').mkdir()
    (tmp_path / 'photo2' / 'mine.txt').write_text('mine')
    assert run(folder, tmp_path) == 3
    assert f'{tmp_path}/photo2 is in the way and is no result of a run; move it' in table(tmp_path)[2]['status']
    assert [path.name for path in (tmp_path / 'photo2').iterdir()] == ['mine.txt']
    (tmp_path / 'photo2').rename(tmp_path / 'moved')
    assert run(folder, tmp_path) == 0
    (tmp_path / 'moved').rename(tmp_path.parent / 'moved')
    require_same_results(tmp_path, undisturbed)


def test_a_damaged_configuration_is_told(undisturbed, folder, tmp_path, capsys):
    shutil.copytree(undisturbed, tmp_path, dirs_exist_ok=True)
    (tmp_path / 'config.json').write_text('{"config": ')
    assert run(folder, tmp_path) == 0
    captured = capsys.readouterr()
    assert captured.err.endswith('its config.json was damaged; what is there is made again.\n')
    assert captured.out.startswith('5 of 5 images done, ')  # each folder says what it is of
    assert json.loads((tmp_path / 'config.json').read_text())['config']['steps'] == 20


def test_a_second_run_into_the_same_folder_is_refused(folder, tmp_path, capsys):
    with stores.open_store(str(tmp_path)):
        line = refused(capsys, arguments(folder, 'invert.py', tmp_path, **FIELDS))
    assert line.startswith(f'another run writes into {tmp_path} at this moment')


# Disturbances


@pytest.mark.slow
@pytest.mark.parametrize('where', ['results', 'checkpoint', 'rows'])
def test_a_disk_that_is_full(undisturbed, folder, tmp_path, monkeypatch, capsys, where):
    """One sentence; what was finished before is kept, and the next run goes on."""

    def full(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), 'somewhere')

    write, count = records.write_record, []

    def write_or_fail(*given):
        count.append(0)
        return full() if len(count) > 2 else write(*given)

    with monkeypatch.context() as patch:
        if where == 'results':
            patch.setattr(records, 'write_record', write_or_fail)
        elif where == 'checkpoint':
            patch.setattr(checkpoints, 'save_checkpoint', full)
        else:
            inner = records.open_rows
            patch.setattr(records, 'open_rows', lambda store: inner(store)._replace(finish=full))
        assert run(folder, tmp_path, save_every=0) == 3
    captured = capsys.readouterr()
    assert captured.err.count('\n') == 1 and captured.err.startswith('somewhere: No space left on device; what was')
    if where == 'results':
        assert len(folders(tmp_path)) == 2
    assert run(folder, tmp_path) == 0
    require_same_results(tmp_path, undisturbed)
    assert no_left_overs(tmp_path)


@pytest.mark.slow
def test_a_file_that_cannot_be_read_is_that_images_reason(undisturbed, folder, tmp_path, monkeypatch):
    from mgan_jax.data import sources

    load = sources.read_source

    def failing(source):
        if source.name == 'photo1':
            raise OSError(errno.EIO, os.strerror(errno.EIO), str(source.path))
        return load(source)

    with monkeypatch.context() as patch:
        patch.setattr(sources, 'read_source', failing)
        assert run(folder, tmp_path) == 3
    assert 'Input/output error' in table(tmp_path)[1]['status']
    assert run(folder, tmp_path) == 0
    require_same_results(tmp_path, undisturbed)


def test_errors_that_are_nobodys_fault_are_not_hidden(folder, tmp_path, monkeypatch):
    from mgan_jax.data import observations

    def wrong(*_, **__):
        raise ZeroDivisionError('a bug')

    monkeypatch.setattr(observations, 'observe_image', wrong)
    with pytest.raises(ZeroDivisionError, match='a bug'):
        run(folder, tmp_path)


# Elsewhere


@pytest.mark.slow
def test_results_go_to_a_remote_place(undisturbed, folder, monkeypatch, capsys):
    url = 'memory://bucket/results'
    with monkeypatch.context() as patch:
        after(patch, 4, lambda: signal.raise_signal(signal.SIGTERM))
        assert run(folder, url) == 75
    turns = after(monkeypatch, 0, None)
    assert run(folder, url) == 0
    assert sum(turn.steps * len(turn.images) for turn in turns) == 5 * 20 - steps_before(4)
    assert run(folder, url) == 0
    for name in PHOTOS:
        for path in (undisturbed / name).iterdir():
            if path.name != 'metrics.json':
                assert remote.read_url(f'{url}/{name}/{path.name}') == path.read_bytes()
    assert remote.read_url(f'{url}/metrics.csv').count(b'\n') == 6
    assert b'"event": "started"' in remote.read_url(f'{url}/.run/0-of-1/log.jsonl')
    assert not [found for found in remote.list_below(url) if 'checkpoint' in found]


# Bounds


@pytest.mark.slow
def test_only_so_many_images_wait(folder, tmp_path, monkeypatch):
    """What is read ahead and what is not written yet, whatever the length of the list."""
    photos = tmp_path / 'photos'
    photos.mkdir()
    for number in range(60):
        photo(number).save(photos / f'{number:02d}.png')
    alive, most, lock = [0], [0], threading.Lock()
    looked, wrote = prefetch.prefetch, records.write_record

    def count(change):
        with lock:
            alive[0] += change
            most[0] = max(most[0], alive[0])

    def ahead(function, items, **options):
        return looked(lambda item: count(1) or function(item), items, **options)

    def write(*given):
        wrote(*given)
        count(-1)

    monkeypatch.setattr(prefetch, 'prefetch', ahead)
    monkeypatch.setattr(records, 'write_record', write)
    monkeypatch.setattr(report, 'write_report', lambda store: None)  # which has a stream of its own
    assert run(folder, tmp_path / 'out', images=photos, steps=1, batch_size=2) == 0
    assert alive == [0] and most[0] <= 3 * max(2, CODES['batch_size']) + 8 < 60


def test_the_journal_tells_of_the_run(undisturbed):
    events = [json.loads(line) for line in (undisturbed / '.run' / '0-of-1' / 'log.jsonl').read_text().splitlines()]
    assert [event['event'] for event in events if event['event'] in ('started', 'ended')] == ['started', 'ended']
    assert {event['name'] for event in events if event['event'] == 'done'} == PHOTOS
    (last,) = [event for event in events if event['event'] == 'ended']
    assert (last['done'], last['failed'], last['skipped'], last['stopped']) == (5, 0, 0, False)
    figures = [event for event in events if event['event'] == 'figures']
    assert figures and 0 <= figures[-1]['device/idle'] <= 1 and np.isfinite(figures[-1]['loss'])
