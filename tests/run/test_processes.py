"""Processes that meet and part, over loopback: shares, refusals, and deaths that nobody minds."""

import concurrent.futures
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time

import pytest

from mgan_jax import invert
from mgan_jax.run import processes
from tests import small_runs
from tests.small_runs import arguments, latents, refused, table

WAIT = 120  # seconds, for processes on a machine with other work; they take a few
QUIET = {'XLA_FLAGS': '--xla_force_host_platform_device_count=2'}


def free_port():
    with socket.socket() as one:
        one.bind(('127.0.0.1', 0))
        return one.getsockname()[1]


@contextlib.contextmanager
def started(commands):
    """Processes with pipes, which are gone afterwards. commands: (arguments of Python, more of the environment)."""
    pipes = {'stdout': subprocess.PIPE, 'stderr': subprocess.PIPE, 'text': True}
    with contextlib.ExitStack() as stack:
        processes = []
        for command, environment in commands:
            environment = os.environ | QUIET | environment
            process = subprocess.Popen([sys.executable, *command], cwd=small_runs.ROOT, env=environment, **pipes)
            processes.append(stack.enter_context(process))
            stack.callback(process.kill)
        yield processes


def ended(process):
    """-> what it printed; it must have ended well and without a complaint."""
    out, complaints = process.communicate(timeout=WAIT)
    assert (process.returncode, complaints) == (0, '')
    return out


def worker(join, count, seconds, folder, **environment):
    return ['-m', 'tests.one_of_many', json.dumps(join), str(count), str(seconds), str(folder)], environment


def meeting(count, port=None):
    port = port or free_port()
    return [
        {'coordinator': f'127.0.0.1:{port}', 'num_processes': count, 'process_id': k, 'seconds': WAIT}
        for k in range(count)
    ]


def until(condition):
    deadline = time.monotonic() + WAIT
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


# Shares


def test_shares_are_disjoint_and_complete(tmp_path):
    """Also where there are more processes than images. The first one, where they met, ends before the others."""
    commands = [worker(join, 3, 0.5, tmp_path) for join in meeting(4)]
    with started(commands) as processes:
        answers = [json.loads(ended(process)) for process in processes]
    assert [answer['share'] for answer in answers] == [[k, 4] for k in range(4)]
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {'0': '0 by 0', '1': '1 by 1', '2': '4 by 2'}
    assert all((answer['processes'], answer['devices']) == (1, 2) for answer in answers)  # each has a world of its own


def test_the_others_go_on_when_some_are_killed(tmp_path):
    """Also when it is the one where they met."""
    commands = [worker(join, 6, 0.5, tmp_path) for join in meeting(3)]
    with started(commands) as processes:
        for k in (0, 1):
            until((tmp_path / f'{k}').exists)
            processes[k].send_signal(signal.SIGKILL)
        killed = time.monotonic()
        assert json.loads(ended(processes[2]))['share'] == [2, 3]
        assert time.monotonic() - killed < 30  # JAX's heartbeats alone take longer
    assert {'0', '1', '2', '5'} == {path.name for path in tmp_path.iterdir()}


def test_a_cluster_that_is_detected(tmp_path):
    """SLURM's, whose tasks take the device of their number on the node."""
    common = {'SLURM_JOB_ID': '7', 'SLURM_STEP_NODELIST': '127.0.0.1', 'SLURM_NTASKS': '2'}
    common |= {'JAX_COORDINATOR_PORT': str(free_port())}
    commands = [
        worker({'detect': True, 'seconds': WAIT}, 2, 0, tmp_path, **common, SLURM_PROCID=str(k), SLURM_LOCALID=str(k))
        for k in range(2)
    ]
    with started(commands) as processes:
        answers = [json.loads(ended(process)) for process in processes]
    assert [answer['share'] for answer in answers] == [[0, 2], [1, 2]]
    assert [answer['visible'] for answer in answers] == ['0', '1']


def test_alone():
    assert processes.join_processes() == processes.WHOLE == (0, 1)
    assert processes.join_processes('nowhere:1', 1, 0) == processes.WHOLE


