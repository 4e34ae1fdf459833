"""What `test_programs` asks of a process with eight fake devices; the answers are a line of JSON."""

import hashlib
import json
import re

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, PartitionSpec

from mgan_jax import losses, models, optimizers, priors, tasks
from mgan_jax.engine import programs, slots
from tests import small_runs, toy

COUNT, STEPS = 20, 20
COLLECTIVES = 'all-reduce|all-gather|collective-permute|all-to-all|reduce-scatter|collective-broadcast'


def collectives(program: str) -> list[str]:
    return sorted(set(re.findall(COLLECTIVES, program)))


def build(generator, extractor, weights, devices, **options):
    task, prior = tasks.reconstruct(), priors.multi_code_prior(generator, num_codes=3, layer=3)
    objective = losses.objective(generator, task, layer=3, extractor=extractor, **options)
    optimizer = optimizers.whitening_optimizer(0.1, 0.02, STEPS)
    chosen = jax.local_devices()[:devices]
    return programs.build_program(prior, optimizer, task, objective, weights, seed=0, devices=chosen)


def run(devices: int) -> dict:
    """A run of COUNT images, one at a time on each device; those that have stopped falling leave early."""
    (generator, params), (extractor, vgg) = toy.generator(), toy.extractor()
    options = {'extractor_layer': 'relu2_1', 'extractor_size': 16}
    program = build(generator, extractor, (params, vgg), devices, **options)
    pixels = np.random.default_rng(0).uniform(-1, 1, (COUNT, 1, 16, 16, 3)).astype(np.float32)
    entries = [
        slots.SlotEntry(number, programs.ProgramInput(np.array([number], np.uint32), image))
        for number, image in enumerate(pixels)
    ]
    before, done = slots._replace._cache_size(), {}
    for turn in slots.run_slots(program, entries, devices, slots.StoppingRules(STEPS, tolerance=0.05)):
        done |= {image.item: image for image in turn.images if image.finished}
    parts = [program.begin, program.step.update, program.finish]
    compiled = [part._cache_size() for part in parts] + [slots._replace._cache_size() - before]
    return {
        'images': [digest(done[number]) for number in range(COUNT)],
        'active': len(turn.images),
        'compiled': compiled,
    }


def digest(image: slots.SlotImage) -> str:
    kept = (image.codes, image.output, image.loss, image.steps)
    return hashlib.sha256(b''.join(np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(kept))).hexdigest()


def demo_step() -> str:
    """The compiled step of the demo."""
    (generator, params), (extractor, vgg) = models.load('demo'), models.load('demo-extractor')
    program = build(generator, extractor, (params, vgg), 8, extractor_size=64)
    start = programs.ProgramInput(np.arange(8, dtype=np.uint32), np.zeros((8, 64, 64, 3), np.float32))
    state, target = jax.eval_shape(program.begin, start, *program.shared)
    return program.step.update.lower(state, target, *program.shared).compile().as_text()


def sum_over_devices() -> str:
    mesh = jax.make_mesh((8,), ('images',), axis_types=(AxisType.Auto,))
    images, everywhere = PartitionSpec('images'), PartitionSpec()
    total = jax.shard_map(lambda x: jax.lax.psum(x, 'images'), mesh=mesh, in_specs=images, out_specs=everywhere)
    return jax.jit(total).lower(jnp.zeros(8)).compile().as_text()


def main() -> None:
    with small_runs.optimization(False):
        runs = {devices: run(devices) for devices in (1, 8)}
    step = demo_step()
    answers = {
        'runs': runs,
        'collectives of a step': collectives(step),
        'devices of a step': int(re.search(r'num_partitions=(\d+)', step)[1]),
        'collectives of a sum': collectives(sum_over_devices()),
    }
    print(json.dumps(answers))


if __name__ == '__main__':
    main()
