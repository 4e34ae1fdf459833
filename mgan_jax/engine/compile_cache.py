"""Compiled programs are kept on disk, so that a command that was run before starts without compiling."""

import contextlib
import hashlib
import os
import platform
import warnings
from pathlib import Path

import jax

LIMIT = 2**30  # bytes of programs that are kept; beyond, those that were written first go


def enable_compile_cache() -> None:
    """From now on programs are kept in $XDG_CACHE_HOME/mgan_jax (~/.cache/mgan_jax), where that can be written.

    Changes nothing if the caller has chosen a folder, in JAX_COMPILATION_CACHE_DIR or in JAX's configuration.
    """
    if jax.config.jax_compilation_cache_dir is not None:  # type: ignore[attr-defined]
        return
    try:
        folder = _home() / 'mgan_jax' / _machine(Path('/proc/cpuinfo'))
        folder.mkdir(parents=True, exist_ok=True)
        _prune(folder, LIMIT)
    except (OSError, RuntimeError):  # no home, a full disk, a file in the way
        return
    if not os.access(folder, os.W_OK | os.X_OK):
        return
    jax.config.update('jax_compilation_cache_dir', str(folder))
    jax.config.update('jax_persistent_cache_min_compile_time_secs', 0)
    jax.config.update('jax_persistent_cache_min_entry_size_bytes', -1)
    # A damaged entry, or a disk that is full by now, costs a compilation and is nobody's concern.
    warnings.filterwarnings('ignore', 'Error (reading|writing) persistent compilation cache')


def _home() -> Path:
    given = Path(os.environ.get('XDG_CACHE_HOME', ''))
    return given if given.is_absolute() else Path.home() / '.cache'  # relative ones are to be ignored


def _machine(cpuinfo: Path) -> str:
    """A name for the kind of processor: programs use its instructions, and home folders are shared by machines."""
    told = [platform.machine(), platform.processor()]
    with contextlib.suppress(OSError):
        first = cpuinfo.read_text(encoding='utf-8', errors='replace').split('\n\n')[0].splitlines()
        told += [line for line in first if line.split('\t')[0].strip(' :') in ('model name', 'flags', 'Features')]
    return hashlib.sha256('\n'.join(told).encode()).hexdigest()[:16]


def _prune(folder: Path, limit: int) -> None:
    """Removes the oldest files until they take at most `limit` bytes."""
    files = sorted(((path.stat().st_mtime, path.stat().st_size, path) for path in folder.iterdir()), reverse=True)
    total = 0
    for _, size, path in files:
        total += size
        if total > limit:
            with contextlib.suppress(OSError):
                path.unlink()
