"""The tutorials run as they stand, without a warning, and print what is stored in them."""

import re

import pytest

REASON = "the tutorials need nbclient and ipykernel: pip install -e '.[test]'"
pytest.importorskip('nbclient', reason=REASON)
pytest.importorskip('ipykernel', reason=REASON)
pytest.importorskip('matplotlib', reason=REASON)

from tests.docs import tutorials  # noqa: E402

pytestmark = pytest.mark.slow
WANTED = ['first_restoration', 'from_a_weight_file', 'research', 'your_own_generator']
LARGEST = 250_000  # bytes of a notebook with its outputs


def test_all_tutorials_are_tested():
    assert tutorials.names() == WANTED


@pytest.fixture(scope='module', params=WANTED)
def executed(request, tmp_path_factory):
    """The name of a tutorial, and the notebook after a run in an empty folder."""
    return request.param, tutorials.execute(request.param, tmp_path_factory.mktemp(request.param))


def test_it_prints_what_is_stored(executed):
    """Numbers depend on the processor; words and pictures do not."""
    name, notebook = executed
    stored = tutorials.read(name)
    assert [_words(text) for text in tutorials.texts(notebook)] == [_words(text) for text in tutorials.texts(stored)]
    assert _num_pictures(notebook) == _num_pictures(stored) > 0


def test_it_is_stored_small_and_without_noise(executed):
    name, _ = executed
    assert (tutorials.FOLDER / f'{name}.ipynb').stat().st_size < LARGEST
    stored = tutorials.read(name)
    assert all(cell.execution_count is None for cell in stored.cells if cell.cell_type == 'code')


@pytest.mark.parametrize('executed', ['first_restoration'], indirect=True)
def test_the_first_restoration_is_better_than_interpolation(executed):
    _, notebook = executed
    text = '\n'.join(tutorials.texts(notebook))
    bicubic, result = (
        [float(number) for number in re.findall(r'[\d.]+', re.search(f'^{title}:(.*)$', text, re.MULTILINE).group(1))]
        for title in ('bicubic', 'result')
    )
    assert len(bicubic) == len(result) == 2
    assert sum(result) > sum(bicubic) + 1


def _words(text):
    return re.sub(r'-?\d[\d.,]*(e[+-]\d+)?', '0', text)


def _num_pictures(notebook):
    outputs = [output for cell in notebook.cells for output in cell.get('outputs', [])]
    return sum('image/png' in output.get('data', {}) for output in outputs)
