"""NIQE against a NumPy implementation in double precision, and its order of clean, blurred and noisy images."""

import functools
import io

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.ndimage import correlate1d, gaussian_filter
from scipy.special import gamma

from mgan_jax.metrics import niqe

pytestmark = pytest.mark.usefixtures('quick_compilation')
PATCH = 16


def photo(seed, size=(64, 64), channels=3):
    """Shapes with sharp edges over gentle slopes, and a little grain; as in an 8-bit file."""
    rng = np.random.default_rng(seed)
    image = gaussian_filter(rng.standard_normal((*size, channels)), (12, 12, 0)) * 12
    for _ in range(60):
        (top, left), (height, width) = rng.integers(0, size), rng.integers(2, 18, 2)
        image[top : top + height, left : left + width] += rng.normal(0, 0.4, channels)
    image = gaussian_filter(image, (0.5, 0.5, 0)) + rng.normal(0, 0.01, image.shape)
    return (np.rint((np.clip(image, -1, 1) + 1) * 127.5) / 127.5 - 1).astype(np.float32)


@pytest.fixture(scope='module')
def model(quick_compilation):
    return niqe.fit_niqe_model((photo(seed) for seed in range(60)), PATCH, 'shapes')


@functools.lru_cache
def compiled():
    return jax.jit(niqe.describe_patches, static_argnums=1)


@pytest.fixture(scope='module')
def score(model):
    """Of up to 12 images of 64x64 pixels, so that there is one program for all."""
    score = jax.jit(functools.partial(niqe.niqe_score, model=model))

    def padded(images):
        rest = np.repeat(images[:1], 12 - len(images), axis=0)
        return np.asarray(score(np.concatenate([images, rest]).astype(np.float32)))[: len(images)]

    return padded


