"""Settings as people read them: the preset that they are nearest to, what differs from it, and the command line."""

import shlex

from mgan_jax.settings import presets

CONFIGS = {
    'reconstruct': 'configs/invert.py',
    'super_resolve': 'configs/sr.py',
    'colorize': 'configs/colorize.py',
    'inpaint': 'configs/inpaint.py',
    'denoise': 'configs/denoise.py',
    'edit': 'configs/edit.py',
}
PRESETS = ('demo', 'fast', 'upstream', 'paper')
OWN_GENERATOR = "the caller's own"  # a generator that no command line can name


def describe_settings(settings: dict) -> dict:
    """preset: the nearest; settings: (name, value, what it is instead of or None), changed ones first; command: '' if there is
    none that does the same."""
    task = settings.get('task')
    if task not in CONFIGS:
        return {
            'preset': 'none',
            'settings': [(name, str(value), None) for name, value in settings.items()],
            'command': '',
        }
    preset, changes = nearest_preset(settings)
    rows = [
        (name, _shown(value), _shown(changes[name]) if name in changes else None) for name, value in settings.items()
    ]
    rows.sort(key=lambda row: row[2] is None)
    command = '' if settings.get('generator') == OWN_GENERATOR else _command(settings, preset, changes)
    return {'preset': preset, 'settings': rows, 'command': command}


def nearest_preset(settings: dict) -> tuple[str, dict]:
    """-> (the preset from which the fewest fields differ, their values there)."""
    found = {}
    for preset in PRESETS:
        values = presets.preset_settings(settings['task'], preset)
        found[preset] = {name: values[name] for name in settings if name in values and values[name] != settings[name]}
    preset = min(found, key=lambda name: len(found[name]))
    return preset, found[preset]


def _command(settings: dict, preset: str, changes: dict) -> str:
    flags = [f'--config.{name}={settings[name]}' for name in changes if name != 'dry_run']
    return shlex.join(['python', '-m', 'mgan_jax.invert', '--config', f'{CONFIGS[settings["task"]]}:{preset}', *flags])


def _shown(value: object) -> str:
    return str(value) if value != '' else 'none'
