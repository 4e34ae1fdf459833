"""`python -m benchmarks.editing FOLDER` measures semantic editing on held-out demo scenes, and draws docs/pictures/edit.png.

Inverts scenes with the settings of `configs/edit.py` at each of the given layers, and moves their codes along each boundary.
The demo extractor measures the attributes of the edited images. FOLDER keeps the inversions.
"""

import argparse
import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image

from benchmarks import commands, held_out, record
from mgan_jax import composition, metrics, models
from mgan_jax.analysis import batch_inversion
from mgan_jax.editing import boundaries, moves
from mgan_jax.results import history, strips
from mgan_jax.run import jobs
from mgan_jax.settings import presets

FALL, STRICT_FALL = 0.05, 0.02  # an attribute in [0, 1] rises if it never falls by more below its highest value so far
RISE = 0.1  # of an attribute, or more
SATURATED = 0.95
PRESENT = 0.1  # an unedited image above this has the attribute; below it, the attribute has nothing to fall from
SHOWN = (1, 4, 14)  # scenes in the picture, two of them with a tower
ATTRIBUTES = ('daylight', 'snow', 'autumn', 'tower_height')
MORPH_FRAMES = 9


def main(arguments: Sequence[str]) -> None:
    options = _parse(arguments)
    networks = models.load('demo'), models.load('demo-extractor')
    rows = [row for layer in options.layers for row in _measure_edits(layer, networks, options)]
    rows += _measure_generated(networks, options)
    print(record.format_table(rows))
    morphs = [row for layer in options.layers for row in _measure_morphs(layer, networks, options)]
    print(record.format_table(morphs))
    out = options.folder / 'editing.json'
    given = ['FOLDER' if text == str(options.folder) else text for text in arguments]
    record.write_record(out, 'editing', given, rows, device=jax.devices()[0].device_kind, morphs=morphs)
    if options.picture:
        _draw_picture(options.picture, options.layers[0], networks, options)


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = commands.make_parser('editing', __doc__)
    parser.add_argument('folder', type=Path)
    parser.add_argument('--layers', type=commands.split_numbers, default=[presets.DEMO_LAYERS['edit']])
    parser.add_argument('--first', type=int, default=held_out.FIRST, help='number of the first held-out scene')
    parser.add_argument('--count', type=int, default=64, help='scenes')
    parser.add_argument('--steps', type=int, default=100)
    parser.add_argument('--batch', type=int, default=8)
    parser.add_argument('--range', type=float, default=2.0, help='largest strength, in both directions')
    parser.add_argument('--frames', type=int, default=9, help='number of strengths')
    parser.add_argument('--attributes', type=commands.split_words, default=list(ATTRIBUTES))
    parser.add_argument('--picture', type=Path, help='the picture to draw, such as docs/pictures/edit.png')
    return parser.parse_args(arguments)


def _strengths(options: argparse.Namespace) -> np.ndarray:
    return np.linspace(-options.range, options.range, options.frames, dtype=np.float32)


def load_inversions(layer: int, options: argparse.Namespace) -> tuple[composition.Codes, float]:
    """The codes of all scenes and the mean PSNR of their inversions, from FOLDER or by inverting the scenes."""
    path = options.folder / f'{options.first}_{options.count}_layer{layer}_{options.steps}.npz'
    if not path.exists():
        images = options.folder / f'images_{options.first}_{options.count}'
        held_out.write_scenes(images, options.count, first=options.first)
        settings = presets.make_settings(
            'edit', 'demo', layer=layer, steps=options.steps, batch_size=options.batch, images=str(images)
        )
        batch = batch_inversion.invert_images(jobs.prepare_job(settings))
        psnr = np.asarray(metrics.psnr(batch.inversion, batch.targets))
        np.savez(path, latents=batch.codes.latents, alpha=batch.codes.alpha, psnr=psnr)
    with np.load(path) as arrays:
        return composition.Codes(arrays['latents'], arrays['alpha']), float(arrays['psnr'].mean())


def _measure_edits(layer: int, networks: Any, options: argparse.Namespace) -> list[dict]:
    """A row for each attribute: edits of the inversions."""
    (generator, params), (extractor, weights) = networks
    codes, psnr = load_inversions(layer, options)

    @jax.jit
    def attributes_of(params, weights, codes, normal, strength):
        moved = moves.move_codes(codes, normal, strength)
        image = composition.compose(generator, params, moved, layer=layer)
        return extractor.attributes(weights, jnp.clip(image, -1, 1))

    def measure(normal: np.ndarray, strength: float) -> jax.Array:
        return attributes_of(params, weights, codes, normal, strength)

    about = {'codes': f'inverted, l = {layer}', 'PSNR': psnr, 'negative alpha': float((codes.alpha < 0).mean())}
    return _measure_attributes(about, measure, extractor.attribute_names, options)


