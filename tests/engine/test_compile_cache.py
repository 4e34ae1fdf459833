"""The folder of compiled programs, and the number of compilations before the first step and in a second run."""

import os
import subprocess
import sys

import jax
import pytest

from mgan_jax.engine import compile_cache
from tests.small_runs import ROOT, arguments, latents

MOST_PROGRAMS = 8  # compiled before the end of the first step; super-resolution needs six

FIRST_STEP = """
import sys
import jax
from mgan_jax import execution, invert
compiled = []
jax.monitoring.register_event_duration_secs_listener(
    lambda event, seconds, **_: compiled.append(event) if event.endswith('backend_compile_duration') else None
)
advance = execution.repeat_step
def first(*given, **options):
    result = advance(*given, **options)
    print(len(compiled))
    sys.exit()
execution.repeat_step = first
invert.main(sys.argv[1:])
"""


@pytest.fixture
def settings_of_jax():
    """Restores the settings that `enable_compile_cache` changes."""
    names = ('compilation_cache_dir', 'persistent_cache_min_compile_time_secs', 'persistent_cache_min_entry_size_bytes')
    before = {f'jax_{name}': getattr(jax.config, f'jax_{name}') for name in names}
    jax.config.update('jax_compilation_cache_dir', None)
    yield
    for name, value in before.items():
        jax.config.update(name, value)


def folder_of(monkeypatch, home, variable='XDG_CACHE_HOME'):
    """The folder that JAX uses with this environment."""
    monkeypatch.setenv(variable, str(home))
    compile_cache.enable_compile_cache()
    return jax.config.jax_compilation_cache_dir


def test_a_folder_for_this_kind_of_processor(settings_of_jax, monkeypatch, tmp_path):
    folder = folder_of(monkeypatch, tmp_path)
    assert os.path.dirname(folder) == str(tmp_path / 'mgan_jax')
    assert os.listdir(tmp_path / 'mgan_jax') == [os.path.basename(folder)]
    assert jax.config.jax_persistent_cache_min_compile_time_secs == 0


@pytest.mark.parametrize('given', [None, '', 'relative/folder'])
def test_the_home_folder_is_the_default(settings_of_jax, monkeypatch, tmp_path, given):
    monkeypatch.delenv('XDG_CACHE_HOME', raising=False)
    if given is not None:
        monkeypatch.setenv('XDG_CACHE_HOME', given)
    assert folder_of(monkeypatch, tmp_path, 'HOME').startswith(f'{tmp_path}/.cache/mgan_jax/')


@pytest.mark.parametrize('chosen', ['elsewhere', ''])
def test_a_folder_of_the_caller_is_kept(settings_of_jax, monkeypatch, tmp_path, chosen):
    jax.config.update('jax_compilation_cache_dir', chosen)
    before = jax.config.jax_persistent_cache_min_compile_time_secs
    assert folder_of(monkeypatch, tmp_path) == chosen
    assert jax.config.jax_persistent_cache_min_compile_time_secs == before
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_made(settings_of_jax, monkeypatch, tmp_path):
    (tmp_path / 'file').write_text('in the way')
    assert folder_of(monkeypatch, tmp_path / 'file') is None


def test_a_folder_that_cannot_be_written(settings_of_jax, monkeypatch, tmp_path):
    monkeypatch.setattr(os, 'access', lambda path, mode: False)  # the superuser can write everywhere
    assert folder_of(monkeypatch, tmp_path) is None


def test_each_kind_of_processor_has_a_name(tmp_path):
    x86 = 'processor\t: 0\nmodel name\t: A\ncpu MHz\t\t: {}\nflags\t\t: sse {}\n\nprocessor\t: 1\nflags\t\t: none\n'
    names = []
    for place, text in enumerate([x86.format(1, 'avx'), x86.format(2, 'avx'), x86.format(1, 'sve'), None]):
        path = tmp_path / str(place)
        if text:
            path.write_text(text)
        names.append(compile_cache._processor_key(path))
    assert names[0] == names[1]
    assert len(set(names)) == 3


def test_the_oldest_programs_are_removed(tmp_path):
    for age in range(5):
        (tmp_path / str(age)).write_bytes(bytes(10))
        os.utime(tmp_path / str(age), (0, 1000 - age))
    compile_cache._prune(tmp_path, 35)
    assert sorted(os.listdir(tmp_path)) == ['0', '1', '2']
    compile_cache._prune(tmp_path, 35)
    assert sorted(os.listdir(tmp_path)) == ['0', '1', '2']


def process(command, home, **environment):
    environment = os.environ | {'XDG_CACHE_HOME': str(home)} | environment
    environment.pop('JAX_COMPILATION_CACHE_DIR', None)
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)


def test_few_programs_before_the_first_step(folder, tmp_path):
    command = arguments(folder, 'sr.py', tmp_path / 'out', steps=1, batch_size=0)
    done = process([sys.executable, '-c', FIRST_STEP, *command], tmp_path / 'home')
    assert (done.returncode, done.stderr) == (0, '')
    assert 2 <= int(done.stdout) <= MOST_PROGRAMS


def test_a_second_run_compiles_nothing_and_damaged_programs_are_compiled_again(folder, tmp_path):
    image, found, files = folder / 'photos' / 'photo0.png', [], []
    for number in range(3):
        out = tmp_path / f'out{number}'
        command = [sys.executable, '-m', 'mgan_jax.invert', *arguments(folder, 'invert.py', out, images=image)]
        done = process(command, tmp_path / 'home')
        assert (done.returncode, done.stderr) == (0, '')
        found.append(latents(out, 'photo0'))
        files.append({path: path.stat().st_mtime_ns for path in tmp_path.glob('home/mgan_jax/*/*')})
        if number == 1:
            for path in files[1]:
                path.write_bytes(b'damaged')
    assert any('jit_update' in path.name for path in files[0])
    assert files[1] == files[0]
    for again in found[1:]:
        for one, other in zip(found[0], again, strict=True):
            assert (one == other).all()
