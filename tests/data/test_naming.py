"""Names of result folders: unique, valid in any file system, and no longer than needed."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mgan_jax.data import naming


def name_all(*paths):
    return naming.name_results([os.path.abspath(path) for path in paths])


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
def test_names_are_unique_and_valid(paths, expected):
    result = name_all(*paths)
    assert result == name_all(*paths)
    assert len({naming._comparison_key(name) for name in result}) == len(paths)
    for name in result:
        assert name
        assert not set(name) & set('/\\\0')
        assert not name.startswith('.')
        assert name.lower() not in naming.RESERVED
        assert len(name.encode()) < 200
    for name, wanted in zip(result, expected or [], strict=bool(expected)):
        assert wanted is None or name == wanted


PARTS = st.text(st.sampled_from('aA.-é 1'), min_size=1, max_size=3).filter(lambda part: part.strip('.'))


@given(
    st.lists(st.tuples(PARTS, PARTS, st.sampled_from(['.png', '.PNG', '.jpg'])), unique=True, min_size=1, max_size=8)
)
def test_names_are_unique_for_any_files(parts):
    result = name_all(*(f'/{folder}/{stem}{suffix}' for folder, stem, suffix in parts))
    assert len({naming._comparison_key(name) for name in result}) == len(parts)
    assert all(name and '/' not in name and not name.startswith('.') for name in result)


def test_folders_of_urls_make_names_unique():
    urls = ['gs://bucket/x/a.png', 'gs://bucket/y/a.png', 's3://other/a.png']
    assert naming.name_results(urls) == ['x-a', 'y-a', 'other-a']
    assert naming.name_results(['gs://bucket/a.png', 's3://bucket/a.png']) == ['gs_-bucket-a', 's3_-bucket-a']
