"""What each of an image's N codes gives by itself, and how important each channel is: pictures for people to look at."""

import io
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from PIL import Image

from mgan_jax import composition
from mgan_jax.data import images
from mgan_jax.models.generator import Generator

SIDE, ROW = 96, 6  # pixels: a code's picture, and the height of a code's row in the map of importances
RED, WHITE, BLUE = np.array([[178, 24, 43], [255, 255, 255], [33, 102, 172]], np.float32)


def render_codes_alone(
    generator: Generator, params: Any, codes: composition.Codes, *, layer: int, space: str = 'z', side: int = SIDE
) -> Array:
    """G2(alpha_n (.) F_n) for each n, shrunk to at most `side` pixels: -> [B N h w C].

    One code after another, so that it takes no more memory than `composition.compose`. Styles after the layer are the
    image's where it has a tail of its own, else the code's.
    """

    def render(n: Array) -> Array:
        def chosen(tree: Any) -> Any:
            return jax.tree.map(lambda x: jax.lax.dynamic_slice_in_dim(x, n, 1, axis=1), tree)

        one = codes._replace(latents=chosen(codes.latents), alpha=chosen(codes.alpha))
        image = composition.compose(generator, params, one, layer=layer, space=space)
        height, width = image.shape[1:3]
        share = min(1, side / max(height, width))
        size = (image.shape[0], max(1, round(height * share)), max(1, round(width * share)), image.shape[3])
        return jax.image.resize(image, size, 'linear')  # antialiased

    count = jax.tree.leaves(codes.latents)[0].shape[1]
    return jnp.moveaxis(jax.lax.map(render, jnp.arange(count)), 0, 1)


def make_explainer(generator: Generator, params: Any, layer: int, space: str) -> Callable[[composition.Codes], dict]:
    """-> explain(codes of one image, without the axis B) -> the contents of codes.png and alpha.png by these names.

    One compiled program on the first device that holds the weights.
    """
    own = jax.tree.map(lambda leaf: leaf.addressable_shards[0].data, params)
    render = jax.jit(lambda params, codes: render_codes_alone(generator, params, codes, layer=layer, space=space))

    def explain(codes: composition.Codes) -> dict[str, bytes]:
        pictures = jax.device_get(render(own, jax.tree.map(lambda leaf: leaf[None], codes)))[0]
        return {'codes.png': codes_png(pictures), 'alpha.png': importance_png(codes.alpha)}

    return explain


def codes_png(pictures: np.ndarray) -> bytes:
    """Pictures [N h w C] in [-1, 1], clipped, side by side: a PNG of N times their width."""
    row = np.concatenate(list(np.nan_to_num(pictures)), axis=1)
    values = images.to_uint8(row)
    return _png(values[..., 0] if values.shape[-1] == 1 else values)


def importance_png(alpha: Any) -> bytes:
    """A row of colours for each code, a column for each channel: blue below 0, white, red above, full at the largest
    magnitude. Of several feature maps, the one with the most channels."""
    values = np.nan_to_num(max(map(np.asarray, jax.tree.leaves(alpha)), key=lambda leaf: leaf.shape[-1]))  # [N C]
    share = (values / max(float(np.abs(values).max()), 1e-30))[..., None]
    colours = WHITE + np.where(share > 0, share * (RED - WHITE), -share * (BLUE - WHITE))
    return _png(np.repeat(np.rint(colours).astype(np.uint8), ROW, axis=0))


def _png(values: np.ndarray) -> bytes:
    content = io.BytesIO()
    Image.fromarray(values).save(content, format='PNG', optimize=True)
    return content.getvalue()
