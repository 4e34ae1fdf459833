"""The sides of `benchmarks.step` that use this project, and a matrix product that shows what the machine can do at the time."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import optax

from benchmarks import problem
from mgan_jax import composition, inversion, losses, models, optimizers, tasks


def make_objective(
    setting: problem.Setting, generator: models.Generator, extractor: models.Extractor
) -> losses.Objective | Callable:
    """Reconstruction with the pixel loss and the perceptual loss.

    Without `setting.cached` it computes the features of the target in every step.
    """
    objective = losses.objective(
        generator,
        tasks.reconstruct(),
        layer=setting.layer,
        extractor=extractor,
        extractor_layer=problem.EXTRACTOR_LAYER,
        extractor_size=setting.extractor_size,
    )
    return objective if setting.cached else lambda *arguments: objective(*arguments)


def make_optimizer() -> optax.GradientTransformation:
    """Adam with the rates 0.1 for latent codes and 0.01 for channel importances."""
    return optimizers.split_optimizer(optax.adam(0.1), optax.adam(0.01))


def ours(weights: problem.Weights, setting: problem.Setting, start: problem.Start) -> tuple[Callable, dict]:
    """The jitted update of `inversion.make_step`, with transformed kernels, as runs on CPUs use them."""
    return _make_side(weights, setting, start, transformed=True)


def plain(weights: problem.Weights, setting: problem.Setting, start: problem.Start) -> tuple[Callable, dict]:
    """The same update with the convolutions of XLA."""
    return _make_side(weights, setting, start, transformed=False)


def _make_side(
    weights: problem.Weights, setting: problem.Setting, start: problem.Start, transformed: bool
) -> tuple[Callable, dict]:
    use_cpu()
    generator, extractor = problem.build_networks(setting)
    optimizer = make_optimizer()
    step = inversion.make_step(make_objective(setting, generator, extractor), optimizer)
    params, vgg, target = jax.device_put((weights.generator, weights.extractor, start.target))
    if transformed:
        params, vgg = jax.jit(generator.prepare)(params), jax.jit(extractor.prepare)(vgg)
    state = inversion.init(composition.Codes(jnp.asarray(start.latents), jnp.asarray(start.alpha)), optimizer)
    arguments = step.prepare(target, params, vgg)

    def advance() -> np.ndarray:
        nonlocal state
        state, loss = jax.block_until_ready(step.update(state, *arguments))
        return np.asarray(loss)

    return advance, {'note': ''}


def matmul(weights: problem.Weights, setting: problem.Setting, start: problem.Start) -> tuple[Callable, dict]:
    """A float32 product of two square matrices; its 'loss' has no meaning."""
    use_cpu()
    x = jax.random.normal(jax.random.key(0), (setting.matmul, setting.matmul))
    product = jax.jit(jnp.matmul)
    return lambda: jax.block_until_ready(product(x, x))[0, 0], {'device': jax.devices()[0].device_kind}


def use_cpu() -> None:
    """Makes JAX use the processor, on which the PyTorch sides run."""
    jax.config.update('jax_platforms', 'cpu')
