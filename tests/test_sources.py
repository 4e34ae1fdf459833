"""Finding image files, and naming their results."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mgan_jax import images, sources
from tests.image_files import colours, same, save


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """Files are empty: finding looks at names only."""
    names = ['b.PNG', 'a.jpg', 'note.txt', '.hidden.png', 'x/1.png', 'x/y/1.png', 'x/y/deep.webp', 'empty/note.txt']
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def found(spec, bundled=None):
    return [(source.path.as_posix(), source.name) for source in sources.find(spec, bundled)]


def test_find_a_file(tree):
    assert found('a.jpg') == found(['a.jpg']) == found(Path('a.jpg')) == [('a.jpg', 'a')]
    assert found('note.txt') == [('note.txt', 'note')]  # reading decides


def test_find_a_folder_sorted_without_hidden_files(tree):
    assert found('.') == [('a.jpg', 'a'), ('b.PNG', 'b')]
    assert found(str(tree)) == [(f'{tree}/a.jpg', 'a'), (f'{tree}/b.PNG', 'b')]


def test_find_a_glob(tree):
    assert found('x/*') == [('x/1.png', '1')]
    assert [path for path, _ in found('**')] == ['a.jpg', 'b.PNG', 'x/1.png', 'x/y/1.png', 'x/y/deep.webp']
    assert [path for path, _ in found('**/1.png')] == ['x/1.png', 'x/y/1.png']


def test_find_keeps_the_given_order_and_drops_repetitions(tree):
    expected = [('x/y/deep.webp', 'deep'), ('a.jpg', 'a'), ('b.PNG', 'b')]
    assert found('x/y/deep.webp, ., a.jpg') == expected
    assert found(('x/y/deep.webp', '.', str(tree / 'a.jpg'))) == expected


def test_find_drops_links_to_the_same_file(tree):
    (tree / 'link.png').symlink_to(tree / 'b.PNG')
    assert found('b.PNG,link.png') == [('b.PNG', 'b')]


def test_what_exists_is_not_split_and_no_glob(tree):
    for name in ['c,d.png', 'e[1].png', 'f,g/h.png']:
        (tree / name).parent.mkdir(exist_ok=True)
        (tree / name).touch()
    assert found('c,d.png') == [('c,d.png', 'c,d')]
    assert found('e[1].png') == [('e[1].png', 'e[1]')]
    assert found('f,g') == found('f,g/*.png') == [('f,g/h.png', 'h')]
    assert found(['c,d.png', 'a.jpg']) == [('c,d.png', 'c,d'), ('a.jpg', 'a')]


def test_the_home_folder_is_expanded(tree, monkeypatch):
    monkeypatch.setenv('HOME', str(tree))
    assert found('~/x') == [(f'{tree}/x/1.png', '1')]


@pytest.mark.parametrize('spec', ['', ' , ', [], [''], None, 'bundled', ['bundled']])
def test_nothing_stands_for_the_bundled_images(tree, spec):
    assert found(spec, bundled=tree / 'x') == [(f'{tree}/x/1.png', '1')]
    with pytest.raises(ValueError, match='no images are named and none are bundled'):
        found(spec)


@pytest.mark.parametrize(
    ('spec', 'message'),
    [
        ('none.png', 'none.png does not exist: give an image file, a folder or a glob'),
        ('a.jpg,none.png', 'none.png does not exist'),
        ('empty', 'the folder empty holds no image: give files whose names end in .png, .jpg'),
        ('*.bmp', r'the glob \*.bmp matches no image'),
        ('*.txt', r'the glob \*.txt matches no image'),
    ],
)
def test_find_says_what_is_missing(tree, spec, message):
    with pytest.raises(ValueError, match=message):
        found(spec)


def names(*paths):
    return sources._names([Path(path) for path in paths])


@pytest.mark.parametrize(
    ('paths', 'expected'),
    [
        (['x/a.png', 'y/b.png'], ['a', 'b']),
        (['a.png', 'a.jpg'], ['a-png', 'a-jpg']),
        (['x/1.png', 'y/1.png'], ['x-1', 'y-1']),
        (['x/1.png', 'x/1.jpg', 'y/1.png'], ['x-1-png', 'x-1-jpg', 'y-1-png']),
        (['p/x/1.png', 'q/x/1.png', '2.png'], ['p-x-1', 'q-x-1', '2']),
        (['A.png', 'a.jpg'], ['A-png', 'a-jpg']),
        (['x/a.png', 'y/A.png'], ['x-a', 'y-A']),
        (['a.png', 'a.jpg', 'a-png.bmp'], [None, None, 'a-png']),
        (
            ['metrics.csv.png', 'Config.json.png', 'report.html.webp'],
            ['metrics.csv-png', 'Config.json-png', 'report.html-webp'],
        ),
        (['x/...png', 'y/....png'], ['x-image', 'y-image']),
        (['.a.png', 'b .png', 'c..png'], ['a', 'b', 'c']),
        (['a:b*.png', 'straße.png', '東.png'], ['a_b_', 'straße', '東']),
        (['cafe\u0301.png', 'x/caf\u00e9.png'], None),
        (['a/b/1.png', 'a-b/1.png', 'c/1.png'], None),
        (['x' * 250 + '.png', 'x' * 249 + 'y.png', '東' * 80 + '.png'], None),
        (['bad\udcff.png'], ['bad_']),
    ],
)
def test_names_are_different_and_safe(paths, expected):
    result = names(*paths)
    assert result == names(*paths)
    assert len({sources._key(name) for name in result}) == len(paths)
    for name in result:
        assert name
        assert not set(name) & set('/\\\0')
        assert not name.startswith('.')
        assert name.lower() not in sources.RESERVED
        assert len(name.encode()) < 200
    for name, wanted in zip(result, expected or [], strict=bool(expected)):
        assert wanted is None or name == wanted


PARTS = st.text(st.sampled_from('aA.-é 1'), min_size=1, max_size=3).filter(lambda part: part.strip('.'))


@given(
    st.lists(st.tuples(PARTS, PARTS, st.sampled_from(['.png', '.PNG', '.jpg'])), unique=True, min_size=1, max_size=8)
)
def test_names_are_different_whatever_the_files(parts):
    result = names(*(f'/{folder}/{stem}{suffix}' for folder, stem, suffix in parts))
    assert len({sources._key(name) for name in result}) == len(parts)
    assert all(name and '/' not in name and not name.startswith('.') for name in result)


def test_non_ascii_paths(tmp_path):
    folder = tmp_path / 'Fotos für 東京'
    folder.mkdir()
    values = colours()
    save(folder / 'Äpfel 1.png', values)
    (source,) = sources.find(str(folder))
    assert source.name == 'Äpfel 1'
    same(images.read(source.path).pixels, values)
