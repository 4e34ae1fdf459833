"""Initial codes (`init_from`): random, from an encoder, or from an earlier run."""

import io
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from mgan_jax import composition, models
from mgan_jax.composition import Codes
from mgan_jax.data import observations
from mgan_jax.engine import programs
from mgan_jax.models.encoder import weights_checksum
from mgan_jax.results import records
from mgan_jax.settings.fields import PriorSettings
from mgan_jax.storage import remote, stores

SAME = ('layer', 'num_codes', 'space', 'tail', 'noise', 'label')  # fields that two runs with the same codes share


class EarlierCodes(NamedTuple):
    """Codes of an image in an earlier run, [1 N ...], and their checksum; None and b'' without an earlier run."""

    codes: Codes | None = None
    digest: bytes = b''


class InitialCodes(NamedTuple):
    """Where the codes of a run start. Both functions compute on the host, in any thread; ValueError with one sentence.

    weights: of an encoder, for the fingerprint of results. earlier(image name) -> `EarlierCodes`.
    encode(images [1 H W C]) -> `Codes` with latents [1 1 ...] and alpha None, or None for random codes.
    """

    weights: Any = None
    earlier: Callable[[str], EarlierCodes] = lambda name: EarlierCodes()
    encode: Callable[[np.ndarray], Codes | None] = lambda images: None


RANDOM = InitialCodes()


def find_initial_codes(
    prior: PriorSettings, generator: models.Generator, params: Any, *, generator_name: str, out: str
) -> InitialCodes:
    """The initial codes that `prior.init_from` names: '', an encoder's model directory, or the results of a run.

    generator_name, out: of this run, for checks and errors. Raises ValueError with one sentence if they do not fit the
    generator or the settings.
    """
    name = os.path.expanduser(prior.init_from)
    if not name:
        return RANDOM
    shapes = _code_shapes(prior, generator, params)
    if name in models.EMBEDDED or stores.place_has(name, 'model.json'):
        encoder, weights = models.load(name)
        if not isinstance(encoder, models.Encoder):
            raise ValueError(
                f"init_from '{name}' is a network, but no encoder; train one with `python -m mgan_jax.encoder`."
            )
        _require_fit(name, encoder, prior, params, generator_name)
        return _from_encoder(encoder, weights, shapes)
    content = stores.read_from_place(name, 'config.json')
    if content is None:
        raise ValueError(
            f"init_from '{name}' is neither an encoder's model directory nor the results of a run; give one of them, or ''."
        )
    if not remote.is_remote(name) and Path(name).resolve() == Path(out).expanduser().resolve():
        raise ValueError(f"init_from and out are both '{name}'; write the results of this run into another folder.")
    _require_same_codes(name, content, prior)
    return _from_run(name, shapes)


def make_input(
    initial: InitialCodes, observed: observations.ObservedImage, earlier: EarlierCodes
) -> programs.ProgramInput:
    """What the optimisation of an image starts from, as a batch of one."""
    codes = initial.encode(observed.input_image) if earlier.codes is None else earlier.codes
    return programs.ProgramInput(np.array([observed.checksum], np.uint32), observed.observation, codes)


def _from_encoder(encoder: models.Encoder, weights: dict, shapes: Codes) -> InitialCodes:
    with observations.on_host():
        weights = jax.device_put(jax.device_get(weights))
    compiled = jax.jit(encoder.encode)

    def encode(images: np.ndarray) -> Codes:
        with observations.on_host():
            code = np.asarray(compiled(weights, np.clip(images, -1, 1)))  # [1 D]
        rows = code.reshape(1, *[1] * (len(shapes.latents.shape) - 2), -1)  # in w+: the same w for every layer
        latents = np.broadcast_to(rows, (1, 1, *shapes.latents.shape[2:]))
        tail = None if shapes.tail is None else np.broadcast_to(code[:, None], shapes.tail.shape)
        return Codes(latents, None, tail)

    return InitialCodes(weights=weights, encode=encode)


def _require_fit(name: str, encoder: models.Encoder, prior: PriorSettings, params: Any, generator_name: str) -> None:
    """ValueError unless the encoder is for this generator and gives codes of the wanted space."""
    if encoder.made_for != weights_checksum(params):
        raise ValueError(
            f"the encoder '{name}' was trained for another generator than '{generator_name}'; train one for it with "
            '`python -m mgan_jax.encoder`.'
        )
    if encoder.space != prior.space[0] or (encoder.space == 'z' and encoder.label != prior.label):
        raise ValueError(
            f"the encoder '{name}' predicts codes of the space '{encoder.space}' (label {encoder.label}), but space is "
            f"'{prior.space}' and label {prior.label}; one of 'w' serves 'w' and 'w+'."
        )
    if prior.num_codes > 1 and not prior.init_spread:
        raise ValueError(
            f'init_spread is 0, so that all {prior.num_codes} codes would be the same and stay so; more is wanted, '
            'or num_codes=1.'
        )


def _require_same_codes(name: str, content: bytes, prior: PriorSettings) -> None:
    """ValueError unless an earlier run had codes of the same shape. content: its config.json."""
    try:
        before = json.loads(content)['config']
        other = next((field for field in SAME if before[field] != getattr(prior, field)), None)
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"init_from '{name}' has a config.json that no run of this release has written.") from error
    if other:
        raise ValueError(
            f"init_from '{name}' has codes of {other} {before[other]!r}, but {other} is {getattr(prior, other)!r}; the same "
            'is wanted.'
        )


def _from_run(name: str, shapes: Codes) -> InitialCodes:
    def earlier(image: str) -> EarlierCodes:
        content = stores.read_from_place(name, f'{image}/latents.npz')
        if content is None:
            raise ValueError(f"init_from '{name}' has no codes of the image '{image}'")
        codes = _read_codes(content, shapes, f'{name}/{image}/latents.npz')
        return EarlierCodes(codes, records.codes_checksum(codes).encode())

    return InitialCodes(earlier=earlier)


def _read_codes(content: bytes, shapes: Codes, path: str) -> Codes:
    """The codes in a latents.npz, as a batch of one."""
    leaves, structure = jax.tree_util.tree_flatten_with_path(shapes)
    names = [
        jax.tree_util.keystr(place, simple=True, separator='_') for place, _ in leaves
    ]  # see `evaluation.code_arrays`
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            found = [np.asarray(arrays[name], np.float32)[None] for name in names]
    except Exception as error:  # NumPy raises nearly any exception for a damaged file
        raise ValueError(f'{path} is damaged or lacks some of {", ".join(names)}') from error
    for name, array, (_, wanted) in zip(names, found, leaves, strict=True):
        if array.shape != wanted.shape or not np.isfinite(array).all():
            raise ValueError(
                f'{path} holds {name} of shape {list(array.shape[1:])}; finite numbers of shape '
                f'{list(wanted.shape[1:])} are wanted'
            )
    return jax.tree.unflatten(structure, found)


def _code_shapes(prior: PriorSettings, generator: models.Generator, params: Any) -> Codes:
    """The shapes of the codes of one image, as a batch of one."""

    def init(params: Any) -> Codes:
        return composition.init(
            jax.random.key(0),
            generator,
            params,
            batch=1,
            num_codes=prior.num_codes,
            layer=prior.layer,
            space=prior.space,
            tail=prior.tail == 'learned',
            noise=prior.noise,
        )

    return jax.eval_shape(init, params)
