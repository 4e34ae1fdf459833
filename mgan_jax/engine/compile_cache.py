"""Keeps compiled programs on disk, so that a command that has run before starts without compiling."""

import contextlib
import hashlib
import os
import platform
import warnings
from pathlib import Path

import jax

LIMIT = 2**30  # bytes of programs that are kept


def enable_compile_cache() -> None:
    """Makes JAX keep compiled programs in $XDG_CACHE_HOME/mgan_jax, by default ~/.cache/mgan_jax.

    Changes nothing if the folder cannot be written, or if the caller has chosen a folder in JAX_COMPILATION_CACHE_DIR or
    in JAX's configuration. The oldest programs beyond `LIMIT` bytes are removed.
    """
    if jax.config.jax_compilation_cache_dir is not None:  # type: ignore[attr-defined]
        return
    try:
        folder = _cache_home() / 'mgan_jax' / _processor_key(Path('/proc/cpuinfo'))
        folder.mkdir(parents=True, exist_ok=True)
        _prune(folder, LIMIT)
    except (OSError, RuntimeError):  # no home folder, a full disk, or a file of this name
        return
    if not os.access(folder, os.W_OK | os.X_OK):
        return
    jax.config.update('jax_compilation_cache_dir', str(folder))
    jax.config.update('jax_persistent_cache_min_compile_time_secs', 0)
    jax.config.update('jax_persistent_cache_min_entry_size_bytes', -1)
    # A damaged file or a full disk costs a compilation only.
    warnings.filterwarnings('ignore', 'Error (reading|writing) persistent compilation cache')


def _cache_home() -> Path:
    given = Path(os.environ.get('XDG_CACHE_HOME', ''))
    return given if given.is_absolute() else Path.home() / '.cache'  # the XDG specification ignores relative paths


def _processor_key(cpuinfo: Path) -> str:
    """A name for the kind of processor. Programs use its instructions, and machines may share a home folder."""
    facts = [platform.machine(), platform.processor()]
    with contextlib.suppress(OSError):
        first = cpuinfo.read_text(encoding='utf-8', errors='replace').split('\n\n')[0].splitlines()
        facts += [line for line in first if line.split('\t')[0].strip(' :') in ('model name', 'flags', 'Features')]
    return hashlib.sha256('\n'.join(facts).encode()).hexdigest()[:16]


def _prune(folder: Path, limit: int) -> None:
    """Removes the files that were written first, until the others take at most `limit` bytes.

    JAX's own limit, jax_compilation_cache_max_size, is not used. It keeps the time of use of each program in a second
    file. Where one is missing, because a process was killed or the folder is older than the limit, JAX writes no program
    any more. It also reads all these files for each new program.
    """
    files = sorted(((path.stat().st_mtime, path.stat().st_size, path) for path in folder.iterdir()), reverse=True)
    total = 0
    for _, size, path in files:
        total += size
        if total > limit:
            with contextlib.suppress(OSError):
                path.unlink()
