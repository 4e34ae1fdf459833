"""Pages, metadata and pictures agree with one another."""

import re
from pathlib import Path

import mgan_jax

ROOT = Path(__file__).parent.parent.parent
DOCS = ROOT / 'docs'


def read(name):
    return (ROOT / name).read_text(encoding='utf-8')


def test_the_versions_agree():
    version = mgan_jax.__version__
    assert re.search(r'^version: (.*)$', read('CITATION.cff'), re.MULTILINE).group(1) == version
    released = re.findall(r'^## \[(\d[^]]*)\] - \d{4}-\d\d-\d\d$', read('CHANGELOG.md'), re.MULTILINE)
    assert released[0] == version


def test_the_changelog_has_a_place_for_what_comes_next():
    assert '## [Unreleased]' in read('CHANGELOG.md')


def test_every_picture_is_in_the_gallery_with_a_command():
    text = read('docs/gallery.md')
    shown = re.findall(r'!\[[^]]+\]\(pictures/([\w.]+)\)', text)
    assert sorted(shown) == sorted(path.name for path in (DOCS / 'pictures').glob('*.png'))
    for part in re.split(r'^## ', text, flags=re.MULTILINE)[1:]:
        assert '```bash\n' in part


def test_the_first_commands_are_those_of_the_readme():
    block = re.search(r'```bash\n(.*?)\n```', read('docs/index.md'), re.DOTALL).group(1)
    assert ' && '.join(block.splitlines()) in read('README.md')


def test_every_guide_is_in_the_list_of_guides():
    linked = re.findall(r'\]\(\.\./([\w.]+\.md)\)', read('docs/guides/index.md'))
    assert sorted(linked) == sorted(path.name for path in DOCS.glob('*.md') if path.stem not in ('index', 'gallery'))
