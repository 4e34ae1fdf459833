"""The problems and methods of the paper's tables 1 to 4 as settings of runs, and the paper's own numbers."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from benchmarks import commands
from mgan_jax import models
from mgan_jax.settings import presets
from mgan_jax.settings.fields import Settings, parse_settings


class Problem(NamedTuple):
    """A part of a table. number: of the table. task, fields: settings of its runs. columns: measures of the results."""

    number: int
    title: str
    task: str
    fields: dict
    columns: tuple[str, ...]


PROBLEMS = {
    'inversion': Problem(1, 'inversion', 'reconstruct', {}, ('PSNR', 'distance')),
    'colours': Problem(2, 'colourisation', 'colorize', {}, ('AuC',)),
    'sr': Problem(3, 'super-resolution', 'super_resolve', {}, ('PSNR', 'distance', 'NIQE')),
    'centre': Problem(
        4, 'inpainting, centre', 'inpaint', {'mask': 'center'}, ('PSNR', 'SSIM', 'in holes', 'with known')
    ),
    'random': Problem(
        4, 'inpainting, 80 % random', 'inpaint', {'mask': 'random:0.8'}, ('PSNR', 'SSIM', 'in holes', 'with known')
    ),
}


class Method(NamedTuple):
    """A method of the tables.

    fields: settings of its runs that differ from the task's preset. problems: those for which the paper has it. steps: None
    for those of the preset.
    """

    title: str
    fields: dict
    problems: tuple[str, ...]
    steps: int | None = None


NOT_INVERSION, HOLES = ('colours', 'sr', 'centre', 'random'), ('centre', 'random')


def list_methods(generator: models.Generator, encoder: str) -> dict[str, Method]:
    """The methods by their names.

    One code in each latent space of the generator; with an encoder (a model directory, '' for none) also the methods that
    need one.
    """
    single = {'num_codes': 1, 'layer': generator.num_layers, 'alpha_rate': 0.0}
    spaces = [('z', {'tail': 'own'})]
    if generator.styles is not None:
        spaces += [('w', {'tail': 'own'}), ('w+', {'tail': 'learned'})]
    methods = {}
    for space, tail in spaces:
        name = f'one-code-{space}' if len(spaces) > 1 else 'one-code'
        title = f'one code in {space}' if len(spaces) > 1 else 'one code'
        methods[name] = Method(title, single | tail | {'space': space}, ('inversion', *HOLES))
    if encoder:
        start = single | {'init_from': encoder}
        # After one step the best iterate is the initial code.
        methods['encoder'] = Method('encoder', start | {'keep': 'best'}, ('inversion',), 1)
        methods['encoder-then'] = Method('encoder, then optimisation', start, ('inversion',))
    methods['feature-map'] = Method('feature maps', {'prior': 'feature-map'}, NOT_INVERSION)
    methods['dip'] = Method('deep image prior', {'prior': 'dip', 'dip_jitter': 0.03}, NOT_INVERSION, 200)
    methods['multi-code'] = Method('multi-code', {}, tuple(PROBLEMS))
    return methods


# Means over the paper's data: bedrooms and churches (LSUN) of 256 pixels, faces (CelebA-HQ) of 1024.
PAPER = {
    'inversion': {
        'one code': {'bedroom': (17.19, 0.5897), 'church': (17.15, 0.5339), 'face': (19.17, 0.5797)},
        'encoder': {'bedroom': (11.59, 0.6247), 'church': (11.58, 0.5961), 'face': (11.18, 0.6992)},
        'encoder, then optimisation': {'bedroom': (18.34, 0.5201), 'church': (17.81, 0.4789), 'face': (20.33, 0.5321)},
        'multi-code': {'bedroom': (25.13, 0.1578), 'church': (22.76, 0.1799), 'face': (23.59, 0.4432)},
    },
    'colours': {
        'input': {'bedroom': (88.02,), 'church': (85.50,)},
        'feature maps': {'bedroom': (85.41,), 'church': (86.10,)},
        'deep image prior': {'bedroom': (84.33,), 'church': (83.31,)},
        'Zhang et al. 2016': {'bedroom': (88.55,), 'church': (89.13,)},
        'multi-code': {'bedroom': (90.02,), 'church': (89.43,)},
    },
    'sr': {
        'deep image prior': {'face': (26.87, 0.4236, 4.66)},
        'RCAN': {'face': (28.82, 0.4579, 5.70)},
        'ESRGAN': {'face': (25.26, 0.3862, 3.27)},
        'multi-code': {'face': (26.93, 0.3584, 3.19)},
    },
    'centre': {
        'one code': {'': (10.37, 0.1672)},
        'feature maps': {'': (14.75, 0.4563)},
        'deep image prior': {'': (17.92, 0.4327)},
        'multi-code': {'': (21.43, 0.5320)},
    },
    'random': {
        'one code': {'': (12.79, 0.1783)},
        'feature maps': {'': (18.72, 0.2793)},
        'deep image prior': {'': (18.02, 0.2823)},
        'multi-code': {'': (22.11, 0.5532)},
    },
}


def make_run_settings(
    problem: Problem, method: Method, preset: str, changes: Mapping[str, str], steps: int | None
) -> Settings:
    """The settings of a run: the preset of the task, `changes` (FIELD: VALUE as text), then problem and method.

    steps: None for those of the method. Raises ValueError for an unknown field or a value that cannot be used.
    """
    no_files: dict[str, Any] = {'history_every': 0, 'contributions': False, 'out': 'unused'}
    flat = commands.override_fields(presets.preset_settings(problem.task, preset) | no_files, changes.items())
    flat |= problem.fields | method.fields
    wanted = steps or method.steps
    return parse_settings(flat | ({'steps': wanted} if wanted else {}))


def list_paper_values(name: str, title: str) -> Sequence[tuple[str, str]]:
    """(data set, values as text) of the paper for a method; empty where the paper has none."""
    values_of = PAPER[name].get(title, {})
    digits = [count_digits(column) for column in PROBLEMS[name].columns]
    return [
        (data, ' / '.join(f'{value:.{places}f}' for value, places in zip(values, digits, strict=False)))
        for data, values in values_of.items()
    ]


def count_digits(column: str) -> int:
    """The number of digits of a column after the point."""
    return 4 if column in ('SSIM', 'distance') else 2
