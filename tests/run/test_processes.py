"""Shares of several processes, refusals, and processes that die. Clusters are simulated on the loopback interface."""

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
from mgan_jax.storage import stores
from tests import small_runs
from tests.small_runs import arguments, latents, refused, table

WAIT = 120  # seconds, for processes on a busy machine
TWO_DEVICES = {'XLA_FLAGS': '--xla_force_host_platform_device_count=2'}


def free_port():
    with socket.socket() as one:
        one.bind(('127.0.0.1', 0))
        return one.getsockname()[1]


@contextlib.contextmanager
def started(commands):
    """Processes with pipes, which are killed at the end. commands: (arguments of Python, further environment)."""
    pipes = {'stdout': subprocess.PIPE, 'stderr': subprocess.PIPE, 'text': True}
    with contextlib.ExitStack() as stack:
        processes = []
        for command, environment in commands:
            environment = os.environ | TWO_DEVICES | environment
            process = subprocess.Popen([sys.executable, *command], cwd=small_runs.ROOT, env=environment, **pipes)
            processes.append(stack.enter_context(process))
            stack.callback(process.kill)
        yield processes


def ended(process):
    """Returns what the process printed; it must have succeeded with an empty standard error."""
    out, errors = process.communicate(timeout=WAIT)
    assert (process.returncode, errors) == (0, '')
    return out


def worker(join, count, seconds, folder, environment):
    return ['-m', 'tests.one_of_many', json.dumps(join), str(count), str(seconds), str(folder)], environment


def slurm(index, count, port):
    """The environment of a SLURM task, which takes the device of its number on the node."""
    return {
        'SLURM_JOB_ID': '7', 'SLURM_STEP_NODELIST': '127.0.0.1', 'SLURM_NTASKS': str(count),
        'SLURM_PROCID': str(index), 'SLURM_LOCALID': str(index), 'JAX_COORDINATOR_PORT': str(port),
    }  # fmt: skip


def open_mpi(index, count, port):
    """The environment of an Open MPI process."""
    return {
        'OMPI_MCA_orte_hnp_uri': '1531576320.0;tcp://127.0.0.1:34911', 'OMPI_COMM_WORLD_SIZE': str(count),
        'OMPI_COMM_WORLD_RANK': str(index), 'OMPI_COMM_WORLD_LOCAL_RANK': str(index), 'JAX_COORDINATOR_PORT': str(port),
    }  # fmt: skip


def detecting(cluster, count, numbers, seconds, folder):
    """The processes of a cluster, which work on `numbers` numbers."""
    port = free_port()
    join = {'detect': True, 'seconds': WAIT}
    return [worker(join, numbers, seconds, folder, cluster(k, count, port)) for k in range(count)]


def until(condition):
    deadline = time.monotonic() + WAIT
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


# Shares


def test_given_shares():
    assert processes.join_processes() == processes.WHOLE == (0, 1)
    assert processes.join_processes(None, 1, 0) == processes.join_processes('nowhere:1', 1, 0) == processes.WHOLE
    assert [processes.join_processes(num_processes=4, process_id=k) for k in range(4)] == [(k, 4) for k in range(4)]
    assert processes.join_processes('nowhere:1', 4, 2) == (2, 4)  # no connection is tried


@pytest.mark.slow
@pytest.mark.parametrize('cluster', [slurm, open_mpi])
def test_detected_shares_are_disjoint_and_complete(cluster, tmp_path):
    """There are more processes than numbers. Process 0, where they connect, ends before the others."""
    with started(detecting(cluster, 4, 3, 0.5, tmp_path)) as processes:
        answers = [json.loads(ended(process)) for process in processes]
    assert [answer['share'] for answer in answers] == [[k, 4] for k in range(4)]
    assert [answer['visible'] for answer in answers] == ['0', '1', '2', '3']
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {'0': '0 by 0', '1': '1 by 1', '2': '4 by 2'}
    assert all((answer['processes'], answer['devices']) == (1, 2) for answer in answers)  # not connected any more


