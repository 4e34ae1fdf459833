"""Multi-code composition (section 3.1): N latent codes, G1, channel importances, a sum, G2. Shapes: README, "Python"."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from mgan_jax.models.generator import Generator
from mgan_jax.models.precision import at_least_float32, cast, in_float32, like


class Codes(NamedTuple):
    """latents: [B N D], or the shape of the space. alpha: channel importances, a pytree like the features, leaves [B N C].

    tail: styles [B R W] of the R style rows after the composing layer; None if the codes' own styles are used.
    noise: one noise image [B h w] per layer; None for the generator's stored ones."""

    latents: Any
    alpha: Any
    tail: Any = None
    noise: Any = None


class Composed(NamedTuple):
    """The input of G2. features: leaves [B h w C]. tail: styles [B R W], or [B W] for all R rows. noise: as in `Codes`."""

    features: Any
    tail: Any = None
    noise: Any = None


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
    tail: bool = True,
    noise: bool = False,
) -> Codes:
    """Random codes of B images: z ~ N(0, I), alpha = 1/N or the given number. ValueError for N < 1 or other than B keys.

    key: one key, folded in with the index of each image, or one key per image [B]: then codes do not depend on the batch.
    tail: optimise the styles after the composing layer, from w_avg. noise: optimise the noise images, from the stored ones.
    """
    if num_codes < 1:
        raise ValueError(f'num_codes is {num_codes}; at least one latent code is needed.')
    if not jnp.issubdtype(key.dtype, jax.dtypes.prng_key):  # a legacy key, uint32 [2]
        key = jax.random.wrap_key_data(key)
    keys = key if key.ndim else jax.vmap(lambda index: jax.random.fold_in(key, index))(jnp.arange(batch))
    if keys.shape != (batch,):
        raise ValueError(f'{keys.shape[0]} keys are given for a batch of {batch}; give one key, or one per image.')
    draw = jax.vmap(lambda k: jax.random.normal(k, (num_codes, generator.latent_dim), jnp.float32))
    latents, first_tail, noises = draw(keys).reshape(batch * num_codes, -1), None, None  # z: [B*N D]
    if (styles := getattr(generator, 'styles', None)) is not None:
        latents = styles.to_space(params, latents, layer, space)
        first_tail = jnp.repeat(styles.average(params, layer)[None], batch, axis=0) if tail else None  # [B R W]
        noises = tuple(jnp.repeat(image[None], batch, axis=0) for image in styles.noise(params)) if noise else None
    latents, first_tail, noises = cast((latents, first_tail, noises), jnp.float32)
    features = jax.eval_shape(lambda p, z: generator.features(p, like(p, z), stop=layer, space=space), params, latents)
    value = 1 / num_codes if alpha is None else alpha
    importance = jax.tree.map(lambda f: jnp.full((batch, num_codes, f.shape[-1]), value, jnp.float32), features)
    return Codes(latents.reshape(batch, num_codes, *latents.shape[1:]), importance, first_tail, noises)


def compose(generator: Generator, params: Any, codes: Codes, *, layer: int, space: str = 'z') -> Array:
    """x_inv = G2(sum_n F_n (.) alpha_n), F_n = G1(z_n) (equations 2, 3): -> [B H W C] float32 in about [-1, 1].

    The sum is not divided by N; with N = 1 and alpha = 1 this is plain generation. The generator computes in the dtype of
    its weights (`models.cast`); codes, sum and image are float32."""
    return render(generator, params, combine(generator, params, codes, layer=layer, space=space), layer=layer)


def combine(generator: Generator, params: Any, codes: Codes, *, layer: int, space: str = 'z') -> Composed:
    """sum_n F_n (.) alpha_n (equation 3). Without `codes.tail`, G2 uses the mean of the N codes' styles."""
    b, n = jax.tree.leaves(codes.latents)[0].shape[:2]
    given = like(params, codes._replace(alpha=None))
    latents = given.latents.reshape(b * n, *given.latents.shape[2:])  # [B N D] -> [B*N D]
    noise = {} if given.noise is None else {'noise': [jnp.repeat(image, n, axis=0) for image in given.noise]}
    features = generator.features(params, latents, stop=layer, space=space, **noise)  # F_n

    def weigh(f: Array, alpha: Array) -> Array:  # sum_n F_n (.) alpha_n, (F (.) alpha)[i, j, c] = F[i, j, c] alpha[c]
        return jnp.sum(f.reshape(b, n, *f.shape[1:]) * alpha[:, :, None, None, :], axis=1)

    composed = jax.tree.map(lambda f, alpha: in_float32(weigh, f, alpha), features, codes.alpha)
    tail = given.tail
    if tail is None and (styles := getattr(generator, 'styles', None)) is not None:
        tail = styles.of(params, latents, space).reshape(b, n, -1).mean(axis=1)  # [B W]
    return Composed(composed, tail, given.noise)


def render(generator: Generator, params: Any, composed: Composed, *, layer: int) -> Array:
    """G2: features after the composing layer -> [B H W C], at least float32."""
    features, tail, images = like(params, composed)
    noise = {} if images is None else {'noise': images}
    return at_least_float32(generator.image(params, features, start=layer, tail=tail, **noise))
