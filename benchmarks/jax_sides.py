"""This project's side of `benchmarks.step`, and the matrix product that tells what the machine can do just now."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import optax

from benchmarks import problem
from mgan_jax import composition, inversion, losses, optimizers, tasks


def objective(setting: problem.Setting, generator, extractor) -> Callable:
    """Reconstruction with both terms. Uncached, it looks at the target in each step."""
    made = losses.objective(
        generator,
        tasks.reconstruct(),
        layer=setting.layer,
        extractor=extractor,
        extractor_layer=problem.EXTRACTOR_LAYER,
        extractor_size=setting.extractor_size,
    )
    return made if setting.cached else lambda *arguments: made(*arguments)


def optimizer() -> optax.GradientTransformation:
    """Adam, as in the preset 'fast'."""
    return optimizers.split_optimizer(optax.adam(0.1), optax.adam(0.01))


def ours(weights: problem.Weights, setting: problem.Setting, start: problem.Start) -> tuple[Callable, dict]:
    """One jitted update of `inversion.make_step`, with weights as runs on CPUs have them."""
    return _ours(weights, setting, start, quick=True)


def plain(weights: problem.Weights, setting: problem.Setting, start: problem.Start) -> tuple[Callable, dict]:
    """The same with plain kernels alone, as XLA computes convolutions."""
    return _ours(weights, setting, start, quick=False)


def _ours(
    weights: problem.Weights, setting: problem.Setting, start: problem.Start, quick: bool
) -> tuple[Callable, dict]:
    on_cpu()
    generator, extractor = problem.networks(setting)
    step = inversion.make_step(objective(setting, generator, extractor), optimizer())
    params, vgg, target = jax.device_put((weights.generator, weights.extractor, start.target))
    if quick:
        params, vgg = jax.jit(generator.prepare)(params), jax.jit(extractor.prepare)(vgg)
    state = inversion.init(composition.Codes(jnp.asarray(start.latents), jnp.asarray(start.alpha)), optimizer())
    arguments = step.prepare(target, params, vgg)

    def advance() -> np.ndarray:
        nonlocal state
        state, loss = jax.block_until_ready(step.update(state, *arguments))
        return np.asarray(loss)

    return advance, {'note': ''}


def matmul(weights: problem.Weights, setting: problem.Setting, start: problem.Start) -> tuple[Callable, dict]:
    """A float32 product of two square matrices; its 'loss' means nothing."""
    on_cpu()
    x = jax.random.normal(jax.random.key(0), (setting.matmul, setting.matmul))
    product = jax.jit(jnp.matmul)
    return lambda: jax.block_until_ready(product(x, x))[0, 0], {'device': jax.devices()[0].device_kind}


def on_cpu() -> None:
    """Both sides are compared on the processor, whatever else the machine has."""
    jax.config.update('jax_platforms', 'cpu')
