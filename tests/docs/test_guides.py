"""README.md and the guides in docs/: their names, paths and links exist, and the README's program runs."""

import ast
import importlib
import importlib.util
import re
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parent.parent.parent
README = ROOT / 'README.md'
PAGES = [README, *sorted((ROOT / 'docs').rglob('*.md'))]
PACKAGES = ('mgan_jax', 'converters', 'benchmarks')
FOLDERS = (*PACKAGES, 'configs', 'docs', 'tests')
# This repository on the web, as links and pictures name it.
HOME = re.compile(
    r'https://(?:github\.com/mgan-jax/mgan_jax/blob|raw\.githubusercontent\.com/mgan-jax/mgan_jax)/main/(.+)'
)
FILE_ENDINGS = ('csv', 'html', 'json', 'jsonl', 'md', 'mp4', 'npy', 'npz', 'pkl', 'png', 'pth', 'py', 'txt', 'webp')


def texts(page):
    return page.read_text(encoding='utf-8')


def resolve(name):
    """The module, or the attribute of a module, of this dotted name. Raises ImportError or AttributeError."""
    parts = name.split('.')
    found, known = importlib.import_module(parts[0]), 1
    while known < len(parts) and importlib.util.find_spec('.'.join(parts[: known + 1])):
        known += 1
        found = importlib.import_module('.'.join(parts[:known]))
        if not hasattr(found, '__path__'):
            break
    for part in parts[known:]:
        found = getattr(found, part)
    return found


def exists(name):
    try:
        resolve(name)
    except (AttributeError, ImportError):
        return False
    return True


def is_command(name):
    spec = importlib.util.find_spec(name)
    if spec is None:
        return False
    return not spec.submodule_search_locations or importlib.util.find_spec(f'{name}.__main__') is not None


def modules():
    """{last part of its name: its names} of each module of mgan_jax."""
    found = {}
    for path in sorted((ROOT / 'mgan_jax').rglob('*.py')):
        parts = path.relative_to(ROOT).with_suffix('').parts
        name = '.'.join(parts[:-1] if parts[-1] == '__init__' else parts)
        found.setdefault(name.rpartition('.')[2], []).append(name)
    return found


def pages(*chosen):
    return pytest.mark.parametrize('page', chosen or PAGES, ids=lambda page: str(page.relative_to(ROOT)))


@pages()
def test_commands_exist(page):
    commands = set(re.findall(rf'-m\s+((?:{"|".join(PACKAGES)})(?:\.\w+)*)', texts(page)))
    assert [name for name in sorted(commands) if not is_command(name)] == []


@pages()
def test_full_names_exist(page):
    names = set(re.findall(rf'(?<![\w/.-])((?:{"|".join(PACKAGES)})(?:\.[A-Za-z_]\w*)+)', texts(page)))
    assert [name for name in sorted(names) if not exists(name)] == []


@pages()
def test_short_names_exist(page):
    """`metrics.ms_ssim(...)` in backticks: a module without its package. `generator.prepare`: the type of the same name."""
    short = modules()
    names = set(re.findall(r'`([a-z_]\w*(?:\.[A-Za-z_]\w*)+)', texts(page)))
    names = {name for name in names if name.split('.')[0] in short and name.split('.')[-1] not in FILE_ENDINGS}

    def found(name):
        stem, _, rest = name.partition('.')
        return any(exists(f'{module}.{kind}{rest}') for module in short[stem] for kind in ('', f'{stem.title()}.'))

    assert [name for name in sorted(names) if not found(name)] == []


@pages()
def test_names_in_programs_exist(page):
    """What the page's Python programs import from this project, and the attributes of it that they use."""
    missing = []
    for program in re.findall(r'```python\n(.*?)```', texts(page), re.DOTALL):
        known = {}
        for node in ast.walk(ast.parse(program)):
            if isinstance(node, ast.ImportFrom) and (node.module or '').split('.')[0] in PACKAGES:
                known |= {alias.asname or alias.name: f'{node.module}.{alias.name}' for alias in node.names}
        used = {(node.value.id, node.attr) for node in ast.walk(ast.parse(program)) if is_attribute(node)}
        names = {*known.values(), *(f'{known[name]}.{attribute}' for name, attribute in used if name in known)}
        missing += [name for name in sorted(names) if not exists(name)]
    assert missing == []


def is_attribute(node):
    return isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)


@pages()
def test_paths_exist(page):
    """Paths of this repository in backticks and programs. In configs/TASK.py the capitals stand for a name."""
    paths = set(re.findall(rf'(?<![\w/.-])((?:{"|".join(FOLDERS)})/[\w./-]*[\w/])', texts(page)))
    paths = {path for path in paths if not re.search(r'[A-Z]{2}', path)}
    assert [path for path in sorted(paths) if not (ROOT / path).exists()] == []


def is_generated(path):
    """Whether docs/hooks.py makes the page: the API reference, a notebook's page, or a copy of a top-level page."""
    is_copy = path.parent == ROOT / 'docs' and (ROOT / path.name.upper().replace('.MD', '.md')).exists()
    return is_copy or path.is_relative_to(ROOT / 'docs' / 'api') or path.with_suffix('.ipynb').exists()


@pages()
def test_links_exist(page):
    """Links to files of this repository. The build of the site checks those to pages that it generates."""
    text = re.sub(r'```.*?```', '', texts(page), flags=re.DOTALL)
    targets = {*re.findall(r'\]\(([^)\s]+)\)', text), *re.findall(r'^\[[^\]]+\]: (\S+)$', text, re.MULTILINE)}
    missing = []
    for target in sorted(targets):
        file = target.split('#')[0]
        here = HOME.fullmatch(file)
        if not file or (not here and re.match(r'\w+:', file)):
            continue
        path = ROOT / here[1] if here else page.parent / file
        if not (path.exists() or is_generated(path)):
            missing.append(target)
    assert missing == []


def test_readme_stands_alone():
    """It is also shown where there is no repository beside it, and a script takes two commands out of it."""
    text = texts(README)
    assert not re.findall(r'\]\((?!https://)([^)]*)\)', text)
    assert len(re.findall(r'^python3 -m venv ', text, re.MULTILINE)) == 2
    assert set(re.findall(r'\]\[(\w+)\]', text)) <= set(re.findall(r'^\[(\w+)\]: ', text, re.MULTILINE))
    assert len(text.splitlines()) <= 150


@pytest.mark.slow
@pytest.mark.usefixtures('quick_compilation')
def test_readme_program():
    """With fewer steps."""
    (program,) = re.findall(r'```python\n(.*?)```', texts(README), re.DOTALL)
    program, count = re.subn('num_steps=100', 'num_steps=8', program)
    assert count == 2
    names = {}
    exec(compile(program, str(README), 'exec'), names)
    assert names['observation'].shape == (4, 16, 16, 3)
    assert names['restored'].shape == names['images'].shape == (4, 64, 64, 3)
    loss = np.asarray(names['trace']['loss'])
    assert np.isfinite(names['restored']).all() and (loss[-1] < 0.5 * loss[0]).all()
