"""What codes begin with: an encoder's opinion of the input, or where an earlier run ended."""

import signal

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mgan_jax import composition, invert, models
from mgan_jax.analysis import batch_inversion
from mgan_jax.engine import slots
from mgan_jax.models import encoder, stylegan2
from mgan_jax.run import initial_codes, jobs
from mgan_jax.settings import presets
from tests import toy
from tests.small_runs import SIDE, arguments, contents, latents, refused, table

pytestmark = pytest.mark.usefixtures('in_the_repository', 'quick_compilation')
BASE = {'perceptual': 0.0, 'extractor': '', 'layer': 3, 'num_codes': 2, 'steps': 3, 'batch_size': 2, 'history_every': 0}


def save_encoder(path, params, **changes):
    fields = {
        'image_size': [SIDE, SIDE],
        'latent_dim': 8,
        'channels': [4, 4],
        'made_for': encoder.weights_checksum(params),
    }
    fields |= changes
    models.save(path, 'encoder', fields, toy.draw_weights(encoder.build_encoder(**fields).init, seed=len(path.name)))
    return models.load(path)


@pytest.fixture(scope='module')
def told(folder):
    """An encoder with random weights, for the generator."""
    return save_encoder(folder / 'encoder', models.load(folder / 'generator')[1])


def settings_of(folder, task='reconstruct', **fields):
    base = BASE | {'contributions': False, 'images': str(folder / 'photos')}
    return presets.make_settings(
        task, 'demo', **base | {'generator': str(folder / 'generator'), 'out': 'unused'} | fields
    )


def find(settings, generator, params):
    return initial_codes.find_initial_codes(settings.prior, generator, params, generator_name='its name', out='unused')


def inverted(folder, task='reconstruct', **fields):
    job = jobs.prepare_job(settings_of(folder, task, **fields))
    return batch_inversion.invert_images(job, job.sources[:3])


def run(folder, out, **fields):
    given = {'perceptual': 0, 'optimizer': 'adam', 'init_from': folder / 'encoder'} | fields
    return arguments(folder, 'invert.py', out, **given)


# An encoder


@pytest.mark.slow
@pytest.mark.parametrize('task', ['reconstruct', 'inpaint'])
def test_one_step_of_one_code_is_the_encoder_alone(folder, told, task):
    fields = {'num_codes': 1, 'layer': 6, 'steps': 1, 'init_from': str(folder / 'encoder')}
    found = inverted(folder, task, **fields)
    network, own = told
    seen = np.concatenate([case.input_image for case in found.observed])
    generator, params = models.load(folder / 'generator')
    code = network(own, seen)
    np.testing.assert_allclose(found.codes.latents[:, 0], code, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found.inversion, np.clip(generator.generate(params, code), -1, 1), rtol=1e-3, atol=1e-4)


def test_codes_are_spread_around_the_one(folder, told):
    found = inverted(folder, steps=1, init_from=str(folder / 'encoder'), init_spread=0.1)
    first, second = np.split(found.codes.latents, 2, axis=1)
    code = told[0](told[1], np.concatenate([case.input_image for case in found.observed]))
    np.testing.assert_allclose(first[:, 0], code, rtol=1e-4, atol=1e-5)
    assert 0.03 < (second - first).std() < 0.2 and np.abs(np.diff((second - first)[:, 0], axis=0)).max() > 0.01


def test_half_precision_is_of_the_same_generator(folder, told):
    generator, params = models.load(folder / 'generator')
    settings = settings_of(folder, init_from=str(folder / 'encoder'), dtype='bfloat16')
    assert find(settings, generator, models.cast(params, 'bfloat16')).weights is not None


