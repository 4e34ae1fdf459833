"""`python -m benchmarks.editing FOLDER` measures semantic editing on held-out demo scenes, and draws docs/pictures/edit.png.

Scenes are inverted with the settings of `configs/edit.py`, at each of the layers that are asked for, and moved along each
boundary; the demo extractor tells what becomes of the attributes. What is inverted is kept in FOLDER.
"""

import argparse
import io
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image

from benchmarks import commands, record
from mgan_jax import composition, metrics, models
from mgan_jax.analysis import batches
from mgan_jax.demo import scenes, train
from mgan_jax.editing import boundaries, moves
from mgan_jax.results import history, strips
from mgan_jax.run import jobs
from mgan_jax.settings import presets

FIRST = 100  # of the held-out scenes, which are not bundled
FALL, STRICT = 0.05, 0.02  # of an attribute in [0, 1]: more than this below its highest value so far is no rise
SATURATED = 0.95
THERE = 0.1  # of an attribute, unedited, for an image to have it; where it never comes, nothing can fall
SHOWN = (1, 4, 14)  # scenes in the picture, two of them with a tower
ATTRIBUTES = ('daylight', 'snow', 'autumn', 'tower_height')


def main(arguments: Sequence[str] | None = None) -> None:
    options = _options(arguments)
    networks = models.load('demo'), models.load('demo-extractor')
    rows = [row for layer in options.layers for row in _edits(layer, networks, options)]
    rows += _generated(networks, options)
    print(record.table(rows))
    morphs = [row for layer in options.layers for row in _morphs(layer, networks, options)]
    print(record.table(morphs))
    out = options.folder / 'editing.json'
    given = ['FOLDER' if text == str(options.folder) else text for text in arguments or sys.argv[1:]]
    record.save(out, 'editing', given, rows, device=jax.devices()[0].device_kind, morphs=morphs)
    if options.picture:
        _draw(options.picture, options.layers[0], networks, options)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog='python -m benchmarks.editing', description=__doc__)
    parser.add_argument('folder', type=Path)
    parser.add_argument('--layers', type=record.numbers, default=[presets.DEMO_LAYERS['edit']])
    parser.add_argument('--first', type=int, default=FIRST, help='of the held-out scenes')
    parser.add_argument('--count', type=int, default=64, help='scenes')
    parser.add_argument('--steps', type=int, default=100)
    parser.add_argument('--batch', type=int, default=8)
    parser.add_argument('--range', type=float, default=2.0, help='of strengths, both ways')
    parser.add_argument('--frames', type=int, default=9, help='strengths')
    parser.add_argument('--attributes', type=lambda text: text.split(','), default=list(ATTRIBUTES))
    parser.add_argument('--picture', type=Path, help='where to draw, such as docs/pictures/edit.png')
    return parser.parse_args(arguments)


def _strengths(options: argparse.Namespace) -> np.ndarray:
    return np.linspace(-options.range, options.range, options.frames, dtype=np.float32)


def inverted(layer: int, options: argparse.Namespace) -> tuple[composition.Codes, float]:
    """-> (the codes of all scenes, mean PSNR of their inversions); from FOLDER where they are there."""
    name = f'{options.first}_{options.count}_layer{layer}_{options.steps}'
    path = options.folder / f'{name}.npz'
    if not path.exists():
        images = options.folder / f'images_{options.first}_{options.count}'
        images.mkdir(parents=True, exist_ok=True)
        for number, pixels in enumerate(scenes.draw_batch(train.HELD_OUT_SEED, options.first, options.count).images):
            Image.fromarray(pixels).save(images / f'{number:03d}.png')
        chosen = {'layer': layer, 'steps': options.steps, 'batch_size': options.batch, 'images': str(images)}
        found = batches.invert_images(jobs.prepare_job(presets.preset_settings('edit', 'demo') | chosen))
        psnr = np.asarray(metrics.psnr(found.inversion, found.targets))
        np.savez(path, latents=found.codes.latents, alpha=found.codes.alpha, psnr=psnr)
    with np.load(path) as arrays:
        return composition.Codes(arrays['latents'], arrays['alpha']), float(arrays['psnr'].mean())


def _edits(layer: int, networks: Any, options: argparse.Namespace) -> list[dict]:
    """A row for each attribute."""
    (generator, params), (extractor, weights) = networks
    codes, psnr = inverted(layer, options)

    @jax.jit
    def told(params, weights, codes, normal, strength):
        moved = moves.move_codes(codes, normal, strength)
        image = composition.compose(generator, params, moved, layer=layer)
        return extractor.attributes(weights, jnp.clip(image, -1, 1))

    rows = []
    for name in options.attributes:
        normal = boundaries.load_boundary(name)
        seen = np.stack([told(params, weights, codes, normal, strength) for strength in _strengths(options)])
        more = {'codes': f'inverted, l = {layer}', 'PSNR': psnr, 'negative alpha': float((codes.alpha < 0).mean())}
        rows.append(more | summary(seen, name, extractor.attribute_names))
    return rows


