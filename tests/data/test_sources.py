"""Finding images in files, folders, globs, lists, tar files and URLs, and reading their content."""

import io
import os
import tarfile
import tracemalloc
import uuid
from pathlib import Path

import pytest

from mgan_jax.data import decoding, images, sources
from mgan_jax.storage import remote
from tests.image_files import assert_pixels, random_pixels, save_image


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """A folder of empty files, since finding only looks at names."""
    names = ['b.PNG', 'a.jpg', 'note.md', '.hidden.png', 'x/1.png', 'x/y/1.png', 'x/y/deep.webp', 'empty/note.txt']
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def find(spec, bundled=None):
    """Returns (path, name) of each image."""
    return [(source.path, source.name) for source in sources.find_images(spec, bundled)]


def test_find_a_file(tree):
    assert find('a.jpg') == find(['a.jpg']) == find(Path('a.jpg')) == [('a.jpg', 'a')]
    assert find('note.md') == [('note.md', 'note')]  # it is refused on reading


def test_find_a_folder_sorted_without_hidden_files(tree):
    assert find('.') == [('a.jpg', 'a'), ('b.PNG', 'b')]
    assert find(str(tree)) == [(f'{tree}/a.jpg', 'a'), (f'{tree}/b.PNG', 'b')]


def test_find_a_glob(tree):
    assert find('x/*') == [('x/1.png', '1')]
    assert [path for path, _ in find('**')] == ['a.jpg', 'b.PNG', 'x/1.png', 'x/y/1.png', 'x/y/deep.webp']
    assert [path for path, _ in find('**/1.png')] == ['x/1.png', 'x/y/1.png']


def test_find_keeps_the_given_order_and_drops_repetitions(tree):
    expected = [('x/y/deep.webp', 'deep'), ('a.jpg', 'a'), ('b.PNG', 'b')]
    assert find('x/y/deep.webp, ., a.jpg') == expected
    assert find(('x/y/deep.webp', '.', str(tree / 'a.jpg'))) == expected


def test_find_drops_links_to_the_same_file(tree):
    (tree / 'link.png').symlink_to(tree / 'b.PNG')
    assert find('b.PNG,link.png') == [('b.PNG', 'b')]


def test_an_existing_path_is_neither_split_nor_a_glob(tree):
    for name in ['c,d.png', 'e[1].png', 'f,g/h.png']:
        (tree / name).parent.mkdir(exist_ok=True)
        (tree / name).touch()
    assert find('c,d.png') == [('c,d.png', 'c,d')]
    assert find('e[1].png') == [('e[1].png', 'e[1]')]
    assert find('f,g') == find('f,g/*.png') == [('f,g/h.png', 'h')]
    assert find(['c,d.png', 'a.jpg']) == [('c,d.png', 'c,d'), ('a.jpg', 'a')]


def test_the_home_folder_is_expanded(tree, monkeypatch):
    monkeypatch.setenv('HOME', str(tree))
    assert find('~/x') == [(f'{tree}/x/1.png', '1')]


@pytest.mark.parametrize('spec', ['', ' , ', [], [''], None, 'bundled', ['bundled']])
def test_an_empty_spec_names_the_bundled_images(tree, spec):
    assert find(spec, bundled=tree / 'x') == [(f'{tree}/x/1.png', '1')]
    with pytest.raises(ValueError, match='no images are named and none are bundled'):
        find(spec)


@pytest.mark.parametrize(
    ('spec', 'message'),
    [
        ('none.png', 'none.png does not exist: give an image file, a folder, a glob, a list or tar file, or a URL'),
        ('a.jpg,none.png', 'none.png does not exist'),
        ('empty', 'the folder empty holds no image: give files whose names end in .png, .jpg'),
        ('*.bmp', r'the glob \*.bmp matches no image'),
        ('*.md', r'the glob \*.md matches no image'),
    ],
)
def test_missing_images_are_refused(tree, spec, message):
    with pytest.raises(ValueError, match=message):
        find(spec)


def test_non_ascii_paths(tmp_path):
    folder = tmp_path / 'Fotos für 東京'
    folder.mkdir()
    values = random_pixels()
    save_image(folder / 'Äpfel 1.png', values)
    (source,) = sources.find_images(str(folder))
    assert source.name == 'Äpfel 1'
    assert_pixels(images.read_image(source.path).pixels, values)


# Lists


def write_list(path, *lines):
    path.write_bytes(b'\n'.join(line if isinstance(line, bytes) else line.encode() for line in lines))
    return str(path)


