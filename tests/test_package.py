"""What an installation offers: the version, the modules, the commands, and imports that load no more than they need."""

import configparser
import importlib
import json
import os
import pkgutil
import signal
import subprocess
import sys
import time
from importlib import util
from pathlib import Path

import pytest

import mgan_jax
from mgan_jax import __main__ as commands
from mgan_jax import models

ROOT = Path(__file__).parent.parent
DATA = ROOT / 'tests' / 'data'


def python(code: str, *arguments: str) -> str:
    """What a program prints on stdout, in a process of its own."""
    command = [sys.executable, '-c', code, *arguments]
    return subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout


def loaded_modules(code: str) -> set[str]:
    return set(json.loads(python(f'import json, sys\n{code}\nprint(json.dumps(list(sys.modules)))')))


def libraries(modules: set[str]) -> set[str]:
    return {name.split('.')[0] for name in modules}


# Imports


def test_the_package_alone_loads_no_library():
    assert libraries(loaded_modules('import mgan_jax, mgan_jax.__main__')).isdisjoint({'jax', 'numpy', 'absl', 'flax'})


@pytest.mark.slow
def test_composition_loads_jax_and_the_pure_code_of_the_models():
    """The sets of modules are compared, and no times: they are the same on every machine."""
    loaded = loaded_modules('import mgan_jax.composition')
    own = {name for name in loaded if name.startswith('mgan_jax')}
    foreign = loaded - own
    assert foreign <= loaded_modules('import jax, jax.numpy')
    pure = {'models', 'models.extractor', 'models.generator', 'models.lpips', 'models.precision'}
    assert own == {'mgan_jax', 'mgan_jax.composition', *(f'mgan_jax.{name}' for name in pure)}
    assert libraries(foreign).isdisjoint({'flax', 'orbax', 'tensorstore', 'fsspec', 'optax'})


def test_the_method_without_the_deep_image_prior_loads_no_flax():
    method = 'composition, execution, inversion, losses, optimizers, resize, tasks, whitening'
    assert libraries(loaded_modules(f'from mgan_jax import {method}')).isdisjoint({'flax', 'orbax', 'fsspec'})


def test_composition_can_be_imported_where_there_is_no_fcntl():
    assert python("import sys; sys.modules['fcntl'] = None; import mgan_jax.composition; print('yes')") == 'yes\n'


def test_the_modules_are_attributes_of_the_package():
    commands_of_their_own = {'__main__', 'analyze', 'boundaries', 'invert', 'morph', 'pristine'}
    modules = {module.name for module in pkgutil.iter_modules(mgan_jax.__path__)} - commands_of_their_own
    offered = {name for name in dir(mgan_jax) if not name.startswith('_')} - commands_of_their_own
    assert offered == modules
    for name in offered:
        assert getattr(mgan_jax, name).__name__ == f'mgan_jax.{name}'


def test_an_attribute_that_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'mgan_jax' has no attribute 'composer'"):
        _ = mgan_jax.composer
    with pytest.raises(AttributeError, match="module 'mgan_jax.models' has no attribute 'loads'"):
        _ = models.loads


@pytest.mark.slow
def test_models_has_all_that_it_lists():
    assert set(models.__all__) <= set(dir(models))
    assert all(getattr(models, name) is not None for name in models.__all__)
    assert python("from mgan_jax import models; print(models.load('demo')[0].resolution)") == '64\n'
    assert (
        python('from mgan_jax.models import Encoder, load; print(Encoder.__name__, load.__name__)') == 'Encoder load\n'
    )


# Metadata


def test_the_version_has_one_source():
    setup = configparser.ConfigParser()
    setup.read(ROOT / 'setup.cfg')
    assert setup['metadata']['version'] == 'attr: mgan_jax.__version__'
    assert [int(number) for number in mgan_jax.__version__.split('.')] >= [0, 1, 0]


def test_the_package_has_types():
    assert (ROOT / 'mgan_jax' / 'py.typed').is_file()


@pytest.mark.parametrize('name', ['configs', 'converters'])
def test_the_folders_beside_the_package_are_parts_of_it(name):
    package = getattr(mgan_jax, name)
    assert {module.name for module in pkgutil.iter_modules(package.__path__)} == {
        path.stem for path in (ROOT / name).glob('*.py') if path.stem != '__init__'
    }


