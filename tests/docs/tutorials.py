"""Executes the tutorials and stores their outputs: `python -m tests.docs.tutorials [NAME ...]`."""

import os
import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient

ROOT = Path(__file__).parent.parent.parent
FOLDER = ROOT / 'docs' / 'tutorials'
# Warnings are errors, but for those of the kernel itself.
STRICT = """
import warnings

warnings.simplefilter('error')
warnings.filterwarnings('ignore', module='ipykernel')
"""


def names() -> list[str]:
    """The names of all tutorials."""
    return sorted(path.stem for path in FOLDER.glob('*.ipynb'))


def read(name: str) -> nbformat.NotebookNode:
    """A notebook as it is stored."""
    return nbformat.read(FOLDER / f'{name}.ipynb', as_version=4)


def execute(name: str, folder: Path, timeout: int = 1800) -> nbformat.NotebookNode:
    """The notebook with the outputs of a new kernel that works in `folder`. A warning of the library is an error.

    timeout: seconds for a cell. nbclient.exceptions.CellExecutionError shows the cell that failed.
    """
    notebook = read(name)
    notebook.cells.insert(0, nbformat.v4.new_code_cell(STRICT))
    paths = [str(ROOT), os.environ.get('PYTHONPATH', '')]
    environment = os.environ | {'PYTHONPATH': os.pathsep.join(filter(None, paths))}
    options = {'record_timing': False, 'coalesce_streams': True, 'startup_timeout': 300}
    client = NotebookClient(notebook, timeout=timeout, kernel_name='python3', **options)
    client.execute(cwd=str(folder), env=environment)
    notebook.cells.pop(0)
    return _without_numbers(notebook)


def texts(notebook: nbformat.NotebookNode) -> list[str]:
    """What the cells print."""
    found = [output for cell in notebook.cells for output in cell.get('outputs', [])]
    return [output.get('text', output.get('data', {}).get('text/plain', '')) for output in found]


def _without_numbers(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Without the numbers of executions and the version of Python, which would change the file each time."""
    notebook.metadata.language_info = {'name': 'python'}
    for cell in notebook.cells:
        if cell.cell_type == 'code':
            cell.execution_count = None
            for output in cell.outputs:
                if output.output_type == 'execute_result':
                    output.execution_count = None
    return notebook


if __name__ == '__main__':
    for chosen in sys.argv[1:] or names():
        executed = execute(chosen, FOLDER)
        nbformat.write(executed, FOLDER / f'{chosen}.ipynb')
        print(f'{chosen}: {(FOLDER / f"{chosen}.ipynb").stat().st_size / 1000:.0f} kB')
