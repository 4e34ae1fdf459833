"""Model directories: saving and loading, and one error sentence for every damage."""

import contextlib
import gc
import json
import os
import pickle
import shutil
import time
import uuid
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mgan_jax import models
from mgan_jax.models import lpips, pggan, vgg
from mgan_jax.storage import remote
from tests.toy import draw_weights

PGGAN = {'resolution': 8, 'latent_dim': 6, 'fmaps_base': 32, 'fmaps_max': 5, 'image_channels': 1}
VGG = {'depths': [1, 2], 'channels': [3, 4], 'padding': 'reflect', 'attributes': ['night', 'snow']}
SOURCE = {'file': 'weights.pth', 'sha256': 'ab' * 32, 'format': 'torch'}


@pytest.fixture(scope='module')
def params():
    return draw_weights(pggan.build_pggan(**PGGAN).init)


@pytest.fixture(scope='module')
def original(tmp_path_factory, params):
    directory = tmp_path_factory.mktemp('models') / 'pggan'
    models.save(directory, 'pggan', PGGAN, params, SOURCE)
    return directory


@pytest.fixture
def directory(tmp_path, original):
    """A model directory to spoil."""
    return shutil.copytree(original, tmp_path / 'model')


@pytest.fixture
def bucket():
    url = f'memory://{uuid.uuid4().hex}'
    yield url
    remote.delete_url(url)


def describe(directory, **changes):
    path = directory / 'model.json'
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def refusal(directory):
    """What `load` says: one sentence in one line."""
    with pytest.raises(ValueError) as caught:
        models.load(directory)
    text = str(caught.value)
    assert '\n' not in text and text.endswith('.')
    return text


@pytest.mark.slow
def test_a_generator_comes_back(original, params):
    generator, loaded = models.load(original)
    assert isinstance(generator, models.Generator)
    assert (generator.resolution, generator.latent_dim, generator.image_channels) == (8, 6, 1)
    assert jax.tree.structure(loaded) == jax.tree.structure(params)
    for found, expected in zip(jax.tree.leaves(loaded), jax.tree.leaves(params), strict=True):
        assert isinstance(found, jax.Array) and found.dtype == jnp.float32
        np.testing.assert_array_equal(found, expected)
    assert generator.generate(loaded, jnp.ones((1, 6))).shape == (1, 8, 8, 1)


def test_a_generator_behind_a_url(original, params, bucket):
    remote.upload_folder(original, bucket, 'model.json')
    generator, loaded = models.load(bucket)
    assert generator.resolution == 8
    assert jax.tree.map(np.array_equal, loaded, params) == jax.tree.map(lambda x: True, params)
    remote.delete_url(bucket)
    models.load(bucket, remat=True)  # it is here already


def test_urls_of_no_model(original, bucket):
    with pytest.raises(ValueError, match=f'no model directory that can be read at {bucket}: there is no such folder'):
        models.load(bucket)
    with pytest.raises(ValueError, match='nope://bucket/model has a scheme that nothing here knows'):
        models.load('nope://bucket/model')
    remote.upload_folder(original / 'params', f'{bucket}/params', 'manifest.ocdbt')
    text = refusal(bucket)
    assert bucket in text and '/tmp' not in text
    remote.upload_folder(original, f'{bucket}/spoilt', 'model.json')
    remote.write_url(f'{bucket}/spoilt/model.json', b'no json')
    assert refusal(f'{bucket}/spoilt').startswith(f'{bucket}/spoilt/model.json cannot be read')


def test_options_of_the_builder(original, params):
    plain, loaded = models.load(original)
    remat, same = models.load(original, remat=True)
    assert jax.tree.map(np.array_equal, same, loaded) == jax.tree.map(lambda x: True, loaded)

    def kept(generator):
        features = jax.ShapeDtypeStruct((1, 4, 4, 5), jnp.float32)
        return len(
            jax.tree.leaves(jax.eval_shape(lambda f: jax.vjp(lambda f: generator.image(loaded, f, 2), f)[1], features))
        )

    assert kept(remat) < kept(plain)


@pytest.mark.parametrize('options', [{'resolution': 8}, {'rematerialise': True}, {'remat': True, 'height': 8}])
def test_options_that_there_are_not(original, options):
    name = list(options)[-1]
    message = (
        f"^the option '{name}' is given for .*pggan, but a network of the architecture 'pggan' has .*conv.* and remat.$"
    )
    with pytest.raises(ValueError, match=message):
        models.load(original, **options)


