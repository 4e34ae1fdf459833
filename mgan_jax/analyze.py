"""`python -m mgan_jax.analyze --config configs/analysis.py [--config.FIELD=VALUE ...]`: the paper's analyses as figures and tables.

All measurements are stored in OUT, so that the same command continues where it was stopped.
"""

import contextlib
import json
import sys

import jax

from mgan_jax.analysis import experiment, figures, plots
from mgan_jax.engine import compile_cache
from mgan_jax.run import jobs
from mgan_jax.settings import analysis_fields, flags
from mgan_jax.settings.errors import one_sentence
from mgan_jax.storage import stores

USAGE = 'python -m mgan_jax.analyze --config configs/analysis.py [--config.FIELD=VALUE ...]'
HELP = {
    'Analyses, images and results': analysis_fields.StudySettings,
    'What is compared': analysis_fields.SweepSettings,
    'Roles of codes': analysis_fields.RoleSettings,
    'Inversions': analysis_fields.InversionSettings,
}
KEPT = 'what was measured is kept, and the same command goes on'


def main(arguments: list[str]) -> int:
    """Runs the command and returns its exit code.

    0: everything is done. 2: nothing was started. 3: some images failed, or results could not be written. 130:
    interrupted. After the last two the same command continues.
    """
    if flags.wants_help(arguments):
        print(flags.help_text(HELP, USAGE))
        return 0
    try:
        return _run(arguments)
    except KeyboardInterrupt:
        print(f'interrupted; {KEPT}.', file=sys.stderr)
        return 130


def _run(arguments: list[str]) -> int:
    with contextlib.ExitStack() as stack:
        try:
            settings = analysis_fields.parse_analysis_settings(flags.read_config(arguments, USAGE))
            plots.require_matplotlib()
            compile_cache.enable_compile_cache()
            analysis = experiment.check_analysis(settings)  # before anything is written
            store = stack.enter_context(stores.open_store(settings.study.out))
        except (OSError, ValueError) as error:
            print(one_sentence(error), file=sys.stderr)
            return 2
        try:
            config = sorted(analysis_fields.flatten_analysis_settings(settings).items())
            about = {'config': dict(config), **jobs.describe_machine()}
            store.write('config.json', (json.dumps(about, indent=2) + '\n').encode())
            analysis = experiment.draw_held_out(analysis, store)
            rows = experiment.measure_runs(analysis, store)
            for path in figures.write_figures(analysis, rows, store):
                print(path)
        except (OSError, MemoryError, ValueError, jax.errors.JaxRuntimeError) as error:
            print(f'{one_sentence(error).rstrip(".")}; {KEPT}.', file=sys.stderr)
            return 3
    failures = experiment.list_failures(rows)
    for failure in failures:
        print(failure, file=sys.stderr)
    return 3 if failures else 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
