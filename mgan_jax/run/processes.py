"""Many processes share a list of images: they meet at the start, agree on who does which, and then need each other no more.

They meet in child processes of theirs, through `jax.distributed`, and part at once. JAX aborts a process that cannot
join, and every process that stays joined when the first one ends; none of this may happen to one that has images.
"""

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax

USAGE = 'give --coordinator=HOST:PORT --num_processes=N --process_id=K, or --distributed alone'
_START_UP = 60  # seconds, for the child to import JAX and to end
_MEETING = ('coordinator_address', 'num_processes', 'process_id')
_VISIBLE = ('jax_cuda_visible_devices', 'jax_rocm_visible_devices')  # clusters with a process per device say which


class Share(NamedTuple):
    """Images number `index`, `index + count`, ... of a list are this process's."""

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
    """Waits until all processes of a run are there -> the share of this one; without arguments the whole.

    coordinator: HOST:PORT where process 0 listens while they meet. detect: JAX finds all three by itself, on TPU pods,
    SLURM, Open MPI and Kubernetes. seconds: how long to wait, unless `stop` becomes true. To be called before anything is
    computed. ValueError with one sentence if that is not possible or the others do not come.
    """
    given = coordinator, num_processes, process_id
    if seconds < 1:
        raise ValueError(f'join_seconds is {seconds}; at least 1 is wanted.')
    if detect:
        if any(value is not None for value in given):
            raise ValueError(f'--distributed finds the processes by itself; {USAGE}.')
        return _met('the processes of this cluster', {}, seconds, stop)
    if all(value is None for value in given):
        return WHOLE
    _require(*given)
    if num_processes == 1:
        return WHOLE
    who = f'process {process_id} of {num_processes} at {coordinator}'
    return _met(who, dict(zip(_MEETING, given, strict=True)), seconds, stop)


def _require(coordinator: str | None, num_processes: int | None, process_id: int | None) -> None:
    names = {'--coordinator': coordinator, '--num_processes': num_processes, '--process_id': process_id}
    missing = [name for name, value in names.items() if value is None]
    if missing:
        raise ValueError(f'{" and ".join(missing)} {"is" if len(missing) == 1 else "are"} missing; {USAGE}.')
    port = re.fullmatch(r'(?:[^:\s]+|\[[^\]\s]+\]):(\d{1,5})', coordinator or '')
    if not port or not 0 < int(port[1]) < 65536:
        raise ValueError(f"--coordinator is '{coordinator}'; HOST:PORT of process 0 is wanted, as in node0:1234.")
    if num_processes is None or num_processes < 1:
        raise ValueError(f'--num_processes is {num_processes}; at least 1 is wanted.')
    if process_id is None or not 0 <= process_id < num_processes:
        raise ValueError(
            f'--process_id is {process_id}; 0 to {num_processes - 1} are wanted for {num_processes} processes.'
        )


def _met(who: str, meeting: dict, seconds: int, stop: Callable[[], bool]) -> Share:
    """Lets a child process meet the others. who: this process, in an error."""
    command = [sys.executable, '-P', __file__, json.dumps({'meeting': meeting, 'seconds': seconds})]
    deadline = time.monotonic() + seconds + _START_UP
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        try:
            while (told := _told(child)) is None:
                if stop() or time.monotonic() > deadline:
                    raise ValueError(
                        f'{who}: {"stopped while it waited for the others" if stop() else _late(seconds)}.'
                    )
        finally:
            child.kill()  # nothing if it has ended
    if child.returncode:
        reason = _reason(told[1])
        raise ValueError(f'{who}: {_late(seconds) if "DEADLINE_EXCEEDED" in reason else reason}.')
    answer = json.loads(told[0].splitlines()[-1])
    for name, devices in answer['visible'].items():
        jax.config.update(name, devices)
    return Share(*answer['share'])


def _told(child: subprocess.Popen) -> tuple[str, str] | None:
    """All that a child has printed and complained of when it has ended; None if it goes on for a moment."""
    try:
        return child.communicate(timeout=0.2)
    except subprocess.TimeoutExpired:
        return None


def _late(seconds: int) -> str:
    return (
        f'not all processes met within {seconds} s; start all of them, with the same --coordinator and --num_processes'
    )


def _reason(told: str) -> str:
    """What the output of a child that failed says."""
    if 'coordinator_address should be defined' in told or 'Number of processes must be defined' in told:
        return f'there is none that JAX can detect; {USAGE}'
    if 'ALREADY_EXISTS' in told:
        return 'there is another process with this --process_id; give each its own'
    if 'Unexpected task' in told:
        return 'the coordinator was started with a smaller --num_processes; give all the same'
    if 'Failed to start RPC server' in told or 'Failed to add port' in told:  # JAX may crash between the two
        return 'this process cannot listen at that port; choose another one, on a host where process 0 runs'
    status = re.search(r'(?:absl::Status: |Error: )(.*)', told)
    return ' '.join((status[1] if status else (told.strip().splitlines() or ['no reason is known'])[-1]).split())


def _meet(meeting: dict, seconds: int) -> dict[str, Any]:
    """In the child: joins the others and parts from them."""
    jax.config.update('jax_enable_preemption_service', False)
    jax.distributed.initialize(
        **meeting,
        cluster_detection_method='deactivate' if meeting else None,
        initialization_timeout=seconds,
        shutdown_timeout_seconds=seconds,
    )
    share = (meeting['process_id'], meeting['num_processes']) if meeting else _detected()
    answer = {'share': share, 'visible': {name: jax.config.values[name] for name in _VISIBLE}}
    jax.distributed.shutdown()
    return answer


def _detected() -> tuple[int, int]:
    from jax._src import distributed  # what JAX tells publicly, it tells when it has taken the devices

    return distributed.global_state.process_id, distributed.global_state.num_processes


if __name__ == '__main__':
    print(json.dumps(_meet(**json.loads(sys.argv[1]))))
