"""The tables and the picture of `benchmarks.paper_tables`, from its stored measurements."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from benchmarks import paper_methods, record
from benchmarks.paper_methods import PROBLEMS
from mgan_jax.storage import atomic

MISSING = 'not measured'
WITHOUT_METHOD = ('input', 'target')  # rows of images that no method has made
HEAD = 20  # height of the titles above the picture, in pixels
SHEET = {'input': 'input', 'one-code': 'one code', 'encoder': 'encoder', 'encoder-then': 'encoder, then optimised'}
SHEET |= {'feature-map': 'feature maps', 'dip': 'deep image prior', 'multi-code': 'multi-code', 'target': 'target'}

Paths = Mapping[tuple[str, str], Sequence[Path]]  # files of each (problem, method)


def write_tables(folder: Path, paths: Paths, introduction: Sequence[str]) -> str:
    """Writes tables.md, tables.csv and methods.png and returns the text of tables.md, which begins with `introduction`."""
    rows = [row for name in PROBLEMS for row in _list_rows(name, paths)]
    parts = list(introduction)
    for name, problem in PROBLEMS.items():
        if of_problem := [row for row in rows if row['problem'] == name]:
            parts.append(f'### Table {problem.number}: {problem.title}\n\n{_format_table(of_problem, problem)}')
    text = '\n\n'.join(parts) + '\n'
    atomic.write_text(folder / 'tables.md', text)
    atomic.write_text(folder / 'tables.csv', _format_csv(rows))
    draw_sheet(folder / 'pictures', folder / 'methods.png')
    return text


def _list_rows(name: str, paths: Paths) -> list[dict]:
    """A row for each method, and rows of the input and the target where they can be measured like a result."""
    runs_of = {key: _read_runs(files) for (problem, key), files in paths.items() if problem == name}
    runs_of = {key: runs for key, runs in runs_of.items() if runs}
    rows = [
        _make_row(name, key, runs, 'inversion' if 'inversion' in runs[0] else 'measures')
        for key, runs in runs_of.items()
    ]
    if runs_of and name != 'inversion':
        runs = next(iter(runs_of.values()))
        rows.insert(0, _make_row(name, 'input', runs, 'input'))
        if 'NIQE' in PROBLEMS[name].columns and 'target' in runs[0]:
            rows.append(_make_row(name, 'target', runs, 'target'))
    return rows


def _read_runs(paths: Iterable[Path]) -> list[dict]:
    return [record.read_record(path) for path in paths if path.exists()]


def _make_row(name: str, key: str, runs: list[dict], part: str) -> dict:
    """Means over the images of all runs. part: the measures to take, 'inversion', 'measures', 'input' or 'target'."""

    def mean(part: str, measure: str) -> float | None:
        values = [value for run in runs for value in run.get(part, {}).get(measure, [])]
        return float(np.mean(values)) if values else None

    settings, title = runs[0]['settings'], key if key in WITHOUT_METHOD else runs[0]['method']
    has_codes = settings['prior'] == 'multi-code'
    row = {'problem': name, 'method': title, 'layer': None if settings['prior'] == 'dip' else settings['layer']}
    row |= {'N': settings['num_codes'] if has_codes else None, 'values': runs[0]['values']}
    row |= {'steps': 0 if key == 'encoder' else settings['steps'], 'images': sum(len(run['images']) for run in runs)}
    row |= {name: mean(part, name) for name in ('PSNR', 'SSIM', 'in holes', 'AuC', 'distance', 'NIQE')}
    row['with known'] = mean(key if key in WITHOUT_METHOD else 'measures', 'PSNR')
    return row | (dict.fromkeys(('values', 'steps', 'layer', 'N')) if key in WITHOUT_METHOD else {})


def _format_table(rows: list[dict], problem: paper_methods.Problem) -> str:
    """A Markdown table: our numbers, then those of the paper."""
    name = rows[0]['problem']
    ours = {row['method']: row for row in rows}
    titles = sorted(dict.fromkeys([*ours, *paper_methods.PAPER[name]]), key=lambda t: t in ('multi-code', 'target'))
    paper = {title: dict(paper_methods.list_paper_values(name, title)) for title in titles}
    datasets = list(dict.fromkeys(data for values in paper.values() for data in values))
    head = ['method', 'layer', 'N', 'values', 'steps', *problem.columns]
    head += [f'paper{", " + data if data else ""}' for data in datasets]
    lines = [head, ['---'] * len(head)]
    for title in titles:
        row = ours.get(title, {})
        line = [title, *(_format_count(row.get(field)) for field in ('layer', 'N', 'values', 'steps'))]
        known = row if title != 'target' else {field: row[field] for field in problem.columns if row[field] is not None}
        line += [_format_measure(field, known[field]) if field in known else '' for field in problem.columns]
        lines.append(line + [paper[title].get(data, '') for data in datasets])
    return '\n'.join(f'| {" | ".join(line)} |' for line in lines)


def _format_count(value: int | None) -> str:
    return '' if value is None else f'{value:,}'


def _format_measure(column: str, value: float | None) -> str:
    return MISSING if value is None else f'{value:.{paper_methods.count_digits(column)}f}'


def _format_csv(rows: list[dict]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]) if rows else ['problem'])
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def draw_sheet(folder: Path, path: Path, side: int = 128) -> None:
    """A row for each problem: input, the result of each method, target; another image in every row."""
    rows = [name for name in PROBLEMS if (folder / f'{name}_target_0.png').exists()]
    sheet = Image.new('RGB', (side * len(SHEET), HEAD + side * len(rows)), 'white')
    draw = ImageDraw.Draw(sheet)
    for left, (column, title) in enumerate(SHEET.items()):
        draw.text((left * side + side // 2, HEAD // 2), title, 'black', anchor='mm')
        for row, name in enumerate(rows):
            files = [folder / f'{name}_{column}_{number}.png' for number in (row, 0)]
            existing = [file for file in files if file.exists()]
            if existing and (name, column) != ('inversion', 'input'):
                with Image.open(existing[0]) as picture:
                    small = picture.resize((side, side), Image.Resampling.NEAREST)
                sheet.paste(small, (left * side, HEAD + row * side))
    sheet.save(path, optimize=True)
