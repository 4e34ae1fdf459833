"""How many images go through at once, and that devices share them without a word; what the programs do is tested by the
runs of `test_jobs`."""

import dataclasses
import json
import os
import subprocess
import sys

import jax
import numpy as np
import pytest

from mgan_jax import losses, optimizers, priors, tasks
from mgan_jax.engine import memory, programs
from tests import eight_devices, small_runs, toy


def parts(task=None, devices=1, num_codes=2, layer=3):
    generator, params = toy.generator()
    task = task or tasks.reconstruct()
    prior = priors.multi_code_prior(generator, num_codes=num_codes, layer=layer)
    objective = losses.objective(generator, task, layer=layer, perceptual=0, compose=prior.compose)
    optimizer = optimizers.whitening_optimizer(0.1, 0.01, 300)
    chosen = jax.local_devices()[:devices]
    program = programs.build_program(prior, optimizer, task, objective, (params, None), seed=0, devices=chosen)
    return generator, task, objective, program


def choose(wanted, count, given):
    return programs.choose_batch_size(wanted, count, given[-1].devices, programs.step_memory(*given))


def batch_size(wanted, count, *given, **options):
    return choose(wanted, count, parts(*given, **options))


@pytest.mark.parametrize('wanted, count, expected', [(3, 10, 3), (10, 3, 3), (300, 301, 300), (5, 0, 1), (0, 9, 1)])
def test_what_is_wanted_or_one_on_a_cpu(wanted, count, expected):
    assert batch_size(wanted, count) == expected


@pytest.mark.slow
@pytest.mark.parametrize(
    'wanted, count, expected', [(3, 10, 4), (10, 3, 4), (1, 9, 2), (0, 9, 2), (0, 0, 2), (4, 9, 4)]
)
def test_a_multiple_of_the_devices(wanted, count, expected):
    assert batch_size(wanted, count, devices=2) == expected


@dataclasses.dataclass
class Accelerator:
    platform: str = 'gpu'
    room: int = 2**40

    def memory_stats(self):
        return {'bytes_limit': self.room}


@pytest.mark.slow
@pytest.mark.parametrize('room, expected', [(1000, 20), (6.0, 4), (3.0, 2), (0.1, 1)])
@pytest.mark.parametrize('devices', [1, 2])
def test_what_fits_into_the_memory_of_each(monkeypatch, room, expected, devices):
    """room: how many images of this size the memory of a device holds, of which a share of 0.8 is used."""
    generator, task, objective, program = parts(devices=devices, num_codes=200)
    start = programs.ProgramInput(np.zeros(devices, np.uint32), np.zeros((devices, 16, 16, 3), np.float32))
    state, target = jax.tree.map(lambda x: x[:1], program.begin(start, *program.shared))
    one = memory.step_bytes(objective.evaluate, state.codes, target, *program.shared)
    monkeypatch.setattr(jax, 'local_devices', lambda: [Accelerator(room=int(room * one))])
    assert choose(0, 20 * devices, (generator, task, objective, program)) == expected * devices


def test_accelerators_take_more(monkeypatch):
    one, two = parts(), parts(devices=2)
    monkeypatch.setattr(jax, 'local_devices', lambda: [Accelerator()])
    assert choose(0, 1000, one) == 256
    assert choose(0, 100, one) == 100
    assert choose(0, 1000, two) == 512
    assert choose(0, 101, two) == 102


def test_a_task_that_does_not_fit_the_images_is_refused_whatever_the_size():
    for wanted in (0, 2):
        with pytest.raises(ValueError, match='factor 3 does not divide images of 16x16 pixels'):
            batch_size(wanted, 4, tasks.super_resolve(3))


def test_a_layer_that_is_not_there_is_refused_whatever_the_size():
    for wanted in (0, 2):
        with pytest.raises(ValueError, match='layer 9 is given'):
            batch_size(wanted, 4, layer=9)


@pytest.mark.slow
def test_weights_are_on_all_devices_and_images_on_one():
    program = parts(devices=2)[-1]
    assert program.devices == 2
    assert all(len(leaf.devices()) == 2 and leaf.is_fully_replicated for leaf in jax.tree.leaves(program.shared))
    start = programs.ProgramInput(np.zeros(4, np.uint32), np.zeros((4, 16, 16, 3), np.float32))
    state, target = program.begin(start, *program.shared)
    for leaf in jax.tree.leaves((state, target)):
        assert [part.data.shape[0] for part in leaf.addressable_shards] == [2, 2]
    again = program.place(jax.tree.map(np.array, state))
    state, _ = program.step.update(state, target, *program.shared)
    program.step.update(again, target, *program.shared)
    assert program.step.update._cache_size() == 1


# Eight devices, in a process that has as many


@pytest.fixture(scope='module')
def found():
    environment = os.environ | {'XLA_FLAGS': '--xla_force_host_platform_device_count=8'}
    command = [sys.executable, '-W', 'error', '-m', 'tests.eight_devices']
    options = {'capture_output': True, 'text': True, 'timeout': 300}
    process = subprocess.run(command, cwd=small_runs.ROOT, env=environment, **options)
    assert process.returncode == 0, process.stderr
    return json.loads(process.stdout.splitlines()[-1])


@pytest.mark.slow
def test_images_are_what_they_are_on_one_device_to_the_bit(found):
    """In other slots, beside others, and beside empty ones where the list ends."""
    one, eight = (found['runs'][devices] for devices in ('1', '8'))
    assert one['images'] == eight['images'] and len(set(one['images'])) == eight_devices.COUNT
    assert one['active'] == 1 and eight['active'] < 8  # in the last turn
    assert one['compiled'] == eight['compiled'] == [1, 1, 1, 1]


@pytest.mark.slow
def test_a_step_on_eight_devices_says_nothing_to_the_others(found):
    assert found['collectives of a step'] == []
    assert found['devices of a step'] == 8
    assert found['collectives of a sum'] == ['all-reduce']
