"""Moves, morphs and mixes of codes against NumPy formulas and against plain generation."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mgan_jax import composition, editing
from mgan_jax.composition import Codes
from mgan_jax.editing import moves
from mgan_jax.models import stylegan2
from tests import toy

pytestmark = pytest.mark.usefixtures('quick_compilation')
LAYER = 2
STYLED = {'resolution': 16, 'latent_dim': 4, 'style_dim': 5, 'fmaps_base': 64, 'fmaps_max': 6, 'mapping_layers': 1}


def draw(seed, *shape):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def unit(seed, size=8):
    return draw(seed, size) / np.linalg.norm(draw(seed, size))


def test_the_package_has_the_pure_functions():
    assert all(getattr(editing, name) is getattr(moves, name) for name in editing.__all__)


@pytest.fixture(scope='module')
def toy_codes():
    """(generator, params, codes [2 3 8], compiled render(codes)) of a small PGGAN."""
    generator, params = toy.generator()
    codes = Codes(draw(0, 2, 3, 8) * np.array([0.2, 1, 5], np.float32)[:, None], draw(1, 2, 3, 16))
    return generator, params, codes, jax.jit(lambda codes: composition.compose(generator, params, codes, layer=LAYER))


@pytest.fixture(scope='module')
def styled_generator():
    network = stylegan2.build_stylegan2(**STYLED)
    return network, toy.draw_weights(network.init)


def test_conditioning_is_orthogonal_to_all_other_boundaries():
    normal, others = unit(0), np.stack([unit(1), unit(2), unit(1) + 0.1 * unit(3)])
    conditioned = moves.condition_boundary(normal, others)
    projection = np.eye(8) - others.T @ np.linalg.inv(others @ others.T) @ others
    expected = projection @ normal
    np.testing.assert_allclose(conditioned, expected / np.linalg.norm(expected), atol=1e-5)
    np.testing.assert_allclose(others @ conditioned, 0, atol=1e-6)
    one_by_one = normal
    for other in others:
        one_by_one = one_by_one - (one_by_one @ other) * other / (other @ other)
    assert np.abs(others @ one_by_one).max() > 0.01  # one by one does not give that


def test_conditioning_on_nothing_and_on_the_same_boundary():
    np.testing.assert_allclose(moves.condition_boundary(3 * unit(0), []), unit(0), atol=1e-6)
    with pytest.raises(ValueError, match='nothing is left of a boundary'):
        moves.condition_boundary(unit(0), [unit(1), unit(0) - 2 * unit(1)])


def test_codes_in_z_move_in_units_of_their_root_mean_square(toy_codes):
    _, _, codes, _ = toy_codes
    moved = moves.move_codes(codes, unit(5), 1.5)
    z = np.asarray(codes.latents)
    expected = z + 1.5 * np.sqrt(np.square(z).mean(-1, keepdims=True)) * unit(5)
    np.testing.assert_allclose(moved.latents, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(moved.alpha, codes.alpha)


def test_codes_of_other_lengths_give_the_same_edited_image(toy_codes):
    _, _, codes, render = toy_codes
    scaled = codes._replace(latents=codes.latents * np.array([7.0, 0.3, 2.0], np.float32)[None, :, None])
    expected = render(moves.move_codes(codes, unit(5), 1.5))
    np.testing.assert_allclose(render(moves.move_codes(scaled, unit(5), 1.5)), expected, atol=1e-4)
    assert np.abs(np.asarray(expected) - render(codes)).max() > 0.01
    np.testing.assert_array_equal(moves.move_codes(codes, unit(5), 0.0).latents, codes.latents)


def test_several_strengths_at_once(toy_codes):
    generator, params, codes, render = toy_codes
    strengths = np.array([-2.0, 0.0, 1.0], np.float32)
    several = moves.move_codes(codes, unit(5), strengths)
    assert several.latents.shape == (3, 2, 3, 8) and several.alpha.shape == (3, 2, 3, 16)
    images = moves.render_edits(generator, params, codes, unit(5), strengths, layer=LAYER)
    for place, strength in enumerate(strengths):
        one = moves.move_codes(codes, unit(5), strength)
        np.testing.assert_allclose(several.latents[place], one.latents, rtol=1e-6)
        np.testing.assert_allclose(images[place], render(one), atol=1e-5)


def test_only_styles_of_the_chosen_layers_move():
    codes = Codes(draw(0, 2, 3, 4, 5), draw(1, 2, 3, 6), draw(2, 2, 3, 5))  # layers 1 to 4, and 5 to 7
    moved = moves.move_codes(codes, unit(5, 5), 2.0, space='w+', layers=(3, 5))
    change = np.concatenate([np.asarray(moved.latents - codes.latents)[:, 0], np.asarray(moved.tail - codes.tail)], 1)
    where = np.array([0, 0, 1, 1, 1, 0, 0])[None, :, None]
    np.testing.assert_allclose(change, np.broadcast_to(2 * where * unit(5, 5), change.shape), atol=1e-6)
    everywhere = moves.move_codes(codes, unit(5, 5), 2.0, space='w+')
    np.testing.assert_allclose(
        everywhere.latents - codes.latents, np.broadcast_to(2 * unit(5, 5), (2, 3, 4, 5)), atol=1e-6
    )


def test_the_tail_moves_in_w_and_not_in_z():
    codes = Codes(draw(0, 2, 3, 5), draw(1, 2, 3, 6), draw(2, 2, 4, 5))
    moved = moves.move_codes(codes, unit(5, 5), -1.0, space='w')
    for before, after in ((codes.latents, moved.latents), (codes.tail, moved.tail)):
        np.testing.assert_allclose(after - before, np.broadcast_to(-unit(5, 5), before.shape), atol=1e-6)
    np.testing.assert_array_equal(moves.move_codes(codes, unit(5, 5), 1.0).tail, codes.tail)


@pytest.mark.parametrize(
    'normal, options, message',
    [
        (unit(0, 7), {}, r'a boundary of shape \[7\] is given for codes of 8 numbers'),
        (unit(0)[None], {}, r'shape \[1, 8\]'),
        (unit(0), {'layers': (1, 2)}, r"the layers \(1, 2\) are to be moved in the space 'z'"),
        (unit(0), {'space': 'w+', 'layers': (3, 2)}, r'a range such as \(1, 4\)'),
    ],
)
def test_move_refuses_a_normal_or_layers_that_do_not_fit(toy_codes, normal, options, message):
    with pytest.raises(ValueError, match=message):
        moves.move_codes(toy_codes[2], normal, 1.0, **options)


def test_matching_restores_a_shuffled_order(toy_codes):
    codes = toy_codes[2]
    order = [[2, 0, 1], [1, 0, 2]]
    shuffled = Codes(*(np.stack([row[o] for row, o in zip(leaf, order, strict=True)]) for leaf in codes[:2]))
    back = moves.match_codes(codes, shuffled)
    np.testing.assert_array_equal(back.latents, codes.latents)
    np.testing.assert_array_equal(back.alpha, codes.alpha)


def test_matching_has_the_least_distance_of_all_orders():
    first, second = Codes(draw(0, 1, 5, 8), draw(1, 1, 5, 2)), Codes(3 * draw(2, 1, 5, 8), draw(3, 1, 5, 2))

    def total_distance(codes):
        a, b = (x.latents[0] / np.linalg.norm(x.latents[0], axis=-1, keepdims=True) for x in (first, codes))
        return np.square(a - b).sum()

    distances = [
        total_distance(second._replace(latents=second.latents[:, list(order)]))
        for order in itertools.permutations(range(5))
    ]
    assert total_distance(moves.match_codes(first, second)) == pytest.approx(min(distances))
    assert min(distances) < total_distance(second)


def test_a_morph_turns_by_equal_angles_between_its_ends(toy_codes):
    first, second = toy_codes[2], Codes(draw(7, 2, 3, 8), draw(8, 2, 3, 16))
    morph = moves.morph_codes(first, second, np.linspace(0, 1, 5, dtype=np.float32))
    assert morph.latents.shape == (5, 2, 3, 8)
    for place, end in ((0, first), (-1, second)):
        np.testing.assert_allclose(morph.latents[place], end.latents, rtol=1e-4, atol=1e-5)
        np.testing.assert_array_equal(morph.alpha[place], end.alpha)
    lengths = np.linalg.norm(morph.latents, axis=-1)
    np.testing.assert_allclose(lengths[2], (lengths[0] + lengths[-1]) / 2, rtol=1e-5)
    directions = np.asarray(morph.latents) / lengths[..., None]
    angles = np.arccos(np.clip((directions[1:] * directions[:-1]).sum(-1), -1, 1))
    np.testing.assert_allclose(angles, np.broadcast_to(angles.mean(0), angles.shape), rtol=1e-3)
    np.testing.assert_allclose(morph.alpha[1], 0.75 * first.alpha + 0.25 * second.alpha, rtol=1e-5)


def test_a_morph_between_equal_or_opposite_codes_is_finite(toy_codes):
    codes = toy_codes[2]
    half = moves.morph_codes(codes, codes, 0.5)
    np.testing.assert_allclose(half.latents, codes.latents, rtol=1e-5)
    assert np.isfinite(moves.morph_codes(codes, codes._replace(latents=-codes.latents), 0.5).latents).all()


def test_a_morph_in_w_is_linear_and_refuses_other_shapes():
    first, second = (Codes(draw(s, 1, 2, 5), draw(s, 1, 2, 3), draw(s, 1, 4, 5)) for s in (1, 2))
    half = moves.morph_codes(first, second, 0.5, space='w')
    for found, a, b in zip(half[:3], first[:3], second[:3], strict=True):
        np.testing.assert_allclose(found, (a + b) / 2, atol=1e-6)
    with pytest.raises(ValueError, match='the inversions are of different kinds'):
        moves.morph_codes(first, second._replace(tail=None), 0.5, space='w')
    with pytest.raises(ValueError, match='the inversions are of different kinds'):
        moves.match_codes(first, second._replace(latents=second.latents[:, :1]))


@pytest.mark.slow
@pytest.mark.parametrize('layer', [1, 3, 4])
def test_a_mix_of_single_codes_is_generation_from_mixed_styles(styled_generator, layer):
    """With one code of importance 1, inversion is generation; the composing layer is 3."""
    network, params = styled_generator
    rows = network.num_layers + 1
    styles = [draw(seed, 1, rows, 5) for seed in (1, 2)]
    template = composition.init(
        jax.random.key(0), network, params, batch=1, num_codes=1, layer=3, space='w+', alpha=1.0
    )
    both = [template._replace(latents=jnp.asarray(s[:, None, :3]), tail=jnp.asarray(s[:, 3:])) for s in styles]
    mixed = moves.mix_styles(*both, layer, composing_layer=3)
    found = composition.compose(network, params, mixed, layer=3, space='w+')
    wanted = np.where(np.arange(1, rows + 1)[None, :, None] <= layer, *styles)
    np.testing.assert_allclose(found, network.generate(params, jnp.asarray(wanted), space='w+'), rtol=1e-4, atol=1e-5)


def test_a_mix_takes_importances_and_noise_with_their_layers():
    first, second = (
        Codes(np.full((1, 2, 3, 5), s), np.full((1, 2, 4), s), np.full((1, 4, 5), s), tuple(np.full((1, 2, 2), s) for _ in range(6)))
        for s in (1.0, 2.0)
    )  # fmt: skip
    early, late = (
        moves.mix_styles(first, second, 2, composing_layer=3),
        moves.mix_styles(first, second, 5, composing_layer=3),
    )
    assert (early.alpha == 2).all() and (late.alpha == 1).all()
    assert [float(image.mean()) for image in late.noise] == [1, 1, 1, 1, 1, 2]
    assert np.asarray(late.tail)[0, :, 0].tolist() == [1, 1, 2, 2]
    assert np.asarray(early.latents)[0, 0, :, 0].tolist() == [1, 1, 2]


def test_mixing_refuses_codes_without_a_tail_and_layers_out_of_range(toy_codes):
    with pytest.raises(ValueError, match='no styles of their own after the composing layer'):
        moves.mix_styles(toy_codes[2], toy_codes[2], 2, composing_layer=LAYER)
    codes = Codes(draw(0, 1, 2, 5), draw(1, 1, 2, 4), draw(2, 1, 4, 5))
    for layer in (2, 7):
        with pytest.raises(ValueError, match=f'mixed after layer {layer}; 3 to 6 are possible'):
            moves.mix_styles(codes, codes, layer, composing_layer=3)
