"""Log lines, event files read back byte by byte, and disks that fail."""

import json
import os
import struct
import subprocess
import sys
import threading

import jax.numpy as jnp
import numpy as np
import pytest
from tensorboardX.crc32c import crc32c
from tensorboardX.proto.event_pb2 import Event

from mgan_jax.run import events
from tests.small_runs import ROOT


def clock_of(*seconds):
    """A clock that returns `clock.now`, at first `seconds`."""

    def clock():
        return clock.now

    clock.now = seconds[0] if seconds else 1_000_000_000.25
    return clock


def plots(folder):
    """(step, {name: number}) of all event files, in the order of their names. Checks the checksums of all records."""
    found = []
    for path in sorted(folder.glob('events.out.tfevents.*')):
        data = path.read_bytes()
        events = list(records(data))
        assert events[0].file_version == 'brain.Event:2'
        found += [(event.step, {v.tag: v.simple_value for v in event.summary.value}) for event in events[1:]]
    return found


def records(data):
    while data:
        (length,) = struct.unpack('<Q', data[:8])
        body = data[12 : 12 + length]
        assert struct.unpack('<I', data[8:12])[0] == masked(data[:8])
        assert struct.unpack('<I', data[12 + length : 16 + length])[0] == masked(body)
        yield Event.FromString(body)
        data = data[16 + length :]


def masked(data):
    checksum = crc32c(data)
    return ((checksum >> 15 | checksum << 17) + 0xA282EAD8) & 0xFFFFFFFF


def test_a_line_is_in_the_file_when_the_call_returns(tmp_path):
    log = events.open_log(tmp_path / 'new' / 'folder', clock=clock_of())
    log.tell('started', images=3, out='results')
    text = (tmp_path / 'new' / 'folder' / 'log.jsonl').read_text()
    assert text == '{"time": "2001-09-09T01:46:40.250+00:00", "event": "started", "images": 3, "out": "results"}\n'
    log.tell('ended')
    assert [event['event'] for event in events.read_events(tmp_path / 'new' / 'folder' / 'log.jsonl')] == [
        'started',
        'ended',
    ]


def test_a_later_run_removes_an_incomplete_line(tmp_path):
    path = tmp_path / 'log.jsonl'
    whole = b'{"event": "a"}\n' * 1000
    for broken in (b'', b'{"event": "b', b'x' * 10_000):
        path.write_bytes(whole + broken)
        log = events.open_log(tmp_path)
        log.tell('c')
        assert path.read_bytes().startswith(whole + b'{"time"')
        assert len([json.loads(line) for line in path.read_bytes().splitlines()]) == 1001
    path.write_bytes(b'no end of a line')
    log = events.open_log(tmp_path)
    log.tell('c')
    assert len(events.read_events(path)) == 1


def test_damaged_lines_are_skipped(tmp_path):
    (tmp_path / 'log').write_bytes(b'{"event": "a"}\n{"ev\n\xff\n{"event": "b"}\n{"event"')
    assert events.read_events(tmp_path / 'log') == [{'event': 'a'}, {'event': 'b'}]


def test_any_value_can_be_written(tmp_path):
    log = events.open_log(tmp_path)
    log.tell('odd', a=np.float32(0.5), b=float('nan'), c=jnp.arange(2), d=tmp_path, e={1: [None, True, {2}]}, f='ö\n')
    (line,) = (tmp_path / 'log.jsonl').read_text().splitlines()
    told = json.loads(line, parse_constant=pytest.fail)
    assert {name: told[name] for name in 'abcdef'} == {
        'a': 0.5, 'b': None, 'c': [0, 1], 'd': str(tmp_path), 'e': {'1': [None, True, '{2}']}, 'f': 'ö\n'
    }  # fmt: skip


def test_figures_are_written_once_per_interval(tmp_path):
    clock = clock_of(100.0)
    asked = []

    def values():
        asked.append(clock.now)
        return {'images/hour': clock.now, 'loss': 0.5}

    log = events.open_log(tmp_path, interval=10, clock=clock)
    for clock.now in (100.0, 101.0, 109.9, 110.0, 50.0, 59.0, 61.0, 62.0):  # the clock is set back once
        log.figures(int(clock.now), values)
    log.figures(63, {'loss': 0.25}, last=True)
    assert asked == [100, 110, 50, 61]
    expected = [(step, {'images/hour': step, 'loss': 0.5}) for step in (100, 110, 50, 61)] + [(63, {'loss': 0.25})]
    assert plots(tmp_path) == expected
    told = events.read_events(tmp_path / 'log.jsonl')
    assert [event['event'] for event in told] == ['figures'] * 5
    assert (told[1]['step'], told[1]['images/hour'], told[1]['loss']) == (110, 110, 0.5)


