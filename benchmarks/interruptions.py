"""`python -m benchmarks.interruptions [--kills 25]` ends runs of the demo by SIGKILL and SIGTERM and compares their results.

The same command is started again and again on one folder and ended at a random moment each time, until it reaches its end.
Then the folder must hold every image once, with the same bits as an undisturbed run, and no left-over files.
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

from benchmarks import commands, record
from mgan_jax.run import events

ROOT = Path(__file__).parent.parent
FIELDS = {
    'num_codes': 2,
    'steps': 60,
    'batch_size': 2,
    'save_every': 0.4,
}  # writing a checkpoint takes some tenths of a second
COLUMNS = ('signal', 'kills', 'writing a result', 'writing a checkpoint', 'between', 'wrong')
OWN = '.run/0-of-1'
IMAGES = 8  # the bundled ones
EXIT_CODES = {signal.SIGKILL: -9, signal.SIGTERM: 75}
PATIENCE = 600  # seconds that a run may take

Moment = Callable[[float], bool]  # when(seconds since the run opened its folder) -> whether to send the signal


class Kill(NamedTuple):
    """One run that was ended by a signal.

    seconds: since the run opened its folder. results: the number of results at that moment. partial: names of unfinished
    files. going_on, their_steps: the number of images that the next run continued, and the steps that they had.
    """

    signal: str
    code: int
    seconds: float
    results: int
    partial: list[str]
    going_on: int = 0
    their_steps: int = 0


def make_command(out: Path, config: str = 'configs/sr.py', **changes: Any) -> list[str]:
    """The command of a run into `out`."""
    flags = [f'--config.{name}={value}' for name, value in ({'out': out} | FIELDS | changes).items()]
    return [sys.executable, '-m', 'mgan_jax.invert', '--config', config, *flags]


def run_to_end(command: Sequence[str]) -> subprocess.CompletedProcess:
    """Runs a command without disturbing it."""
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE)


def interrupt_run(command: Sequence[str], out: Path, number: signal.Signals, when: Moment) -> Kill | None:
    """Starts a run and sends it a signal at the first moment for which `when` is true.

    Returns None if the run reached its end before that with all images done. Raises RuntimeError if it ended in any
    other way.
    """
    began, before = None, _count_starts(out)
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + PATIENCE
        while process.poll() is None and time.monotonic() < deadline:
            if began is None and _count_starts(out) > before:
                began = time.monotonic()
            if began is not None and when(time.monotonic() - began):
                process.send_signal(number)
                break
            time.sleep(0.0005)
        seconds = time.monotonic() - (began or time.monotonic())
        output = process.communicate(timeout=PATIENCE)[1]
    if process.returncode == 0:
        return None
    results = len(list_results(out))
    if process.returncode != EXIT_CODES[number] or 'Traceback' in output:
        raise RuntimeError(
            f'{number.name} after {seconds:.2f} s, {results} results: exit code {process.returncode}: {output}'
        )
    return Kill(number.name, process.returncode, seconds, results, list_partial(out))


def _count_starts(out: Path) -> int:
    """How many runs have begun to restore images in a folder."""
    path = out / OWN / events.LOG
    return path.read_bytes().count(b'"event": "started"') if path.exists() else 0


def interrupt_repeatedly(
    command: Sequence[str], out: Path, plan: Iterator[tuple[signal.Signals, Moment]]
) -> list[Kill]:
    """Runs on one folder, each interrupted as `plan` says, until one reaches its end or the plan ends; then a last run."""
    kills = []
    for number, when in plan:
        if (kill := interrupt_run(command, out, number, when)) is None:
            break
        kills.append(kill)
    last = run_to_end(command)
    if last.returncode:
        raise RuntimeError(f'the last run: exit code {last.returncode}: {last.stderr}')
    started = [event for event in events.read_events(out / OWN / events.LOG) if event['event'] == 'started'][1:]
    continued = [{name: event[name] for name in ('going_on', 'their_steps')} for event in started]
    return [kill._replace(**counts) for kill, counts in zip(kills, continued, strict=False)]


def list_results(out: Path) -> set[str]:
    """The names of the results in a folder."""
    return {path.name for path in out.iterdir() if path.is_dir() and path.name != '.run'} if out.is_dir() else set()


def list_partial(out: Path) -> list[str]:
    """The names of the files and folders that a run was writing."""
    work = out / OWN / 'partial'
    return sorted(path.name.removesuffix('.partial') for path in work.iterdir()) if work.is_dir() else []


def compare_results(out: Path, expected: Path) -> list[str]:
    """A sentence for each difference of a folder from that of an undisturbed run, and for each left-over file."""
    names, others = list_results(out), list_results(expected)
    problems = [f'{name} is not in both' for name in sorted(names ^ others)]
    for name in sorted(names & others):
        problems += _compare_files(name, out / name, expected / name)
    if _read_rows(out) != _read_rows(expected):
        problems.append('metrics.csv differs')
    done = Counter(
        event['name']
        for log in out.glob('.run/*/log.jsonl')
        for event in events.read_events(log)
        if event['event'] == 'done'
    )
    problems += [f'{name} was done {count} times' for name, count in sorted(done.items()) if count > 1]
    left_over = [*out.glob('.run/*/partial/.*'), *out.glob('.run/*/checkpoint*')]
    return problems + [f'{path.name} is left over' for path in sorted(left_over)]


def _compare_files(name: str, folder: Path, expected: Path) -> list[str]:
    contents, others = ({path.name: path.read_bytes() for path in place.iterdir()} for place in (folder, expected))
    problems = [f'{name}/{file} is not in both' for file in sorted(contents.keys() ^ others.keys())]
    common = (contents.keys() & others.keys()) - {'metrics.json'}  # which has seconds
    return problems + [f'{name}/{file} has other bits' for file in sorted(common) if contents[file] != others[file]]


def _read_rows(out: Path) -> list[dict]:
    """The rows of metrics.csv without seconds."""
    with open(out / 'metrics.csv', encoding='utf-8', newline='') as file:
        return [row | {'seconds': ''} for row in csv.DictReader(file)]


def after_seconds(seconds: float) -> Moment:
    """Some time after the run has opened its folder."""
    return lambda now: now >= seconds


def after_results(out: Path, count: int, seconds: float) -> Moment:
    """Some time after there are `count` results."""
    reached: list[float] = []

    def when(now: float) -> bool:
        if not reached and len(list_results(out)) >= count:
            reached.append(now)
        return bool(reached) and now - reached[0] >= seconds

    return when


def while_writing(out: Path, start: str, most: int = 10**9) -> Moment:
    """While a file or folder whose name begins with `start` is written, and there are at most `most` results."""
    work = out / OWN / 'partial'

    def when(now: float) -> bool:
        return any(name.startswith(f'.{start}') for name in os.listdir(work)) and len(list_results(out)) <= most

    return when


def _draw_moments(
    draw: random.Random, out: Path, number: signal.Signals, count: int, longest: float
) -> Iterator[tuple[signal.Signals, Moment]]:
    """At a random number of results, up to `longest` seconds later; so moments do not depend on the load of the machine."""
    for _ in range(count):
        results = draw.randrange(min(len(list_results(out)), IMAGES - 1), IMAGES)
        yield number, after_results(out, results, draw.uniform(0, longest))


def _summarise(kills: Sequence[Kill], problems: Counter, number: signal.Signals) -> dict:
    """A row of the table: the kills by one signal, by what was being written."""
    of_signal = [kill for kill in kills if kill.signal == number.name]
    checkpoint = sum(any('checkpoint' in name for name in kill.partial) for kill in of_signal)
    result = sum(any(name.startswith('.scene') for name in kill.partial) for kill in of_signal)
    between = sum(not [name for name in kill.partial if name.startswith('.')] for kill in of_signal)
    return dict(zip(COLUMNS, (number.name, len(of_signal), result, checkpoint, between, problems[number]), strict=True))


def main(arguments: Sequence[str]) -> None:
    parser = record.make_parser('interruptions', __doc__)
    parser.add_argument('--kills', type=int, default=25, help='with each signal')
    parser.add_argument('--seed', type=int, default=0)
    options = parser.parse_args(arguments)
    num_kills = 2 if options.quick else options.kills
    commands.require_at_least(1, kills=num_kills)
    draw = random.Random(options.seed)
    kills: list[Kill] = []
    problems: Counter = Counter()
    num_folders = 0
    with tempfile.TemporaryDirectory(prefix='interruptions-') as folder:
        expected = Path(folder, 'undisturbed')
        run_to_end(make_command(expected)).check_returncode()  # compiles the programs
        run_seconds = _time_run(Path(folder, 'timed'))
        for number in (signal.SIGKILL, signal.SIGTERM):
            left = num_kills
            while left > 0:
                num_folders += 1
                out = Path(folder, f'{number.name}{num_folders}')  # a new one, also after a run that came to its end
                plan = _draw_moments(draw, out, number, min(left, IMAGES), run_seconds / IMAGES)
                done = interrupt_repeatedly(make_command(out), out, plan)
                differences = compare_results(out, expected)
                problems[number] += len(differences)
                print(f'{number.name}: {len(done)} kills, {differences or "every image once, bit by bit"}', flush=True)
                left, kills = left - len(done), kills + done
    rows = [_summarise(kills, problems, number) for number in (signal.SIGKILL, signal.SIGTERM)]
    print(record.format_table(rows))
    about = {'seconds': run_seconds, 'folders': num_folders, 'kills': [kill._asdict() for kill in kills]}
    record.write_record(options.out, 'interruptions', arguments, rows, device='cpu', **about)


def _time_run(out: Path) -> float:
    """Seconds from the first event of an undisturbed run to its last."""
    run_to_end(make_command(out)).check_returncode()
    first, *_, last = (datetime.fromisoformat(event['time']) for event in events.read_events(out / OWN / events.LOG))
    return (last - first).total_seconds()


if __name__ == '__main__':
    commands.run_command(main)
