"""The drawn scenes: reproducible by number, aligned, and truthful about their attributes."""

import numpy as np
import pytest

from mgan_jax.demo import scenes

NOON_SUMMER = scenes.sample(np.random.default_rng(3))._replace(hour=0.5, season=0.5, shift_x=0.0, shift_y=0.0, lit=0)


def _value(scene, name):
    return scenes.attributes(scene)[scenes.ATTRIBUTES.index(name)]


def _region(scene, rows, columns):
    """Mean colour [3] in [0, 255] of a rectangle given in fractions of the side."""
    image = scenes.draw(scene)
    (top, bottom), (left, right) = (np.array(span) * len(image) for span in (rows, columns))
    return image[int(top) : int(bottom), int(left) : int(right)].mean((0, 1))


def _changed(a, b):
    """[H W] bool: pixels that differ clearly between two scenes."""
    return np.abs(scenes.draw(a).astype(int) - scenes.draw(b)).max(-1) > 20


def test_batch_shapes_and_ranges():
    _, images, targets = scenes.batch(seed=0, start=0, count=100)
    assert images.shape == (100, 64, 64, 3) and images.dtype == np.uint8
    assert targets.shape == (100, len(scenes.ATTRIBUTES)) and targets.dtype == np.float32
    assert targets.min() >= 0 and targets.max() <= 1
    assert np.all(targets.std(0) > 0.05)  # every attribute varies
    assert images.min() < 40 and images.max() > 230


def test_a_scene_depends_on_its_number_only():
    _, images, targets = scenes.batch(seed=5, start=0, count=6)
    _, tail_images, tail_targets = scenes.batch(seed=5, start=4, count=2)
    np.testing.assert_array_equal(tail_images, images[4:])
    np.testing.assert_array_equal(tail_targets, targets[4:])
    scene = scenes.sample(np.random.default_rng([5, 3]))
    np.testing.assert_array_equal(scenes.draw(scene), images[3])
    np.testing.assert_array_equal(scenes.attributes(scene), targets[3])
    assert np.any(scenes.batch(seed=6, start=0, count=1).images != images[:1])
    assert np.any(images[0] != images[1])


def test_samples_stay_in_their_documented_ranges():
    for i in range(300):
        scene = scenes.sample(np.random.default_rng(i))
        for name, (low, high) in scenes.RANGES.items():
            assert low <= getattr(scene, name) <= high, name
        assert all(getattr(scene, name) in (0, 1) for name in (*scenes.CHANCES, 'lit'))
        assert all(0 <= getattr(scene, name) <= 1 for name in scenes.PAINTS)
        assert 0 <= scene.hour < 1 and 0 <= scene.season < 1


def test_attribute_names_are_unique():
    assert len(set(scenes.ATTRIBUTES)) == len(scenes.ATTRIBUTES)


def test_night_is_darker_than_dusk_and_dusk_than_day():
    night, dusk, day = (NOON_SUMMER._replace(hour=hour) for hour in (0.0, 0.78, 0.5))
    assert scenes.draw(night).mean() < scenes.draw(dusk).mean() - 15 < scenes.draw(day).mean() - 30
    assert _value(night, 'daylight') == 0 and _value(day, 'daylight') == 1
    assert _value(dusk, 'warm') > 0.5 > _value(day, 'warm')
    assert _value(night._replace(hour=0.25), 'morning') > 0.99 and _value(night._replace(hour=0.75), 'morning') < 0.01


def test_the_circle_of_hours_and_seasons_closes():
    for name in ('hour', 'season'):
        first = scenes.draw(NOON_SUMMER._replace(**{name: 0.0})).astype(int)
        last = scenes.draw(NOON_SUMMER._replace(**{name: 1 - 1e-9}))
        assert np.abs(first - last).max() <= 2


def test_lit_windows_shine_at_night():
    dark = NOON_SUMMER._replace(hour=0.0, tower=0, lit=0)
    lit = dark._replace(lit=1)
    changed = _changed(dark, lit)
    assert 30 < changed.sum() < 200
    assert scenes.draw(lit)[changed].mean() > scenes.draw(dark)[changed].mean() + 60
    assert (_value(dark, 'lit'), _value(lit, 'lit')) == (0, 1)


