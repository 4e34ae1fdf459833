"""What the benchmarks leave behind: a Markdown table on the screen, and a JSON file that says where the numbers come from."""

import argparse
import datetime
import importlib.metadata
import json
import os
import platform
from collections.abc import Sequence
from pathlib import Path


def parser(name: str, description: str) -> argparse.ArgumentParser:
    """With the options that all benchmarks have: --out and --quick."""
    made = argparse.ArgumentParser(prog=f'python -m benchmarks.{name}', description=description)
    made.add_argument('--out', type=Path, default=Path(f'results/benchmarks/{name}.json'), help='the JSON file')
    made.add_argument('--quick', action='store_true', help='small networks, to try it out in less than a minute')
    return made


def numbers(text: str) -> list[int]:
    """'4,6,8' -> [4, 6, 8], '' -> [], for argparse."""
    return [int(part) for part in text.split(',') if part]


def table(rows: Sequence[dict], columns: Sequence[str] = ()) -> str:
    """Markdown of the rows' `columns` (those of the first row, unless given); numbers with three digits."""
    columns = columns or list(rows[0])
    lines = [columns, ['---'] * len(columns), *([_cell(row.get(name)) for name in columns] for row in rows)]
    return '\n'.join(f'| {" | ".join(line)} |' for line in lines)


def _cell(value) -> str:
    if value is None:
        return ''
    if not isinstance(value, float):
        return str(value)
    return f'{value:.0f}' if abs(value) >= 1000 else f'{value:.3g}'


def save(path: Path, name: str, arguments: Sequence[str], rows: Sequence[dict], *, device: str, **more) -> None:
    """Writes `rows` and `more` with the command, the date, the machine and the versions.

    name, arguments: `python -m benchmarks.NAME ARGUMENTS`. device: the kind of device that was measured.
    """
    record = {
        'command': ' '.join(['python', '-m', f'benchmarks.{name}', *arguments]),
        'date': datetime.datetime.now(datetime.UTC).isoformat(timespec='seconds'),
        'machine': machine(),
        'versions': versions(),
        'device': device,
        **more,
        'rows': list(rows),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record, indent=1) + '\n')


def read(path: Path) -> dict:
    """What a benchmark has kept. ValueError where the file is damaged."""
    try:
        return json.loads(path.read_text(encoding='utf-8'))
    except ValueError as error:
        raise ValueError(f'{path} is damaged; remove it, and the same command measures it again.') from error


def cores() -> int:
    """Those that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count() or 1


def machine() -> dict:
    """Processor, cores, memory in GB."""
    model, memory = platform.processor() or platform.machine(), None
    if (cpuinfo := Path('/proc/cpuinfo')).exists():
        names = [line.split(':', 1)[1].strip() for line in cpuinfo.read_text().splitlines() if 'model name' in line]
        model = names[0] if names else model
    if hasattr(os, 'sysconf') and 'SC_PHYS_PAGES' in os.sysconf_names:
        memory = round(os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 1e9, 1)
    return {'cpu': model, 'cores': cores(), 'memory_gb': memory, 'system': platform.system()}


def versions() -> dict:
    """Of Python, and of the packages that are installed."""
    found = {'python': platform.python_version()}
    for name in ('jax', 'jaxlib', 'flax', 'optax', 'numpy', 'torch'):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
