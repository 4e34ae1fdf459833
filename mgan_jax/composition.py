"""Multi-code composition: N latent codes, weighted channel by channel at an intermediate layer (section 3.1)."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array

from mgan_jax.models.generator import Generator


class Codes(NamedTuple):
    """What is optimised. latents [B N D] (or what the space asks for), alpha: channel importance, a pytree like the
    generator's features with leaves [B N C], tail: styles of the layers after the composing layer, None without styles."""

    latents: Any
    alpha: Any
    tail: Any = None


def init(
    key: Array,
    generator: Generator,
    params: Any,
    *,
    batch: int,
    num_codes: int,
    layer: int,
    space: str = 'z',
    alpha: float | None = None,
) -> Codes:
    """N latent codes ~ N(0, I) for each of B images, and channel importances 1/N (or `alpha`).

    key: one key, folded in with each image's place, or one key per image [B]: then the codes of an image do not depend
    on the batch that it is in.
    """
    if num_codes < 1:
        raise ValueError(f'num_codes is {num_codes}; at least one latent code is needed.')
    if not jnp.issubdtype(key.dtype, jax.dtypes.prng_key):  # an old key, two numbers
        key = jax.random.wrap_key_data(key)
    keys = key if key.ndim else jax.vmap(lambda place: jax.random.fold_in(key, place))(jnp.arange(batch))
    if keys.shape != (batch,):
        raise ValueError(f'{keys.shape[0]} keys are given for a batch of {batch}; give one key, or one per image.')
    draw = jax.vmap(lambda k: jax.random.normal(k, (num_codes, generator.latent_dim), jnp.float32))
    latents = draw(keys)  # [B N D]
    features = jax.eval_shape(lambda p, z: generator.features(p, z, stop=layer, space=space), params, latents[0])
    value = 1 / num_codes if alpha is None else alpha
    return Codes(
        latents, jax.tree.map(lambda f: jnp.full((batch, num_codes, f.shape[-1]), value, jnp.float32), features)
    )


def compose(generator: Generator, params: Any, codes: Codes, *, layer: int, space: str = 'z') -> Array:
    """x_inv = G2(sum_n F_n (.) alpha_n), F_n = G1(z_n) (equations 2, 3), without a division by N: -> [B H W C]."""
    b, n = codes.latents.shape[:2]
    latents = codes.latents.reshape(b * n, *codes.latents.shape[2:])  # [B N D] -> [B*N D]
    features = generator.features(params, latents, stop=layer, space=space)  # F_n

    def weigh(f: Array, alpha: Array) -> Array:  # sum_n F_n (.) alpha_n, (F (.) alpha)[i, j, c] = F[i, j, c] alpha[c]
        return jnp.sum(f.reshape(b, n, *f.shape[1:]) * alpha[:, :, None, None, :], axis=1)

    composed = jax.tree.map(weigh, features, codes.alpha)
    return generator.image(params, composed, start=layer, tail=codes.tail)


def split_optimizer(
    latents: optax.GradientTransformation, alpha: optax.GradientTransformation
) -> optax.GradientTransformationExtraArgs:
    """One optimiser for the latent codes (and the tail), another one for the channel importances."""

    def labels(codes: Codes) -> Codes:
        return Codes('latents', 'alpha', None if codes.tail is None else 'latents')

    return optax.partition({'latents': latents, 'alpha': alpha}, labels)
