"""Drawn scenes: every part is visible, in its place, and consistent with the attributes."""

import numpy as np
import pytest

from mgan_jax.demo import drawing, landscape

NOON_SUMMER = landscape.sample_scene(np.random.default_rng(3))._replace(
    hour=0.5, season=0.5, shift_x=0.0, shift_y=0.0, lit=0
)


def _value(scene, name):
    return landscape.measure_attributes(scene)[landscape.ATTRIBUTES.index(name)]


def _region(scene, rows, columns):
    """Mean colour [3] in [0, 255] of a rectangle given in fractions of the side."""
    image = drawing.draw_scene(scene)
    (top, bottom), (left, right) = (np.array(span) * len(image) for span in (rows, columns))
    return image[int(top) : int(bottom), int(left) : int(right)].mean((0, 1))


def _changed(a, b):
    """[H W] bool: pixels that differ clearly between two scenes."""
    return np.abs(drawing.draw_scene(a).astype(int) - drawing.draw_scene(b)).max(-1) > 20


def test_night_is_darker_than_dusk_and_dusk_than_day():
    night, dusk, day = (NOON_SUMMER._replace(hour=hour) for hour in (0.0, 0.78, 0.5))
    assert drawing.draw_scene(night).mean() < drawing.draw_scene(dusk).mean() - 15 < drawing.draw_scene(day).mean() - 30
    assert _value(night, 'daylight') == 0 and _value(day, 'daylight') == 1
    assert _value(dusk, 'warm') > 0.5 > _value(day, 'warm')
    assert _value(night._replace(hour=0.25), 'morning') > 0.99 and _value(night._replace(hour=0.75), 'morning') < 0.01


def test_the_circle_of_hours_and_seasons_closes():
    for name in ('hour', 'season'):
        first = drawing.draw_scene(NOON_SUMMER._replace(**{name: 0.0})).astype(int)
        last = drawing.draw_scene(NOON_SUMMER._replace(**{name: 1 - 1e-9}))
        assert np.abs(first - last).max() <= 2


def test_lit_windows_shine_at_night():
    dark = NOON_SUMMER._replace(hour=0.0, tower=0, lit=0)
    lit = dark._replace(lit=1)
    changed = _changed(dark, lit)
    assert 30 < changed.sum() < 200
    assert drawing.draw_scene(lit)[changed].mean() > drawing.draw_scene(dark)[changed].mean() + 60
    assert (_value(dark, 'lit'), _value(lit, 'lit')) == (0, 1)


def test_snow_whitens_ground_and_roof_and_autumn_reddens_leaves():
    summer = NOON_SUMMER._replace(path=0, tree_left=1, conifer_left=0, size_left=1.0)
    winter, autumn = summer._replace(season=0.0), summer._replace(season=0.75)
    assert _region(winter, (0.92, 1), (0, 1)).min() > 200 > _region(summer, (0.92, 1), (0, 1)).min()
    roof = drawing.BASE - summer.wall_height - 0.7 * summer.roof_height
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


@pytest.mark.parametrize('size', [32, 96, 128])
def test_other_sizes_show_the_same_scene(size):
    image = drawing.draw_scene(NOON_SUMMER, size)
    assert image.shape == (size, size, 3) and image.dtype == np.uint8
    pooled = image.reshape(16, size // 16, 16, size // 16, 3).mean((1, 3))
    assert np.abs(pooled - drawing.draw_scene(NOON_SUMMER, 16)).mean() < 8


def test_a_size_too_small_to_draw_is_refused():
    with pytest.raises(ValueError, match='size is 4 pixels'):
        drawing.draw_scene(NOON_SUMMER, 4)


# Segmentations


# Changes of a scene that affect only one part, at noon in summer without a tower: {part: (fields before, after)}.
OWN = {
    'walls': ({'wall_r': 0.4, 'wall_g': 0.4, 'wall_b': 0.4}, {'wall_r': 0.9, 'wall_g': 0.9, 'wall_b': 0.9}),
    'trees': ({'tree_left': 0, 'tree_right': 0}, {'tree_left': 1, 'tree_right': 1}),
    'path': ({'path': 0}, {'path': 1}),
    'chimney': ({'chimney': 0}, {'chimney': 1}),
    'clouds': ({'clouds': 0}, {'clouds': 2}),
    'tower': ({'tower': 0}, {'tower': 1, 'tower_height': 0.2}),
}


@pytest.mark.parametrize('part', OWN)
def test_the_pixels_of_a_part_are_those_that_it_changes(part):
    plain = NOON_SUMMER._replace(tower=0, tree_left=0, tree_right=0)
    without, with_it = (plain._replace(**fields) for fields in OWN[part])
    labels = drawing.segment_scene(with_it)
    own = labels == drawing.PARTS.index(part)
    if part == 'tower':  # its window, too
        own |= (labels == drawing.PARTS.index('windows')) & (drawing.segment_scene(without) != labels)
    changed = np.abs(drawing.draw_scene(without).astype(int) - drawing.draw_scene(with_it)).max(-1) > 0
    assert own.sum() >= 15
    assert changed[own].mean() > 0.95  # all but what has nearly the colour of what is behind it
    assert (changed & ~own).sum() < 0.5 * own.sum() + 40  # pixels at the edges, which a smaller part of it covers


@pytest.mark.parametrize('seed', range(4))
def test_parts_are_there_when_the_scene_has_them(seed):
    scene = landscape.sample_scene(np.random.default_rng(seed))
    found = {drawing.PARTS[number] for number in np.unique(drawing.segment_scene(scene))}
    assert {'sky', 'hills', 'ground', 'walls', 'windows', 'door', 'roof'} <= found
    assert ('tower' in found) == bool(scene.tower)
    assert ('path' in found) == bool(scene.path)
    assert ('trees' in found) == bool(scene.tree_left or scene.tree_right)


def test_a_segmentation_knows_neither_light_nor_season_and_has_no_mixtures():
    labels = drawing.segment_scene(NOON_SUMMER)
    assert labels.dtype == np.uint8 and labels.shape == (64, 64)
    night = drawing.segment_scene(NOON_SUMMER._replace(hour=0.02, season=0.0, lit=1))
    discs = [at == drawing.PARTS.index('sun or moon') for at in (labels, night)]
    assert discs[0].sum() > 20 and (discs[0] != discs[1]).any()
    here = ~(discs[0] | discs[1])  # the sun is where the moon is not
    assert set(np.unique(labels[here] - night[here])) == {0}
    assert set(np.unique(labels)) == set(np.unique(night)) <= set(range(len(drawing.PARTS)))


def test_a_segmentation_too_small_is_refused():
    with pytest.raises(ValueError, match='size is 7 pixels'):
        drawing.segment_scene(NOON_SUMMER, size=7)
