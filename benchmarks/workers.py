"""Processes that each hold one side of a comparison and do a step on request, so that no two libraries share threads.

A side is a function make(weights, setting, start) -> (step, facts), named 'module:function' and imported in its own process.
step() does one step and returns its loss when the step is complete. facts is a dictionary for the record.
"""

import importlib
import multiprocessing
import os
import time
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any, NamedTuple

import numpy as np

WARM_UP = 1  # untimed steps after the first one, which compiles


class Worker(NamedTuple):
    """A process for one side, and the connection to it."""

    name: str
    process: BaseProcess
    connection: Connection


def start_worker(name: str, side: str, weights: Any) -> Worker:
    """Starts a process for a side 'module:function'."""
    context = multiprocessing.get_context('spawn')
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, side, weights), daemon=True)
    process.start()
    theirs.close()
    return Worker(name, process, ours)


def prepare_step(worker: Worker, setting: Any, start: Any) -> dict:
    """Makes the step for a setting and does the first steps. Returns the side's facts and 'loss', that of the first step."""
    return _request(worker, (setting, start))


def time_step(worker: Worker) -> tuple[float, float]:
    """Does one step. Returns (its seconds, its seconds of processor time on all cores)."""
    return _request(worker, 'step')


def stop_worker(worker: Worker) -> None:
    """Ends the process."""
    if worker.process.is_alive():
        worker.connection.send('stop')
    worker.process.join(timeout=10)
    worker.process.kill()
    worker.connection.close()


def _request(worker: Worker, message: Any) -> Any:
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
    """The loop of the process: receives a setting with its start, 'step' or 'stop', and sends an answer."""
    os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')  # otherwise PyTorch's idle threads spin while others work
    module, function = side.split(':')
    advance = None
    while (message := connection.recv()) != 'stop':
        try:
            if message == 'step':
                answer: Any = _time_call(advance)
            else:
                advance = None  # frees its memory first
                advance, answer = _make_step(importlib.import_module(module), function, weights, message)
        except Exception as error:  # raised again in the process that asked
            answer = RuntimeError(f'{type(error).__name__}: {error}')
        connection.send(answer)


def _make_step(module: Any, function: str, weights: Any, message: tuple) -> tuple[Any, dict]:
    """Makes the step of a side and does its first steps: -> (the step, facts)."""
    advance, facts = getattr(module, function)(weights, *message)
    loss = np.asarray(advance()).tolist()
    for _ in range(WARM_UP):
        advance()
    return advance, facts | {'loss': loss}


def _time_call(advance: Any) -> tuple[float, float]:
    began, worked = time.perf_counter(), time.process_time()
    advance()
    return time.perf_counter() - began, time.process_time() - worked
