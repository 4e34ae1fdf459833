"""`python -m benchmarks.interruptions [--kills 25]`: runs that are killed at random moments, and what is left of them.

A run of the demo is started again and again on the same folder, and each time ended by SIGKILL or SIGTERM at a random
moment, until it reaches its end by itself. Then every image must be there once, with the bits of a run that nobody
disturbed, and nothing else.
"""

import csv
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import record
from mgan_jax.run import events

ROOT = Path(__file__).parent.parent
FIELDS = {
    'num_codes': 2,
    'steps': 60,
    'batch_size': 2,
    'save_every': 0.4,
}  # seconds; writing a checkpoint takes some tenths
COLUMNS = ('signal', 'kills', 'writing a result', 'writing a checkpoint', 'between', 'wrong')
OWN = '.run/0-of-1'
IMAGES = 8  # that are bundled
CODES = {signal.SIGKILL: -9, signal.SIGTERM: 75}
PATIENCE = 600  # seconds that a run may take


class Kill(NamedTuple):
    """One end by force. results: how many were there then; partial: what was being written; seconds: since the run opened its
    folder; going_on, their_steps: what the next run found of images on their way."""

    signal: str
    code: int
    seconds: float
    results: int
    partial: list[str]
    going_on: int = 0
    their_steps: int = 0


def command(out: Path, config: str = 'configs/sr.py', **fields: Any) -> list[str]:
    """Of a run into `out`."""
    given = [f'--config.{name}={value}' for name, value in ({'out': out} | FIELDS | fields).items()]
    return [sys.executable, '-m', 'mgan_jax.invert', '--config', config, *given]


def run(words: Sequence[str]) -> subprocess.CompletedProcess:
    """Without disturbance."""
    return subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE)


def disturbed(words: Sequence[str], out: Path, number: signal.Signals, when: Callable[[float], bool]) -> Kill | None:
    """A run that gets a signal at the first moment for which when(seconds since it opened its folder) is true; None if it
    reached its end before, with all images done. RuntimeError if it ended in any other way."""
    began, before = None, _events(out)
    with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + PATIENCE
        while process.poll() is None and time.monotonic() < deadline:
            if began is None and _events(out) > before:
                began = time.monotonic()
            if began is not None and when(time.monotonic() - began):
                process.send_signal(number)
                break
            time.sleep(0.0005)
        seconds = time.monotonic() - (began or time.monotonic())
        said = process.communicate(timeout=PATIENCE)[1]
    if process.returncode == 0:
        return None
    if process.returncode != CODES[number] or 'Traceback' in said:
        raise RuntimeError(
            f'{number.name} after {seconds:.2f} s, {len(folders(out))} results: exit code {process.returncode}: {said}'
        )
    return Kill(number.name, process.returncode, seconds, len(folders(out)), left_overs(out))


def _events(out: Path) -> int:
    """How many runs have begun to work there."""
    path = out / OWN / events.LOG
    return path.read_bytes().count(b'"event": "started"') if path.exists() else 0


def killed(words: Sequence[str], out: Path, plan: Iterator[tuple[signal.Signals, Callable]]) -> list[Kill]:
    """Runs on one folder, each ended as the plan says, until one reaches its end; the last one is not disturbed."""
    kills = []
    for number, when in plan:
        if (kill := disturbed(words, out, number, when)) is None:
            break
        kills.append(kill)
    last = run(words)
    if last.returncode:
        raise RuntimeError(f'the last run: exit code {last.returncode}: {last.stderr}')
    started = [event for event in events.read_events(out / OWN / events.LOG) if event['event'] == 'started'][1:]
    found = [{name: event[name] for name in ('going_on', 'their_steps')} for event in started]
    return [kill._replace(**told) for kill, told in zip(kills, found, strict=False)]


def folders(out: Path) -> set[str]:
    """The names of the results there."""
    return {path.name for path in out.iterdir() if path.is_dir() and path.name != '.run'} if out.is_dir() else set()


def left_overs(out: Path) -> list[str]:
    """What is not complete: the names of what it was to be."""
    work = out / OWN / 'partial'
    return sorted(path.name.removesuffix('.partial') for path in work.iterdir()) if work.is_dir() else []


