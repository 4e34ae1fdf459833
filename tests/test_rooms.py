"""The rooms of the library: which modules may import which.

The imports are read from the source files with `ast`. So the test needs no further package, sees imports within functions and
names the line of each import that the table forbids.
"""

import ast
import functools
import graphlib
import subprocess
import sys
import textwrap
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parent.parent
METHOD = ['composition', 'execution', 'inversion', 'losses', 'optimizers', 'priors', 'resize', 'tasks', 'whitening']
COMMANDS = ['__main__', 'analyze', 'boundaries', 'invert', 'morph', 'pristine', 'encoder.__main__']
WITHOUT_FILES = {'collections', 'dataclasses', 'functools', 'math', 'typing', 'jax', 'numpy', 'optax'}

# What the modules of a room may import: rooms, or single modules. Every module may import its own room and `mgan_jax` itself,
# which has the version.
DATA = {'method', 'models', 'storage', 'settings'}
RESULTS = DATA | {'data', 'engine', 'metrics'}
RUN = RESULTS | {'results', 'editing', 'encoder'}
MAY_IMPORT: dict[str, set[str]] = {
    'settings': set(),
    'storage': {'settings.errors'},
    'models': set(),
    'models.directory': {'storage'},
    'method': {'models'},
    'metrics': {'method', 'models'},
    'data': DATA,
    'engine': {'method', 'models'},
    'results': RESULTS,
    'editing': RESULTS | {'results'},
    'encoder': RESULTS | {'results'},
    'run': RUN,
    'demo': {'method', 'models', 'storage'},
    'analysis': RUN | {'run', 'demo'},
    'configs': {'settings'},
    'converters': {'method', 'models', 'storage', 'settings.errors'},
    'the package': set(),
}
MAY_IMPORT['commands'] = MAY_IMPORT.keys() - {'the package'}
SINGLE = ('models.directory',)  # modules with rules of their own, which belong to the room of their folder
SEVERAL_TIMES = {
    'main',  # of the commands
    'init',  # composition.init and inversion.init, which are called by these names, as in Optax
}


class Import(NamedTuple):
    """An import of `target`, a module without the leading 'mgan_jax.', in a line of a module."""

    target: str
    line: int


def source_files() -> dict[str, Path]:
    """The modules by their names within mgan_jax; '' is mgan_jax itself. `configs` and `converters` are in folders beside it."""
    found = {}
    for folder in ('mgan_jax', 'configs', 'converters'):
        for path in sorted((ROOT / folder).rglob('*.py')):
            parts = path.relative_to(ROOT).with_suffix('').parts
            parts = parts[1:] if folder == 'mgan_jax' else parts
            name = '.'.join(parts[:-1] if parts[-1] == '__init__' else parts)
            if not (folder == 'mgan_jax' and name in ('configs', 'converters')):  # they only point to the folders
                found[name] = path
    return found


MODULES = source_files()


def room(module: str) -> str:
    """The room of a module, a key of MAY_IMPORT."""
    if module in COMMANDS:
        return 'commands'
    first = module.split('.')[0]
    return 'method' if first in METHOD else first or 'the package'


@functools.cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding='utf-8'))


def imports(module: str) -> Iterator[Import]:
    """The imports of modules of the library."""
    path = MODULES[module]
    package = module if path.name == '__init__.py' else module.rpartition('.')[0]
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if (target := inside(alias.name)) is not None:
                    yield Import(target, node.lineno)
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                above = package.split('.')[: len(package.split('.')) - node.level + 1]
                base: str | None = '.'.join([*above, *(node.module or '').split('.')]).strip('.')
            else:
                base = inside(node.module or '')
            if base is None:
                continue
            for alias in node.names:
                name = f'{base}.{alias.name}'.strip('.')
                yield Import(name if name in MODULES else base, node.lineno)


def inside(name: str) -> str | None:
    """The name of a module within mgan_jax, or None for another library's."""
    first, _, rest = name.partition('.')
    if first == 'mgan_jax':
        return rest
    return name if first in ('configs', 'converters') else None


def rules(module: str) -> set[str]:
    """The rooms and modules that a module may import beside its own room."""
    return MAY_IMPORT[module if module in SINGLE else room(module)]


def allowed(module: str, target: str) -> bool:
    return not target or room(target) in rules(module) | {room(module)} or target in rules(module)


def test_every_module_has_a_room():
    without = [str(MODULES[name].relative_to(ROOT)) for name in MODULES if room(name) not in MAY_IMPORT]
    assert not without, f'add the rooms of {", ".join(without)} to MAY_IMPORT.'