def test_a_list_names_files_from_its_folder(tree):
    lines = [
        '# a comment',
        '',
        '  1.png  ',
        'y/1.png\r',
        str(tree / 'b.PNG'),
        '../a.jpg',
        './1.png',
        'memory://b/c.png',
    ]
    expected = ['x/1.png', 'x/y/1.png', f'{tree}/b.PNG', 'x/../a.jpg', 'memory://b/c.png']
    assert [path for path, _ in find(write_list(tree / 'x' / 'list.txt', *lines))] == [
        str(tree / path) if '://' not in path else path for path in expected
    ]
    assert [path for path, _ in find('x/list.txt')] == expected
    assert find('x/list.txt,a.jpg') == find('x/list.txt')
    (tree / 'x' / 'list.txt').rename(tree / 'x' / 'list.LST')
    assert [path for path, _ in find('x/list.LST')] == expected


def test_a_list_with_a_byte_order_mark_and_invalid_utf8(tree):
    invalid = b'x/\xff.png'
    (tree / os.fsdecode(invalid)).touch()
    assert find(write_list(tree / 'list.txt', b'\xef\xbb\xbfa.jpg', invalid)) == [
        (f'{tree}/a.jpg', 'a'),
        (f'{tree}/{os.fsdecode(invalid)}', '_'),
    ]


def test_links_in_a_list_are_named_as_links(tree):
    (tree / 'link.png').symlink_to(tree / 'b.PNG')
    (tree / 'folder').symlink_to(tree / 'x')
    assert find(write_list(tree / 'list.txt', 'link.png', 'b.PNG', 'folder/1.png', 'x/1.png')) == [
        (f'{tree}/link.png', 'link'),
        (f'{tree}/folder/1.png', '1'),
    ]


@pytest.mark.parametrize(
    ('line', 'words'),
    [
        ('none.png', 'none.png: No such file or directory'),
        ('x', 'x is no file'),
        ('other.txt', 'other.txt is a list itself'),
        ('nope://bucket/a.png', 'nope://bucket/a.png has a scheme that nothing here knows'),
        ('a\0b.png', 'null'),
        ('n' * 5000, 'File name too long'),
        ('*.png', r'\*.png: No such file'),
    ],
)
def test_an_unusable_line_is_refused_with_its_number(tree, line, words):
    path = write_list(tree / 'list.txt', 'a.jpg', '# comment', line, 'b.PNG')
    with pytest.raises(ValueError, match=f'line 3 of {path} names no image: .*{words}') as caught:
        find(path)
    assert '\n' not in str(caught.value)


def test_an_empty_list(tree):
    with pytest.raises(ValueError, match='list.txt names no image: write a path or URL on each line'):
        find(write_list(tree / 'list.txt', '# nothing', ''))


# Tar files


def write_tar(path, members, format=tarfile.PAX_FORMAT):
    with tarfile.open(path, 'w', format=format) as tar:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return str(path)


def test_members_of_a_tar_file_in_its_order(tree):
    members = [('b.png', b'bb'), ('x/a.JPG', b'a'), ('note.txt', b''), ('.hidden.png', b''), ('._a.jpg', b'')]
    path = write_tar(tree / 'shard.tar', members)
    first, second = sources.find_images(path)
    assert (first.name, first.member, first.path, first.size) == ('b', 'b.png', path, 2)
    assert (second.name, second.member, second.title) == ('a', 'x/a.JPG', f'{path}/x/a.JPG')
    assert [sources.read_source(source) for source in (first, second)] == [b'bb', b'a']


def test_a_member_above_the_limit_is_not_read(tree, monkeypatch):
    (source,) = sources.find_images(write_tar(tree / 'a.tar', [('a.png', b'1' * 20)]))
    monkeypatch.setattr(decoding, 'MAX_FILE_BYTES', 10)
    with pytest.raises(ValueError, match='a.tar/a.png has 20 bytes, 10 is the limit: leave it out'):
        sources.read_source(source)


def test_of_members_with_the_same_name_the_last_counts(tree):
    (source,) = sources.find_images(write_tar(tree / 'a.tar', [('a.png', b'old'), ('a.png', b'new')]))
    assert sources.read_source(source) == b'new'
    assert source.name == 'a'


def test_a_folder_of_tar_files_and_images(tree):
    for number in (2, 1):
        write_tar(tree / 'x' / f'{number}.tar', [('train/0.png', b'0'), ('train/2.png', str(number).encode())])
    found_sources = sources.find_images('x')
    assert [source.title for source in found_sources] == [
        'x/1.png',
        *(f'x/{shard}.tar/train/{image}.png' for shard in (1, 2) for image in (0, 2)),
    ]
    assert [source.name for source in found_sources] == [
        '1',
        '1.tar-train-0',
        '1.tar-train-2',
        '2.tar-train-0',
        '2.tar-train-2',
    ]
    assert sources.find_images('x/?.tar') == found_sources[1:]
    assert sources.find_images(write_list(tree / 'x' / 'l.txt', '2.tar')) == sources.find_images(
        str(tree / 'x' / '2.tar')
    )
    assert len(sources.find_images(['x/1.tar', 'x', 'x/*'])) == 5


