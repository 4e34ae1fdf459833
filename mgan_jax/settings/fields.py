"""The settings of a run: frozen dataclasses whose fields carry type, default, unit, help text and check.

`parse_settings` turns the flat fields of a configuration file and its flags into `Settings`, `flatten_settings` turns them
back. Defaults are those of the preset `fast`, see `presets`.
"""

import dataclasses
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

FRAMES = 60  # frames of an animation, at most
Check = Callable[[Any], str]  # value -> '' if it is usable, else what is wanted

KINDS: dict[type, str] = {bool: 'True or False', int: 'a whole number', float: 'a number', str: 'a text'}


class Option(NamedTuple):
    """What a field carries beside its type and default. choices: the only usable values, if not empty."""

    help: str
    unit: str = ''
    choices: tuple[str, ...] = ()
    check: Check = lambda value: ''


def option(
    default: Any, help: str, *, unit: str = '', choices: tuple[str, ...] = (), check: Check | None = None
) -> Any:
    """A dataclass field with an `Option`."""
    about = Option(help, unit, choices, check or _one_of(choices))
    return dataclasses.field(default=default, metadata={'option': about})


def _one_of(choices: tuple[str, ...]) -> Check:
    if not choices:
        return lambda value: ''
    wanted = f'{", ".join(f"{choice!r}" for choice in choices[:-1])} or {choices[-1]!r} is wanted'
    return lambda value: '' if value in choices else wanted


def at_least(least: int, otherwise: str = '') -> Check:
    """A number from `least` on. otherwise: what a message adds."""
    return lambda value: '' if value >= least else f'at least {max(least, 1)} is wanted{otherwise}'


def between(least: float, most: float) -> Check:
    return lambda value: '' if least <= value <= most else f'{least} to {most} are possible'


def finite(value: float) -> str:
    return '' if math.isfinite(value) else 'a finite number is wanted'


def finite_not_negative(value: float) -> str:
    return '' if 0 <= value < math.inf else 'a finite number of at least 0 is wanted'


def finite_positive(value: float) -> str:
    return '' if 0 < value < math.inf else 'a finite number above 0 is wanted'


def share_below_one(value: float) -> str:
    return '' if 0 <= value < 1 else 'a share from 0 to below 1 is wanted'


def seed_range(value: int) -> str:
    return '' if 0 <= value < 2**32 else f'a whole number from 0 to {2**32 - 1} is wanted'


@dataclass(frozen=True)
class Reconstruct:
    """Reconstruction."""

    name: ClassVar[str] = 'reconstruct'


@dataclass(frozen=True)
class SuperResolve:
    """Super-resolution."""

    name: ClassVar[str] = 'super_resolve'
    factor: int = option(16, 'ratio of the sides of the result to those of the observation', check=at_least(1))
    method: str = option(
        'bilinear',
        "how the observation was shrunk; 'bilinear' is not antialiased, as in the released code",
        choices=('bilinear', 'area', 'bicubic', 'lanczos'),
    )
    low_res: bool = option(False, 'the images are low-resolution already; there is no target')


@dataclass(frozen=True)
class Colorize:
    """Colourisation."""

    name: ClassVar[str] = 'colorize'


@dataclass(frozen=True)
class Inpaint:
    """Inpainting."""

    name: ClassVar[str] = 'inpaint'
    mask: str = option(
        'center', 'center[:FRACTION], box:TOP,LEFT,HEIGHT,WIDTH, random:SHARE, or a file where white is the hole'
    )
    composite: bool = option(True, 'put the known pixels back into the result')
    damaged: bool = option(False, 'the images have their holes already; there is no target')


@dataclass(frozen=True)
class Denoise:
    """Denoising of pixels at known places."""

    name: ClassVar[str] = 'denoise'
    mask: str = option('random:0.3', 'the corrupted pixels, as for inpainting')
    composite: bool = option(True, 'put the known pixels back into the result')
    damaged: bool = option(False, 'the images are corrupted already; there is no target')