def expected_features(image, patch):
    """One image [H W 3], patch by patch, in the order of the original: [P 36]."""
    luminance = np.rint((image.astype(np.float64) + 1) * 127.5) @ [299, 587, 114]
    luminance = np.floor((luminance + 500) / 1000)
    height, width = (length // patch * patch for length in luminance.shape)
    levels = [luminance[:height, :width]]
    levels.append(halving(height) @ levels[0] @ halving(width).T)
    columns = []
    for level, size in zip(levels, (patch, patch // 2), strict=True):
        normal = normalised(level)
        blocks = [
            normal[i : i + size, j : j + size]
            for i in range(0, level.shape[0], size)
            for j in range(0, level.shape[1], size)
        ]
        columns.append([describe(block) for block in blocks])
    return np.concatenate(columns, axis=1)


def halving(length):
    """Cubic convolution with a = -1/2, stretched to twice its width: [length / 2, length]."""
    matrix = np.zeros((length // 2, length))
    for i in range(length // 2):
        t = np.abs((np.arange(length) + 0.5) / 2 - (i + 0.5))
        near, far = 1.5 * t**3 - 2.5 * t**2 + 1, -0.5 * t**3 + 2.5 * t**2 - 4 * t + 2
        matrix[i] = np.where(t <= 1, near, np.where(t < 2, far, 0))
    return matrix / matrix.sum(axis=1, keepdims=True)


def normalised(level):
    window = np.exp(-0.5 * (np.arange(-3, 4) / (7 / 6)) ** 2)
    window /= window.sum()
    mean, square = (
        correlate1d(correlate1d(x, window, 0, mode='nearest'), window, 1, mode='nearest') for x in (level, level**2)
    )
    return (level - mean) / (np.sqrt(np.abs(square - mean**2)) + 1)


def describe(block):
    shape, left, right, _ = asymmetric_gaussian(block.ravel())
    values = [shape, (left + right) / 2]
    for shift in ((0, 1), (1, 0), (1, 1), (-1, 1)):
        shape, left, right, mean = asymmetric_gaussian((block * np.roll(block, shift, (0, 1))).ravel())
        values += [shape, mean, left, right]
    return values


def asymmetric_gaussian(x):
    """By trying all shapes from 0.2 to 10 in steps of 0.001."""
    left, right = np.sqrt(np.mean(x[x < 0] ** 2)), np.sqrt(np.mean(x[x > 0] ** 2))
    g = left / right
    wanted = np.mean(np.abs(x)) ** 2 / np.mean(x**2) * (g**3 + 1) * (g + 1) / (g**2 + 1) ** 2
    shapes = np.arange(0.2, 10, 0.001)
    ratios = gamma(2 / shapes) ** 2 / (gamma(1 / shapes) * gamma(3 / shapes))
    shape = shapes[np.argmin((ratios - wanted) ** 2)]
    left, right = (side * np.sqrt(gamma(1 / shape) / gamma(3 / shape)) for side in (left, right))
    return shape, left, right, (right - left) * gamma(2 / shape) / gamma(1 / shape)


@pytest.mark.slow
@pytest.mark.parametrize('patch, size', [(16, (64, 64)), (32, (70, 101))])
def test_features_of_every_patch(patch, size):
    images = np.stack([photo(seed, size) for seed in (100, 101)])
    found, sharpness = compiled()(images, patch)
    count = (size[0] // patch) * (size[1] // patch)
    assert found.shape == (2, count, 36) and sharpness.shape == (2, count)
    for image, rows in zip(images, found, strict=True):
        np.testing.assert_allclose(rows, expected_features(image, patch), rtol=2e-3, atol=2e-3)


@pytest.mark.slow
def test_score_by_its_definition(model, score):
    image = photo(200)
    rows = expected_features(image, PATCH)
    difference = rows.mean(axis=0) - model.mean
    covariance = (np.cov(rows, rowvar=False) + model.covariance) / 2
    expected = np.sqrt(difference @ np.linalg.pinv(covariance) @ difference)
    np.testing.assert_allclose(score(image[None])[0], expected, rtol=5e-3)


@pytest.mark.slow
def test_blur_and_noise_are_less_natural(score):
    """On average over images that the model has not seen, the more the worse, and the pristine ones are the best."""
    clean = np.stack([photo(seed) for seed in range(300, 312)])
    noise = np.random.default_rng(0).standard_normal(clean.shape).astype(np.float32)

    def mean(images):
        return float(np.mean(score(images)))

    blurred = [mean(gaussian_filter(clean, (0, sigma, sigma, 0))) for sigma in (1, 2)]
    noisy = [mean(np.clip(clean + sigma * noise, -1, 1)) for sigma in (0.05, 0.2)]
    pristine = mean(clean)
    assert pristine < blurred[0] < blurred[1]
    assert pristine < noisy[0] < noisy[1]
    assert mean(np.stack([photo(seed) for seed in range(12)])) < min(blurred[0], noisy[0])


@pytest.mark.slow
def test_model_of_the_sharp_patches():
    """A half of each image is flat, and does not count."""
    images = [photo(seed) for seed in range(40)]
    for image in images:
        image[:, 32:] = gaussian_filter(image[:, 32:], (8, 8, 0))
    made = niqe.fit_niqe_model(images, PATCH)
    rows, sharpness = compiled()(np.stack(images), PATCH)
    sharp = np.asarray(sharpness > 0.75 * sharpness.max(axis=1, keepdims=True))
    assert sharp[:, 3::4].sum() == 0  # the column at the right
    np.testing.assert_allclose(made.mean, np.mean(rows[sharp], axis=0), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(made.covariance, np.cov(rows[sharp], rowvar=False), rtol=1e-3, atol=1e-5)


def test_one_number_per_image(score):
    images = np.stack([photo(seed) for seed in range(3)])
    together = score(images)
    assert len(set(together)) == 3
    for image, value in zip(images, together, strict=True):
        np.testing.assert_allclose(score(image[None])[0], value, rtol=1e-4)


@pytest.mark.slow
def test_grey_images_are_those_of_equal_channels():
    grey = photo(0)[None, :32, :32, :1]
    np.testing.assert_array_equal(*(compiled()(x, PATCH)[0] for x in (grey, grey.repeat(3, axis=-1))))


def test_flat_patches_do_not_count(score):
    image = photo(400)
    image[16:32] = 0.25
    rows = np.asarray(compiled()(image[None], PATCH)[0][0])
    flat = ~np.isfinite(rows).all(axis=1)
    assert 0 < flat.sum() <= 4 and np.isfinite(score(image[None])[0])
    assert np.isnan(score(np.full((1, 64, 64, 3), 0.3))[0])


def test_a_single_patch(model):
    image = photo(500)[:PATCH, :PATCH]
    difference = expected_features(image, PATCH)[0] - model.mean
    expected = np.sqrt(difference @ np.linalg.inv(model.covariance / 2) @ difference)
    found = jax.jit(functools.partial(niqe.niqe_score, model=model))(image[None])
    np.testing.assert_allclose(found[0], expected, rtol=5e-3)


def test_model_file(model):
    found = niqe.unpack_niqe_model(niqe.pack_niqe_model(model), 'model.npz')
    assert found.patch_size == PATCH and found.source == 'shapes'
    np.testing.assert_array_equal(found.mean, model.mean)
    np.testing.assert_array_equal(found.covariance, model.covariance)


@pytest.mark.parametrize('size, patch', [((15, 64), 16), ((64, 15), 16), ((64, 64), 15), ((64, 64), 0)])
def test_patches_that_do_not_fit(size, patch):
    message = f'^patches of {patch} pixels a side are asked for, of images of {size[0]}x{size[1]}; an even number'
    with pytest.raises(ValueError, match=message):
        niqe.describe_patches(jnp.zeros((1, *size, 3)), patch)


def test_too_few_patches():
    with pytest.raises(ValueError, match='^the images have [0-9]+ sharp patches of 16 .*; more than 36 are wanted'):
        niqe.fit_niqe_model([photo(0), photo(1)], PATCH)


def test_images_without_variety():
    with pytest.raises(ValueError, match='covariance that cannot be inverted; fit the model to more'):
        niqe.fit_niqe_model([photo(0)] * 30, PATCH)


@pytest.mark.parametrize(
    'change, message',
    [
        ({'mean': np.zeros(35)}, r'has mean \[35\] and covariance \[36, 36\]; mean \[36\] and'),
        ({'covariance': np.zeros((36, 36))}, 'has a covariance that cannot be inverted'),
        ({'covariance': np.full((36, 36), np.nan)}, 'has a covariance that cannot be inverted'),
        ({'patch_size': np.array(['a', 'b'])}, 'is no NIQE model; an .npz of mean'),
        ({'source': None}, 'is no NIQE model; an .npz of mean'),
        ({'mean': np.array([{}])}, 'is no NIQE model; an .npz of mean'),
    ],
)
def test_damaged_models(model, change, message):
    arrays = {name: value for name, value in (model._asdict() | change).items() if value is not None}
    content = io.BytesIO()
    np.savez(content, **arrays)
    with pytest.raises(ValueError, match=f'model.npz {message}'):
        niqe.unpack_niqe_model(content.getvalue(), 'model.npz')


@pytest.mark.parametrize('content', [b'', b'no archive', b'PK\x03\x04 no archive either'])
def test_content_that_is_no_model(content):
    with pytest.raises(ValueError, match='^model.npz is no NIQE model; an .npz of mean'):
        niqe.unpack_niqe_model(content, 'model.npz')
