"""`mgan-jax COMMAND [ARGUMENT ...]`, or `python -m mgan_jax COMMAND [ARGUMENT ...]`: runs one of the commands."""

import difflib
import importlib
import re
import signal
import sys
from collections.abc import Callable
from importlib import metadata
from typing import NamedTuple

from mgan_jax import __version__


class Command(NamedTuple):
    """module: its `main(arguments)` returns the exit code. text: one line of the help. config: --config if none is given."""

    module: str
    text: str
    config: str = ''


COMMANDS = {
    'invert': Command('mgan_jax.invert', 'restore images: a configuration names the task and the images'),
    'edit': Command('mgan_jax.invert', 'invert images and move their codes along boundaries', config='edit'),
    'morph': Command('mgan_jax.morph', 'go from one result to another, or mix their styles'),
    'convert': Command('mgan_jax.converters.__main__', 'convert a published weight file into a model directory'),
    'encoder': Command('mgan_jax.encoder.__main__', 'train an encoder for a generator'),
    'boundaries': Command('mgan_jax.boundaries', 'train the boundary of an attribute'),
    'pristine': Command('mgan_jax.pristine', 'make a NIQE model from pristine images'),
    'analyze': Command('mgan_jax.analyze', "draw the figures of the paper's analyses"),
}
VERSION = 'version'
USAGE = 'usage: mgan-jax COMMAND [ARGUMENT ...]'
DISTRIBUTIONS = ('jax', 'jaxlib', 'flax', 'optax', 'orbax-checkpoint', 'numpy')


def main(arguments: list[str]) -> int:
    """Runs the command that the first argument names. Returns its exit code, or 2 if there is no such command."""
    if not arguments:
        print(_help(), file=sys.stderr)
        return 2
    name, *rest = arguments
    if name in ('--help', '-h'):
        print(_help())
        return 0
    if name in (VERSION, f'--{VERSION}'):
        print(describe_versions())
        return 0
    if name not in COMMANDS:
        names = [*COMMANDS, VERSION]
        close = difflib.get_close_matches(name, names, n=1)
        hint = f"did you mean '{close[0]}'?" if close else f'the commands are {", ".join(names)}.'
        print(f"there is no command '{name}'; {hint}", file=sys.stderr)
        return 2
    command = COMMANDS[name]
    if command.config and not any(re.fullmatch(r'--?config(=.*)?|--help|-h', argument) for argument in rest):
        rest = [f'--config={command.config}', *rest]
    run_command: Callable[[list[str]], int] = importlib.import_module(command.module).main
    return run_command(rest)


def describe_versions() -> str:
    """The versions of mgan_jax, of the libraries that it computes with, of Python, and the devices: one a line."""
    rows = [('mgan_jax', __version__)]
    for name in DISTRIBUTIONS:
        try:
            rows.append((name, metadata.version(name)))
        except metadata.PackageNotFoundError:
            rows.append((name, 'not installed'))
    rows += [('Python', sys.version.split()[0]), ('devices', _describe_devices())]
    return '\n'.join(f'{name:<16}  {value}' for name, value in rows)


def _describe_devices() -> str:
    try:
        import jax

        devices = jax.devices()
    except (ImportError, RuntimeError) as error:  # no device, or one that cannot be used
        return f'none ({" ".join(str(error).split())})'
    return f'{len(devices)} x {devices[0].device_kind} ({devices[0].platform})'


def _help() -> str:
    rows = [(name, command.text) for name, command in COMMANDS.items()]
    rows.append((VERSION, 'print the versions and the devices'))
    more = '`mgan-jax COMMAND --help` describes the arguments of a command.'
    return '\n'.join([USAGE, '', 'commands:', *(f'  {name:<12}{text}' for name, text in rows), '', more])


def run_process() -> int:
    """`main` with the arguments of the process. Signals that come after it do not change the exit code."""
    exit_code = main(sys.argv[1:])
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    return exit_code


if __name__ == '__main__':
    sys.exit(run_process())
