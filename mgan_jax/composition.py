"""Multi-code composition: N latent codes, weighted channel by channel at an intermediate layer (section 3.1)."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array

from mgan_jax.models.generator import Generator
from mgan_jax.models.precision import at_least_float32, cast, in_float32, like


class Codes(NamedTuple):
    """What is optimised. latents [B N D] (or what the space asks for), alpha: channel importance, a pytree like the
    generator's features with leaves [B N C], tail: styles [B R W] of the R style rows after the composing layer, None
    where the codes' own styles go on; noise: one image [B h w] per layer, None for the stored ones."""

    latents: Any
    alpha: Any
    tail: Any = None
    noise: Any = None


class Composed(NamedTuple):
    """What G2 makes an image of. features: after the composing layer, leaves [B h w C]; tail: styles [B R W], or [B W] for all
    of the rest, None without; noise: as in `Codes`."""

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
    """N latent codes for each of B images, from z ~ N(0, I), and channel importances 1/N (or `alpha`).

    key: one key, folded in with each image's place, or one key per image [B]: then the codes of an image do not depend
    on the batch that it is in. tail: whether styles after the composing layer, if there are any, are codes of their own,
    started from w_avg. noise: whether the noise images are optimised, started from the stored ones.
    """
    if num_codes < 1:
        raise ValueError(f'num_codes is {num_codes}; at least one latent code is needed.')
    if not jnp.issubdtype(key.dtype, jax.dtypes.prng_key):  # an old key, two numbers
        key = jax.random.wrap_key_data(key)
    keys = key if key.ndim else jax.vmap(lambda place: jax.random.fold_in(key, place))(jnp.arange(batch))
    if keys.shape != (batch,):
        raise ValueError(f'{keys.shape[0]} keys are given for a batch of {batch}; give one key, or one per image.')
    draw = jax.vmap(lambda k: jax.random.normal(k, (num_codes, generator.latent_dim), jnp.float32))
    z = draw(keys).reshape(batch * num_codes, -1)  # [B*N D]
    styles = getattr(generator, 'styles', None)
    if styles is None:
        latents, first_tail, noises = z, None, None
    else:
        latents = styles.to_space(params, z, layer, space)
        first_tail = _copies(styles.average(params, layer), batch) if tail else None
        noises = tuple(_copies(image, batch) for image in styles.noise(params)) if noise else None
    latents, first_tail, noises = cast((latents, first_tail, noises), jnp.float32)
    features = jax.eval_shape(lambda p, z: generator.features(p, like(p, z), stop=layer, space=space), params, latents)
    value = 1 / num_codes if alpha is None else alpha
    importance = jax.tree.map(lambda f: jnp.full((batch, num_codes, f.shape[-1]), value, jnp.float32), features)
    return Codes(latents.reshape(batch, num_codes, *latents.shape[1:]), importance, first_tail, noises)


def around(codes: Codes, first: Codes, spread: float) -> Codes:
    """Codes that begin with `first`: as these are, where they are N, too; else N codes around the one, latents [B 1 ...].

    The first code is that one, and `codes`, drawn at random, are the others' noise, `spread` times as large: N equal codes
    would stay equal.
    """
    if first.alpha is not None:
        return first
    noise = codes.latents - jnp.mean(codes.latents, axis=1, keepdims=True)  # in w, too, of mean 0
    others = (jnp.arange(noise.shape[1]) > 0).reshape(1, -1, *[1] * (noise.ndim - 2))
    latents = jnp.broadcast_to(first.latents, noise.shape) + spread * jnp.where(others, noise, 0)
    return codes._replace(latents=latents, tail=codes.tail if first.tail is None else first.tail)


def compose(generator: Generator, params: Any, codes: Codes, *, layer: int, space: str = 'z') -> Array:
    """x_inv = G2(sum_n F_n (.) alpha_n), F_n = G1(z_n) (equations 2, 3), without a division by N: -> [B H W C].

    The generator computes in the type of its weights (see `models.cast`); the codes, the sum and the image are float32.
    Without a tail of their own, styles after the layer are the mean over the N codes' styles: with N = 1 and alpha = 1 plain
    generation, so that inversion with a single code in z, w or w+ is a special case.
    """
    return render(generator, params, combine(generator, params, codes, layer=layer, space=space), layer=layer)


def combine(generator: Generator, params: Any, codes: Codes, *, layer: int, space: str = 'z') -> Composed:
    """sum_n F_n (.) alpha_n (equation 3), and the styles and the noise with which G2 goes on, in the type of the weights."""
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
    """G2(feature maps after the layer): -> [B H W C], at least float32."""
    features, tail, images = like(params, composed)
    noise = {} if images is None else {'noise': images}
    return at_least_float32(generator.image(params, features, start=layer, tail=tail, **noise))


def _copies(x: Array, batch: int) -> Array:
    return jnp.broadcast_to(x, (batch, *x.shape))


def split_optimizer(
    latents: optax.GradientTransformation,
    alpha: optax.GradientTransformation,
    rest: optax.GradientTransformation | None = None,
) -> optax.GradientTransformationExtraArgs:
    """One optimiser for the latent codes, one for the channel importances, one for the tail and the noise images (without
    it, that of the latent codes)."""

    def labels(codes: Codes) -> Codes:
        others = (None if part is None else 'rest' for part in (codes.tail, codes.noise))
        return Codes('latents', 'alpha', *others)

    return optax.partition({'latents': latents, 'alpha': alpha, 'rest': rest or latents}, labels)
