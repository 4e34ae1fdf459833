"""The command lines of the benchmarks: parsers, settings as FIELD=VALUE, and one sentence for what cannot be used."""

import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from mgan_jax.settings import fields
from mgan_jax.settings.arguments import CommandParser
from mgan_jax.settings.errors import one_sentence


def run_command(main: Callable[[Sequence[str]], Any]) -> None:
    """Calls main(arguments) with the arguments of the process and exits.

    Exits with the code that `main` returns, or with 2 after one sentence on standard error if it raises OSError or
    ValueError.
    """
    try:
        sys.exit(main(sys.argv[1:]))
    except (OSError, ValueError) as error:
        print(one_sentence(error), file=sys.stderr)
        sys.exit(2)


def make_parser(name: str, description: str | None) -> CommandParser:
    """The parser of `python -m benchmarks.NAME`; it raises ValueError for arguments that cannot be used."""
    return CommandParser(prog=f'python -m benchmarks.{name}', description=description)


def split_words(text: str) -> list[str]:
    """'a,b' -> ['a', 'b'], for argparse."""
    return text.split(',')


def split_numbers(text: str) -> list[int]:
    """'4,6,8' -> [4, 6, 8], '' -> [], for argparse."""
    return [int(part) for part in text.split(',') if part]


def require_at_least(least: int, **values: int) -> None:
    """Raises ValueError with one sentence for a value below `least`."""
    for name, value in values.items():
        if value < least:
            raise ValueError(f'{name} is {value}; at least {least} is wanted.')


def split_pairs(texts: Sequence[str], form: str = 'FIELD=VALUE') -> list[tuple[str, str]]:
    """['a=b'] -> [('a', 'b')]. form: 'FIELD=VALUE' or 'METHOD=NUMBER'. Raises ValueError for a text of another form."""
    pairs = []
    for text in texts:
        name, _, value = text.partition('=')
        if not name or not value or (form == 'METHOD=NUMBER' and not (value.isdigit() and int(value))):
            raise ValueError(f"'{text}' is given; {form} is wanted.")
        pairs.append((name, value))
    return pairs


def override_fields(flat: dict[str, Any], changes: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """The flat settings with the values that `changes` gives as text.

    Raises ValueError for an unknown field or a value of another type.
    """
    changed = dict(flat)
    for field, text in changes:
        if field not in flat:
            raise ValueError(
                f"task '{flat['task']}' has no field '{field}'; the fields are in mgan_jax/settings/fields.py."
            )
        changed[field] = _parse_value(field, text, type(flat[field]))
    return changed


def _parse_value(field: str, text: str, kind: type) -> object:
    if kind is bool and text in ('True', 'False'):
        return text == 'True'
    try:
        if kind is not bool:
            return kind(text)
    except ValueError:
        pass
    raise ValueError(f"{field} is '{text}'; {fields.KINDS[kind]} is wanted.")
