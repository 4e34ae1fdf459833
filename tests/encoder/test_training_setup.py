"""The networks of a training: which models are refused, and the size of the encoder."""

import pytest

from mgan_jax.encoder import training_setup
from mgan_jax.encoder.training_setup import TrainingOptions
from mgan_jax.encoder.training_step import LossWeights

pytestmark = pytest.mark.usefixtures('quick_compilation')


def test_the_configuration_is_of_the_generator(folder):
    setup, configuration = training_setup.load_setup(TrainingOptions(str(folder / 'generator')))
    assert configuration['image_size'] == [16, 16] and configuration['latent_dim'] == 8
    assert configuration['channels'] == [16, 32] and configuration['space'] == 'z'
    assert setup.encoder.made_for == configuration['made_for'] and setup.distance is None


@pytest.mark.parametrize('weight, loaded', [(0.0, False), (0.2, True)])
def test_the_extractor_is_loaded_if_its_loss_has_a_weight(folder, weight, loaded):
    options = TrainingOptions(
        str(folder / 'generator'),
        extractor=str(folder / 'extractor'),
        extractor_layer='relu2_1',
        weights=LossWeights(perceptual=weight),
    )
    setup, _ = training_setup.load_setup(options)
    assert (setup.distance is not None) == (setup.distance_params is not None) == loaded


@pytest.mark.parametrize(
    'changes, message',
    [
        ({'space': 'w'}, "only the space 'z'"),
        ({'label': 1}, 'has no classes'),
        ({'channels': [0]}, 'numbers from 1 are wanted'),
        ({'generator': '{folder}/extractor'}, 'a generator is wanted'),
        ({'extractor': '{folder}/generator'}, 'a feature extractor is wanted'),
        ({'extractor': '{folder}/extractor', 'extractor_layer': 'relu9_9'}, "layer 'relu9_9' is given"),
        ({'extractor': '{folder}/none'}, 'there is no model directory'),
    ],
)
def test_unusable_models_and_options_are_refused(folder, changes, message):
    values = {'generator': '{folder}/generator', 'channels': [4, 8]} | changes
    options = {name: value.format(folder=folder) if isinstance(value, str) else value for name, value in values.items()}
    with pytest.raises(ValueError, match=message):
        training_setup.load_setup(TrainingOptions(**options))


@pytest.mark.parametrize(
    'size, channels',
    [((16, 16), [16, 32]), ((64, 64), [16, 32, 64, 128]), ((1024, 1024), [16, 32, 64, 128, 128, 128]), ((4, 8), [16])],
)
def test_default_channels_halve_the_images_to_4_pixels(size, channels):
    assert training_setup.choose_channels(size) == channels