def test_a_task_has_a_configuration_that_can_be_found():
    found = util.find_spec('mgan_jax.configs.sr')
    assert found is not None and Path(found.origin) == ROOT / 'configs' / 'sr.py'


# Commands


def test_help_names_each_command(capsys):
    assert commands.main(['--help']) == 0
    lines = capsys.readouterr().out.splitlines()
    for name in ('invert', 'convert', 'edit', 'morph', 'analyze', 'encoder', 'boundaries', 'pristine', 'version'):
        assert len([line for line in lines if line.split()[:1] == [name]]) == 1
    assert commands.main([]) == 2
    assert capsys.readouterr().err.splitlines() == lines


def test_an_unknown_command_gets_one_sentence_with_a_suggestion(capsys):
    assert commands.main(['invret']) == 2
    assert capsys.readouterr().err == "there is no command 'invret'; did you mean 'invert'?\n"
    assert commands.main(['something']) == 2
    names = 'invert, edit, morph, convert, encoder, boundaries, pristine, analyze, version'
    assert capsys.readouterr().err == f"there is no command 'something'; the commands are {names}.\n"


@pytest.mark.parametrize('name', commands.COMMANDS)
def test_the_module_of_a_command_has_a_main(name):
    assert callable(importlib.import_module(commands.COMMANDS[name].module).main)


def test_a_command_gets_the_arguments_behind_its_name_and_tells_the_exit_code(monkeypatch):
    given = []
    monkeypatch.setattr('mgan_jax.invert.main', lambda arguments: given.append(arguments) or 75)
    assert commands.main(['invert', '--config', 'a.py', '--config.steps=5']) == 75
    assert given == [['--config', 'a.py', '--config.steps=5']]


def test_edit_has_a_configuration_if_none_is_given(monkeypatch):
    given = []
    monkeypatch.setattr('mgan_jax.invert.main', lambda arguments: given.append(arguments) or 0)
    for arguments in (
        ['--config.steps=5'],
        ['--config', 'own.py'],
        ['--config=own.py'],
        ['-config=own.py'],
        ['--help'],
    ):
        assert commands.main(['edit', *arguments]) == 0
    first, *others = given
    assert first == ['--config=edit', '--config.steps=5']
    assert others == [['--config', 'own.py'], ['--config=own.py'], ['-config=own.py'], ['--help']]


def test_version_tells_what_computes(capsys):
    assert commands.main(['version']) == 0
    rows = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert list(rows) == [
        'mgan_jax',
        'jax',
        'jaxlib',
        'flax',
        'optax',
        'orbax-checkpoint',
        'numpy',
        'Python',
        'devices',
    ]
    assert rows['mgan_jax'] == mgan_jax.__version__ and rows['Python'] == sys.version.split()[0]
    assert rows['devices'] == '2 x cpu (cpu)'


@pytest.mark.slow
def test_convert_runs_with_one_copy_of_the_converters(tmp_path):
    code = (
        'import sys; from mgan_jax.__main__ import main\n'
        "print(main(['convert', *sys.argv[1:]]), any(name.split('.')[0] == 'converters' for name in sys.modules))"
    )
    printed = python(code, str(DATA / 'pggan_res32.pth'), str(tmp_path / 'model'))
    assert printed.splitlines()[-1] == '0 False'
    assert models.load(tmp_path / 'model')[0].resolution == 32


COMMAND_THAT_ENDS = """
import sys, types
from mgan_jax import __main__ as commands

sys.modules['mgan_jax.invert'] = types.SimpleNamespace(main=lambda arguments: 3)
sys.argv = ['mgan-jax', 'invert']
exit_code = commands.run_process()
print('ended', flush=True)
sys.stdin.read()
sys.exit(exit_code)
"""


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_a_signal_after_the_end_does_not_change_the_exit_code(number):
    command = [sys.executable, '-c', COMMAND_THAT_ENDS]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == 'ended\n'
        os.kill(process.pid, number)
        time.sleep(0.1)
        process.stdin.close()
        assert process.wait(timeout=30) == 3
