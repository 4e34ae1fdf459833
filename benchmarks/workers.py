"""Processes that stay alive and work when they are told to, one at a time, so that no two libraries share their threads.

A side is a function make(weights, setting, start) -> (step, facts): step() does one step and returns its loss, when all of it
is done; facts is a dictionary of what else there is to say. It is named 'module:function' and imported in the process that
works for it alone.
"""

import importlib
import multiprocessing
import os
import time
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any, NamedTuple

import numpy as np

WARM_UP = 1  # steps after the first one, which compiles


class Worker(NamedTuple):
    name: str
    process: BaseProcess
    connection: Connection


def start(name: str, side: str, weights: Any) -> Worker:
    """A new process for a side 'module:function'."""
    context = multiprocessing.get_context('spawn')
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, side, weights), daemon=True)
    process.start()
    theirs.close()
    return Worker(name, process, ours)


def prepare(worker: Worker, setting: Any, begin: Any) -> dict:
    """Makes the worker's step for a setting and does the first ones; -> the side's facts and the 'loss' at the start."""
    return _ask(worker, (setting, begin))


def step(worker: Worker) -> tuple[float, float]:
    """Seconds that one step took, and seconds that all processors together worked on it."""
    return _ask(worker, 'step')


def stop(worker: Worker) -> None:
    """Ends the process."""
    if worker.process.is_alive():
        worker.connection.send('stop')
    worker.process.join(timeout=10)
    worker.process.kill()
    worker.connection.close()


def _ask(worker: Worker, message: Any) -> Any:
    try:
        worker.connection.send(message)
        answer = worker.connection.recv()
    except (EOFError, BrokenPipeError, ConnectionResetError) as error:
        worker.process.join(timeout=10)
        code = worker.process.exitcode
        raise RuntimeError(
            f"the process for '{worker.name}' ended with code {code}; is there enough memory?"
        ) from error
    if isinstance(answer, Exception):
        raise RuntimeError(f"the process for '{worker.name}' failed.") from answer
    return answer


def _serve(connection: Connection, side: str, weights: Any) -> None:
    """The worker's loop: a setting with its start, 'step' or 'stop' comes in, an answer goes out."""
    os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')  # PyTorch's threads sleep while the others work, not spin
    module, function = side.split(':')
    advance = None
    while (message := connection.recv()) != 'stop':
        try:
            if message == 'step':
                answer: Any = _timed(advance)
            else:
                advance = None  # its memory first
                advance, answer = _first_steps(importlib.import_module(module), function, weights, message)
        except Exception as error:  # told by the process that asked
            answer = RuntimeError(f'{type(error).__name__}: {error}')
        connection.send(answer)


def _first_steps(module: Any, function: str, weights: Any, message: tuple) -> tuple[Any, dict]:
    advance, facts = getattr(module, function)(weights, *message)
    loss = np.asarray(advance()).tolist()
    for _ in range(WARM_UP):
        advance()
    return advance, facts | {'loss': loss}


def _timed(advance: Any) -> tuple[float, float]:
    began, worked = time.perf_counter(), time.process_time()
    advance()
    return time.perf_counter() - began, time.process_time() - worked
