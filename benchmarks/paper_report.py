"""The tables of `benchmarks.paper_tables` and its picture, from the files of what was measured."""

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from benchmarks import paper_methods, record
from benchmarks.paper_methods import PROBLEMS
from mgan_jax.storage import atomic

MISSING = 'not measured'
AS_THEY_ARE = ('input', 'target')  # rows of images that no method has made
HEAD = 20  # pixels above the picture, with the titles of its columns
SHEET = {'input': 'input', 'one-code': 'one code', 'encoder': 'encoder', 'encoder-then': 'encoder, then optimised'}
SHEET |= {'feature-map': 'feature maps', 'dip': 'deep image prior', 'multi-code': 'multi-code', 'target': 'target'}


def write(folder: Path, paths: dict[tuple[str, str], Sequence[Path]], told: Sequence[str]) -> str:
    """tables.md, tables.csv and methods.png. paths: of the files of each (problem, method). told: what stands above.

    -> the text of tables.md.
    """
    rows = [row for name in PROBLEMS for row in _rows(name, paths)]
    parts = list(told)
    for name, problem in PROBLEMS.items():
        if mine := [row for row in rows if row['problem'] == name]:
            parts.append(f'### Table {problem.number}: {problem.title}\n\n{_table(mine, problem)}')
    text = '\n\n'.join(parts) + '\n'
    atomic.write_text(folder / 'tables.md', text)
    atomic.write_text(folder / 'tables.csv', _csv(rows))
    sheet(folder / 'pictures', folder / 'methods.png')
    return text


def _rows(name: str, paths: dict[tuple[str, str], Sequence[Path]]) -> list[dict]:
    """A row for each method, and for the input as it is where it is an image like the target."""
    found = {key: _read(own) for (problem, key), own in paths.items() if problem == name}
    found = {key: runs for key, runs in found.items() if runs}
    rows = [_row(name, key, runs, 'inversion' if 'inversion' in runs[0] else 'measures') for key, runs in found.items()]
    if found and name != 'inversion':
        first = next(iter(found.values()))
        rows.insert(0, _row(name, 'input', first, 'input'))
        if 'NIQE' in PROBLEMS[name].columns and 'target' in first[0]:
            rows.append(_row(name, 'target', first, 'target'))
    return rows


def _read(paths: Iterable[Path]) -> list[dict]:
    return [record.read(path) for path in paths if path.exists()]


def _row(name: str, key: str, runs: list[dict], part: str) -> dict:
    def mean(part: str, measure: str) -> float | None:
        values = [value for run in runs for value in run.get(part, {}).get(measure, [])]
        return float(np.mean(values)) if values else None

    settings, title = runs[0]['settings'], key if key in AS_THEY_ARE else runs[0]['method']
    coded = settings['prior'] == 'multi-code'
    row = {'problem': name, 'method': title, 'layer': None if settings['prior'] == 'dip' else settings['layer']}
    row |= {'N': settings['num_codes'] if coded else None, 'values': runs[0]['values']}
    row |= {'steps': 0 if key == 'encoder' else settings['steps'], 'images': sum(len(run['images']) for run in runs)}
    row |= {name: mean(part, name) for name in ('PSNR', 'SSIM', 'in holes', 'AuC', 'distance', 'NIQE')}
    row['with known'] = mean(key if key in AS_THEY_ARE else 'measures', 'PSNR')
    return row | (dict.fromkeys(('values', 'steps', 'layer', 'N')) if key in AS_THEY_ARE else {})


def _table(rows: list[dict], problem: paper_methods.Problem) -> str:
    name = rows[0]['problem']
    titles = [*(row['method'] for row in rows), *paper_methods.PAPER[name]]
    methods = sorted(dict.fromkeys(titles), key=lambda title: title in ('multi-code', 'target'))
    ours = {row['method']: row for row in rows}
    datasets = list(dict.fromkeys(data for title in methods for data, _ in paper_methods.paper_values(name, title)))
    head = ['method', 'layer', 'N', 'values', 'steps', *problem.columns]
    head += [f'paper{", " + data if data else ""}' for data in datasets]
    lines = [head, ['---'] * len(head)]
    for title in methods:
        row, paper = ours.get(title, {}), dict(paper_methods.paper_values(name, title))
        line = [title, *(_cell(row.get(field)) for field in ('layer', 'N', 'values', 'steps'))]
        known = row if title != 'target' else {field: row[field] for field in problem.columns if row[field] is not None}
        line += [_figure(field, known[field]) if field in known else '' for field in problem.columns]
        lines.append(line + [paper.get(data, '') for data in datasets])
    return '\n'.join(f'| {" | ".join(line)} |' for line in lines)


def _cell(value: int | None) -> str:
    return '' if value is None else f'{value:,}'


def _figure(field: str, value: float | None) -> str:
    return MISSING if value is None else f'{value:.{paper_methods.digits(field)}f}'


def _csv(rows: list[dict]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]) if rows else ['problem'])
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def sheet(folder: Path, path: Path, side: int = 128) -> None:
    """An image of each problem: input, what each method makes of it, target; another image in every row."""
    rows = [name for name in PROBLEMS if (folder / f'{name}_target_0.png').exists()]
    image = Image.new('RGB', (side * len(SHEET), HEAD + side * len(rows)), 'white')
    draw = ImageDraw.Draw(image)
    for left, (column, title) in enumerate(SHEET.items()):
        draw.text((left * side + side // 2, HEAD // 2), title, 'black', anchor='mm')
        for row, name in enumerate(rows):
            places = [folder / f'{name}_{column}_{number}.png' for number in (row, 0)]
            if (name, column) != ('inversion', 'input') and (found := [place for place in places if place.exists()]):
                with Image.open(found[0]) as picture:
                    small = picture.resize((side, side), Image.Resampling.NEAREST)
                image.paste(small, (left * side, HEAD + row * side))
    image.save(path, optimize=True)