@pytest.mark.slow
def test_the_other_processes_continue_when_some_are_killed(tmp_path):
    """Process 0, where they connected, is killed as well."""
    with started(detecting(slurm, 3, 6, 0.5, tmp_path)) as processes:
        for k in (0, 1):
            until((tmp_path / f'{k}').exists)
            processes[k].send_signal(signal.SIGKILL)
        killed = time.monotonic()
        assert json.loads(ended(processes[2]))['share'] == [2, 3]
        assert time.monotonic() - killed < 30  # JAX's heartbeats alone take longer
    assert {'0', '1', '2', '5'} == {path.name for path in tmp_path.iterdir()}


# Refusals


REFUSED = [
    (['--process_id=1'], '--num_processes is missing; give --num_processes=N --process_id=K, or --distributed alone'),
    (['--coordinator=a:1'], '--num_processes and --process_id are missing; give --num_processes=N'),
    (['--num_processes=2', '--coordinator=a:1'], '--process_id is missing; give '),
    (['--num_processes=0', '--process_id=0'], '--num_processes is 0; at least 1 is wanted'),
    (['--num_processes=2', '--process_id=2'], '--process_id is 2; 0 to 1 are wanted for 2'),
    (['--num_processes=2', '--process_id=-1'], '--process_id is -1; 0 to 1 are wanted'),
    (['--num_processes=2', '--process_id=x'], '--process_id=x: a whole number is wanted; usage: '),
    (['--distributed', '--process_id=0'], '--distributed finds the processes by itself; give --num_processes=N'),
    (['--distributed', '--join_seconds=0'], 'join_seconds is 0; at least 1 is wanted'),
    (['--num_process=2'], "there is no flag 'num_process'; usage: "),
]


@pytest.mark.parametrize('flags, words', REFUSED)
def test_flags_that_do_not_fit(flags, words, folder, tmp_path, capsys, in_the_repository):
    assert words in refused(capsys, [*flags, *arguments(folder, 'invert.py', tmp_path / 'out')])
    assert not (tmp_path / 'out').exists()


def test_settings_are_checked_before_the_other_processes_are_awaited(
    folder, tmp_path, monkeypatch, capsys, in_the_repository
):
    for name, value in slurm(1, 2, free_port()).items():
        monkeypatch.setenv(name, value)
    command = arguments(folder, 'invert.py', tmp_path / 'out', stepss=3)
    assert "no field 'stepss'; did you mean 'steps'?" in refused(capsys, [*command, '--distributed'])


def test_a_second_process_with_the_same_number_is_refused(folder, tmp_path, capsys, in_the_repository):
    out = str(tmp_path / 'out')
    flags = ['--num_processes=2', '--process_id=1']
    with stores.open_store(out, 1, 2):
        told = refused(capsys, [*flags, *arguments(folder, 'invert.py', out)])
    assert told.startswith(f'another run writes into {out} at this moment')


@pytest.mark.slow
def test_meetings_that_fail(tmp_path):
    """No other process comes; a port in use; a number that two processes have, or that is too large; no cluster.

    All cases run at the same time, because they mostly wait.
    """
    nobody, taken, twice, fewer = free_port(), free_port(), free_port(), free_port()
    cases = [(1, 2, nobody), (0, 2, taken), (0, 3, twice), (1, 3, twice), (1, 3, twice), (0, 2, fewer), (2, 3, fewer)]
    environments = [slurm(*case) for case in cases] + [{}]
    commands = [worker({'detect': True, 'seconds': 10}, 0, 0, tmp_path, environment) for environment in environments]
    with socket.socket(socket.AF_INET6) as other:
        other.bind(('::', taken))
        other.listen()
        with started(commands) as processes:
            results = [(*process.communicate(timeout=WAIT), process.returncode) for process in processes]
    assert all((out, code, errors.count('\n')) == ('', 1, 1) for out, errors, code in results)
    lonely, port, *same, _, large, alone = [errors for _, errors, _ in results]
    assert lonely == (
        'the processes of this cluster: not all processes met within 10 s; '
        'start all of them, or give a larger --join_seconds.\n'
    )
    assert 'this process cannot listen at the port of the run; set JAX_COORDINATOR_PORT to a free port' in port
    assert any('two processes have the same number; set JAX_COORDINATOR_PORT' in told for told in same)
    assert 'another run uses the same port, or two processes have the same number' in large
    assert 'of this cluster: there is none that JAX can detect; give --num_processes=N' in alone


