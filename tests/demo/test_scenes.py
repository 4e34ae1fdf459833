"""The drawn scenes are reproducible by number and aligned."""

import numpy as np
import pytest

from mgan_jax.demo import drawing, landscape, scenes


def test_batch_shapes_and_ranges():
    _, images, targets = scenes.draw_batch(seed=0, start=0, count=100)
    assert images.shape == (100, 64, 64, 3) and images.dtype == np.uint8
    assert targets.shape == (100, len(landscape.ATTRIBUTES)) and targets.dtype == np.float32
    assert targets.min() >= 0 and targets.max() <= 1
    assert np.all(targets.std(0) > 0.05)  # every attribute varies
    assert images.min() < 40 and images.max() > 230


def test_a_scene_depends_on_its_number_only():
    _, images, targets = scenes.draw_batch(seed=5, start=0, count=6)
    _, tail_images, tail_targets = scenes.draw_batch(seed=5, start=4, count=2)
    np.testing.assert_array_equal(tail_images, images[4:])
    np.testing.assert_array_equal(tail_targets, targets[4:])
    scene = landscape.sample_scene(np.random.default_rng([5, 3]))
    np.testing.assert_array_equal(drawing.draw_scene(scene), images[3])
    np.testing.assert_array_equal(landscape.measure_attributes(scene), targets[3])
    assert np.any(scenes.draw_batch(seed=6, start=0, count=1).images != images[:1])
    assert np.any(images[0] != images[1])


def test_the_house_is_aligned():
    """The mean image keeps the house's edges, which shifts of a few pixels would wash out."""
    images = scenes.draw_batch(seed=1, start=0, count=200).images
    shifts = np.random.default_rng(0).integers(-8, 9, size=len(images))
    shifted = np.stack([np.roll(image, shift, axis=1) for image, shift in zip(images, shifts, strict=True)])
    mean, blurred = (stack[:, 34:54, 16:48].astype(np.float32).mean((0, 3)) for stack in (images, shifted))
    assert np.abs(np.diff(mean, axis=1)).mean() > 2 * np.abs(np.diff(blurred, axis=1)).mean()
    wall, door = mean[14:17, 4:9].mean(), mean[14:17, 15:17].mean()
    assert wall > door + 25


def test_an_empty_batch_is_refused():
    with pytest.raises(ValueError, match='count is 0'):
        scenes.draw_batch(0, 0, 0)
