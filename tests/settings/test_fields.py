"""The fields of a run: parsing, checks, and what each field carries."""

import dataclasses
import re
from pathlib import Path

import pytest

import mgan_jax
from mgan_jax.settings import fields, presets

GROUPS = (*fields.GROUPS.values(), *fields.TASK_TYPES.values())


@pytest.mark.parametrize('group', GROUPS)
def test_every_field_carries_type_default_and_help(group):
    assert group.__doc__ and group.__dataclass_params__.frozen
    for field in dataclasses.fields(group):
        option = field.metadata['option']
        assert option.help and type(field.default) is field.type
        assert option.check(field.default) == ''
        assert not option.choices or field.default in option.choices


def test_every_field_is_used():
    package = Path(mgan_jax.__file__).parent
    files = [path for room in ('run', 'data', 'editing') for path in (package / room).glob('*.py')]
    files.append(package / 'invert.py')
    source = ''.join(path.read_text() for path in files)
    for group in GROUPS:
        for field in dataclasses.fields(group):
            assert re.search(rf"\.{field.name}\b|'{field.name}'", source), field.name


def test_defaults_are_the_preset_fast():
    settings = presets.make_settings('colorize', 'fast', layer=fields.PriorSettings.layer, out='')
    groups = {name: group() for name, group in fields.GROUPS.items()}
    assert settings == fields.Settings(task=fields.Colorize(), **groups)


@pytest.mark.parametrize(
    ('change', 'words'),
    [
        ({'task': 'restore'}, "task 'restore' is given; reconstruct, super_resolve, colorize, inpaint, denoise"),
        ({'task': 'super_resolve'}, "lacks the field 'factor' of the task 'super_resolve'"),
        ({'step': 3}, "has the field 'step', which is none of the task 'reconstruct'"),
        ({'steps': '3'}, "steps is '3'; a whole number is wanted, such as 300"),
        ({'steps': 3.0}, 'steps is 3.0; a whole number is wanted'),
        ({'steps': True}, 'steps is True; a whole number is wanted'),
        ({'steps': None}, 'steps is None; a whole number is wanted'),
        ({'alpha_over_n': 1}, 'alpha_over_n is 1; True or False is wanted, such as False'),
        ({'images': ['a.png']}, r"images is \['a.png'\]; a text is wanted"),
    ],
)
def test_fields_that_do_not_fit(change, words):
    with pytest.raises(ValueError, match=words):
        fields.parse_settings(presets.preset_settings('reconstruct', 'fast') | change)


def test_whole_numbers_stand_for_numbers():
    fields.parse_settings(presets.preset_settings('reconstruct', 'fast') | {'pixel': 1, 'latent_rate': 1})


@pytest.mark.parametrize('prior', ['feature-map', 'dip'])
def test_edits_need_codes(prior):
    with pytest.raises(ValueError, match=rf"^prior is '{prior}', which has no latent codes to edit; 'multi-code' is"):
        fields.require_consistent(presets.make_settings('edit', 'demo', prior=prior))


@pytest.mark.parametrize(
    ('change', 'words'),
    [
        ({'steps': 0}, 'steps is 0; at least 1 is wanted.'),
        ({'batch_size': -1}, 'batch_size is -1; at least 1 is wanted, or 0 for what fits.'),
        ({'history_every': -1}, 'history_every is -1; at least 1 is wanted, or 0 for no animation.'),
        ({'tolerance': 1.0}, 'tolerance is 1.0; a share from 0 to below 1 is wanted.'),
        ({'latent_rate': float('inf')}, 'latent_rate is inf; a finite number of at least 0 is wanted.'),
        ({'seed': 2**32}, 'seed is 4294967296; a whole number from 0 to 4294967295 is wanted.'),
        ({'keep': 'first'}, "keep is 'first'; 'best' or 'last' is wanted."),
        ({'prior': 'gan'}, "prior is 'gan'; 'multi-code', 'feature-map' or 'dip' is wanted."),
    ],
)
def test_values_that_no_run_can_have(change, words):
    with pytest.raises(ValueError) as error:
        presets.make_settings('reconstruct', **change)
    assert str(error.value) == words


@pytest.mark.parametrize(
    ('change', 'words'),
    [
        ({}, 'no generator was given; '),
        ({'generator': 'demo'}, 'the perceptual weight is 0.001, but no extractor was given; '),
        (
            {'generator': 'demo', 'perceptual': 0.0, 'lpips': 'heads'},
            "the LPIPS heads 'heads' were given, but no extractor",
        ),
        (
            {'generator': 'demo', 'extractor': 'x', 'perceptual_loss': 'lpips'},
            "perceptual_loss is 'lpips', but no heads",
        ),
        ({'generator': 'demo', 'extractor': 'x', 'out': ''}, 'no output folder was given; '),
        ({'generator': 'demo', 'extractor': 'x', 'images': ' , '}, 'no images were given; '),
        ({'generator': 'demo', 'pixel': 0.0, 'perceptual': 0.0, 'images': 'x'}, 'pixel and perceptual are both 0'),
        (
            {'prior': 'dip', 'dip_size': 8, 'extractor': 'x', 'images': 'x', 'init_from': 'y'},
            "init_from is 'y', but the",
        ),
    ],
)
def test_fields_that_contradict_each_other(change, words):
    with pytest.raises(ValueError) as error:
        fields.require_consistent(presets.make_settings('reconstruct', **change))
    assert str(error.value).startswith(words)


def test_a_generator_of_the_caller_needs_no_name():
    fields.require_consistent(presets.make_settings('reconstruct', extractor='x', images='x'), own_generator=True)
