"""`python -m mgan_jax.invert --config configs/sr.py [--config.FIELD=VALUE ...]`: restores images from files into files."""

import contextlib
import re
import signal
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np
from absl import flags as absl_flags

from mgan_jax.engine import compile_cache
from mgan_jax.results import records, report
from mgan_jax.run import dry_run, events, jobs, pipeline, processes
from mgan_jax.settings import flags, presets
from mgan_jax.settings.errors import one_sentence
from mgan_jax.storage import stores

USAGE = 'python -m mgan_jax.invert --config configs/sr.py [--config.FIELD=VALUE ...]'
MANY = '[--coordinator=HOST:PORT --num_processes=N --process_id=K | --distributed] [--join_seconds=300]'
INTERRUPTED, STOPPED = 130, 75  # exit codes; 75 is what says everywhere: a temporary failure, try again
KEPT = 'what was finished is kept, images on their way are saved, and the same command goes on.'

# Means that the last line tells, and how: what stands before, the format, what stands behind.
SUMMED_UP = {
    'psnr': ('PSNR ', '.2f', ' dB'),
    'hole_psnr': ('in the hole ', '.2f', ' dB'),
    'auc': ('AuC ', '.4f', ''),
    'lpips': ('LPIPS ', '.4f', ''),
    'niqe': ('NIQE ', '.2f', ''),
}


def main(arguments: list[str]) -> int:
    """The exit code: 0 every image is done, 2 nothing was started, 3 some images failed or results could not be written,
    75 stopped by SIGTERM, 130 interrupted; after the last three the same command goes on."""
    if arguments in (['--help'], ['-h']):
        print(
            f'usage: {USAGE}\n  on many hosts also {MANY}\n'
            f'The fields and their values by task and preset are in {presets.__file__}.'
        )
        return 0
    try:
        with stopping() as stopped:
            return _run(arguments, stopped)
    except KeyboardInterrupt:
        return _stopped(INTERRUPTED)


def _stopped(code: int) -> int:
    print(f'{"interrupted" if code == INTERRUPTED else "stopped"}; {KEPT}', file=sys.stderr)
    return code


@contextlib.contextmanager
def stopping() -> Iterator[Callable[[], int]]:
    """A context in which SIGINT and SIGTERM end nothing at once. Yields a function that tells the exit code for the first of
    them, 0 before. The second one is a KeyboardInterrupt."""
    received: list[int] = []

    def receive(number: int, frame: Any) -> None:
        received.append(INTERRUPTED if number == signal.SIGINT else STOPPED)
        if len(received) > 1:
            raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():  # signals are not ours there
        yield lambda: 0
        return
    before = {number: signal.signal(number, receive) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: received[0] if received else 0
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _run(arguments: list[str], stopped: Callable[[], int]) -> int:
    try:
        hosts_flags, rest = read_hosts(arguments)
        settings = read_settings(rest)
        share = processes.join_processes(**hosts_flags, stop=lambda: bool(stopped()))  # before anything is computed
        compile_cache.enable_compile_cache()
        job = jobs.prepare_job(settings, share=share)
        if settings['dry_run']:
            print(
                dry_run.format_estimate(
                    dry_run.estimate_run(
                        job, sum(stores.place_has(settings['out'], source.name) for source in job.sources)
                    )
                )
            )
            return 0
    except ValueError as error:
        if stopped():  # while it waited for the other processes
            return _stopped(stopped())
        print(one_sentence(error), file=sys.stderr)
        return 2
    with contextlib.ExitStack() as stack:
        try:
            store = stack.enter_context(stores.open_store(settings['out'], *job.share))
            if told := records.write_run_config(store, settings, jobs.describe_machine()):
                print(told, file=sys.stderr)
            diary = events.open_log(store.log)
        except (OSError, ValueError) as error:
            print(one_sentence(error), file=sys.stderr)
            return 2
        try:
            counts = pipeline.restore_images(job, store, diary, lambda: bool(stopped()))
            rows = records.write_table(store)
            report.write_report(store)
        except (OSError, MemoryError, jax.errors.JaxRuntimeError) as error:
            advice = 'what was finished is kept; free disk space or memory (fewer --config.num_codes) and run it again.'
            print(f'{one_sentence(error)}; {advice}', file=sys.stderr)
            return 3
    if stopped():
        return _stopped(stopped())
    print(_summary(rows, counts, settings['out']))
    return 3 if any(row['status'] != records.DONE for row in rows) else 0


def read_hosts(arguments: list[str]) -> tuple[dict, list[str]]:
    """The arguments of `processes.join_processes`, and the other flags. ValueError with one sentence."""
    values = absl_flags.FlagValues()
    values.set_gnu_getopt()
    absl_flags.DEFINE_string('coordinator', None, 'HOST:PORT of process 0', flag_values=values)
    absl_flags.DEFINE_integer('num_processes', None, 'how many processes there are', flag_values=values)
    absl_flags.DEFINE_integer('process_id', None, 'which one of them this is', flag_values=values)
    absl_flags.DEFINE_boolean('distributed', False, 'JAX detects the processes', flag_values=values)
    absl_flags.DEFINE_integer('join_seconds', 300, 'how long to wait for the others', flag_values=values)
    try:
        rest = values(['invert', *arguments], known_only=True)[1:]
    except absl_flags.Error as error:
        given = re.sub(r'invalid literal for int.*', 'a whole number is wanted', one_sentence(error))
        raise ValueError(f'{given}; usage: {USAGE} {MANY}.') from error
    found = values.flag_values_dict()
    return {'detect': found.pop('distributed'), 'seconds': found.pop('join_seconds'), **found}, rest


def read_settings(arguments: list[str]) -> dict:
    """The fields of the configuration file, as the flags change them. ValueError with one sentence."""
    settings = flags.read_config(arguments, USAGE)
    presets.require_fields(settings)
    return settings


def _summary(rows: list[dict], counts: Counter, out: str) -> str:
    done = [row for row in rows if row['status'] == records.DONE]
    text = f'{len(done)} of {len(rows)} images done'
    if counts['again']:
        text += f' ({counts["again"]} again, since the image or the settings changed)'
    for name, form in SUMMED_UP.items():
        if values := [row[name] for row in done if name in row]:
            text += f', {form[0]}{np.mean(values):{form[1]}}{form[2]}'
            if before := [row[f'input_{name}'] for row in done if f'input_{name}' in row]:
                text += f' (inputs {np.mean(before):{form[1]}}{form[2]})'
    reasons = ''.join(f'\n  {row["name"]}: {row["status"]}' for row in rows if row['status'] != records.DONE)
    return f'{text}: {out}{reasons}'


if __name__ == '__main__':
    exit_code = main(sys.argv[1:])
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # what there was to do is done; the exit code is to say that
    sys.exit(exit_code)
