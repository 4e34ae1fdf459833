"""Command lines of commands that need no configuration file: a table of `Argument`s becomes an argparse parser.

`--help` lists the meaning, the type and the default of each argument. An error is a ValueError with one sentence.
"""

import argparse
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, NoReturn


class ArgumentType(NamedTuple):
    """The type of an argument. name: with its article, for help and errors. parse(text): the value, or ValueError."""

    name: str
    parse: Callable[[str], Any]


TEXT = ArgumentType('a text', str)
PATH = ArgumentType('a path', Path)
WHOLE_NUMBER = ArgumentType('a whole number', int)
WHOLE_NUMBERS = ArgumentType(
    'a list of whole numbers separated by commas', lambda text: [int(part) for part in text.split(',')]
)
NUMBER = ArgumentType('a number', float)
FLAG = ArgumentType('a flag', bool)  # takes no value: False unless it is given


class Argument(NamedTuple):
    """An argument of a command.

    name: `--size` for an option; `images`, without dashes, for a required positional argument. default: the value of an
    option that is not given. choices: the only possible values, if not empty. check(value): '' for a usable value, else
    what is wanted, as the checks in `fields`. metavar: the name of the value in the help.
    """

    name: str
    help: str
    type: ArgumentType = TEXT
    default: Any = None
    choices: tuple[str, ...] = ()
    check: Callable[[Any], str] = lambda value: ''
    metavar: str | None = None


class CommandParser(argparse.ArgumentParser):
    """An argparse parser that raises ValueError with one sentence instead of printing its usage and exiting."""

    def error(self, message: str) -> NoReturn:
        raise ValueError(f'{message}; see `{self.prog} --help`.')


def make_parser(command: str, description: str, groups: Mapping[str, Sequence[Argument]]) -> CommandParser:
    """Returns the parser of a command.

    command: as its users type it. groups: arguments under the titles that the help shows; '' stands for no title. Its
    `parse_args` raises ValueError with one sentence, and SystemExit(0) after it has printed the help for `--help`.
    """
    parser = CommandParser(prog=command, description=description)
    for title, arguments in groups.items():
        group = parser.add_argument_group(title) if title else parser
        for argument in arguments:
            group.add_argument(argument.name, **_argparse_options(argument))
    return parser


def _argparse_options(argument: Argument) -> dict[str, Any]:
    """The keywords of argparse's `add_argument`."""
    about = f'{argument.help} ({argument.type.name}{_describe_default(argument)})'.replace('%', '%%')
    if argument.type is FLAG:
        return {'help': about, 'action': 'store_true'}
    return {
        'help': about,
        'type': _make_reader(argument),
        'default': argument.default,
        'choices': argument.choices or None,
        'metavar': argument.metavar,
    }


def _describe_default(argument: Argument) -> str:
    if not argument.name.startswith('-'):
        return ''
    if argument.type is FLAG:
        return '; default: not set'
    return f'; default: {"none" if argument.default in (None, "") else argument.default}'


def _make_reader(argument: Argument) -> Callable[[str], Any]:
    """read(text) -> the checked value; its errors become argparse's."""

    def read(text: str) -> Any:
        try:
            value = argument.type.parse(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f'{text!r} is given; {argument.type.name} is wanted') from None
        if wanted := argument.check(value):
            raise argparse.ArgumentTypeError(f'{value} is given; {wanted}')
        return value

    return read
