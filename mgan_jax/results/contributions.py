"""Pictures of what each of the N codes contributes: its image alone, and its channel importances."""

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

MAX_SIDE, ROW = 96, 6  # pixels: the longer side of a code's picture; the height of its row in the map of importances
RED, WHITE, BLUE = np.array([[178, 24, 43], [255, 255, 255], [33, 102, 172]], np.float32)


def render_codes_alone(
    generator: Generator, params: Any, codes: composition.Codes, *, layer: int, space: str = 'z', side: int = MAX_SIDE
) -> Array:
    """Renders each code without the others, G2(alpha_n (.) F_n): [B N h w C], at most `side` pixels a side.

    The codes are rendered one after another and need no more memory than `composition.compose`. The styles after the layer
    are the optimised tail of the image if there is one, otherwise those of the code.
    """

    def render(n: Array) -> Array:
        def select(tree: Any) -> Any:
            return jax.tree.map(lambda x: jax.lax.dynamic_slice_in_dim(x, n, 1, axis=1), tree)

        single = codes._replace(latents=select(codes.latents), alpha=select(codes.alpha))
        image = composition.compose(generator, params, single, layer=layer, space=space)
        height, width = image.shape[1:3]
        scale = min(1, side / max(height, width))
        size = (image.shape[0], max(1, round(height * scale)), max(1, round(width * scale)), image.shape[3])
        return jax.image.resize(image, size, 'linear')  # antialiased

    num_codes = jax.tree.leaves(codes.latents)[0].shape[1]
    return jnp.moveaxis(jax.lax.map(render, jnp.arange(num_codes)), 0, 1)


def make_explainer(generator: Generator, params: Any, layer: int, space: str) -> Callable[[composition.Codes], dict]:
    """Returns explain(codes of one image, without the axis B) -> {'codes.png': content, 'alpha.png': content}.

    `explain` runs one compiled program on the first device that holds the weights.
    """
    local_params = jax.tree.map(lambda leaf: leaf.addressable_shards[0].data, params)
    render = jax.jit(lambda params, codes: render_codes_alone(generator, params, codes, layer=layer, space=space))

    def explain(codes: composition.Codes) -> dict[str, bytes]:
        pictures = jax.device_get(render(local_params, jax.tree.map(lambda leaf: leaf[None], codes)))[0]
        return {'codes.png': draw_codes(pictures), 'alpha.png': draw_importances(codes.alpha)}

    return explain


def draw_codes(pictures: np.ndarray) -> bytes:
    """Returns a PNG of N pictures [N h w C] in [-1, 1], clipped, side by side."""
    row = np.concatenate(list(np.nan_to_num(pictures)), axis=1)
    values = images.to_uint8(row)
    return _encode_png(values[..., 0] if values.shape[-1] == 1 else values)


def draw_importances(alpha: Any) -> bytes:
    """Returns a PNG of the channel importances alpha [N C]: N rows of ROW pixels, C columns.

    Colours go from blue (negative) over white (0) to red (positive), with full saturation at the largest magnitude. Of
    several feature maps, those with the most channels are drawn.
    """
    values = np.nan_to_num(max(map(np.asarray, jax.tree.leaves(alpha)), key=lambda leaf: leaf.shape[-1]))  # [N C]
    relative = (values / max(float(np.abs(values).max()), 1e-30))[..., None]
    colours = WHITE + np.where(relative > 0, relative * (RED - WHITE), -relative * (BLUE - WHITE))
    return _encode_png(np.repeat(np.rint(colours).astype(np.uint8), ROW, axis=0))


def _encode_png(values: np.ndarray) -> bytes:
    content = io.BytesIO()
    Image.fromarray(values).save(content, format='PNG', optimize=True)
    return content.getvalue()
