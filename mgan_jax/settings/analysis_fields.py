"""The settings of the paper's analyses: frozen dataclasses whose fields carry type, default, help text and check.

`parse_analysis_settings` turns the flat fields of configs/analysis.py and its flags into `AnalysisSettings`,
`flatten_analysis_settings` turns them back. Fields that inversions have too are copies of those in `fields`.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mgan_jax.settings import fields, presets
from mgan_jax.settings.fields import option

ANALYSES = ('codes_layers', 'roles', 'generators', 'tasks')
TASKS = tuple(task for task in fields.TASKS if task != fields.Edit.name)  # an edited image has no target
HELD_OUT = 'held-out'  # the value of `images` that stands for scenes that the demo was not trained on
# What the preset 'demo' has in another way than the presets of inversions.
DEMO: dict[str, Any] = {'images': HELD_OUT, 'steps': 50, 'batch_size': 4}


def split_words(text: str) -> tuple[str, ...]:
    """'a, b,a' -> ('a', 'b'): the words between the commas, each once."""
    return tuple(dict.fromkeys(word.strip() for word in text.split(',')))


def split_numbers(text: str) -> tuple[int, ...]:
    """'5,1,1' -> (1, 5): the numbers between the commas, each once, sorted."""
    return tuple(sorted({int(word) for word in split_words(text)}))


def some_of(choices: Sequence[str]) -> fields.Check:
    """Accepts a list of some of the choices, separated by commas."""

    def check(text: str) -> str:
        unknown = [word for word in split_words(text) if word not in choices]
        wanted = f'some of {", ".join(choices)} are wanted, separated by commas'
        return f'{wanted}; {unknown[0]!r} is none of them' if unknown else ''

    return check


def whole_numbers(text: str) -> str:
    """Accepts a list of whole numbers from 1, separated by commas."""
    if all(word.isascii() and word.isdigit() and 0 < int(word) < 10**6 for word in split_words(text)):
        return ''
    return 'whole numbers from 1 are wanted, separated by commas, as in 1,2,5'


def shared_option(group: type, name: str) -> Any:
    """A dataclass field with the default, the help text and the check of the field `name` of `group`."""
    (field,) = (field for field in dataclasses.fields(group) if field.name == name)
    return dataclasses.field(default=field.default, metadata=field.metadata)


@dataclass(frozen=True)
class StudySettings:
    """Analyses, images and results."""

    preset: str = option(
        'fast', 'the preset of the inversions for all fields that analyses do not have', choices=presets.PRESETS
    )
    analyses: str = option(
        'all', f"some of {', '.join(ANALYSES)}, separated by commas, or 'all'", check=some_of((*ANALYSES, 'all'))
    )
    images: str = option(
        '', f"as for inversions; '{HELD_OUT}' draws scenes that the demo was not trained on, with their segmentation"
    )
    count: int = option(16, 'number of images that are measured, the first ones', check=fields.at_least(1))
    pictured: int = option(
        4, 'number of images in the figures of single images, the first ones', check=fields.at_least(1)
    )
    out: str = option('results/analysis', 'the folder of the results')


@dataclass(frozen=True)
class SweepSettings:
    """What is varied."""

    nums: str = option('1,2,5,10,20,30', 'numbers of codes N at `layer`, separated by commas', check=whole_numbers)
    layers: str = option(
        '',
        "composing layers l at `num_codes`, separated by commas; '' for all",
        check=lambda text: whole_numbers(text) if text else '',
    )
    tasks: str = option(','.join(TASKS), 'tasks whose best layer is sought, separated by commas', check=some_of(TASKS))
    factor: int = shared_option(fields.SuperResolve, 'factor')
    generators: str = option(
        '', "model directories whose inversions are compared, separated by commas; '' for `generator`"
    )


@dataclass(frozen=True)
class RoleSettings:
    """Roles of codes."""

    threshold: float = option(
        0.2,
        "channel importances above this are set to 0 to see a code's role",
        check=lambda value: '' if value >= 0 else 'a number of at least 0 is wanted',
    )
    segmentation: str = option(
        '', f"a folder of NAME.png for each image and classes.txt; '{HELD_OUT}' scenes have their own"
    )


@dataclass(frozen=True)
class InversionSettings:
    """Inversions, as for `python -m mgan_jax.invert`."""

    generator: str = shared_option(fields.DataSettings, 'generator')
    extractor: str = shared_option(fields.LossSettings, 'extractor')
    lpips: str = shared_option(fields.LossSettings, 'lpips')
    layer: int = shared_option(fields.PriorSettings, 'layer')
    num_codes: int = shared_option(fields.PriorSettings, 'num_codes')
    space: str = shared_option(fields.PriorSettings, 'space')
    steps: int = shared_option(fields.OptimizerSettings, 'steps')
    perceptual: float = shared_option(fields.LossSettings, 'perceptual')
    extractor_layer: str = shared_option(fields.LossSettings, 'extractor_layer')
    extractor_size: int = shared_option(fields.LossSettings, 'extractor_size')
    winograd: bool = shared_option(fields.RunSettings, 'winograd')
    dtype: str = shared_option(fields.RunSettings, 'dtype')
    remat: str = shared_option(fields.RunSettings, 'remat')
    batch_size: int = shared_option(fields.RunSettings, 'batch_size')
    seed: int = shared_option(fields.RunSettings, 'seed')


@dataclass(frozen=True)
class AnalysisSettings:
    """All settings of the analyses."""

    study: StudySettings
    sweep: SweepSettings
    roles: RoleSettings
    inversion: InversionSettings


GROUPS: dict[str, type] = {
    'study': StudySettings,
    'sweep': SweepSettings,
    'roles': RoleSettings,
    'inversion': InversionSettings,
}


def analysis_preset(preset: str = 'demo') -> dict[str, Any]:
    """The flat fields of a preset. Raises ValueError for a preset that does not exist."""
    inversion = presets.preset_settings('reconstruct', preset)
    factor = presets.preset_settings('super_resolve', preset)['factor']
    shared = {field.name: inversion[field.name] for field in dataclasses.fields(InversionSettings)}
    flat = _default_fields() | {'preset': preset, 'factor': factor} | shared
    return flat | (DEMO if preset == 'demo' else {})


def parse_analysis_settings(flat: Mapping[str, Any]) -> AnalysisSettings:
    """The settings of the analyses from their flat fields.

    Raises ValueError with one sentence for missing or unknown fields, values of another type, values that no analysis
    can have, and roles of codes without a segmentation.
    """
    wanted = _default_fields()
    for name in sorted(flat.keys() ^ wanted.keys()):
        verb = 'lacks the field' if name in wanted else 'has the unknown field'
        raise ValueError(f"the configuration {verb} '{name}'; take configs/analysis.py.")
    fields.require_kinds(flat, wanted)
    settings = AnalysisSettings(**{name: fields.parse_group(group, flat) for name, group in GROUPS.items()})
    _require_segmentation(settings)
    return settings


def flatten_analysis_settings(settings: AnalysisSettings) -> dict[str, Any]:
    """The flat fields of settings: `parse_analysis_settings` of them gives the same settings."""
    return {name: value for group in GROUPS for name, value in vars(getattr(settings, group)).items()}


def select_analyses(settings: AnalysisSettings) -> tuple[str, ...]:
    """The analyses to do, in the order of `ANALYSES`."""
    words = split_words(settings.study.analyses)
    return tuple(name for name in ANALYSES if name in words or 'all' in words)


def _default_fields() -> dict[str, Any]:
    return {field.name: field.default for group in GROUPS.values() for field in dataclasses.fields(group)}


def _require_segmentation(settings: AnalysisSettings) -> None:
    if 'roles' not in select_analyses(settings):
        return
    if not settings.roles.segmentation and settings.study.images != HELD_OUT:
        others = ','.join(name for name in ANALYSES if name != 'roles')
        raise ValueError(
            "the roles of codes need a segmentation of the images; set --config.segmentation to its folder, or leave 'roles' "
            f'out, as in --config.analyses={others}.'
        )