def _generated(networks: Any, options: argparse.Namespace) -> list[dict]:
    """The same of images that the generator makes of one code each: what the boundary itself is worth."""
    (generator, params), (extractor, weights) = networks
    z = jax.random.normal(jax.random.key(options.first), (options.count, generator.latent_dim))
    codes = composition.Codes(z[:, None], None)

    @jax.jit
    def told(params, weights, normal, strength):
        image = generator.generate(params, moves.move_codes(codes, normal, strength).latents[:, 0])
        return extractor.attributes(weights, jnp.clip(image, -1, 1))

    rows = []
    for name in options.attributes:
        normal = boundaries.load_boundary(name)
        seen = np.stack([told(params, weights, normal, strength) for strength in _strengths(options)])
        rows.append(
            {'codes': 'generated, one code', 'PSNR': None, 'negative alpha': None}
            | summary(seen, name, extractor.attribute_names)
        )
    return rows


def summary(seen: np.ndarray, name: str, names: Sequence[str]) -> dict:
    """Of attributes [S B A] told at rising strengths, of which `name` was edited: the share of the images that never fall by
    more than FALL, or STRICT, below their highest value so far, of all and of those that have the attribute in the middle, the
    share that rises by 0.1 or reaches SATURATED, and the mean changes between both ends, without their signs for the others.
    """
    place = list(names).index(name)
    own, change = seen[..., place], np.abs(seen[-1] - seen[0]).mean(axis=0)  # [S B], [A]
    falls = (np.maximum.accumulate(own, axis=0) - own).max(axis=0)
    rises = (own[-1] - own[0] > 0.1) | (own[-1] > SATURATED)
    there = own[len(own) // 2] > THERE
    others = [other for other in np.argsort(-change) if other != place]
    return {
        'attribute': name,
        'monotone': float((falls <= FALL).mean()),
        'of those that have it': float((falls <= FALL)[there].mean()) if there.any() else None,
        'strictly': float((falls <= STRICT).mean()),
        'largest fall': float(falls.max()),
        'rises': float(rises.mean()),
        'its change': float((own[-1] - own[0]).mean()),
        "others' change": float(change[others].mean()),
        'of these most': ', '.join(f'{names[other]} {change[other]:.2f}' for other in others[:3]),
    }


def _morphs(layer: int, networks: Any, options: argparse.Namespace) -> list[dict]:
    """Of the scenes of the first half into those of the second, with the codes as they come and matched."""
    (generator, params), (extractor, weights) = networks
    codes, _ = inverted(layer, options)
    half = options.count // 2
    first, second = (
        jax.tree.map(lambda leaf, part=part: leaf[part], codes) for part in (slice(half), slice(half, 2 * half))
    )

    @jax.jit
    def look(params, weights, first, second, share):
        image = composition.compose(generator, params, moves.morph_codes(first, second, share), layer=layer)
        return extractor.features(weights, jnp.clip(image, -1, 1), 'relu2_2').reshape(half, -1)

    rows = []
    for title, end in (('as they come', second), ('matched', moves.match_codes(first, second))):
        seen = [look(params, weights, first, end, share) for share in np.linspace(0, 1, 9, dtype=np.float32)]
        steps = np.stack([np.linalg.norm(b - a, axis=1) for a, b in zip(seen, seen[1:], strict=False)])  # [S-1 B]
        straight = np.linalg.norm(seen[-1] - seen[0], axis=1)
        rows.append(
            {
                'layer': layer,
                'codes': title,
                'way of the features / straight': float((steps.sum(axis=0) / straight).mean()),
                'largest step / mean': float((steps.max(axis=0) / steps.mean(axis=0)).mean()),
            }
        )
    return rows


def _draw(path: Path, layer: int, networks: Any, options: argparse.Namespace) -> None:
    """A row for each scene of SHOWN and each attribute."""
    generator, params = networks[0]
    codes, _ = inverted(layer, options)
    strengths = np.linspace(-options.range, options.range, strips.STRIP)
    render = jax.jit(
        lambda params, codes, normal, strengths: moves.render_edits(
            generator, params, codes, normal, strengths, layer=layer
        )
    )
    names, rows = [], []
    for place in (place for place in SHOWN if place < options.count):
        one = jax.tree.map(lambda leaf, place=place: leaf[place : place + 1], codes)
        for name in options.attributes:
            frames = render(params, one, boundaries.load_boundary(name), strengths)[:, 0]
            names.append(name)
            rows.append([history.make_frame(np.clip(frame, -1, 1), None) for frame in np.asarray(frames)])
    labels = [f'{strength:+.2g}' if strength else '0' for strength in strengths]
    with Image.open(io.BytesIO(strips.draw_strip(names, labels, rows))) as picture:
        picture.quantize(256).save(path, optimize=True)


if __name__ == '__main__':
    commands.run(main)