def _measure_generated(networks: Any, options: argparse.Namespace) -> list[dict]:
    """A row for each attribute: edits of random images of one code, which measure the boundary without an inversion."""
    (generator, params), (extractor, weights) = networks
    z = jax.random.normal(jax.random.key(options.first), (options.count, generator.latent_dim))
    codes = composition.Codes(z[:, None], None)

    @jax.jit
    def attributes_of(params, weights, normal, strength):
        image = generator.generate(params, moves.move_codes(codes, normal, strength).latents[:, 0])
        return extractor.attributes(weights, jnp.clip(image, -1, 1))

    def measure(normal: np.ndarray, strength: float) -> jax.Array:
        return attributes_of(params, weights, normal, strength)

    about = {'codes': 'generated, one code', 'PSNR': None, 'negative alpha': None}
    return _measure_attributes(about, measure, extractor.attribute_names, options)


def _measure_attributes(
    about: dict, measure: Callable, names: Sequence[str], options: argparse.Namespace
) -> list[dict]:
    """A row for each edited attribute. measure(normal, strength) -> attributes [B A] of the edited images, named `names`."""
    rows = []
    for name in options.attributes:
        normal = boundaries.load_boundary(name)
        values = np.stack([measure(normal, strength) for strength in _strengths(options)])
        rows.append(about | summarise_edits(values, name, names))
    return rows


def summarise_edits(values: np.ndarray, name: str, names: Sequence[str]) -> dict:
    """Statistics of attributes [S B A] at S rising strengths of an edit of the attribute `name`.

    monotone, strictly: the share of the images in which the attribute never falls by more than FALL or STRICT_FALL below
    its highest value so far; 'of those that have it': the same of the images that have the attribute in the middle.
    rises: the share in which it rises by more than RISE or is saturated at the end. its change, others' change: mean
    changes between both ends, the others' without sign.
    """
    index = list(names).index(name)
    own, change = values[..., index], np.abs(values[-1] - values[0]).mean(axis=0)  # [S B], [A]
    falls = (np.maximum.accumulate(own, axis=0) - own).max(axis=0)
    rises = (own[-1] - own[0] > RISE) | (own[-1] > SATURATED)
    present = own[len(own) // 2] > PRESENT
    others = [other for other in np.argsort(-change) if other != index]
    return {
        'attribute': name,
        'monotone': float((falls <= FALL).mean()),
        'of those that have it': float((falls <= FALL)[present].mean()) if present.any() else None,
        'strictly': float((falls <= STRICT_FALL).mean()),
        'largest fall': float(falls.max()),
        'rises': float(rises.mean()),
        'its change': float((own[-1] - own[0]).mean()),
        "others' change": float(change[others].mean()),
        'of these most': ', '.join(f'{names[other]} {change[other]:.2f}' for other in others[:3]),
    }


def _measure_morphs(layer: int, networks: Any, options: argparse.Namespace) -> list[dict]:
    """Morphs from the first half of the scenes to the second half, with codes in their own order and matched."""
    (generator, params), (extractor, weights) = networks
    codes, _ = load_inversions(layer, options)
    half = options.count // 2
    first, second = (
        jax.tree.map(lambda leaf, part=part: leaf[part], codes) for part in (slice(half), slice(half, 2 * half))
    )

    @jax.jit
    def features_of(params, weights, first, second, share):
        image = composition.compose(generator, params, moves.morph_codes(first, second, share), layer=layer)
        return extractor.features(weights, jnp.clip(image, -1, 1), 'relu2_2').reshape(half, -1)

    rows = []
    shares = np.linspace(0, 1, MORPH_FRAMES, dtype=np.float32)
    for title, end in (('as they come', second), ('matched', moves.match_codes(first, second))):
        features = [features_of(params, weights, first, end, share) for share in shares]
        pairs = zip(features, features[1:], strict=False)
        steps = np.stack([np.linalg.norm(after - before, axis=1) for before, after in pairs])  # [MORPH_FRAMES - 1, B]
        straight = np.linalg.norm(features[-1] - features[0], axis=1)
        rows.append(
            {
                'layer': layer,
                'codes': title,
                'way of the features / straight': float((steps.sum(axis=0) / straight).mean()),
                'largest step / mean': float((steps.max(axis=0) / steps.mean(axis=0)).mean()),
            }
        )
    return rows


def _draw_picture(path: Path, layer: int, networks: Any, options: argparse.Namespace) -> None:
    """A row for each scene of SHOWN and each attribute."""
    generator, params = networks[0]
    codes, _ = load_inversions(layer, options)
    strengths = np.linspace(-options.range, options.range, strips.STRIP)

    @jax.jit
    def render(params, codes, normal, strengths):
        return moves.render_edits(generator, params, codes, normal, strengths, layer=layer)

    names, rows = [], []
    for scene in (scene for scene in SHOWN if scene < options.count):
        own_codes = jax.tree.map(lambda leaf, scene=scene: leaf[scene : scene + 1], codes)
        for name in options.attributes:
            frames = render(params, own_codes, boundaries.load_boundary(name), strengths)[:, 0]
            names.append(name)
            rows.append([history.make_frame(np.clip(frame, -1, 1), None) for frame in np.asarray(frames)])
    labels = [f'{strength:+.2g}' if strength else '0' for strength in strengths]
    with Image.open(io.BytesIO(strips.draw_strip(names, labels, rows))) as picture:
        picture.quantize(256).save(path, optimize=True)


if __name__ == '__main__':
    commands.run_command(main)
