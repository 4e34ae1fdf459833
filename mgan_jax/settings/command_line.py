"""Describes settings for reports: the nearest preset, the fields that differ from it, and the command line."""

import shlex
from collections.abc import Mapping
from typing import Any

from mgan_jax.settings import presets

CONFIGS = {
    'reconstruct': 'configs/invert.py',
    'super_resolve': 'configs/sr.py',
    'colorize': 'configs/colorize.py',
    'inpaint': 'configs/inpaint.py',
    'denoise': 'configs/denoise.py',
    'edit': 'configs/edit.py',
}
OWN_GENERATOR = "the caller's own"  # stands for a generator that no command line can name


def describe_settings(flat: Mapping[str, Any]) -> dict[str, Any]:
    """Describes the flat fields in a config.json.

    Returns preset: the name of the nearest one; settings: rows (name, value, value in the preset or None if equal), changed
    ones first; command: a command line with the same settings, '' if there is none.
    """
    if flat.get('task') not in CONFIGS:  # of another release
        return {'preset': 'none', 'settings': [(name, str(value), None) for name, value in flat.items()], 'command': ''}
    preset, changes = nearest_preset(flat)
    rows = [(name, _text(value), _text(changes[name]) if name in changes else None) for name, value in flat.items()]
    rows.sort(key=lambda row: row[2] is None)
    command = '' if flat.get('generator') == OWN_GENERATOR else _command(flat, preset, changes)
    return {'preset': preset, 'settings': rows, 'command': command}


def nearest_preset(flat: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Returns the preset from which the fewest fields differ, and the values that these have there."""
    differences = {}
    for preset in presets.PRESETS:
        values = presets.preset_settings(flat['task'], preset)
        differences[preset] = {name: values[name] for name in flat if name in values and values[name] != flat[name]}
    preset = min(differences, key=lambda name: len(differences[name]))
    return preset, differences[preset]


def _command(flat: Mapping[str, Any], preset: str, changes: dict[str, Any]) -> str:
    flags = [f'--config.{name}={flat[name]}' for name in changes if name != 'dry_run']
    return shlex.join(['python', '-m', 'mgan_jax.invert', '--config', f'{CONFIGS[flat["task"]]}:{preset}', *flags])


def _text(value: object) -> str:
    return str(value) if value != '' else 'none'
