"""Generates pages of the documentation site: the API reference, the tutorials, the changelog and the contributing guide.

MkDocs calls the functions whose names begin with `on_`. Modules are found in the source tree, so a new module has a page without any change here.
"""

import ast
import base64
import json
import re
from pathlib import Path
from typing import Any, NamedTuple

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parent.parent
PACKAGES = ('mgan_jax', 'converters')
API_INDEX = 'api/index.md'
TOP_LEVEL_FILES = {'changelog.md': 'CHANGELOG.md', 'contributing.md': 'CONTRIBUTING.md'}


class Module(NamedTuple):
    """A public module. name: dotted; path: of its source; page: of the site, relative to docs/."""

    name: str
    path: Path
    page: str


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Adds the pages of all modules to the navigation, below the API index."""
    config.nav = [_with_modules(entry) for entry in config.nav or []]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the generated pages."""
    pages: dict[str, str | bytes] = {API_INDEX: _index(list(modules()))}
    pages |= {module.page: f'::: {module.name}\n' for module in modules()}
    for page, name in TOP_LEVEL_FILES.items():
        text = (ROOT / name).read_text(encoding='utf-8').replace('](docs/', '](')
        pages[page] = f'---\nhide: [navigation]\n---\n\n{text}'
    for file in files:
        if file.src_uri.endswith('.ipynb') and file.abs_src_path:
            pages |= _tutorial(file.src_uri.removesuffix('.ipynb'), Path(file.abs_src_path))
    for uri, content in pages.items():
        files.append(File.generated(config, uri, content=content))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Links to a notebook lead to its page; those with attributes, to the notebook itself."""
    return re.sub(r'\.ipynb\)(?!\{)', '.md)', markdown)


def modules(root: Path = ROOT) -> list[Module]:
    """All public modules below `root`: neither they nor a package around them begin with an underscore."""
    found = []
    for path in sorted(path for package in PACKAGES for path in (root / package).rglob('*.py')):
        parts = path.relative_to(root).with_suffix('').parts
        is_package = parts[-1] == '__init__'
        parts = parts[:-1] if is_package else parts
        if any(part.startswith('_') for part in parts) or not (path.parent / '__init__.py').is_file():
            continue
        page = '/'.join(('api', *parts)) + ('/index.md' if is_package else '.md')
        found.append(Module('.'.join(parts), path, page))
    return found


def _with_modules(entry: Any) -> Any:
    """The entry of the API index becomes a section: the index, then each package with its modules."""
    if not (isinstance(entry, dict) and API_INDEX in entry.values()):
        return entry
    (title,) = entry
    return {title: [API_INDEX, *(_section(package) for package in PACKAGES)]}


def _section(package: str) -> dict[str, Any]:
    """{short name: [own page, modules, sub-packages]}; of a package."""
    within = [module for module in modules() if module.name.rpartition('.')[0] == package]
    own = [module.page for module in modules() if module.name == package]
    leaves = [{module.name.rpartition('.')[2]: module.page} for module in within if module.path.stem != '__init__']
    rooms = [_section(module.name) for module in within if module.path.stem == '__init__']
    return {package.rpartition('.')[2]: [*own, *leaves, *rooms]}


def _index(found: list[Module]) -> str:
    """A table for each package: its modules and the first sentence of each."""
    parts = ['# API reference', 'These pages are generated from the source code.', '<div class="modules" markdown>']
    packages = [module for module in found if module.path.stem == '__init__']
    for package in sorted(packages, key=lambda module: PACKAGES.index(module.name.split('.')[0])):
        rows = [f'## `{package.name}`', '', _summary(package.path), '', '| module | |', '|---|---|']
        within = [module for module in found if module.name.rpartition('.')[0] == package.name]
        for module in within:
            address, name = module.page.removeprefix('api/'), module.name.rpartition('.')[2]
            rows.append(f'| [`{name}`]({address}) | {_summary(module.path)} |')
        parts.append('\n'.join(rows))
    return '\n\n'.join([*parts, '</div>']) + '\n'


def _summary(path: Path) -> str:
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding='utf-8'))) or ''
    paragraph = ' '.join(docstring.split('\n\n')[0].split())
    sentence = re.match(r'.*?[.](?= [A-Z]|$)', paragraph)
    return (sentence.group() if sentence else paragraph).replace('|', '\\|').replace('<', '&lt;')


def _tutorial(name: str, path: Path) -> dict[str, str | bytes]:
    """The page of a notebook and its stored pictures. name: the page's address without suffix."""
    parts: list[str] = []
    pages: dict[str, str | bytes] = {}
    short = name.rpartition('/')[2]
    for cell in json.loads(path.read_text(encoding='utf-8'))['cells']:
        source = ''.join(cell['source'])
        if cell['cell_type'] == 'markdown':
            parts.append(source)
            continue
        parts.append(f'```python\n{source}\n```')
        for output in cell['outputs']:
            data = output.get('data', {})
            if 'image/png' in data:
                picture = f'{name}/{len(pages) + 1}.png'
                pages[picture] = base64.b64decode(''.join(data['image/png']))
                parts.append(f'![Output of the cell above]({short}/{len(pages)}.png){{ .output }}')
            elif text := ''.join(output.get('text', data.get('text/plain', ''))):
                parts.append(f'``` {{ .text .output .no-copy }}\n{text.rstrip()}\n```')
    parts.insert(1, f'[Download this notebook]({short}.ipynb){{ download }}')
    return pages | {f'{name}.md': '\n\n'.join(parts) + '\n'}