# Refusals


REFUSED = [
    (
        ['--process_id=1'],
        '--coordinator and --num_processes are missing; give --coordinator=HOST:PORT --num_processes=N',
    ),
    (['--coordinator=a:1', '--process_id=1'], '--num_processes is missing; give '),
    (['--num_processes=2', '--coordinator=a:1'], '--process_id is missing; give '),
    (
        ['--coordinator=a', '--num_processes=2', '--process_id=0'],
        "--coordinator is 'a'; HOST:PORT of process 0 is wanted",
    ),
    (['--coordinator=a:0', '--num_processes=2', '--process_id=0'], "--coordinator is 'a:0'; HOST:PORT"),
    (['--coordinator=a:70000', '--num_processes=2', '--process_id=0'], "--coordinator is 'a:70000'; HOST:PORT"),
    (['--coordinator=', '--num_processes=2', '--process_id=0'], "--coordinator is ''; HOST:PORT"),
    (['--coordinator=a:1', '--num_processes=0', '--process_id=0'], '--num_processes is 0; at least 1 is wanted'),
    (['--coordinator=a:1', '--num_processes=2', '--process_id=2'], '--process_id is 2; 0 to 1 are wanted for 2'),
    (['--coordinator=a:1', '--num_processes=2', '--process_id=-1'], '--process_id is -1; 0 to 1 are wanted'),
    (['--coordinator=a:1', '--num_processes=2', '--process_id=x'], '--process_id=x: a whole number is wanted; usage: '),
    (['--distributed', '--process_id=0'], '--distributed finds the processes by itself; give --coordinator=HOST:PORT'),
    (['--distributed', '--join_seconds=0'], 'join_seconds is 0; at least 1 is wanted'),
    (['--num_process=2'], "there is no flag 'num_process'; usage: "),
]


@pytest.mark.parametrize('flags, words', REFUSED)
def test_flags_that_do_not_fit(flags, words, folder, tmp_path, capsys, in_the_repository):
    assert words in refused(capsys, [*flags, *arguments(folder, 'invert.py', tmp_path / 'out')])
    assert not (tmp_path / 'out').exists()


def test_settings_are_looked_at_before_anyone_is_waited_for(folder, tmp_path, capsys, in_the_repository):
    command = arguments(folder, 'invert.py', tmp_path / 'out', stepss=3)
    flags = [f'--coordinator=127.0.0.1:{free_port()}', '--num_processes=2', '--process_id=1']
    assert "no field 'stepss'; did you mean 'steps'?" in refused(capsys, [*command, *flags])


def test_meetings_that_fail(capfd):
    """The processes are threads here, which is enough to meet: nobody comes; a port that is taken; a number that two have,
    or that is too large; no cluster at all. All at once, since most of it is waiting."""
    nobody, taken, twice, fewer = free_port(), free_port(), free_port(), free_port()

    def join(port, count, number):
        with pytest.raises(ValueError) as error:
            processes.join_processes(f'127.0.0.1:{port}', count, number, seconds=10)
        return str(error.value)

    def detect():
        with pytest.raises(ValueError) as error:
            processes.join_processes(detect=True, seconds=10)
        return str(error.value)

    with socket.socket(socket.AF_INET6) as other, concurrent.futures.ThreadPoolExecutor() as threads:
        other.bind(('::', taken))
        other.listen()
        cluster = threads.submit(detect)
        calls = [
            (nobody, 2, 1),
            (taken, 2, 0),
            (twice, 3, 0),
            (twice, 3, 1),
            (twice, 3, 1),
            (fewer, 2, 0),
            (fewer, 3, 2),
        ]
        lonely, port, *same, _, large = [answer.result() for answer in [threads.submit(join, *call) for call in calls]]
    assert lonely == (
        f'process 1 of 2 at 127.0.0.1:{nobody}: not all processes met within 10 s; '
        'start all of them, with the same --coordinator and --num_processes.'
    )
    assert 'this process cannot listen at that port; choose another one' in port
    assert any('another process with this --process_id; give each its own' in told for told in same)
    assert 'the coordinator was started with a smaller --num_processes; give all the same' in large
    assert 'of this cluster: there is none that JAX can detect; give --coordinator=' in cluster.result()
    assert capfd.readouterr().err == ''


