"""The values of a run's fields by task and preset. `configs/` shows them to the command line.

demo: the embedded generator on bundled scenes. fast: few steps, for converted generators. upstream: the settings of the
released code and its README. paper: what the paper says where the released code differs.
"""

from typing import Any

from mgan_jax.settings.fields import TASKS, Settings, default_fields, parse_settings

PRESETS = ('demo', 'fast', 'upstream', 'paper')
# Reconstruction, denoising and editing know nearly all pixels; in the other tasks the prior fills in.
FAST: dict[str, dict[str, Any]] = {task: {'alpha_rate': 0.02} for task in ('reconstruct', 'denoise', 'edit')}
UPSTREAM: dict[str, dict[str, Any]] = {
    'reconstruct': {'layer': 8, 'num_codes': 20, 'steps': 3000},
    'super_resolve': {'layer': 6, 'num_codes': 20, 'steps': 2000},
    'colorize': {'layer': 6, 'num_codes': 20, 'steps': 1500},
    'inpaint': {'layer': 4, 'num_codes': 30, 'steps': 3000, 'perceptual': 0.0001, 'composite': False},
    'denoise': {'layer': 4, 'num_codes': 30, 'steps': 3000, 'perceptual': 0.0001, 'composite': False},
    'edit': {'layer': 6, 'num_codes': 30, 'steps': 2000},
}
SGD: dict[str, Any] = {
    'optimizer': 'sgd',
    'latent_rate': 1.0,
    'alpha_rate': 1.0,
    'alpha_over_n': True,
    'keep': 'last',
    'winograd': False,
    'batch_size': 1,
}
FAST_LAYERS = {'reconstruct': 8, 'super_resolve': 6, 'colorize': 8, 'inpaint': 4, 'denoise': 6, 'edit': 6}
PAPER_LAYERS = {'reconstruct': 8, 'super_resolve': 6, 'colorize': 8, 'inpaint': 4, 'denoise': 4, 'edit': 6}
DEMO: dict[str, Any] = {
    'images': 'bundled',
    'generator': 'demo',
    'extractor': 'demo-extractor',
    'steps': 75,
    'perceptual': 0.02,
    'extractor_size': 64,
    'history_every': 10,
    'contributions': True,
}
DEMO_LAYERS = {'reconstruct': 6, 'super_resolve': 4, 'colorize': 4, 'inpaint': 4, 'denoise': 6, 'edit': 2}
DEMO_TASK_FIELDS: dict[str, dict[str, Any]] = {
    'reconstruct': {'steps': 100},
    'super_resolve': {'factor': 4},
    'edit': {'steps': 100, 'attribute': 'daylight,snow,tower_height'},
}


def preset_settings(task: str, preset: str) -> dict[str, Any]:
    """Every field of a run of `task`, flat. ValueError for a preset that does not exist."""
    fast = default_fields(task) | FAST.get(task, {}) | {'layer': FAST_LAYERS[task], 'out': f'results/{task}'}
    upstream = fast | SGD | UPSTREAM[task]
    paper = upstream | {
        'layer': PAPER_LAYERS[task],
        'extractor_layer': 'relu4_3',
        'alpha_over_n': False,
        **({'composite': True} if 'composite' in fast else {}),
    }
    demo = fast | DEMO | {'layer': DEMO_LAYERS[task]} | DEMO_TASK_FIELDS.get(task, {})
    presets = dict(zip(PRESETS, (demo, fast, upstream, paper), strict=True))
    if preset not in presets:
        raise ValueError(f"there is no preset '{preset}'; choose one of {', '.join(presets)}.")
    return presets[preset]


def make_settings(task: str, preset: str = 'fast', **changes: Any) -> Settings:
    """The settings of a preset with some fields changed. ValueError with one sentence, see `fields.parse_settings`."""
    if task not in TASKS:
        raise ValueError(f"task '{task}' is given; {', '.join(TASKS)} are wanted.")
    return parse_settings(preset_settings(task, preset) | changes)
