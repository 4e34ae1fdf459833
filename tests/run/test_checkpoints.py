"""Images on their way, saved and found again."""

import json
import math

import jax
import numpy as np
import pytest

from mgan_jax.engine.slots import ImageProgress
from mgan_jax.results.history import Frame
from mgan_jax.results.records import Identity
from mgan_jax.run import checkpoints
from mgan_jax.storage import stores


def state(number):
    """Any tree of arrays, of all types that states have, 0-dimensional ones included."""
    rng = np.random.default_rng(number)
    return {
        'codes': (rng.normal(size=(3, 2)).astype(np.float32), np.float32(rng.normal())),
        'step': np.int32(number),
        'failed': np.array(-1, np.int32),
    }


LIKE = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), state(0))


def saved(number, made_by='settings'):
    losses = tuple((step, 1 / (step + 3)) for step in range(number))
    shown = tuple((step, Frame(20.5 if step else None, bytes([0, 255, step]))) for step in range(number))
    compared = 1 / number if number else math.inf
    progress = ImageProgress(state(number), number, 0.1 * number, compared, losses, shown)
    return checkpoints.SavedImage(Identity(f'image {number}', made_by), progress)


def require_equal(found, expected):
    assert found[1:] == expected[1:]
    jax.tree.map(np.testing.assert_array_equal, found.state, expected.state)
    assert jax.tree.structure(found.state) == jax.tree.structure(expected.state)


@pytest.fixture(params=['local', 'remote'])
def store(request, tmp_path):
    with stores.open_store(str(tmp_path) if request.param == 'local' else f'memory://{tmp_path}') as store:
        yield store


def names(store):
    return [name for name in store.names(store.own) if name.startswith('checkpoint')]


def test_bit_by_bit(store):
    images = [saved(number) for number in range(3)]
    checkpoints.save_checkpoint(store, images)
    found = checkpoints.load_checkpoint(store, LIKE)
    assert found.keys() == {image.identity for image in images}
    for image in images:
        require_equal(found[image.identity], image.progress)


def test_the_newest_replaces_those_before(store):
    for number in range(3):
        checkpoints.save_checkpoint(store, [saved(number), saved(7)])
    assert names(store) == ['checkpoint-000003']
    assert checkpoints.load_checkpoint(store, LIKE).keys() == {saved(2).identity, saved(7).identity}
    checkpoints.save_checkpoint(store, [])
    assert names(store) == [] and checkpoints.load_checkpoint(store, LIKE) == {}


def test_one_that_could_not_be_written_leaves_the_one_before(store, monkeypatch):
    checkpoints.save_checkpoint(store, [saved(1)])

    def full(*_, **__):
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(np, 'savez', full)
    with pytest.raises(OSError, match='No space left'):
        checkpoints.save_checkpoint(store, [saved(2)])
    assert names(store) == ['checkpoint-000001']
    assert checkpoints.load_checkpoint(store, LIKE).keys() == {saved(1).identity}


def damage_version(folder):
    index = json.loads((folder / 'images.json').read_text())
    (folder / 'images.json').write_text(json.dumps(index | {'version': 99}))


def damage_index(folder):
    (folder / 'images.json').write_text('{"version": 1, "ima')


def damage_states(folder):
    path = folder / 'states.npz'
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def damage_a_bit(folder):
    content = bytearray((folder / 'states.npz').read_bytes())
    content[content.index(state(1)['codes'][0].tobytes())] ^= 1
    (folder / 'states.npz').write_bytes(content)


def pickle_states(folder):
    with open(folder / 'states.npz', 'wb') as file:
        np.savez(file, **{'0': np.array([print, print], object)})


def remove_states(folder):
    (folder / 'states.npz').rename(folder / 'other')


@pytest.mark.parametrize(
    'damage', [damage_version, damage_index, damage_states, damage_a_bit, pickle_states, remove_states]
)
def test_a_damaged_one_is_one_sentence(tmp_path, damage):
    with stores.open_store(str(tmp_path)) as store:
        checkpoints.save_checkpoint(store, [saved(1)])
        damage(tmp_path / store.own / 'checkpoint-000001')
        with pytest.raises(
            ValueError, match=f'^the checkpoint {tmp_path}/{store.own}/checkpoint-000001 cannot be'
        ) as told:
            checkpoints.load_checkpoint(store, LIKE)
        assert '\n' not in str(told.value)
        checkpoints.save_checkpoint(store, [saved(2)])
        assert checkpoints.load_checkpoint(store, LIKE).keys() == {saved(2).identity}


@pytest.mark.parametrize(
    'part, leaf', [('step', jax.ShapeDtypeStruct((2,), np.int32)), ('step', jax.ShapeDtypeStruct((), np.float32))]
)
def test_states_of_another_shape_are_one_sentence(store, part, leaf):
    checkpoints.save_checkpoint(store, [saved(1)])
    with pytest.raises(ValueError, match=r'cannot be used \(it holds int32 \(1,\) where'):
        checkpoints.load_checkpoint(store, LIKE | {part: leaf})