# Whole runs


@pytest.fixture(scope='module')
def alone(folder, tmp_path_factory, in_the_repository, quick_compilation):
    """What one process makes of the photos, on two devices."""
    out = tmp_path_factory.mktemp('alone') / 'out'
    assert invert.main(arguments(folder, 'invert.py', out, **RUN)) == 0
    return content(out)


RUN = {'perceptual': 0, 'batch_size': 0, 'steps': 20}


def content(out):
    """All that must be the same, whoever made it: pictures, codes, figures."""
    rows = [{name: value for name, value in row.items() if name != 'seconds'} for row in table(out)]
    pictures = {path.relative_to(out): path.read_bytes() for path in sorted(out.glob('*/*.png'))}
    codes = [[array.tolist() for array in latents(out, row['name'])] for row in rows]
    return rows, pictures, codes


def many(folder, out, tmp_path, count, **fields):
    environment = {'JAX_DISABLE_MOST_OPTIMIZATIONS': '1', 'XDG_CACHE_HOME': str(tmp_path)}
    command = ['-m', 'mgan_jax.invert', *arguments(folder, 'invert.py', out, **RUN | fields)]
    flags = [f'--coordinator=127.0.0.1:{free_port()}', f'--num_processes={count}', f'--join_seconds={WAIT}']
    return [([*command, *flags, f'--process_id={k}'], environment) for k in range(count)]


def test_many_processes_make_what_one_makes(alone, folder, tmp_path):
    """Three photos for four processes: the last one has nothing to do."""
    out = tmp_path / 'out'
    with started(many(folder, out, tmp_path, 4, images=folder / 'photos' / 'photo[012].png')) as processes:
        for process in processes:
            ended(process)
    rows, pictures, codes = content(out)
    names = [f'photo{number}' for number in range(3)]
    assert [row['name'] for row in rows] == names
    assert (rows, codes) == (alone[0][:3], alone[2][:3])
    assert pictures == {path: data for path, data in alone[1].items() if path.parent.name in names}


@pytest.mark.parametrize('number, code', [(signal.SIGTERM, 75), (signal.SIGINT, 130)])
def test_a_process_that_is_stopped_while_it_waits(folder, tmp_path, number, code):
    command, environment = many(folder, tmp_path / 'out', tmp_path, 2)[1]
    hear = 'import signal; signal.signal(signal.SIGINT, signal.default_int_handler); '  # which shells may have ignored
    run = f'{hear}import sys; from mgan_jax import invert; sys.exit(invert.main({command[2:]!r}))'
    with started([(['-c', run], environment)]) as (process,):
        until(lambda: children(process.pid))
        process.send_signal(number)
        told = process.communicate(timeout=30)[1]
    assert (process.returncode, told.count('\n')) == (code, 1), told
    assert not (tmp_path / 'out').exists()


def children(pid):
    with open(f'/proc/{pid}/task/{pid}/children', encoding='utf-8') as file:
        return file.read().split()


def test_a_process_that_is_killed_costs_the_others_nothing(alone, folder, tmp_path):
    """And the same command finishes what it had to do, alone."""
    out = tmp_path / 'out'
    with started(many(folder, out, tmp_path, 2)) as (first, second):
        until(lambda: list(out.glob('photo*/metrics.json')) or first.poll() is not None)
        first.send_signal(signal.SIGKILL)
        second.communicate(timeout=WAIT)
        assert second.returncode in (0, 3)
    assert {'photo1', 'photo3'} <= {path.parent.name for path in out.glob('photo*/metrics.json')}
    assert invert.main(arguments(folder, 'invert.py', out, **RUN)) == 0
    assert content(out) == alone