@dataclass(frozen=True)
class Edit:
    """Semantic editing."""

    name: ClassVar[str] = 'edit'
    attribute: str = option('', 'boundary files, or shipped boundaries of the demo, separated by commas')
    strength: float = option(
        1.0,
        'distance that the codes of result.png move along all attributes',
        unit='see editing/moves.py',
        check=finite,
    )
    strength_range: float = option(
        2.0, 'largest strength of the strip and the animation, in both directions', check=finite_positive
    )
    frames: int = option(
        13,
        'frames of the strip and the animation, for each attribute',
        check=lambda value: '' if 2 <= value <= FRAMES else f'2 to {FRAMES} of them are wanted',
    )
    conditioned_on: str = option('', 'boundaries that an edit does not approach: names or files, separated by commas')
    edit_layers: str = option('', "layers whose styles move, such as 1-4, in the space 'w+'; '' for all")


Task = Reconstruct | SuperResolve | Colorize | Inpaint | Denoise | Edit
TASK_TYPES: dict[str, type] = {t.name: t for t in (Reconstruct, SuperResolve, Colorize, Inpaint, Denoise, Edit)}
TASKS = tuple(TASK_TYPES)


@dataclass(frozen=True)
class DataSettings:
    """Images, generator and results."""

    images: str = option('', "a file, folder, glob, list, tar file or URL, or several, separated by commas; 'bundled'")
    generator: str = option('', "a model directory, or 'demo'")
    out: str = option('', 'the folder of the results')
    niqe: str = option('', 'a model of `python -m mgan_jax.pristine`; adds the NIQE of each result to metrics.csv')


@dataclass(frozen=True)
class PriorSettings:
    """Prior: what is optimised, and where it starts."""

    prior: str = option(
        'multi-code',
        "N latent codes; or a baseline: feature maps after the composing layer, or the deep image prior ('dip')",
        choices=('multi-code', 'feature-map', 'dip'),
    )
    layer: int = option(8, 'the composing layer l')
    num_codes: int = option(20, 'the number of latent codes N', check=at_least(1))
    space: str = option('z', "the latent space; generators with styles also have 'w' and 'w+'")
    tail: str = option(
        'learned',
        "styles after the composing layer: optimised, from w_avg ('learned'), or those of the codes ('own')",
        choices=('learned', 'own'),
    )
    noise: bool = option(False, 'optimise the noise images of the generator')
    label: int = option(-1, "the class of a class-conditional generator in the space 'z'; -1 for none")
    init_from: str = option(
        '', "initial codes: an encoder ('demo-encoder', a model directory) or an earlier run's `out`"
    )
    init_spread: float = option(
        0.5, "deviation of N codes that start at an encoder's code", unit='of random codes', check=finite_not_negative
    )
    alpha_over_n: bool = option(
        False, 'divide by N twice, as the released code does: alpha starts at 1/N^2, its rate is divided by N^2'
    )
    dip_size: int = option(0, 'side of the images of the deep image prior without a generator', unit='pixels')
    dip_channels: int = option(32, "channels of the deep image prior's network", check=at_least(1))
    dip_jitter: float = option(
        0.0, "deviation of the noise added to the deep image prior's input", check=finite_not_negative
    )


