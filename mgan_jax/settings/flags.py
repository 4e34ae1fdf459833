"""Configuration files and the flags that change their fields, for the commands `python -m mgan_jax.COMMAND --config FILE`."""

import difflib
import re
import runpy
from pathlib import Path

from absl import flags
from ml_collections import ConfigDict, config_flags

from mgan_jax.settings import presets
from mgan_jax.settings.errors import one_sentence


def read_config(arguments: list[str], usage: str) -> dict:
    """The fields of the file after --config, as `--config.FIELD=VALUE` change them.

    usage: the command as its users type it, for what they are told. ValueError with one sentence.
    """
    path, rest = _path(arguments, usage)
    config = _load(path, usage)
    values = flags.FlagValues()
    command_line = ['command', *rest]
    try:
        config_flags.DEFINE_config_dict('config', config, flag_values=values, sys_argv=command_line)
        extra = values(command_line)[1:]
    except (flags.Error, AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(_explain(error, rest, config.to_dict(), usage)) from error
    if extra:
        raise ValueError(f"'{extra[0]}' is not a flag; usage: {usage}.")
    return config.to_dict()


def _path(arguments: list[str], usage: str) -> tuple[str, list[str]]:
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


def _load(path: str, usage: str) -> ConfigDict:
    """get_config() of the Python file `path`, or get_config(PRESET) for FILE:PRESET."""
    file, *preset = path.split(':', 1)
    if not Path(file).is_file():
        raise ValueError(f"there is no configuration file '{file}'; usage: {usage}.")
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


def _explain(error: Exception, arguments: list[str], fields: dict, usage: str) -> str:
    """What is wrong with the flags, in the command's words."""
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
    given, example = (
        one_sentence(error).split(': ')[0],
        fields[name[1]],
    )  # after the colon comes what Python's int() says
    return f'{given}; {presets.KINDS.get(type(example))} is wanted, as in --config.{name[1]}={example}.'
