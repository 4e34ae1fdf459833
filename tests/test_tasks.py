"""The degradation, comparison and post-processing of every task, against NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mgan_jax import tasks

LUMA = np.array([0.299, 0.587, 0.114], np.float32)


def draw(*shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).uniform(-1, 1, shape), jnp.float32)


INPUT, INVERSION = draw(2, 6, 8, 3), draw(2, 6, 8, 3, seed=1)
MASK = (np.random.default_rng(2).random((2, 6, 8, 1)) < 0.4).astype(np.float32)  # of each image
HOLE = MASK[0]
NOISE = draw(6, 8, 3, seed=3)
ALL = {
    'reconstruct': tasks.reconstruct(),
    'super_resolve': tasks.super_resolve(2),
    'colorize': tasks.colorize(),
    'inpaint': tasks.inpaint(HOLE),
    'inpaint_each': tasks.inpaint(MASK),
    'denoise': tasks.denoise(HOLE),
    'denoise_noise': tasks.denoise(HOLE, NOISE),
    'custom': tasks.custom(lambda image: image[:, ::2] * 2),
}


def test_reconstruction():
    task = tasks.reconstruct()
    observation = task.degrade(INPUT)
    np.testing.assert_array_equal(observation, INPUT)
    np.testing.assert_array_equal(tasks.target(observation), INPUT)
    np.testing.assert_array_equal(task.observe(INVERSION, observation), INVERSION)
    np.testing.assert_array_equal(task.finish(INVERSION, observation), INVERSION)


def test_super_resolution():
    task = tasks.super_resolve(factor=2, method='area')
    observation = task.degrade(INPUT)
    blocks = np.asarray(INPUT).reshape(2, 3, 2, 4, 2, 3)
    np.testing.assert_allclose(observation, blocks.mean(axis=(2, 4)), atol=1e-6)
    np.testing.assert_array_equal(task.observe(INVERSION, observation), task.degrade(INVERSION))
    np.testing.assert_array_equal(task.finish(INVERSION, observation), INVERSION)


def test_super_resolution_is_bilinear_by_default_and_by_16():
    x = np.asarray(draw(1, 32, 32, 3))
    centres = (x[:, 7::16] + x[:, 8::16]) / 2
    expected = (centres[:, :, 7::16] + centres[:, :, 8::16]) / 2
    np.testing.assert_allclose(tasks.super_resolve().degrade(jnp.asarray(x)), expected, atol=1e-6)


def test_colorization_has_the_luminance_of_the_input_and_the_colours_of_the_inversion():
    task = tasks.colorize()
    observation = task.degrade(INPUT)
    assert observation.shape == (2, 6, 8, 1)
    np.testing.assert_allclose(observation[..., 0], np.asarray(INPUT) @ LUMA, atol=1e-6)
    np.testing.assert_allclose(task.observe(INVERSION, observation)[..., 0], np.asarray(INVERSION) @ LUMA, atol=1e-6)
    result, inversion = np.asarray(task.finish(INVERSION, observation)), np.asarray(INVERSION)
    luminance = result @ LUMA
    np.testing.assert_allclose(luminance, observation[..., 0], atol=1e-6)
    for channel in (0, 2):  # Cr ~ R - Y, Cb ~ B - Y
        expected = inversion[..., channel] - inversion @ LUMA
        np.testing.assert_allclose(result[..., channel] - luminance, expected, atol=1e-6)


def test_gray_keeps_gray():
    np.testing.assert_allclose(tasks.gray(jnp.full((1, 2, 2, 3), 0.7)), 0.7, rtol=1e-6)


@pytest.mark.parametrize('channels', [1, 4])
def test_colorization_of_images_without_colours(channels):
    message = f'^images with {channels} channels are given; colourisation needs red, green and blue.$'
    with pytest.raises(ValueError, match=message):
        tasks.colorize().degrade(jnp.zeros((1, 4, 4, channels)))


@pytest.mark.parametrize('mask', [HOLE, MASK], ids=['shared', 'each'])
def test_inpainting(mask):
    task = tasks.inpaint(mask)
    observation = task.degrade(INPUT)
    hole = np.broadcast_to(mask, MASK.shape)
    np.testing.assert_array_equal(observation.hole, hole)
    np.testing.assert_array_equal(observation.pixels, INPUT * (1 - hole))
    np.testing.assert_array_equal(tasks.target(observation), INPUT * (1 - hole))
    np.testing.assert_array_equal(tasks.pixels(observation), INPUT * (1 - hole))
    np.testing.assert_array_equal(task.observe(INVERSION, observation), INVERSION * (1 - hole))
    np.testing.assert_array_equal(task.finish(INVERSION, observation), np.where(hole == 1, INVERSION, INPUT))


def test_inpainting_without_compositing():
    task = tasks.inpaint(HOLE, composite=False)
    np.testing.assert_array_equal(task.finish(INVERSION, task.degrade(INPUT)), INVERSION)


def test_denoising_of_images_that_come_corrupted():
    task = tasks.denoise(HOLE)
    observation = task.degrade(INPUT)
    hole = np.broadcast_to(HOLE, MASK.shape)
    np.testing.assert_array_equal(observation.pixels, INPUT)
    np.testing.assert_array_equal(tasks.target(observation), INPUT * (1 - hole))
    np.testing.assert_array_equal(task.observe(INVERSION, observation), INVERSION * (1 - hole))
    np.testing.assert_array_equal(task.finish(INVERSION, observation), np.where(hole == 1, INVERSION, INPUT))
    plain = tasks.denoise(HOLE, composite=False)
    np.testing.assert_array_equal(plain.finish(INVERSION, observation), INVERSION)


@pytest.mark.parametrize('mask', [HOLE, MASK], ids=['shared', 'each'])
@pytest.mark.parametrize('noise', [NOISE, draw(2, 6, 8, 3, seed=4)], ids=['shared', 'each'])
def test_denoising_puts_the_noise_where_the_mask_says(mask, noise):
    task = tasks.denoise(mask, noise)
    observation = task.degrade(INPUT)
    hole, everywhere = np.broadcast_to(mask, MASK.shape), np.broadcast_to(noise, INPUT.shape)
    np.testing.assert_array_equal(tasks.pixels(observation), np.where(hole == 1, everywhere, INPUT))
    np.testing.assert_array_equal(tasks.target(observation), INPUT * (1 - hole))
    np.testing.assert_array_equal(task.finish(INVERSION, observation), np.where(hole == 1, INVERSION, INPUT))


@pytest.mark.parametrize('name', ['inpaint', 'inpaint_each', 'denoise_noise'])
def test_unknown_pixels_do_not_count(name):
    task = ALL[name]
    observation = task.degrade(INPUT)
    other = jnp.where(observation.hole > 0, INVERSION, INPUT)
    np.testing.assert_array_equal(tasks.target(task.degrade(other)), tasks.target(observation))
    np.testing.assert_array_equal(task.observe(other, observation), task.observe(INPUT, observation))
    gradient = jax.grad(lambda image: jnp.sum(jnp.square(task.observe(image, observation))))(INPUT)
    np.testing.assert_array_equal(gradient, np.where(np.asarray(observation.hole) == 1, 0, 2 * INPUT))


def test_custom_tasks():
    task = tasks.custom(lambda image: image[:, ::2] * 2)
    observation = task.degrade(INPUT)
    np.testing.assert_array_equal(observation, np.asarray(INPUT)[:, ::2] * 2)
    np.testing.assert_array_equal(task.observe(INVERSION, observation), np.asarray(INVERSION)[:, ::2] * 2)
    np.testing.assert_array_equal(task.finish(INVERSION, observation), INVERSION)
    finished = tasks.custom(lambda image: image, lambda image, observation: image - observation)
    np.testing.assert_array_equal(finished.finish(INVERSION, INPUT), INVERSION - INPUT)


def test_masks_of_booleans_and_integers():
    for mask in (HOLE.astype(bool), HOLE.astype(np.int32)):
        observation = tasks.inpaint(mask).degrade(INPUT)
        assert observation.hole.dtype == jnp.float32
        np.testing.assert_array_equal(observation.pixels, tasks.inpaint(HOLE).degrade(INPUT).pixels)


@pytest.mark.parametrize('shape', [(6, 8), (6, 8, 3), (1, 2, 6, 8, 1)])
@pytest.mark.parametrize('make', [tasks.inpaint, tasks.denoise])
def test_masks_of_a_wrong_shape(make, shape):
    message = rf'^a mask of shape \[{", ".join(map(str, shape))}\] is given; \[H, W, 1\] or \[B, H, W, 1\] is wanted.$'
    with pytest.raises(ValueError, match=message):
        make(np.zeros(shape))


def test_masks_of_another_size_than_the_images():
    with pytest.raises(ValueError, match='^the mask has 6x8 pixels, the images have 8x6; make them agree.$'):
        tasks.inpaint(HOLE).degrade(jnp.zeros((1, 8, 6, 3)))


def test_masks_for_another_number_of_images():
    with pytest.raises(ValueError):
        tasks.inpaint(MASK).degrade(jnp.zeros((3, 6, 8, 3)))


def restore(task, image, inversion):
    observation = task.degrade(image)
    return tasks.target(observation), task.observe(inversion, observation), task.finish(inversion, observation)


@pytest.mark.slow
@pytest.mark.parametrize('name', ALL)
def test_inside_jit_vmap_and_grad(name):
    task = ALL[name]
    expected = restore(task, INPUT, INVERSION)
    several = jax.vmap(lambda image, inversion: restore(task, image, inversion))(INPUT[None], INVERSION[None])
    compiled = jax.jit(lambda image, inversion: restore(task, image, inversion))(INPUT, INVERSION)
    for one, two, three in zip(expected, several, compiled, strict=True):
        np.testing.assert_allclose(two[0], one, atol=1e-6)
        np.testing.assert_allclose(three, one, atol=1e-6)

    def loss(inversion):
        target, observed, _ = restore(task, INPUT, inversion)
        return jnp.sum(jnp.square(observed - target))

    gradient = jax.grad(loss)(INVERSION)
    assert np.isfinite(gradient).all() and np.abs(gradient).max() > 0
    np.testing.assert_array_equal(jax.grad(loss)(INPUT), 0)