def test_snow_whitens_ground_and_roof_and_autumn_reddens_leaves():
    summer = NOON_SUMMER._replace(path=0, tree_left=1, conifer_left=0, size_left=1.0)
    winter, autumn = summer._replace(season=0.0), summer._replace(season=0.75)
    assert _region(winter, (0.92, 1), (0, 1)).min() > 200 > _region(summer, (0.92, 1), (0, 1)).min()
    roof = scenes.BASE - summer.wall_height - 0.7 * summer.roof_height
    spans = (roof - 0.02, roof + 0.02), (0.46, 0.54)
    assert _region(winter, *spans).min() > _region(summer, *spans).min() + 40
    red, green, _ = _region(autumn, (0.55, 0.70), (0.08, 0.17))
    assert red > green + 40
    assert (_value(winter, 'snow'), _value(summer, 'snow')) == (1, 0)
    assert _value(autumn, 'autumn') > 0.99


def test_a_tower_changes_the_right_of_the_house_only():
    without = NOON_SUMMER._replace(tower=0, tree_right=0)
    low, high = (without._replace(tower=1, tower_height=height) for height in (0.04, 0.24))
    changed = _changed(without, high)
    assert changed[:, 40:].sum() > 200 and not changed[:, :32].any()
    tops = [np.flatnonzero(_changed(without, scene).any(1))[0] for scene in (low, high)]
    assert 11 <= tops[0] - tops[1] <= 15  # 0.20 of 64 pixels
    assert [_value(scene, 'tower_height') for scene in (without, low, high)] == [0, 0, 1]


@pytest.mark.parametrize('name', ['tree_left', 'tree_right', 'chimney', 'path'])
def test_each_part_is_visible(name):
    scene = NOON_SUMMER._replace(tower=0)
    changed = _changed(scene._replace(**{name: 0}), scene._replace(**{name: 1}))
    assert 20 < changed.sum() < 900
    columns = np.flatnonzero(changed.any(0))
    if name == 'tree_left':
        assert columns.max() < 20
    if name == 'tree_right':
        assert columns.min() > 44


def test_wall_paint_is_the_wall_colour_at_noon():
    scene = NOON_SUMMER._replace(wall_r=0.9, wall_g=0.3, wall_b=0.5)
    colour = _region(scene, (0.79, 0.81), (0.32, 0.40))
    np.testing.assert_allclose(colour / 255, (0.9, 0.3, 0.5), atol=0.01)
    assert _value(scene, 'wall_g') == np.float32(0.3)


def test_the_house_is_aligned():
    """The mean image keeps the house's edges, which shifts of a few pixels would wash out."""
    images = scenes.batch(seed=1, start=0, count=200).images
    shifts = np.random.default_rng(0).integers(-8, 9, size=len(images))
    shifted = np.stack([np.roll(image, shift, axis=1) for image, shift in zip(images, shifts, strict=True)])
    mean, blurred = (stack[:, 34:54, 16:48].astype(np.float32).mean((0, 3)) for stack in (images, shifted))
    assert np.abs(np.diff(mean, axis=1)).mean() > 2 * np.abs(np.diff(blurred, axis=1)).mean()
    wall, door = mean[14:17, 4:9].mean(), mean[14:17, 15:17].mean()
    assert wall > door + 25


@pytest.mark.parametrize('size', [32, 96, 128])
def test_other_sizes_show_the_same_scene(size):
    image = scenes.draw(NOON_SUMMER, size)
    assert image.shape == (size, size, 3) and image.dtype == np.uint8
    pooled = image.reshape(16, size // 16, 16, size // 16, 3).mean((1, 3))
    assert np.abs(pooled - scenes.draw(NOON_SUMMER, 16)).mean() < 8


def test_errors_name_the_argument():
    with pytest.raises(ValueError, match='size is 4 pixels'):
        scenes.draw(NOON_SUMMER, 4)
    with pytest.raises(ValueError, match='count is 0'):
        scenes.batch(0, 0, 0)
