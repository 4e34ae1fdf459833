"""The documentation site: it builds without a warning, has a page for each public module, and loads nothing from elsewhere."""

import importlib.util
import os
import pkgutil
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

import converters
import mgan_jax

ROOT = Path(__file__).parent.parent.parent
NEEDED = ('mkdocs', 'material', 'mkdocstrings', 'griffe')
MISSING = [name for name in NEEDED if importlib.util.find_spec(name) is None]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(MISSING), reason=f"{', '.join(MISSING)} not installed: pip install -e '.[docs]'"),
]
LOADED = {'img': ('src',), 'script': ('src',), 'iframe': ('src',), 'source': ('src',), 'object': ('data',)}
RELATIONS = {'stylesheet', 'icon', 'preload', 'prefetch', 'modulepreload', 'preconnect', 'dns-prefetch', 'manifest'}
ALIASES = (
    'mgan_jax.configs.',
    'mgan_jax.converters.',
)  # modules of folders beside mgan_jax, where they have their pages
ELSEWHERE = re.compile(r'^\s*(https?:)?//')


@pytest.fixture(scope='module')
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp('site')
    command = [sys.executable, '-m', 'mkdocs', 'build', '--strict', '--site-dir', str(folder)]
    quiet = os.environ | {'NO_MKDOCS_2_WARNING': '1'}
    done = subprocess.run(command, cwd=ROOT, env=quiet, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


class Resources(HTMLParser):
    """What a browser loads for a page, in `found`; the classes of its elements in `classes`."""

    def __init__(self, text):
        super().__init__()
        self.found, self.classes = [], set()
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        own = {name: value or '' for name, value in attrs}
        self.classes |= set(own.get('class', '').split())
        self.found += [own[name] for name in LOADED.get(tag, ()) if name in own]
        self.found += re.findall(r'url\(["\']?([^"\')]+)', own.get('style', ''))
        self.found += [part.split()[0] for part in own.get('srcset', '').split(',') if part.strip()]
        if tag == 'link' and RELATIONS & set(own.get('rel', '').lower().split()):
            self.found.append(own.get('href', ''))


def public_modules():
    for package in (mgan_jax, converters):
        yield package.__name__, True
        for module in pkgutil.walk_packages(package.__path__, f'{package.__name__}.'):
            hidden = any(part.startswith('_') for part in module.name.split('.'))
            if not hidden and not module.name.startswith(ALIASES):
                yield module.name, module.ispkg


def test_every_public_module_has_a_page(site):
    for name, is_package in public_modules():
        page = site / 'api' / Path(*name.split('.')) / 'index.html'
        page = page if is_package else page.parent.with_suffix('.html')
        assert page.is_file(), f'{name} has no page'
        assert f'id="{name}"' in page.read_text(encoding='utf-8'), f'the page of {name} does not show it'


def test_every_module_is_in_the_index_of_the_api(site):
    text = (site / 'api' / 'index.html').read_text(encoding='utf-8')
    names = re.findall(r'<td><a href="([\w/]+?)(?:/index)?\.html">', text)
    assert sorted(names) == sorted(name.replace('.', '/') for name, _ in public_modules() if '.' in name)


def test_tutorials_and_pictures_are_shown(site):
    for notebook in (ROOT / 'docs' / 'tutorials').glob('*.ipynb'):
        text = (site / 'tutorials' / f'{notebook.stem}.html').read_text(encoding='utf-8')
        assert f'{notebook.stem}/1.png' in text
        assert (site / 'tutorials' / notebook.stem / '1.png').is_file()
        assert (site / 'tutorials' / notebook.name).is_file()


def test_nothing_is_loaded_from_another_host(site):
    pages, sheets = sorted(site.rglob('*.html')), sorted(site.rglob('*.css'))
    assert len(pages) > 50 and sheets
    for page in pages:
        resources = Resources(page.read_text(encoding='utf-8'))
        assert resources.found, f'nothing was found in {page}'
        assert not [address for address in resources.found if ELSEWHERE.match(address)], page
        assert not resources.classes & {'mermaid', 'arithmatex'}, f'{page} loads a script for diagrams or formulas'
    for sheet in sheets:
        addresses = re.findall(r'(?:url\(|@import\s+)["\']?([^"\')\s]+)', sheet.read_text(encoding='utf-8'))
        assert not [address for address in addresses if ELSEWHERE.match(address)], sheet


def test_no_source_of_the_build_is_in_the_site(site):
    assert not list(site.rglob('*.py'))