def test_rooms_import_only_what_they_may():
    forbidden = {
        f'{MODULES[module].relative_to(ROOT)}:{line} imports {target}; beside its own room it may import '
        f'{", ".join(sorted(rules(module))) or "nothing"}'
        for module in MODULES
        for target, line in imports(module)
        if not allowed(module, target)
    }
    assert not forbidden, '\n' + '\n'.join(sorted(forbidden))


def test_only_the_list_of_commands_knows_the_commands():
    """Commands may import anything but other commands."""
    forbidden = {
        f'{MODULES[module].relative_to(ROOT)}:{line} imports {target}'
        for module in MODULES
        for target, line in imports(module)
        if room(target) == 'commands' and target != module and module != '__main__'
    }
    assert not forbidden, '\n' + '\n'.join(sorted(forbidden))


def test_the_method_imports_no_library_that_reads_or_writes():
    forbidden = {
        f'{MODULES[module].relative_to(ROOT)} imports {name}'
        for module in MODULES
        if room(module) == 'method'
        for node in ast.walk(parsed(MODULES[module]))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in ([node.module or ''] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names])
        if name.split('.')[0] not in WITHOUT_FILES | {'mgan_jax'}
    }
    assert not forbidden, '\n' + '\n'.join(sorted(forbidden))


def test_imports_have_no_cycle():
    graph = {module: {target for target, _ in imports(module)} - {'', module} for module in MODULES}
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        pytest.fail(f'imports in a circle: {" <- ".join(error.args[1])}')


def test_imports_of_every_kind_are_seen(monkeypatch, tmp_path):
    source = """
    import numpy, mgan_jax.tasks
    from mgan_jax.run import jobs, pipeline as stream
    from mgan_jax.settings.errors import one_sentence
    from mgan_jax import __version__
    from . import progress
    from ..models.generator import Generator
    def late():
        from mgan_jax import losses
    """
    path = tmp_path / 'made_up.py'
    path.write_text(textwrap.dedent(source), encoding='utf-8')
    monkeypatch.setitem(MODULES, 'run.made_up', path)
    found = ['tasks', 'run.jobs', 'run.pipeline', 'settings.errors', '', 'run.progress', 'models.generator', 'losses']
    assert [target for target, _ in imports('run.made_up')] == found


def test_the_table_holds_for_rooms_and_for_single_modules():
    assert allowed('models.directory', 'storage.atomic') and not allowed('models.pggan', 'storage.atomic')
    assert allowed('storage.remote', 'settings.errors') and not allowed('storage.remote', 'settings.flags')
    assert allowed('demo.gan', 'models.directory') and not allowed('run.pipeline', 'invert')
    assert allowed('__main__', 'invert') and not allowed('editing.edits', 'encoder.training')


@pytest.mark.parametrize('folder', ['mgan_jax', 'converters'])
def test_public_functions_and_classes_have_names_of_their_own(folder):
    places = defaultdict(list)
    for path in sorted((ROOT / folder).rglob('*.py')):
        for node in parsed(path).body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith('_'):
                places[node.name].append(str(path.relative_to(ROOT)))
    several = [f'{name} in {", ".join(found)}' for name, found in places.items() if len(found) > 1]
    several = [text for text in several if text.split()[0] not in SEVERAL_TIMES]
    assert not several, '\n' + '\n'.join(several)


def test_no_file_uses_the_private_modules_of_jax():
    private = 'jax.' + '_src'
    folders = ('mgan_jax', 'configs', 'converters', 'benchmarks', 'tests')
    paths = [path for folder in folders for path in (ROOT / folder).rglob('*.py')]
    assert paths
    using = [str(path.relative_to(ROOT)) for path in paths if private in path.read_text(encoding='utf-8')]
    assert not using, f'{private} is used in {", ".join(using)}'


EACH_ALONE = """
import importlib, sys

failed = []
for name in sys.argv[1:]:
    for loaded in [module for module in sys.modules if module.split('.')[0] == 'mgan_jax']:
        del sys.modules[loaded]
    try:
        importlib.import_module(name)
    except Exception as error:
        failed.append(f'{name}: {type(error).__name__}: {error}')
sys.exit('\\n'.join(failed) or 0)
"""


def test_every_module_can_be_the_first_that_is_imported():
    names = [f'mgan_jax.{name}'.rstrip('.') for name in MODULES]
    done = subprocess.run([sys.executable, '-c', EACH_ALONE, *names], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