def test_runs_in_the_same_second_have_event_files_of_their_own(tmp_path):
    for step in (1, 2):
        log = events.open_log(tmp_path, clock=clock_of())
        log.figures(step, {'loss': step})
    assert plots(tmp_path) == [(1, {'loss': 1}), (2, {'loss': 2})]


def test_without_event_files(tmp_path):
    log = events.open_log(tmp_path, events=False)
    log.figures(1, {'loss': 1.0})
    assert [path.name for path in tmp_path.iterdir()] == ['log.jsonl']
    log = events.no_log()
    log.tell('started', images=3)
    log.figures(1, {'loss': 1.0}, last=True)


def test_many_threads(tmp_path):
    log = events.open_log(tmp_path, events=False)
    threads = [threading.Thread(target=lambda n=n: [log.tell('e', n=n) for _ in range(50)]) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(events.read_events(tmp_path / 'log.jsonl')) == 400


def test_a_folder_that_cannot_be_written_is_reported_once(tmp_path, capsys):
    (tmp_path / 'file').write_text('')
    log = events.open_log(tmp_path / 'file', interval=0)
    for step in range(3):
        log.tell('started')
        log.figures(step, {'loss': 1.0})
    assert not capsys.readouterr().err.count('\n') > 1
    (tmp_path / 'file').unlink()
    log.tell('later')  # the folder can be written now
    log.figures(4, {'loss': 1.0})
    assert [event['event'] for event in events.read_events(tmp_path / 'file' / 'log.jsonl')] == ['later', 'figures']
    assert plots(tmp_path / 'file') == [(4, {'loss': 1.0})]
    assert capsys.readouterr().err == ''


FULL_DISK = """
import resource, signal, sys
from mgan_jax.run import events
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (2000, resource.RLIM_INFINITY))
log = events.open_log(sys.argv[1], interval=0)
for step in range(200):
    log.tell('event', text='x' * 30)
    log.figures(step, {'loss': step})
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
log.tell('there is room')
log.figures(1000, {'loss': 0.5})
print('ended')
"""


def python(program, *arguments, **environment):
    command = [sys.executable, '-W', 'error', '-c', program, *map(str, arguments)]
    return subprocess.run(
        command, cwd=ROOT, env=os.environ | environment, capture_output=True, text=True, timeout=120
    )  # fmt: skip


def test_a_full_disk_does_not_end_the_run_and_leaves_complete_lines(tmp_path):
    process = python(FULL_DISK, tmp_path)
    assert (process.returncode, process.stdout) == (0, 'ended\n')
    assert process.stderr == f'the journal in {tmp_path} cannot be written: File too large; the run goes on.\n'
    lines = (tmp_path / 'log.jsonl').read_text().splitlines()
    told = [json.loads(line) for line in lines]
    assert 10 < len(told) < 100 and told[-2]['event'] == 'there is room'
    steps = [step for step, _ in plots(tmp_path)]
    assert steps == [*range(len(steps) - 1), 1000] and 10 < len(steps) < 100


def test_neither_tensorflow_nor_pytorch_is_loaded(tmp_path):
    """Also if they are installed."""
    for name in ('torch', 'tensorflow', 'tensorboard'):
        (tmp_path / f'{name}.py').write_text('raise SystemExit("it was loaded")')
    program = (
        'import sys\nfrom mgan_jax.run import events\n'
        'log = events.open_log(sys.argv[1])\n'
        'log.figures(1, {"loss": 0.5})\n'
        'assert "tensorboardX" in sys.modules\nprint([n for n in ("torch", "tensorflow") if n in sys.modules])'
    )
    process = python(program, tmp_path / 'out', PYTHONPATH=f'{tmp_path}:{ROOT}')
    assert (process.returncode, process.stdout, process.stderr) == (0, '[]\n', '')
    assert plots(tmp_path / 'out') == [(1, {'loss': 0.5})]