@dataclass(frozen=True)
class OptimizerSettings:
    """Optimiser."""

    steps: int = option(300, 'steps for each image', check=at_least(1))
    optimizer: str = option(
        'whitening',
        "'whitening' and 'adam' decay to 0 over the steps (cosine); 'sgd' has constant rates",
        choices=('whitening', 'adam', 'sgd'),
    )
    latent_rate: float = option(0.1, 'learning rate of the latent codes', check=finite_not_negative)
    alpha_rate: float = option(0.01, 'learning rate of the channel importances', check=finite_not_negative)
    feature_rate: float = option(0.15, "learning rate of the prior 'feature-map'", check=finite_not_negative)
    dip_rate: float = option(0.01, "learning rate of the prior 'dip'", check=finite_not_negative)
    beta1: float = option(0.5, "decay of Adam's mean of gradients", check=share_below_one)
    beta2: float = option(0.9, "decay of Adam's mean of squared gradients", check=share_below_one)
    tolerance: float = option(
        0.0,
        'finish an image when its loss fell by less than this share over a tenth of the steps; 0 for never',
        check=share_below_one,
    )
    keep: str = option('best', 'the iterate that becomes the result', choices=('best', 'last'))


@dataclass(frozen=True)
class LossSettings:
    """Loss."""

    pixel: float = option(1.0, 'weight of the mean squared difference', check=finite_not_negative)
    perceptual: float = option(0.001, 'weight of the perceptual loss', check=finite_not_negative)
    perceptual_loss: str = option(
        'features',
        "mean absolute difference of one layer's features, or LPIPS with the heads `lpips`",
        choices=('features', 'lpips'),
    )
    extractor: str = option('', "a model directory, or 'demo-extractor'")
    extractor_layer: str = option('relu3_3', 'the layer of the extractor for the perceptual loss')
    extractor_size: int = option(256, "side of the extractor's input", unit='pixels', check=at_least(1))
    lpips: str = option('', 'a model directory of LPIPS heads; adds the LPIPS of each result to metrics.csv')


@dataclass(frozen=True)
class RunSettings:
    """Computation and files."""

    batch_size: int = option(
        0,
        'images at once on all devices; 0: as many as fit into the memory, on CPUs one per device',
        check=at_least(0, ', or 0 for what fits'),
    )
    dtype: str = option(
        'float32', 'what the networks compute in; codes, sums and losses are float32', choices=('float32', 'bfloat16')
    )
    winograd: bool = option(
        True, 'on CPUs in float32: convolutions with fewer multiplications, 6 to 8 times the rounding error'
    )
    remat: str = option(
        'auto',
        "compute feature maps again in the backward pass to save memory; 'auto': where one image needs half of it",
        choices=('auto', 'on', 'off'),
    )
    seed: int = option(0, 'seed of the initial codes, random masks and noise', check=seed_range)
    save_every: float = option(300.0, 'time between checkpoints', unit='seconds', check=finite_not_negative)
    history_every: int = option(
        0,
        f'keep a frame and the PSNR at every multiple of this step, {FRAMES} frames at most; 0 for never',
        unit='steps',
        check=at_least(0, ', or 0 for no animation'),
    )
    contributions: bool = option(False, 'write pictures of what each code gives alone and of the channel importances')
    dry_run: bool = option(False, 'write nothing; print what the run would do, its memory and its time')


@dataclass(frozen=True)
class Settings:
    """All settings of a run."""

    task: Task
    data: DataSettings
    prior: PriorSettings
    optimizer: OptimizerSettings
    loss: LossSettings
    run: RunSettings


GROUPS: dict[str, type] = {
    'data': DataSettings,
    'prior': PriorSettings,
    'optimizer': OptimizerSettings,
    'loss': LossSettings,
    'run': RunSettings,
}


def default_fields(task: str) -> dict[str, Any]:
    """All fields of a task with the defaults of the dataclasses."""
    groups = (*GROUPS.values(), TASK_TYPES[task])
    return {'task': task} | {field.name: field.default for group in groups for field in dataclasses.fields(group)}


def parse_settings(flat: Mapping[str, Any]) -> Settings:
    """The settings of a run from its flat fields.

    Raises ValueError with one sentence for missing or unknown fields, values of another type, and values that no run can
    have. `require_consistent` checks fields against each other.
    """
    require_fields(flat)
    groups = {name: parse_group(group, flat) for name, group in GROUPS.items()}
    return Settings(task=parse_group(TASK_TYPES[flat['task']], flat), **groups)


