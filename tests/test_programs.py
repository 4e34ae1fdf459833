"""How many images go through at once; what the programs do is tested by the runs of `test_restoration`."""

import dataclasses

import jax
import numpy as np
import pytest

from mgan_jax import composition, losses, memory, presets, programs, tasks
from tests import toy


def batch_size(wanted, count, task=None, **fields):
    generator, params = toy.generator()
    task = task or tasks.reconstruct()
    settings = presets.settings('reconstruct', 'fast') | {'num_codes': 2, 'layer': 3} | fields
    objective = losses.objective(generator, task, layer=settings['layer'], perceptual=0)
    program = programs.build(settings, generator, task, objective, (params, None))
    return programs.batch_size(wanted, count, generator, task, objective, program)


@pytest.mark.parametrize('wanted, count, expected', [(3, 10, 3), (10, 3, 3), (300, 301, 300), (0, 5, 5), (0, 9, 8)])
def test_what_is_wanted_or_at_most_eight_on_cpus(wanted, count, expected):
    assert batch_size(wanted, count) == expected


@pytest.mark.parametrize('room, expected', [(100, 8), (6.0, 4), (3.0, 2), (0.1, 1)])
def test_what_fits_into_the_memory(monkeypatch, room, expected):
    """room: how many images of this size the memory holds, of which a share of 0.8 is used."""
    generator, params = toy.generator()
    objective = losses.objective(generator, tasks.reconstruct(), layer=3, perceptual=0)
    codes = {'num_codes': 200, 'layer': 3}
    settings = presets.settings('reconstruct', 'fast') | codes
    program = programs.build(settings, generator, tasks.reconstruct(), objective, (params, None))
    start = programs.Start(np.zeros(1, np.uint32), np.zeros((1, 16, 16, 3), np.float32))
    state, target = jax.eval_shape(program.begin, start, *program.shared)
    one = memory.step_bytes(objective.evaluate, state.codes, target, params)
    monkeypatch.setattr(memory, 'available', lambda device: int(room * one))
    assert batch_size(0, 20, **codes) == expected


def test_accelerators_take_more(monkeypatch):
    @dataclasses.dataclass
    class Accelerator:
        platform: str = 'gpu'

        def memory_stats(self):
            return {'bytes_limit': 2**40}

    monkeypatch.setattr(jax, 'devices', lambda: [Accelerator()])
    assert batch_size(0, 1000) == 256
    assert batch_size(0, 100) == 100


def test_a_task_that_does_not_fit_the_images_is_refused_whatever_the_size():
    for wanted in (0, 2):
        with pytest.raises(ValueError, match='factor 3 does not divide images of 16x16 pixels'):
            batch_size(wanted, 4, tasks.super_resolve(3))


def test_a_layer_that_is_not_there_is_refused_whatever_the_size():
    for wanted in (0, 2):
        with pytest.raises(ValueError, match='layer 9 is given'):
            batch_size(wanted, 4, layer=9)


def first_step(optimizer):
    """{part: what the first step of a run does to it}, for slopes of 3 and codes that start at 0."""
    settings = presets.settings('reconstruct', 'fast') | {'optimizer': optimizer, 'alpha_rate': 0.02, 'num_codes': 4}
    codes = composition.Codes(np.zeros((4, 6)), np.zeros((4, 5)), np.zeros((2, 6)), (np.zeros((8, 8)),))
    codes = jax.tree.map(lambda x: x.astype(np.float32), codes)
    transformation = programs.make_optimizer(settings)
    slopes = jax.tree.map(lambda x: x + 3, codes)
    return transformation.update(slopes, transformation.init(codes), codes)[0]


@pytest.mark.parametrize('optimizer', ['whitening', 'adam'])
def test_rates_are_the_size_of_the_first_step(optimizer):
    step = first_step(optimizer)
    for part, rate in ((step.latents, 0.1), (step.alpha, 0.02), (step.tail, 0.1), (step.noise[0], 0.1)):
        np.testing.assert_allclose(part, -rate, rtol=1e-4)


def test_sgd_follows_the_slope():
    step = first_step('sgd')
    np.testing.assert_allclose(step.latents, -0.3, rtol=1e-6)
    np.testing.assert_allclose(step.alpha, -0.06, rtol=1e-6)
