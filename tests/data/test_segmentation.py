"""Reading of label images and of the names of their classes."""

import numpy as np
import pytest
from PIL import Image

from mgan_jax.data import segmentation
from mgan_jax.demo import drawing, landscape, scenes

LABELS = np.array([[0, 0, 1, 1], [0, 2, 2, 1]], np.uint8)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / 'classes.txt').write_text('sky\nroof \nan old tree\n\n', encoding='utf-8')
    Image.fromarray(LABELS).save(tmp_path / 'a.png')
    picture = Image.fromarray(LABELS)
    picture.putpalette([9, 200, 30, 7, 5, 0, 80, 80, 80])
    picture.save(tmp_path / 'b.png')
    return tmp_path


def test_labels_are_read_for_the_named_images(folder):
    segmented = segmentation.read_segmentation(folder, ['b', 'a'], (2, 4))
    assert segmented.classes == ('sky', 'roof', 'an old tree')
    np.testing.assert_array_equal(segmented.labels, [LABELS, LABELS])


def test_labels_are_cropped_like_images_and_resized_to_the_nearest_pixel(folder):
    np.testing.assert_array_equal(segmentation.read_segmentation(folder, ['a'], (2, 2)).labels[0], LABELS[:, 1:3])
    twice = segmentation.read_segmentation(folder, ['a'], (4, 8)).labels[0]
    np.testing.assert_array_equal(twice, LABELS.repeat(2, axis=0).repeat(2, axis=1))


def test_segmentations_of_the_demo(tmp_path):
    scenes.write_scenes(tmp_path, seed=2, start=5, count=2)
    segmented = segmentation.read_segmentation(tmp_path / 'parts', ['0005', '0006'], (64, 64))
    assert segmented.classes == drawing.PARTS
    for number in (5, 6):
        scene = landscape.sample_latents(np.random.default_rng([2, number]))
        np.testing.assert_array_equal(segmented.labels[number - 5], drawing.segment_scene(scene))
        with Image.open(tmp_path / 'images' / f'000{number}.png') as image:
            np.testing.assert_array_equal(image, drawing.draw_scene(scene))


@pytest.mark.parametrize(
    ('file', 'content', 'words'),
    [
        ('classes.txt', b'', 'has 0 lines; 1 to 256 names of classes are wanted'),
        ('classes.txt', b'sky\n\nroof\n', 'none of them empty'),
        ('classes.txt', b'\xff\xfe', 'is no UTF-8 text'),
        ('classes.txt', b'sky\nroof\n', 'has the value 2; classes.txt beside it names the classes 0 to 1'),
        ('classes.txt', None, 'classes.txt cannot be opened'),
        ('a.png', None, 'a.png cannot be opened'),
        ('a.png', b'\x89PNG\r\n', 'a.png is no PNG image'),
        ('a.png', Image.new('RGB', (4, 2)), 'has the mode RGB; a grey image of 8 bits'),
    ],
)
def test_unusable_files_are_refused(folder, file, content, words):
    (folder / file).unlink()
    if isinstance(content, bytes):
        (folder / file).write_bytes(content)
    elif content is not None:
        content.save(folder / file)
    with pytest.raises(ValueError, match=words):
        segmentation.read_segmentation(folder, ['a'], (2, 4))