def test_heads_have_no_options(tmp_path):
    heads = lpips.build_lpips(['relu1_1'], [3])
    models.save(tmp_path / 'heads', 'lpips', {'layers': ['relu1_1'], 'channels': [3]}, draw_weights(heads.init))
    with pytest.raises(ValueError, match="the option 'remat' is given for .*heads, but .* 'lpips' has no options.$"):
        models.load(tmp_path / 'heads', remat=True)


def test_an_extractor_comes_back(tmp_path):
    extractor = vgg.build_vgg(**VGG)
    params = draw_weights(extractor.init)
    models.save(str(tmp_path / 'deep' / 'vgg'), 'vgg', VGG, params)
    loaded_extractor, loaded = models.load(str(tmp_path / 'deep' / 'vgg'))
    assert isinstance(loaded_extractor, models.Extractor)
    assert loaded_extractor.layers == ('relu1_1', 'relu2_1', 'relu2_2')
    assert loaded_extractor.attribute_names == ('night', 'snow')
    x = jnp.asarray(np.random.default_rng(1).uniform(-1, 1, (1, 8, 8, 3)), jnp.float32)
    np.testing.assert_array_equal(loaded_extractor.attributes(loaded, x), extractor.attributes(params, x))


def test_what_model_json_says(original):
    assert json.loads((original / 'model.json').read_text()) == {
        'format_version': 1,
        'architecture': 'pggan',
        'configuration': PGGAN,
        'source': SOURCE,
    }


def test_weights_of_other_types_become_float32(tmp_path, params):
    models.save(tmp_path / 'model', 'pggan', PGGAN, jax.tree.map(lambda x: np.asarray(x, np.float64), params))
    assert {leaf.dtype for leaf in jax.tree.leaves(models.load(tmp_path / 'model')[1])} == {jnp.dtype('float32')}


def test_nothing_is_replaced_unless_asked(directory, params):
    before = (directory / 'model.json').read_bytes()
    with pytest.raises(ValueError, match='exists already'):
        models.save(directory, 'pggan', PGGAN, params)
    assert (directory / 'model.json').read_bytes() == before
    models.load(directory)


def test_replacing(directory, params):
    models.save(directory, 'pggan', PGGAN, jax.tree.map(lambda x: x + 1, params), overwrite=True)
    assert json.loads((directory / 'model.json').read_text())['source'] == {}
    for found, before in zip(jax.tree.leaves(models.load(directory)[1]), jax.tree.leaves(params), strict=True):
        np.testing.assert_array_equal(found, before + 1)
    assert os.listdir(directory.parent) == ['model']


@pytest.mark.parametrize('make', [Path.mkdir, Path.touch, lambda path: path.symlink_to('model')])
def test_what_is_no_model_directory_is_never_replaced(directory, params, make):
    other = directory.parent / 'other'
    make(other)
    with pytest.raises(ValueError, match='other exists and is not a model directory; name another.'):
        models.save(other, 'pggan', PGGAN, params, overwrite=True)
    assert sorted(os.listdir(directory.parent)) == ['model', 'other']


@pytest.mark.parametrize('spoil', ['params', 'description'])
def test_a_failed_save_leaves_nothing(tmp_path, params, spoil):
    configuration, weights = (PGGAN, params | {'layer1': 'text'}) if spoil == 'params' else ({'a': object()}, params)
    with pytest.raises((TypeError, ValueError)):
        models.save(tmp_path / 'model', 'pggan', configuration, weights)
    assert os.listdir(tmp_path) == []


def test_a_failed_save_keeps_what_was_there(directory, params):
    with pytest.raises(TypeError):
        models.save(directory, 'pggan', {'a': object()}, params, overwrite=True)
    assert os.listdir(directory.parent) == ['model']
    np.testing.assert_array_equal(models.load(directory)[1]['layer1']['kernel'], params['layer1']['kernel'])


def test_a_directory_that_is_not_there(tmp_path):
    message = (
        f"there is no model directory {tmp_path / 'no'}; give 'demo' or 'demo-extractor' or 'demo-encoder', or one that"
    )
    assert refusal(tmp_path / 'no').startswith(message)
    assert refusal(tmp_path).startswith(f'there is no model directory {tmp_path};')
    (tmp_path / 'file').write_text('x')
    assert refusal(tmp_path / 'file').startswith(f'there is no model directory {tmp_path / "file"};')