def wrong(out: Path, expected: Path) -> list[str]:
    """What is not as in a folder that nobody disturbed: sentences, none if all is well."""
    found = [f'{name} is not in both' for name in sorted(folders(out) ^ folders(expected))]
    for name in sorted(folders(out) & folders(expected)):
        files, others = (
            {path.name: path.read_bytes() for path in (folder / name).iterdir()} for folder in (out, expected)
        )
        found += [f'{name}/{file} is not in both' for file in sorted(files.keys() ^ others.keys())]
        same = (files.keys() & others.keys()) - {'metrics.json'}  # which tells seconds
        found += [f'{name}/{file} has other bits' for file in sorted(same) if files[file] != others[file]]
    if _rows(out) != _rows(expected):
        found.append('metrics.csv tells something else')
    done = Counter(
        event['name']
        for log in out.glob('.run/*/log.jsonl')
        for event in events.read_events(log)
        if event['event'] == 'done'
    )
    found += [f'{name} was done {count} times' for name, count in sorted(done.items()) if count > 1]
    kept = [*out.glob('.run/*/partial/.*'), *out.glob('.run/*/checkpoint*')]
    found += [f'{path.name} is left over' for path in sorted(kept)]
    return found


def _rows(out: Path) -> list[dict]:
    with open(out / 'metrics.csv', encoding='utf-8', newline='') as file:
        return [row | {'seconds': ''} for row in csv.DictReader(file)]


def at(seconds: float) -> Callable[[float], bool]:
    """Some time after the run has opened its folder."""
    return lambda now: now >= seconds


def after(out: Path, results: int, seconds: float) -> Callable[[float], bool]:
    """Some time after there are so many results."""
    reached: list[float] = []

    def when(now: float) -> bool:
        if not reached and len(folders(out)) >= results:
            reached.append(now)
        return bool(reached) and now - reached[0] >= seconds

    return when


def while_writing(out: Path, start: str, most: int = 10**9) -> Callable[[float], bool]:
    """While something is written whose name starts so and, at first, with at most so many results there."""
    work = out / OWN / 'partial'

    def when(now: float) -> bool:
        return any(name.startswith(f'.{start}') for name in os.listdir(work)) and len(folders(out)) <= most

    return when


def _moments(
    draw: random.Random, out: Path, number: signal.Signals, count: int, most: float
) -> Iterator[tuple[signal.Signals, Callable]]:
    """At a random number of results and up to `most` seconds later: moments that do not depend on what else the machine does."""
    for _ in range(count):
        yield number, after(out, draw.randrange(min(len(folders(out)), IMAGES - 1), IMAGES), draw.uniform(0, most))


def _summary(kills: Sequence[Kill], problems: Counter, number: signal.Signals) -> dict:
    own = [kill for kill in kills if kill.signal == number.name]
    checkpoint = sum(any('checkpoint' in name for name in kill.partial) for kill in own)
    result = sum(any(name.startswith('.scene') for name in kill.partial) for kill in own)
    between = sum(not [name for name in kill.partial if name.startswith('.')] for kill in own)
    return dict(zip(COLUMNS, (number.name, len(own), result, checkpoint, between, problems[number]), strict=True))


def main(arguments: Sequence[str]) -> None:
    parser = record.parser('interruptions', __doc__.splitlines()[0])
    parser.add_argument('--kills', type=int, default=25, help='of each signal')
    parser.add_argument('--seed', type=int, default=0)
    options = parser.parse_args(arguments)
    options.kills = 2 if options.quick else options.kills
    draw, kills, problems, runs = random.Random(options.seed), [], Counter(), 0
    with tempfile.TemporaryDirectory(prefix='interruptions-') as folder:
        expected = Path(folder, 'undisturbed')
        run(command(expected)).check_returncode()  # compiles
        took = _seconds(Path(folder, 'timed'))
        for number in (signal.SIGKILL, signal.SIGTERM):
            left = options.kills
            while left > 0:
                out, runs = Path(folder, f'{number.name}{left}'), runs + 1
                found = killed(command(out), out, _moments(draw, out, number, min(left, IMAGES), took / IMAGES))
                told = wrong(out, expected)
                problems[number] += len(told)
                print(f'{number.name}: {len(found)} kills, {told or "every image once, bit by bit"}', flush=True)
                left, kills = left - len(found), kills + found
    rows = [_summary(kills, problems, number) for number in (signal.SIGKILL, signal.SIGTERM)]
    print(record.table(rows))
    everything = [kill._asdict() for kill in kills]
    record.save(
        options.out, 'interruptions', arguments, rows, device='cpu', seconds=took, folders=runs, kills=everything
    )


def _seconds(out: Path) -> float:
    """From a run's first event to its last."""
    run(command(out)).check_returncode()
    first, *_, last = (datetime.fromisoformat(event['time']) for event in events.read_events(out / OWN / events.LOG))
    return (last - first).total_seconds()


if __name__ == '__main__':
    main(sys.argv[1:])
