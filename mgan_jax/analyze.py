"""`python -m mgan_jax.analyze --config configs/analysis.py [--config.FIELD=VALUE ...]`: the paper's analyses, as figures and tables.

Everything that was measured is kept in OUT, so that the command goes on where it was stopped.
"""

import contextlib
import json
import sys

import jax

from mgan_jax import analyses, compiled, config, plots, restoration, stores, studies
from mgan_jax.errors import sentence

USAGE = 'python -m mgan_jax.analyze --config configs/analysis.py [--config.FIELD=VALUE ...]'
KEPT = 'what was measured is kept, and the same command goes on'


def main(arguments: list[str]) -> int:
    """The exit code: 0 all is done, 2 nothing was started, 3 some images failed or results could not be written, 130
    interrupted; after the last two the same command goes on."""
    if arguments in (['--help'], ['-h']):
        print(f'usage: {USAGE}\nThe fields and what they mean are in {analyses.__file__}.')
        return 0
    try:
        return _run(arguments)
    except KeyboardInterrupt:
        print(f'interrupted; {KEPT}.', file=sys.stderr)
        return 130


def _run(arguments: list[str]) -> int:
    with contextlib.ExitStack() as stack:
        try:
            settings = config.read(arguments, USAGE)
            plots.require()
            compiled.keep()
            most = studies.check(settings)  # before anything is written
            store = stack.enter_context(stores.opened(settings['out']))
            study = studies.begin(settings, most, store)
        except (OSError, ValueError) as error:
            print(sentence(error), file=sys.stderr)
            return 2
        try:
            about = {'config': settings, **restoration.machine()}
            store.write('config.json', (json.dumps(about, indent=2) + '\n').encode())
            failed = studies.measure(study)
            for told in studies.write(study):
                print(told)
        except (OSError, MemoryError, ValueError, jax.errors.JaxRuntimeError) as error:
            print(f'{sentence(error).rstrip(".")}; {KEPT}.', file=sys.stderr)
            return 3
    for told in failed:
        print(told, file=sys.stderr)
    return 3 if failed else 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
