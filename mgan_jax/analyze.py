"""`python -m mgan_jax.analyze --config configs/analysis.py [--config.FIELD=VALUE ...]`: the paper's analyses, as figures and tables.

Everything that was measured is kept in OUT, so that the command goes on where it was stopped.
"""

import contextlib
import json
import sys

import jax

from mgan_jax.analysis import curves, figures, plots
from mgan_jax.engine import compile_cache
from mgan_jax.run import jobs
from mgan_jax.settings import flags
from mgan_jax.settings.errors import one_sentence
from mgan_jax.storage import stores

USAGE = 'python -m mgan_jax.analyze --config configs/analysis.py [--config.FIELD=VALUE ...]'
KEPT = 'what was measured is kept, and the same command goes on'


def main(arguments: list[str]) -> int:
    """The exit code: 0 all is done, 2 nothing was started, 3 some images failed or results could not be written, 130
    interrupted; after the last two the same command goes on."""
    if arguments in (['--help'], ['-h']):
        print(f'usage: {USAGE}\nThe fields and what they mean are in {curves.__file__}.')
        return 0
    try:
        return _run(arguments)
    except KeyboardInterrupt:
        print(f'interrupted; {KEPT}.', file=sys.stderr)
        return 130


def _run(arguments: list[str]) -> int:
    with contextlib.ExitStack() as stack:
        try:
            settings = flags.read_config(arguments, USAGE)
            plots.require_matplotlib()
            compile_cache.enable_compile_cache()
            most = figures.check_analysis(settings)  # before anything is written
            store = stack.enter_context(stores.open_store(settings['out']))
            study = figures.begin_analysis(settings, most, store)
        except (OSError, ValueError) as error:
            print(one_sentence(error), file=sys.stderr)
            return 2
        try:
            about = {'config': settings, **jobs.describe_machine()}
            store.write('config.json', (json.dumps(about, indent=2) + '\n').encode())
            failed = figures.measure_runs(study)
            for told in figures.write_figures(study):
                print(told)
        except (OSError, MemoryError, ValueError, jax.errors.JaxRuntimeError) as error:
            print(f'{one_sentence(error).rstrip(".")}; {KEPT}.', file=sys.stderr)
            return 3
    for told in failed:
        print(told, file=sys.stderr)
    return 3 if failed else 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