def test_unusable_tar_files(tree):
    path = write_tar(tree / 'a.tar', [('a.png', b'1' * 600), ('b.png', b'2')])
    whole = Path(path).read_bytes()
    for content, words in [
        (whole[:1000], 'ends at byte 1,000'),
        (b'\x1f\x8b' * 600, 'is no uncompressed tar file'),
        (b'', 'holds no image'),
    ]:
        Path(path).write_bytes(content)
        with pytest.raises(ValueError, match=f'a.tar {words}') as caught:
            sources.find_images('.')
        assert '\n' not in str(caught.value)


def test_a_tar_file_that_changed_after_indexing(tree):
    path = write_tar(tree / 'a.tar', [('a.png', b'1' * 600), ('b.png', b'2' * 600)])
    source = sources.find_images(path)[1]
    Path(path).write_bytes(Path(path).read_bytes()[:1700])
    with pytest.raises(ValueError, match='a.tar ends before its member b.png does: copy it again'):
        sources.read_source(source)
    Path(path).unlink()
    with pytest.raises(ValueError, match='a.tar cannot be opened .No such file'):
        sources.read_source(source)


# Reading


def test_read_a_file(tree):
    (tree / 'a.jpg').write_bytes(b'content')
    assert sources.read_source(sources.find_images('a.jpg')[0]) == b'content'
    with pytest.raises(ValueError, match='none.png cannot be opened .No such file'):
        sources.read_source(sources.Source('none.png', 'none'))


# URLs


@pytest.fixture
def bucket(tree):
    url = f'memory://{uuid.uuid4().hex}'
    for name in ['b.PNG', 'a.jpg', '.hidden.png', 'note.md', 'x/1.png']:
        remote.write_url(f'{url}/{name}', name.encode())
    shard = Path(write_tar(tree / 'shard.tar', [('t/0.png', b'zero'), ('t/1.png', b'one')])).read_bytes()
    remote.write_url(f'{url}/shards/0.tar', shard)
    remote.write_url(f'{url}/list.txt', f'a.jpg\n# comment\n{url}/x/1.png\nshards/0.tar\n'.encode())
    yield url
    remote.delete_url(url)


def test_urls_of_files_folders_and_globs(bucket):
    assert find(f'{bucket}/a.jpg') == [(f'{bucket}/a.jpg', 'a')]
    assert find(bucket) == find(f'{bucket}/*') == [(f'{bucket}/a.jpg', 'a'), (f'{bucket}/b.PNG', 'b')]
    assert find(f'{bucket}/x/*.png,{bucket}/a.jpg') == [(f'{bucket}/x/1.png', '1'), (f'{bucket}/a.jpg', 'a')]
    assert [sources.read_source(source) for source in sources.find_images(bucket)] == [b'a.jpg', b'b.PNG']


def test_urls_of_tar_files_and_lists(bucket):
    members = sources.find_images(f'{bucket}/shards')
    assert [source.title for source in members] == [f'{bucket}/shards/0.tar/t/0.png', f'{bucket}/shards/0.tar/t/1.png']
    assert [sources.read_source(source) for source in members] == [b'zero', b'one']
    listed = sources.find_images(f'{bucket}/list.txt')
    assert [source.name for source in listed] == ['a', 'x-1', '0', 't-1']
    assert [sources.read_source(source) for source in listed] == [b'a.jpg', b'x/1.png', b'zero', b'one']


def test_urls_without_images(bucket):
    for url, words in [
        (f'{bucket}/none', 'there is no such file or folder'),
        (f'{bucket}/none.txt', 'there is no such file or folder'),
        (f'{bucket}/*.bmp', 'holds no image'),
        ('nope://a', 'a scheme that nothing here knows'),
    ]:
        with pytest.raises(ValueError, match=words) as caught:
            find(url)
        assert url in str(caught.value)


def test_a_long_list_takes_little_memory(tree):
    lines = '\n'.join(f'memory://bucket/folder/{number:08}.jpg' for number in range(20_000))
    path = write_list(tree / 'list.txt', lines)
    tracemalloc.start()
    try:
        images_found = sources.find_images(path)
        size, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len({source.name for source in images_found}) == 20_000
    assert size < 20_000 * 350
    assert peak < 20_000 * 600
