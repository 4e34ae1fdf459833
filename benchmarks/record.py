"""The output of the benchmarks: Markdown tables, and JSON files that name the command, the machine and the versions."""

import datetime
import importlib.metadata
import json
import os
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import commands
from mgan_jax.settings.arguments import CommandParser


def make_parser(name: str, description: str | None) -> CommandParser:
    """The parser of a benchmark with the options --out and --quick."""
    parser = commands.make_parser(name, description)
    parser.add_argument('--out', type=Path, default=Path(f'results/benchmarks/{name}.json'), help='the JSON file')
    parser.add_argument('--quick', action='store_true', help='small networks, to try it out in less than a minute')
    return parser


def format_table(rows: Sequence[dict], columns: Sequence[str] = ()) -> str:
    """Rows as a Markdown table; numbers have three digits. columns: those of the first row, unless given."""
    columns = columns or list(rows[0])
    lines = [columns, ['---'] * len(columns), *([_format_cell(row.get(name)) for name in columns] for row in rows)]
    return '\n'.join(f'| {" | ".join(line)} |' for line in lines)


def _format_cell(value: Any) -> str:
    if value is None:
        return ''
    if not isinstance(value, float):
        return str(value)
    return f'{value:.0f}' if abs(value) >= 1000 else f'{value:.3g}'


def write_record(
    path: Path, name: str, arguments: Sequence[str], rows: Sequence[dict], *, device: str, **more: Any
) -> None:
    """Writes `rows` and `more` with the command, the date, the machine and the versions.

    name, arguments: of the command `python -m benchmarks.NAME ARGUMENTS`. device: the kind of the measured device.
    """
    record = {
        'command': ' '.join(['python', '-m', f'benchmarks.{name}', *arguments]),
        'date': datetime.datetime.now(datetime.UTC).isoformat(timespec='seconds'),
        'machine': describe_cpu(),
        'versions': list_versions(),
        'device': device,
        **more,
        'rows': list(rows),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record, indent=1) + '\n')


def read_record(path: Path) -> dict:
    """The content of a JSON file that a benchmark wrote. Raises ValueError if the file is damaged."""
    try:
        return json.loads(path.read_text(encoding='utf-8'))
    except ValueError as error:
        raise ValueError(f'{path} is damaged; remove it, and the same command measures it again.') from error


def count_cores() -> int:
    """The number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count() or 1


def describe_cpu() -> dict:
    """The processor, its cores for this process, the memory in GB, and the operating system."""
    model, memory = platform.processor() or platform.machine(), None
    if (cpuinfo := Path('/proc/cpuinfo')).exists():
        names = [line.split(':', 1)[1].strip() for line in cpuinfo.read_text().splitlines() if 'model name' in line]
        model = names[0] if names else model
    if hasattr(os, 'sysconf') and 'SC_PHYS_PAGES' in os.sysconf_names:
        memory = round(os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 1e9, 1)
    return {'cpu': model, 'cores': count_cores(), 'memory_gb': memory, 'system': platform.system()}


def list_versions() -> dict[str, str]:
    """The versions of Python and of the packages that are installed."""
    versions = {'python': platform.python_version()}
    for name in ('jax', 'jaxlib', 'flax', 'optax', 'numpy', 'torch'):
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions
