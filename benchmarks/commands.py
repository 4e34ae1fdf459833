"""What users give the benchmarks: fields of settings as FIELD=VALUE, and one sentence where they cannot be used."""

import sys
from collections.abc import Callable, Iterable, Sequence

from mgan_jax.settings import presets
from mgan_jax.settings.errors import one_sentence


def run(main: Callable) -> None:
    """Runs main(arguments) of a benchmark and leaves Python: with 2 where what was given cannot be used, which is said."""
    try:
        sys.exit(main(sys.argv[1:]))
    except (OSError, ValueError) as error:
        print(one_sentence(error), file=sys.stderr)
        sys.exit(2)


def pairs(given: Sequence[str], form: str = 'FIELD=VALUE') -> list[tuple[str, str]]:
    """['a=b'] -> [('a', 'b')]; form: 'FIELD=VALUE' or 'METHOD=NUMBER'. ValueError for what has another form."""
    for text in given:
        name, _, value = text.partition('=')
        if not name or not value or (form == 'METHOD=NUMBER' and not (value.isdigit() and int(value))):
            raise ValueError(f"'{text}' is given; {form} is wanted.")
    return [tuple(text.split('=', 1)) for text in given]


def override(settings: dict, more: Iterable[tuple[str, str]]) -> dict:
    """The settings with the values that `more` has as text. ValueError for a field that there is not, or a value of another kind."""
    changed = dict(settings)
    for field, text in more:
        if field not in settings:
            raise ValueError(
                f"task '{settings['task']}' has no field '{field}'; the fields are in mgan_jax/presets.py."
            )
        changed[field] = _of_kind(field, text, type(settings[field]))
    return changed


def _of_kind(field: str, text: str, kind: type) -> object:
    if kind is bool and text in ('True', 'False'):
        return text == 'True'
    try:
        if kind is not bool:
            return kind(text)
    except ValueError:
        pass
    raise ValueError(f"{field} is '{text}'; {presets.KINDS[kind]} is wanted.")
