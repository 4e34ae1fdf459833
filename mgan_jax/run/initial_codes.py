"""What the codes of an image begin with: chance, an encoder's opinion of the input, or where an earlier run ended (`init_from`)."""

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
from mgan_jax.storage import remote, stores

SAME = ('layer', 'num_codes', 'space', 'tail', 'noise', 'label')  # fields of two runs that have the same codes


class EarlierCodes(NamedTuple):
    """Codes of an earlier run of an image, [1 N ...], and a checksum of them; None and nothing without."""

    codes: Codes | None = None
    digest: bytes = b''


class InitialCodes(NamedTuple):
    """Where codes come from. weights: of an encoder, for `records.fingerprint`. kept(name of an image) -> `EarlierCodes`;
    encode(naive [1 H W C]) -> `Codes` with latents [1 1 ...] and no alpha, None for chance. Both by the host, in any number
    of threads, and with ValueError in one sentence."""

    weights: Any = None
    kept: Callable[[str], EarlierCodes] = lambda name: EarlierCodes()
    encode: Callable[[np.ndarray], Codes | None] = lambda naive: None


RANDOM = InitialCodes()


def find_initial_codes(settings: dict, generator: models.Generator, params: Any) -> InitialCodes:
    """What `init_from` names. ValueError with one sentence if it cannot be used for this generator and these settings."""
    name = os.path.expanduser(settings['init_from'])
    if not name:
        return RANDOM
    if name in models.EMBEDDED or stores.place_has(name, 'model.json'):
        return _encoder(name, settings, generator, params)
    content = stores.read_from_place(name, 'config.json')
    if content is None:
        raise ValueError(
            f"init_from '{name}' is neither an encoder's model directory nor the results of a run; give one of them, or ''."
        )
    return _earlier(name, content, settings, generator, params)


def make_input(origin: InitialCodes, case: observations.ObservedImage, kept: EarlierCodes) -> programs.ProgramInput:
    """What the optimisation of an image begins with, as a batch of one."""
    codes = origin.encode(case.input_image) if kept.codes is None else kept.codes
    return programs.ProgramInput(np.array([case.checksum], np.uint32), case.observation, codes)


def _encoder(name: str, settings: dict, generator: models.Generator, params: Any) -> InitialCodes:
    encoder, own = models.load(name)
    if not isinstance(encoder, models.Encoder):
        raise ValueError(
            f"init_from '{name}' is a network, but no encoder; train one with `python -m mgan_jax.encoder`."
        )
    _require_fit(name, encoder, settings, params)
    like = _codes_like(settings, generator, params)
    with observations.on_host():
        own = jax.device_put(jax.device_get(own))
    compiled = jax.jit(encoder.encode)

    def encode(naive: np.ndarray) -> Codes:
        with observations.on_host():
            code = np.asarray(compiled(own, np.clip(naive, -1, 1)))  # [1 D]
        rows = code.reshape(1, *[1] * (len(like.latents.shape) - 2), -1)  # in w+, w for every layer
        latents = np.broadcast_to(rows, (1, 1, *like.latents.shape[2:]))
        tail = None if like.tail is None else np.broadcast_to(code[:, None], like.tail.shape)
        return Codes(latents, None, tail)

    return InitialCodes(weights=own, encode=encode)


def _require_fit(name: str, encoder: models.Encoder, settings: dict, params: Any) -> None:
    """ValueError unless the encoder is for this generator and tells the codes that the settings ask for."""
    if encoder.made_for != weights_checksum(params):
        raise ValueError(
            f"the encoder '{name}' was trained for another generator than '{settings['generator']}'; train one for it with "
            '`python -m mgan_jax.encoder`.'
        )
    if encoder.space != settings['space'][0] or (encoder.space == 'z' and encoder.label != settings['label']):
        raise ValueError(
            f"the encoder '{name}' tells codes of the space '{encoder.space}' (label {encoder.label}), but space is "
            f"'{settings['space']}' and label {settings['label']}; one of 'w' serves 'w' and 'w+'."
        )
    if settings['num_codes'] > 1 and not settings['init_spread']:
        raise ValueError(
            f'init_spread is 0, so that all {settings["num_codes"]} codes would be the same and stay so; more is wanted, '
            'or num_codes=1.'
        )


def _earlier(name: str, content: bytes, settings: dict, generator: models.Generator, params: Any) -> InitialCodes:
    """The results of a run. content: its config.json."""
    if not remote.is_remote(name) and Path(name).resolve() == Path(settings['out']).expanduser().resolve():
        raise ValueError(f"init_from and out are both '{name}'; write the results of this run into another folder.")
    try:
        before = json.loads(content)['config']
        other = next((field for field in SAME if before[field] != settings[field]), None)
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"init_from '{name}' has a config.json that no run of this release has written.") from error
    if other:
        raise ValueError(
            f"init_from '{name}' has codes of {other} {before[other]!r}, but {other} is {settings[other]!r}; the same is wanted."
        )
    like = _codes_like(settings, generator, params)

    def kept(image: str) -> EarlierCodes:
        content = stores.read_from_place(name, f'{image}/latents.npz')
        if content is None:
            raise ValueError(f"init_from '{name}' has no codes of the image '{image}'")
        codes = _read(content, like, f'{name}/{image}/latents.npz')
        return EarlierCodes(codes, records.fingerprint({}, codes).encode())

    return InitialCodes(kept=kept)


def _read(content: bytes, like: Codes, path: str) -> Codes:
    """The codes in a latents.npz, as a batch of one."""
    leaves, structure = jax.tree_util.tree_flatten_with_path(like)
    names = [jax.tree_util.keystr(place, simple=True, separator='_') for place, _ in leaves]  # as `outcomes` calls them
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            found = [np.asarray(arrays[name], np.float32)[None] for name in names]
    except Exception as error:  # whatever becomes of damaged files
        raise ValueError(f'{path} is damaged or lacks some of {", ".join(names)}') from error
    for name, array, (_, wanted) in zip(names, found, leaves, strict=True):
        if array.shape != wanted.shape or not np.isfinite(array).all():
            raise ValueError(
                f'{path} holds {name} of shape {list(array.shape[1:])}; finite numbers of shape '
                f'{list(wanted.shape[1:])} are wanted'
            )
    return jax.tree.unflatten(structure, found)


def _codes_like(settings: dict, generator: models.Generator, params: Any) -> Codes:
    """The shapes of the codes of one image, as a batch of one."""
    fields = {name: settings[name] for name in ('num_codes', 'layer', 'space', 'noise')}
    tail, key = settings['tail'] == 'learned', jax.random.key(0)
    return jax.eval_shape(lambda params: composition.init(key, generator, params, batch=1, tail=tail, **fields), params)
