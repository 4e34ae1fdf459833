"""Divides the images of a run among several processes.

Processes that are given their number need no connection. The others learn it from `jax.distributed` at start-up, in a
child process that ends at once: JAX aborts a process that cannot connect, and it ends every connected process when the
first one ends. Afterwards any process may fail without an effect on the others.
"""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax

USAGE = 'give --num_processes=N --process_id=K, or --distributed alone'
_START_UP = 60  # seconds that the child may take to import JAX and to end
_VISIBLE = ('jax_cuda_visible_devices', 'jax_rocm_visible_devices')  # set by clusters with one process per device


class Share(NamedTuple):
    """The part of a list that one process works on: the items `index`, `index + count`, `index + 2 count`, ..."""

    index: int  # type: ignore[assignment]  # hides a method of tuples, as the next one does
    count: int  # type: ignore[assignment]


WHOLE = Share(0, 1)


def join_processes(
    coordinator: str | None = None,
    num_processes: int | None = None,
    process_id: int | None = None,
    *,
    detect: bool = False,
    seconds: int = 300,
    stop: Callable[[], bool] = lambda: False,
) -> Share:
    """Returns the share of this process.

    The share is `WHOLE` without arguments. It is (process_id, num_processes) if both are given; no connection is made.
    With `detect`, JAX finds the processes on TPU pods, SLURM, Open MPI and Kubernetes, and the call waits until all of
    them have started. It must come before the first computation, because it may restrict the visible devices.

    Args:
        coordinator: accepted with `num_processes` and `process_id`, and not used.
        num_processes: number of processes.
        process_id: number of this process, from 0.
        detect: whether JAX finds the processes. It allows none of the three arguments above.
        seconds: longest time to wait for the other processes, at least 1.
        stop: checked while waiting; True ends the wait.

    Raises:
        ValueError: if arguments are missing or out of range, or if the processes do not meet in time.
    """
    if seconds < 1:
        raise ValueError(f'join_seconds is {seconds}; at least 1 is wanted.')
    if detect:
        if any(value is not None for value in (coordinator, num_processes, process_id)):
            raise ValueError(f'--distributed finds the processes by itself; {USAGE}.')
        return _detect_share(seconds, stop)
    if coordinator is None and num_processes is None and process_id is None:
        return WHOLE
    return _given_share(num_processes, process_id)


def _given_share(num_processes: int | None, process_id: int | None) -> Share:
    names = {'--num_processes': num_processes, '--process_id': process_id}
    missing = [name for name, value in names.items() if value is None]
    if missing:
        raise ValueError(f'{" and ".join(missing)} {"is" if len(missing) == 1 else "are"} missing; {USAGE}.')
    if num_processes is None or num_processes < 1:
        raise ValueError(f'--num_processes is {num_processes}; at least 1 is wanted.')
    if process_id is None or not 0 <= process_id < num_processes:
        raise ValueError(
            f'--process_id is {process_id}; 0 to {num_processes - 1} are wanted for {num_processes} processes.'
        )
    return Share(process_id, num_processes)


def _detect_share(seconds: int, stop: Callable[[], bool]) -> Share:
    """Runs this file in a child process, which connects to the others, and applies its answer."""
    command = [sys.executable, '-P', __file__, str(seconds)]
    environment = os.environ | {'JAX_PLATFORMS': 'cpu'}  # the accelerator is this process's
    deadline = time.monotonic() + seconds + _START_UP
    who = 'the processes of this cluster'
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        try:
            while (output := _output(child)) is None:
                if stop():
                    raise ValueError(f'{who}: stopped while it waited for the others.')
                if time.monotonic() > deadline:
                    raise ValueError(f'{who}: {_late(seconds)}.')
        finally:
            child.kill()  # no effect if it has ended
    if child.returncode:
        raise ValueError(f'{who}: {_reason(output[1], seconds)}.')
    answer = json.loads(output[0].splitlines()[-1])
    for name, devices in answer['visible'].items():
        jax.config.update(name, devices)
    return Share(*answer['share'])


def _output(child: subprocess.Popen) -> tuple[str, str] | None:
    """Returns (standard output, standard error) of a child that has ended, or None if it still runs after 0.2 s."""
    try:
        return child.communicate(timeout=0.2)
    except subprocess.TimeoutExpired:
        return None


def _late(seconds: int) -> str:
    return f'not all processes met within {seconds} s; start all of them, or give a larger --join_seconds'


def _reason(errors: str, seconds: int) -> str:
    """Returns why a child failed, from its standard error."""
    if 'coordinator_address should be defined' in errors or 'Number of processes must be defined' in errors:
        return f'there is none that JAX can detect; {USAGE}'
    port = 'set JAX_COORDINATOR_PORT to a free port, the same for all processes of a run'
    if 'ALREADY_EXISTS' in errors or 'Unexpected task' in errors:
        return f'another run uses the same port, or two processes have the same number; {port}'
    if 'Failed to start RPC server' in errors or 'Failed to add port' in errors:  # JAX may crash between the two
        return f'this process cannot listen at the port of the run; {port}'
    if 'DEADLINE_EXCEEDED' in errors:
        return _late(seconds)
    status = re.search(r'(?:absl::Status: |Error: )(.*)', errors)
    return ' '.join((status[1] if status else (errors.strip().splitlines() or ['no reason is known'])[-1]).split())


def _connect(seconds: int) -> dict[str, Any]:
    """Connects to the other processes and disconnects again; runs in the child.

    Returns the share and the visible devices of this process. The CPU backend answers: no accelerator is opened.
    """
    jax.config.update('jax_enable_preemption_service', False)
    jax.config.update('jax_cpu_collectives_implementation', None)  # nothing is computed together
    jax.distributed.initialize(initialization_timeout=seconds, shutdown_timeout_seconds=seconds)
    share = jax.process_index(), jax.process_count()
    jax.distributed.shutdown()
    return {'share': share, 'visible': {name: jax.config.values[name] for name in _VISIBLE}}


if __name__ == '__main__':
    print(json.dumps(_connect(int(sys.argv[1]))))