# Whole runs


RUN = {'perceptual': 0, 'batch_size': 0, 'steps': 20}


@pytest.fixture(scope='module')
def alone(folder, tmp_path_factory, in_the_repository, quick_compilation):
    """The results of one process for the photos, on two devices."""
    out = tmp_path_factory.mktemp('alone') / 'out'
    assert invert.main(arguments(folder, 'invert.py', out, **RUN)) == 0
    return content(out)


def content(out):
    """Everything that must not depend on the number of processes: metrics, pictures, codes."""
    rows = [{name: value for name, value in row.items() if name != 'seconds'} for row in table(out)]
    pictures = {path.relative_to(out): path.read_bytes() for path in sorted(out.glob('*/*.png'))}
    codes = [[array.tolist() for array in latents(out, row['name'])] for row in rows]
    return rows, pictures, codes


def run(folder, out, home, flags, environment=None, **fields):
    """A command for `started`: one process of a run."""
    settings = {'JAX_DISABLE_MOST_OPTIMIZATIONS': '1', 'XDG_CACHE_HOME': str(home)} | (environment or {})
    return ['-m', 'mgan_jax.invert', *arguments(folder, 'invert.py', out, **RUN | fields), *flags], settings


@pytest.mark.slow
def test_several_processes_make_what_one_makes(alone, folder, tmp_path):
    """Three photos for four processes of a cluster: the last one has no image."""
    out, port = tmp_path / 'out', free_port()
    flags, photos = ['--distributed', f'--join_seconds={WAIT}'], folder / 'photos' / 'photo[012].png'
    commands = [run(folder, out, tmp_path, flags, slurm(k, 4, port), images=photos) for k in range(4)]
    with started(commands) as processes:
        for process in processes:
            ended(process)
    rows, pictures, codes = content(out)
    names = [f'photo{number}' for number in range(3)]
    assert [row['name'] for row in rows] == names
    assert (rows, codes) == (alone[0][:3], alone[2][:3])
    assert pictures == {path: data for path, data in alone[1].items() if path.parent.name in names}


@pytest.mark.slow
@pytest.mark.parametrize('number, code', [(signal.SIGTERM, 75), (signal.SIGINT, 130)])
def test_a_process_that_is_stopped_while_it_waits(folder, tmp_path, number, code):
    flags = ['--distributed', f'--join_seconds={WAIT}']
    command, environment = run(folder, tmp_path / 'out', tmp_path, flags, slurm(1, 2, free_port()))
    handle = 'import signal; signal.signal(signal.SIGINT, signal.default_int_handler); '  # a shell may ignore SIGINT
    program = f'{handle}import sys; from mgan_jax import invert; sys.exit(invert.main({command[2:]!r}))'
    with started([(['-c', program], environment)]) as (process,):
        until(lambda: children(process.pid))
        process.send_signal(number)
        told = process.communicate(timeout=30)[1]
    assert (process.returncode, told.count('\n')) == (code, 1), told
    assert not (tmp_path / 'out').exists()


def children(pid):
    with open(f'/proc/{pid}/task/{pid}/children', encoding='utf-8') as file:
        return file.read().split()


@pytest.mark.slow
def test_a_killed_process_does_not_affect_the_others(alone, folder, tmp_path):
    """The same command, as one process, finishes the rest."""
    out = tmp_path / 'out'
    flags = [['--num_processes=2', f'--process_id={k}'] for k in range(2)]
    with started([run(folder, out, tmp_path, own) for own in flags]) as (first, second):
        until(lambda: list(out.glob('photo*/metrics.json')) or first.poll() is not None)
        first.send_signal(signal.SIGKILL)
        second.communicate(timeout=WAIT)
        assert second.returncode in (0, 3)
    assert {'photo1', 'photo3'} <= {path.parent.name for path in out.glob('photo*/metrics.json')}
    assert invert.main(arguments(folder, 'invert.py', out, **RUN)) == 0
    assert content(out) == alone
