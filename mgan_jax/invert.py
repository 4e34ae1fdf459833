"""`python -m mgan_jax.invert --config configs/sr.py [--config.FIELD=VALUE ...]`: restores images from files into files."""

import contextlib
import re
import signal
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import numpy as np
from absl import flags as absl_flags

from mgan_jax.engine import compile_cache
from mgan_jax.results import records
from mgan_jax.run import dry_run, jobs, processes
from mgan_jax.run.pipeline import Job
from mgan_jax.settings import fields, flags
from mgan_jax.settings.errors import one_sentence
from mgan_jax.settings.fields import Settings
from mgan_jax.storage import stores

USAGE = 'python -m mgan_jax.invert --config configs/sr.py [--config.FIELD=VALUE ...]'
MANY = '[--num_processes=N --process_id=K | --distributed] [--join_seconds=300]'
INTERRUPTED, STOPPED = 130, 75  # exit codes; 75 is EX_TEMPFAIL: try again
RESUMED = 'what was finished is kept, images on their way are saved, and the same command goes on.'

# Means that the last line shows: text before, format, text behind.
SUMMED_UP = {
    'psnr': ('PSNR ', '.2f', ' dB'),
    'hole_psnr': ('in the hole ', '.2f', ' dB'),
    'auc': ('AuC ', '.4f', ''),
    'lpips': ('LPIPS ', '.4f', ''),
    'niqe': ('NIQE ', '.2f', ''),
}


def main(arguments: list[str]) -> int:
    """Returns the exit code: 0 every image is done, 2 nothing was started, 3 some images failed or results could not be
    written, 75 stopped by SIGTERM, 130 interrupted. After the last three the same command continues."""
    if flags.wants_help(arguments):
        return _print_help(arguments)
    try:
        with handle_signals() as stopped:
            return _run(arguments, stopped)
    except KeyboardInterrupt:
        return _stopped(INTERRUPTED)


def format_help(values: Mapping[str, Any] | None = None) -> str:
    """The fields, grouped, with types, defaults and meanings: of the configuration with these flat fields, or of all tasks."""
    names = fields.TASKS if values is None else (values['task'],)
    groups: dict[str, type] = {kind.__doc__ or name: kind for name, kind in fields.GROUPS.items()}
    groups |= {f"Task '{name}': {fields.TASK_TYPES[name].__doc__}": fields.TASK_TYPES[name] for name in names}
    return flags.help_text(groups, f'{USAGE}\n  on many hosts also {MANY}', values)


@contextlib.contextmanager
def handle_signals() -> Iterator[Callable[[], int]]:
    """A context in which the first SIGINT or SIGTERM ends nothing, and the second one raises KeyboardInterrupt.

    Yields a function that returns the exit code for the first signal, 0 before it.
    """
    received: list[int] = []

    def receive(number: int, frame: Any) -> None:
        received.append(INTERRUPTED if number == signal.SIGINT else STOPPED)
        if len(received) > 1:
            raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():  # only the main thread may handle signals
        yield lambda: 0
        return
    before = {number: signal.signal(number, receive) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: received[0] if received else 0
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def read_settings(arguments: list[str]) -> Settings:
    """The settings of a configuration file, as the flags change them. ValueError with one sentence."""
    return fields.parse_settings(flags.read_config(arguments, USAGE))


def read_process_flags(arguments: list[str]) -> tuple[dict, list[str]]:
    """The arguments of `processes.join_processes`, and the other flags. ValueError with one sentence."""
    values = absl_flags.FlagValues()
    values.set_gnu_getopt()
    absl_flags.DEFINE_string('coordinator', None, 'HOST:PORT of process 0', flag_values=values)
    absl_flags.DEFINE_integer('num_processes', None, 'the number of processes', flag_values=values)
    absl_flags.DEFINE_integer('process_id', None, 'the number of this process, from 0', flag_values=values)
    absl_flags.DEFINE_boolean('distributed', False, 'JAX detects the processes', flag_values=values)
    absl_flags.DEFINE_integer('join_seconds', 300, 'how long to wait for the other processes', flag_values=values)
    try:
        rest = values(['invert', *arguments], known_only=True)[1:]
    except absl_flags.Error as error:
        given = re.sub(r'invalid literal for int.*', 'a whole number is wanted', one_sentence(error))
        raise ValueError(f'{given}; usage: {USAGE} {MANY}.') from error
    found = values.flag_values_dict()
    return {'detect': found.pop('distributed'), 'seconds': found.pop('join_seconds'), **found}, rest


def _run(arguments: list[str], stopped: Callable[[], int]) -> int:
    def stop() -> bool:
        return bool(stopped())

    try:
        process_flags, rest = read_process_flags(arguments)
        settings = read_settings(rest)
        share = processes.join_processes(**process_flags, stop=stop)  # before anything is computed
        compile_cache.enable_compile_cache()
        job = jobs.prepare_job(settings, share=share)
        if settings.run.dry_run:
            print(_estimate(job))
            return 0
        finished = jobs.carry_out(job, log=True, stop=stop, tell=lambda text: print(text, file=sys.stderr))
    except ValueError as error:
        if stopped():  # while it waited for the other processes
            return _stopped(stopped())
        print(one_sentence(error), file=sys.stderr)
        return 2
    except (OSError, MemoryError, jax.errors.JaxRuntimeError) as error:
        advice = 'what was finished is kept; free disk space or memory (fewer --config.num_codes) and run it again.'
        print(f'{one_sentence(error)}; {advice}', file=sys.stderr)
        return 3
    if stopped():
        return _stopped(stopped())
    print(_summary(finished.rows, finished.counts, settings.data.out))
    return 3 if any(row['status'] != records.DONE for row in finished.rows) else 0


def _print_help(arguments: list[str]) -> int:
    """`--config FILE --help` shows the values of that configuration, `--help` alone the defaults of all tasks."""
    rest = [argument for argument in arguments if argument not in ('--help', '-h')]
    try:
        print(format_help(fields.flatten_settings(read_settings(rest)) if rest else None))
    except ValueError as error:
        print(one_sentence(error), file=sys.stderr)
        return 2
    return 0


def _stopped(code: int) -> int:
    print(f'{"interrupted" if code == INTERRUPTED else "stopped"}; {RESUMED}', file=sys.stderr)
    return code


def _estimate(job: Job) -> str:
    done = sum(stores.place_has(job.settings.data.out, source.name) for source in job.sources)
    return dry_run.format_estimate(dry_run.estimate_run(job, done))


def _summary(rows: list[dict], counts: Counter, out: str) -> str:
    done = [row for row in rows if row['status'] == records.DONE]
    text = f'{len(done)} of {len(rows)} images done'
    if counts['again']:
        text += f' ({counts["again"]} again, since the image or the settings changed)'
    for name, (before, form, behind) in SUMMED_UP.items():
        if values := [row[name] for row in done if name in row]:
            text += f', {before}{np.mean(values):{form}}{behind}'
            if inputs := [row[f'input_{name}'] for row in done if f'input_{name}' in row]:
                text += f' (inputs {np.mean(inputs):{form}}{behind})'
    reasons = ''.join(f'\n  {row["name"]}: {row["status"]}' for row in rows if row['status'] != records.DONE)
    return f'{text}: {out}{reasons}'


if __name__ == '__main__':
    exit_code = main(sys.argv[1:])
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # the run is complete; its exit code must say so
    sys.exit(exit_code)
