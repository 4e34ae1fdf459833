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


@pytest.fixture(scope='module')
def quick_compilation(tmp_path_factory):
    """Programs are optimised little and kept on disk, since a run of this size is mostly compilation."""
    programs = str(tmp_path_factory.mktemp('programs'))
    with small_runs.keep_programs(programs), small_runs.optimization(False):
        yield


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """Small networks and photos, see `small_runs.make_folder`."""
    folder = tmp_path_factory.mktemp('invert')
    small_runs.make_folder(folder)
    return folder