@pytest.mark.parametrize('content', [b'', b'{"format_version": 1', b'\xff\xfe\x00', b'{]'])
def test_a_broken_description(directory, content):
    (directory / 'model.json').write_bytes(content)
    assert refusal(directory).startswith(f'{directory}/model.json cannot be read (')


@pytest.mark.parametrize('content', ['[]', '3', 'null', '{}', '{"format_version": 2}', '{"format_version": "1"}'])
def test_a_description_of_another_version(directory, content):
    (directory / 'model.json').write_text(content)
    assert refusal(directory).endswith('; this release reads version 1.')


@pytest.mark.parametrize(
    'changes, reason',
    [
        ({'architecture': 'biggan'}, 'biggan'),
        ({'architecture': ['pggan']}, 'unhashable'),
        ({'configuration': {'resolution': 48}}, 'resolution 48 is given'),
        ({'configuration': {'resolution': 8, 'depth': 3}}, 'depth'),
        ({'configuration': {}}, 'resolution'),
        ({'configuration': None}, 'mapping'),
        ({'configuration': {'resolution': 8, 'fmaps_base': 'many'}}, 'unsupported operand'),
    ],
)
def test_a_description_of_no_network(directory, changes, reason):
    describe(directory, **changes)
    text = refusal(directory)
    assert text.startswith(f'{directory}/model.json describes no network of this library (') and reason in text


@pytest.mark.parametrize('key', ['architecture', 'configuration'])
def test_a_description_that_leaves_something_out(directory, key):
    description = json.loads((directory / 'model.json').read_text())
    del description[key]
    (directory / 'model.json').write_text(json.dumps(description))
    assert f"('{key}')" in refusal(directory)


@pytest.mark.parametrize(
    'change, message',
    [
        (
            lambda p: {name: layer for name, layer in p.items() if name != 'layer3'},
            'holds layer3/bias of shape none (missing), but model.json asks for [4]; convert the model again.',
        ),
        (
            lambda p: p | {'layer9': {'bias': jnp.zeros(2)}},
            'holds layer9/bias of shape [2], but model.json asks for none (left over); convert the model again.',
        ),
        (
            lambda p: p | {'to_rgb': p['to_rgb'] | {'bias': jnp.zeros(3)}},
            'holds to_rgb/bias of shape [3], but model.json asks for [1]; convert the model again.',
        ),
    ],
    ids=['missing', 'left over', 'wrong shape'],
)
def test_weights_that_do_not_fit(tmp_path, params, change, message):
    models.save(tmp_path / 'model', 'pggan', PGGAN, change(params))
    assert refusal(tmp_path / 'model') == f'{tmp_path / "model"}/params {message}'


def test_weights_that_are_not_there(directory):
    shutil.rmtree(directory / 'params')
    assert refusal(directory) == f'{directory}/params cannot be read; convert the model again.'


def files_of(folder):
    return sorted(path for path in folder.rglob('*') if path.is_file())


@pytest.fixture
def _reads_left_behind():
    """When one array cannot be read, the reads of the others end later, in a loop that is closed, and Python warns."""
    yield
    time.sleep(0.2)
    gc.collect()


LEFT_BEHIND = pytest.mark.filterwarnings('ignore::pytest.PytestUnraisableExceptionWarning')


@LEFT_BEHIND
@pytest.mark.usefixtures('_reads_left_behind')
def test_weights_that_were_cut_short(directory):
    for path in files_of(directory / 'params'):
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert 'params cannot be read' in refusal(directory)


class Bomb:
    """Makes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


@LEFT_BEHIND
@pytest.mark.usefixtures('_reads_left_behind')
def test_nothing_in_the_directory_is_executed(directory, tmp_path):
    marker = str(tmp_path / 'marker')
    bomb = pickle.dumps(Bomb(marker))
    pickle.loads(bomb)
    assert os.path.isdir(marker)
    os.rmdir(marker)
    for path in files_of(directory / 'params'):
        whole = path.read_bytes()
        path.write_bytes(bomb)
        with contextlib.suppress(ValueError):  # some files are not needed
            models.load(directory)
        path.write_bytes(whole)
    (directory / 'model.json').write_bytes(bomb)
    refusal(directory)
    assert not os.path.exists(marker)


def test_the_embedded_models_are_where_load_looks():
    for name, path in models.EMBEDDED.items():
        assert name in ('demo', 'demo-extractor', 'demo-encoder')
        assert path.parent.name == 'demo'