@pytest.mark.slow
def test_the_styles_of_an_image(tmp_path, folder):
    """All layers begin with the encoder's w, those after the composing layer, too."""
    sizes = {'resolution': SIDE, 'latent_dim': 6, 'style_dim': 5, 'fmaps_base': 64, 'fmaps_max': 8, 'mapping_layers': 1}
    network = stylegan2.build_stylegan2(**sizes)
    params = toy.draw_weights(network.init)
    told, own = save_encoder(tmp_path / 'encoder', params, latent_dim=5, space='w')
    models.save(tmp_path / 'generator', 'stylegan2', sizes, params)
    names = {'generator': str(tmp_path / 'generator'), 'init_from': str(tmp_path / 'encoder')}
    found = inverted(folder, space='w+', num_codes=1, steps=1, **names)
    w = told(own, np.concatenate([case.input_image for case in found.observed]))
    wanted = np.clip(network.generate(params, w, space='w'), -1, 1)
    np.testing.assert_allclose(found.inversion, wanted, rtol=1e-3, atol=1e-3)
    assert found.codes.latents.shape == (3, 1, 3, 5)


@pytest.mark.slow
def test_a_stopped_run_goes_on_bit_by_bit(folder, told, tmp_path, monkeypatch, capsys):
    assert invert.main(run(folder, tmp_path / 'whole', steps=12)) == 0
    inner, turns = slots.run_slots, []

    def stopped(*given, **options):
        for turn in inner(*given, **options):
            turns.append(turn)
            if len(turns) == 2:
                signal.raise_signal(signal.SIGTERM)
            yield turn

    with monkeypatch.context() as patch:
        patch.setattr(slots, 'run_slots', stopped)
        assert invert.main(run(folder, tmp_path / 'parts', steps=12)) == 75
    assert invert.main(run(folder, tmp_path / 'parts', steps=12)) == 0
    for number in range(5):
        for one, other in zip(*(latents(tmp_path / out, f'photo{number}') for out in ('whole', 'parts')), strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.slow
def test_results_are_of_the_weights_of_the_encoder(folder, told, tmp_path, capsys):
    generator = models.load(folder / 'generator')[1]
    save_encoder(tmp_path / 'other', generator)
    out = tmp_path / 'out'
    assert invert.main(run(folder, out)) == 0
    before = contents(out)
    models.save(tmp_path / 'same', 'encoder', *configuration_and_weights(folder / 'encoder'))
    assert invert.main(run(folder, out, init_from=tmp_path / 'same')) == 0  # of another name
    assert contents(out)[out / 'photo0' / 'latents.npz'] == before[out / 'photo0' / 'latents.npz']
    assert invert.main(run(folder, out, init_from=tmp_path / 'other')) == 0
    assert contents(out)[out / 'photo0' / 'latents.npz'] != before[out / 'photo0' / 'latents.npz']
    assert invert.main([*run(folder, tmp_path / 'none'), '--config.dry_run=True']) == 0
    assert 'none of them done yet' in capsys.readouterr().out and not (tmp_path / 'none').exists()


def configuration_and_weights(path):
    network, params = models.load(path)
    fields = {'image_size': [SIDE, SIDE], 'latent_dim': 8, 'channels': [4, 4], 'made_for': network.made_for}
    return fields, params


# An earlier run


@pytest.fixture(scope='module')
def earlier(folder, told):
    out = folder / 'earlier'
    assert invert.main(run(folder, out, init_from='')) == 0
    return out


@pytest.mark.slow
def test_a_run_goes_on_where_another_ended(folder, earlier, tmp_path):
    for config, task in (('invert.py', 'reconstruct'), ('inpaint.py', 'inpaint')):
        found = inverted(folder, task, init_from=str(earlier), steps=1)
        for number, case in enumerate(found.observed):
            kept, alpha = latents(earlier, case.source.name)
            np.testing.assert_array_equal(found.codes.latents[number], kept)
            np.testing.assert_array_equal(found.codes.alpha[number], alpha)
        if task == 'reconstruct':
            losses = [float(row['loss']) for row in table(earlier)[:3]]
            np.testing.assert_allclose(found.loss, losses, rtol=1e-5)
        given = {'perceptual': 0, 'init_from': earlier, 'steps': 2}
        assert invert.main(arguments(folder, config, tmp_path / task, **given)) == 0
    assert all(row['status'] == 'done' for row in table(tmp_path / 'inpaint'))


@pytest.mark.slow
def test_results_are_of_the_codes_that_they_began_with(folder, tmp_path, earlier):
    first, out = tmp_path / 'first', tmp_path / 'out'
    assert invert.main(run(folder, first, init_from='', seed=1)) == 0
    assert invert.main(run(folder, out, init_from=first)) == 0
    before = contents(out)
    assert invert.main(run(folder, out, init_from=first)) == 0
    assert contents(out) == before
    changed = first / 'photo1' / 'latents.npz'
    changed.write_bytes((earlier / 'photo1' / 'latents.npz').read_bytes())
    (first / 'photo3' / 'latents.npz').write_bytes(b'nothing')
    (first / 'photo4' / 'latents.npz').unlink()
    assert invert.main(run(folder, out, init_from=first)) == 3
    after = contents(out)
    again = {path.parent.name for path in after if path.name == 'latents.npz' and after[path] != before[path]}
    assert again == {'photo1'}
    status = {row['name']: row['status'] for row in table(out)}
    assert 'photo3/latents.npz is damaged' in status['photo3']
    assert "no codes of the image 'photo4'" in status['photo4']


def test_codes_of_another_shape_are_refused(folder, earlier):
    like = composition.Codes(jnp.zeros((1, 2, 9)), jnp.zeros((1, 2, 16)))
    content = (earlier / 'photo0' / 'latents.npz').read_bytes()
    with pytest.raises(ValueError, match=r'latents of shape \[2, 8\]; finite numbers of shape \[2, 9\]'):
        initial_codes._read_codes(content, like, 'there')


def test_without_it_codes_are_random(folder):
    generator, params = models.load(folder / 'generator')
    found = inverted(folder, steps=1)
    assert find(settings_of(folder), generator, params) is initial_codes.RANDOM
    for case, codes in zip(found.observed, found.codes.latents, strict=True):
        key = jax.random.fold_in(jax.random.key(0), case.checksum)[None]
        drawn = composition.init(key, generator, params, batch=1, num_codes=2, layer=3)
        np.testing.assert_array_equal(drawn.latents[0], codes)


# What cannot be used


@pytest.mark.slow
@pytest.mark.parametrize(
    'fields, message',
    [
        ({'init_from': '{folder}/none'}, "none' is neither an encoder's model directory nor the results of a run"),
        ({'init_from': '{folder}/extractor'}, 'is a network, but no encoder'),
        ({'generator': '{folder}/grey'}, 'was trained for another generator than'),
        ({'init_spread': 0.0}, 'all 2 codes would be the same'),
        ({'init_spread': -1.0}, 'init_spread is -1.0; a finite number'),
        ({'init_from': 'demo-encoder'}, 'was trained for another generator than'),
        ({'init_from': '{folder}/earlier', 'num_codes': 3}, 'has codes of num_codes 2, but num_codes is 3'),
        ({'init_from': '{folder}/earlier', 'layer': 4}, 'has codes of layer 3, but layer is 4'),
        ({'init_from': '{folder}/earlier', 'out': '{folder}/earlier'}, 'init_from and out are both'),
    ],
)
def test_refused(folder, earlier, capsys, fields, message):
    fields = {k: v.format(folder=folder) if isinstance(v, str) else v for k, v in fields.items()}
    out = fields.pop('out', folder / 'refused')
    assert message in refused(capsys, run(folder, out, **fields))
    assert not (folder / 'refused').exists()


@pytest.mark.parametrize('changes', [{'space': 'w'}, {'label': 1}])
def test_codes_of_another_space_are_refused(folder, tmp_path, capsys, changes):
    save_encoder(tmp_path / 'encoder', models.load(folder / 'generator')[1], **changes)
    assert 'predicts codes of the space' in refused(
        capsys, run(folder, tmp_path / 'out', init_from=tmp_path / 'encoder')
    )


def test_a_folder_that_no_run_has_written_is_refused(folder, tmp_path, capsys):
    (tmp_path / 'config.json').write_text('{}')
    said = refused(capsys, run(folder, tmp_path / 'out', init_from=tmp_path))
    assert 'has a config.json that no run of this release has written' in said
