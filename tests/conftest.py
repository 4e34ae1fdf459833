"""Two fake devices, no silent broadcasting between ranks; warnings are errors by pyproject.toml."""

import os

os.environ['XLA_FLAGS'] = os.environ.get('XLA_FLAGS', '') + ' --xla_force_host_platform_device_count=2'

import contextlib  # noqa: E402

import jax  # noqa: E402
import pytest  # noqa: E402

jax.config.update('jax_numpy_rank_promotion', 'raise')
jax.config.update('jax_default_matmul_precision', 'highest')

from tests import small_runs  # noqa: E402


@pytest.fixture(scope='module')
def in_the_repository():
    """`--config configs/...` is relative."""
    with contextlib.chdir(small_runs.ROOT):
        yield


@pytest.fixture(scope='session')
def program_folder(tmp_path_factory):
    """The compilation cache of the session, which its processes share."""
    base = tmp_path_factory.getbasetemp()
    return str((base.parent if 'PYTEST_XDIST_WORKER' in os.environ else base) / 'programs')


@pytest.fixture(scope='module', autouse=True)
def kept_programs(program_folder):
    """Compiled programs are kept on disk: test modules compile many equal ones."""
    with small_runs.keep_programs(program_folder):
        yield


@pytest.fixture(scope='module')
def quick_compilation(kept_programs):
    """Programs are optimised little, since a run of this size is mostly compilation."""
    with small_runs.optimization(False):
        yield


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """Small networks and photos, see `small_runs.make_folder`."""
    folder = tmp_path_factory.mktemp('invert')
    small_runs.make_folder(folder)
    return folder
