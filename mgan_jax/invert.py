"""`python -m mgan_jax.invert --config configs/sr.py [--config.FIELD=VALUE ...]`: restores images from files into files."""

import difflib
import re
import runpy
import sys
from pathlib import Path

import jax
import numpy as np
from absl import flags
from ml_collections import ConfigDict, config_flags

from mgan_jax import compiled, plan, presets, restoration, results
from mgan_jax.errors import sentence

USAGE = 'python -m mgan_jax.invert --config configs/sr.py [--config.FIELD=VALUE ...]'


def main(arguments: list[str]) -> int:
    """The exit code: 0 every image is done, 2 nothing was started, 3 some images failed, 130 interrupted."""
    if arguments in (['--help'], ['-h']):
        print(f'usage: {USAGE}\nThe fields and their values by task and preset are in {presets.__file__}.')
        return 0
    try:
        return _run(arguments)
    except KeyboardInterrupt:
        print('interrupted; what was finished is kept, and the same command goes on.', file=sys.stderr)
        return 130


def _run(arguments: list[str]) -> int:
    try:
        settings = read_settings(arguments)
        compiled.keep()
        job = restoration.prepare(settings)
        out = Path(settings['out']).expanduser()
        if settings['dry_run']:
            print(plan.table(plan.measure(job, out)))
            return 0
        results.start(out, settings, restoration.machine(), job.sources)
    except ValueError as error:
        print(sentence(error), file=sys.stderr)
        return 2
    try:
        failed = restoration.restore(job, out)
        rows = results.write_table(out, [source.name for source in job.sources], failed)
    except (OSError, MemoryError, jax.errors.JaxRuntimeError) as error:
        advice = 'what was finished is kept; free disk space or memory (fewer --config.num_codes) and run it again.'
        print(f'{sentence(error)}; {advice}', file=sys.stderr)
        return 3
    print(_summary(rows, out))
    return 3 if any(row['status'] != results.DONE for row in rows) else 0


def read_settings(arguments: list[str]) -> dict:
    """The fields of the configuration file, as the flags change them. ValueError with one sentence."""
    path, rest = _config_path(arguments)
    config = _load(path)
    values = flags.FlagValues()
    command_line = ['invert', *rest]
    try:
        config_flags.DEFINE_config_dict('config', config, flag_values=values, sys_argv=command_line)
        extra = values(command_line)[1:]
    except (flags.Error, AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(_explain(error, rest, config.to_dict())) from error
    if extra:
        raise ValueError(f"'{extra[0]}' is not a flag; usage: {USAGE}.")
    settings = config.to_dict()
    presets.require_fields(settings)
    return settings


def _config_path(arguments: list[str]) -> tuple[str, list[str]]:
    """The value of --config, and the other arguments."""
    values = flags.FlagValues()
    values.set_gnu_getopt()
    path = flags.DEFINE_string('config', None, 'a configuration file', flag_values=values)
    try:
        rest = values(['invert', *arguments], known_only=True)[1:]
    except flags.Error as error:
        raise ValueError(f'{sentence(error)}; usage: {USAGE}.') from error
    if not path.value:
        given = f'{", ".join(rest)} without --config' if rest else 'no --config'
        raise ValueError(f'{given} was given; usage: {USAGE}.')
    return path.value, rest


def _load(path: str) -> ConfigDict:
    """get_config() of the Python file `path`, or get_config(PRESET) for FILE:PRESET."""
    file, *preset = path.split(':', 1)
    if not Path(file).is_file():
        raise ValueError(f"there is no configuration file '{file}'; usage: {USAGE}.")
    try:
        program = runpy.run_path(file)
        if 'get_config' not in program:
            raise ValueError('it has no function get_config.')
        config = program['get_config'](*preset)
    except ValueError as error:
        raise ValueError(f'the configuration {path} cannot be used: {sentence(error)}') from error
    except Exception as error:  # the file is a program, and can raise anything
        reason = f'{type(error).__name__}: {sentence(error)}'
        raise ValueError(f'the configuration {path} cannot be used: it raises {reason}.') from error
    if not isinstance(config, ConfigDict):
        raise ValueError(f'get_config in {file} returns {type(config).__name__}; a ConfigDict is wanted.')
    return config


def _explain(error: Exception, arguments: list[str], fields: dict) -> str:
    """What is wrong with the flags, in this command's words."""
    for argument in arguments:
        name = re.match(r'--?(?:no)?config\.([^=]*)', argument)
        if name and name[1] not in fields:
            close = difflib.get_close_matches(name[1], fields, n=1)
            hint = f"did you mean '{close[0]}'?" if close else f'the fields are {", ".join(fields)}.'
            return f"task '{fields.get('task')}' has no field '{name[1]}'; {hint}"
    if isinstance(error, flags.UnrecognizedFlagError):
        return f"there is no flag '{error.flagname}'; usage: {USAGE}."
    name = re.search(r'--config\.(\w+)', str(error))
    if name is None:
        return f'{sentence(error)}; usage: {USAGE}.'
    given, example = sentence(error).split(': ')[0], fields[name[1]]  # after the colon comes what Python's int() says
    return f'{given}; {presets.KINDS.get(type(example))} is wanted, as in --config.{name[1]}={example}.'


def _summary(rows: list[dict], out: Path) -> str:
    done = [row for row in rows if row['status'] == results.DONE]
    text = f'{len(done)} of {len(rows)} images done'
    if psnr := [row['psnr'] for row in done if 'psnr' in row]:
        text += f', PSNR {np.mean(psnr):.2f} dB'
    if before := [row['input_psnr'] for row in done if 'input_psnr' in row]:
        text += f' (inputs {np.mean(before):.2f} dB)'
    if lpips := [row['lpips'] for row in done if 'lpips' in row]:
        text += f', LPIPS {np.mean(lpips):.4f}'
    reasons = ''.join(f'\n  {row["name"]}: {row["status"]}' for row in rows if row['status'] != results.DONE)
    return f'{text}: {out}{reasons}'


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
