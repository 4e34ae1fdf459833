"""Configurations, the flags that change their fields, and the help of the commands `python -m mgan_jax.COMMAND --config FILE`."""

import dataclasses
import difflib
import re
import runpy
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from absl import flags
from ml_collections import ConfigDict, config_flags

from mgan_jax.settings import analysis_fields, presets
from mgan_jax.settings.errors import one_sentence
from mgan_jax.settings.fields import KINDS

# Names that stand for a configuration where there is no such file.
NAMES = {
    'invert': 'reconstruct',
    'reconstruct': 'reconstruct',
    'sr': 'super_resolve',
    'super_resolve': 'super_resolve',
    'colorize': 'colorize',
    'inpaint': 'inpaint',
    'denoise': 'denoise',
    'edit': 'edit',
}
WIDTH = 118  # columns of the help


def read_config(arguments: list[str], usage: str) -> dict[str, Any]:
    """The flat fields of the configuration after --config, as `--config.FIELD=VALUE` change them.

    --config: a Python file with `get_config`, FILE:PRESET, or a task's name such as sr or sr:fast. usage: the command line,
    for error messages. Raises ValueError with one sentence.
    """
    path, rest = _split_config(arguments, usage)
    config = _load_config(path, usage)
    values = flags.FlagValues()
    command_line = ['command', *rest]
    try:
        config_flags.DEFINE_config_dict('config', config, flag_values=values, sys_argv=command_line)
        extra = values(command_line)[1:]
    except (flags.Error, AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(_explain(error, rest, config.to_dict(), usage)) from error
    if extra:
        raise ValueError(f"'{extra[0]}' is not a flag; usage: {usage}.")
    flat: dict[str, Any] = config.to_dict()
    return flat


def wants_help(arguments: list[str]) -> bool:
    """Whether the arguments ask for help."""
    return '--help' in arguments or '-h' in arguments


def help_text(groups: Mapping[str, type], usage: str, values: Mapping[str, Any] | None = None) -> str:
    """The help of a command.

    groups: {title: dataclass whose fields carry an `Option`}. usage: the command line. values: the flat fields of a
    configuration, which are shown instead of the dataclasses' defaults.
    """
    shown = 'of the dataclasses, of which presets change some' if values is None else 'those of this configuration'
    lines = [f'usage: {usage}', '', f'Fields are set by --config.FIELD=VALUE. The defaults shown are {shown}.']
    for title, group in groups.items():
        options = dataclasses.fields(group)
        if options:
            lines += ['', title.rstrip('.') + ':']
        for field in options:
            lines += _field_lines(field, (values or {}).get(field.name, field.default))
    return '\n'.join(lines)


def _field_lines(field: dataclasses.Field[Any], value: Any) -> list[str]:
    option = field.metadata['option']
    kind = '|'.join(option.choices) if option.choices else type(field.default).__name__
    head = f'  --config.{field.name}={kind}'
    meaning = f'{option.help}{f" [{option.unit}]" if option.unit else ""} (default: {value!r})'
    return [head, *textwrap.wrap(meaning, WIDTH, initial_indent=' ' * 6, subsequent_indent=' ' * 6)]


def _split_config(arguments: list[str], usage: str) -> tuple[str, list[str]]:
    """The value of --config, and the other arguments."""
    values = flags.FlagValues()
    values.set_gnu_getopt()
    path = flags.DEFINE_string('config', None, 'a configuration file', flag_values=values)
    try:
        rest = values(['command', *arguments], known_only=True)[1:]
    except flags.Error as error:
        raise ValueError(f'{one_sentence(error)}; usage: {usage}.') from error
    if not path.value:
        given = f'{", ".join(rest)} without --config' if rest else 'no --config'
        raise ValueError(f'{given} was given; usage: {usage}.')
    return path.value, rest


def _load_config(path: str, usage: str) -> ConfigDict:
    """get_config() of the Python file `path`, get_config(PRESET) for FILE:PRESET, or the preset of a task's name."""
    file, *preset = path.split(':', 1)
    if not Path(file).is_file():
        return _named_config(file, preset, usage)
    try:
        program = runpy.run_path(file)
        if 'get_config' not in program:
            raise ValueError('it has no function get_config.')
        config = program['get_config'](*preset)
    except ValueError as error:
        raise ValueError(f'the configuration {path} cannot be used: {one_sentence(error)}') from error
    except Exception as error:  # the file is a program, and can raise anything
        reason = f'{type(error).__name__}: {one_sentence(error)}'
        raise ValueError(f'the configuration {path} cannot be used: it raises {reason}.') from error
    if not isinstance(config, ConfigDict):
        raise ValueError(f'get_config in {file} returns {type(config).__name__}; a ConfigDict is wanted.')
    return config


def _named_config(name: str, preset: list[str], usage: str) -> ConfigDict:
    chosen = preset[0] if preset else 'demo'
    try:
        if name == 'analysis':
            return ConfigDict(analysis_fields.analysis_preset(chosen))
        if name in NAMES:
            return ConfigDict(presets.preset_settings(NAMES[name], chosen))
    except ValueError as error:
        raise ValueError(f'the configuration {name}:{chosen} cannot be used: {one_sentence(error)}') from error
    names = ', '.join(sorted({*NAMES, 'analysis'}))
    raise ValueError(f"there is no configuration file '{name}', and no task of this name ({names}); usage: {usage}.")


def _explain(error: Exception, arguments: list[str], fields: dict[str, Any], usage: str) -> str:
    """What is wrong with the flags, in one sentence."""
    for argument in arguments:
        name = re.match(r'--?(?:no)?config\.([^=]*)', argument)
        if name and name[1] not in fields:
            close = difflib.get_close_matches(name[1], fields, n=1)
            hint = f"did you mean '{close[0]}'?" if close else f'the fields are {", ".join(fields)}.'
            what = f"task '{fields['task']}'" if 'task' in fields else 'the configuration'
            return f"{what} has no field '{name[1]}'; {hint}"
    if isinstance(error, flags.UnrecognizedFlagError):
        return f"there is no flag '{error.flagname}'; usage: {usage}."
    name = re.search(r'--config\.(\w+)', str(error))
    if name is None:
        return f'{one_sentence(error)}; usage: {usage}.'
    given, example = one_sentence(error).split(': ')[0], fields[name[1]]  # behind the colon stands Python's own message
    return f'{given}; {KINDS.get(type(example))} is wanted, as in --config.{name[1]}={example}.'