def flatten_settings(settings: Settings) -> dict[str, Any]:
    """The flat fields of settings: `parse_settings` of them gives the same settings."""
    parts = [getattr(settings, name) for name in GROUPS]
    return {'task': settings.task.name} | {k: v for part in (*parts, settings.task) for k, v in vars(part).items()}


def parse_group(group: type, flat: Mapping[str, Any]) -> Any:
    """One dataclass from its fields in `flat`, each of which is checked. ValueError with one sentence."""
    values = {field.name: flat[field.name] for field in dataclasses.fields(group)}
    for field in dataclasses.fields(group):
        wanted = field.metadata['option'].check(values[field.name])
        if wanted:
            value = values[field.name]
            raise ValueError(f'{field.name} is {value!r}; {wanted}.')
    return group(**values)


def require_fields(flat: Mapping[str, Any]) -> None:
    """ValueError unless `flat` has the fields of its task, no other ones, and values of their types."""
    task = flat.get('task')
    if task not in TASKS:
        raise ValueError(f"task '{task}' is given; {', '.join(TASKS)} are wanted.")
    wanted = default_fields(task)
    for name in sorted(flat.keys() ^ wanted.keys()):
        verb = "lacks the field '{}' of" if name in wanted else "has the field '{}', which is none of"
        raise ValueError(
            f"the configuration {verb.format(name)} the task '{task}'; take that task's file in configs/, or the fields of "
            'mgan_jax.settings.presets.preset_settings.'
        )
    require_kinds(flat, wanted)


def require_kinds(flat: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """ValueError unless all values have the types of those in `wanted`. A whole number stands for a number."""
    for name, value in flat.items():
        kind = type(wanted[name])
        if type(value) is not kind and not (kind is float and type(value) is int):
            raise ValueError(f'{name} is {value!r}; {KINDS[kind]} is wanted, such as {wanted[name]!r}.')


def require_consistent(settings: Settings, *, own_generator: bool = False) -> None:
    """ValueError with one sentence for fields that contradict each other, or that are missing for a run.

    own_generator: the caller brings a generator, so `generator` may be empty.
    """
    data, prior, loss = settings.data, settings.prior, settings.loss
    if not (own_generator or data.generator or (prior.prior == 'dip' and prior.dip_size > 0)):
        raise ValueError(
            "no generator was given; set --config.generator to 'demo' or to a directory that `mgan-jax convert` made."
        )
    if loss.perceptual and not loss.extractor:
        raise ValueError(
            f'the perceptual weight is {loss.perceptual}, but no extractor was given; set --config.extractor to a model '
            'directory, or --config.perceptual=0 to do without.'
        )
    if loss.lpips and not loss.extractor:
        raise ValueError(
            f"the LPIPS heads '{loss.lpips}' were given, but no extractor; set --config.extractor to the VGG-16 or AlexNet "
            'that they are for.'
        )
    if loss.perceptual_loss == 'lpips' and not loss.lpips:
        raise ValueError(
            "perceptual_loss is 'lpips', but no heads were given; set --config.lpips to a model directory of LPIPS heads."
        )
    if not data.out:
        raise ValueError('no output folder was given; set --config.out.')
    if not data.images.strip(' ,'):
        raise ValueError('no images were given; set --config.images to a file, a folder, a glob or a list of them.')
    if not loss.pixel and not loss.perceptual:
        raise ValueError('pixel and perceptual are both 0, which leaves no loss; give one of them a weight.')
    if prior.prior != 'multi-code' and isinstance(settings.task, Edit):
        raise ValueError(
            f"prior is '{prior.prior}', which has no latent codes to edit; 'multi-code' is wanted for the task 'edit'."
        )
    if prior.prior == 'dip' and prior.init_from:
        raise ValueError(f"init_from is '{prior.init_from}', but the prior 'dip' has no latent codes; leave it empty.")
