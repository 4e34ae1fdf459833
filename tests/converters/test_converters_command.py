"""python -m converters: what is printed, and one line for every file that cannot be used."""

import hashlib
import subprocess
import sys
from pathlib import Path

import foreign_states
import numpy as np
import pytest
import torch_writer
from torch_writer import call, legacy_file, zip_file

from converters.__main__ import main

DATA = Path(__file__).parent.parent / 'data'
PGGAN = DATA / 'pggan_res32.pth'


def refused(capsys, source, destination, *flags):
    """The line on stderr, after checking that it is one and that nothing was written."""
    before = sorted(destination.parent.iterdir()) if destination.parent.is_dir() else None
    assert main([str(source), str(destination), *flags]) == 1
    printed = capsys.readouterr()
    assert printed.out == '' and printed.err.count('\n') == 1 and printed.err.startswith(f'{source}: ')
    assert before == (sorted(destination.parent.iterdir()) if destination.parent.is_dir() else None)
    return printed.err


@pytest.mark.slow
def test_what_was_found_is_printed(tmp_path, capsys):
    assert main([str(PGGAN), str(tmp_path / 'model')]) == 0
    printed = capsys.readouterr()
    assert printed.err == ''
    for text in ('torch (zip)', 'pggan', 'resolution 32', '129,363', hashlib.sha256(PGGAN.read_bytes()).hexdigest()):
        assert text in printed.out


@pytest.mark.slow
def test_as_a_program(tmp_path):
    def run():
        command = [sys.executable, '-W', 'error', '-m', 'converters', PGGAN, tmp_path / 'model']
        root = Path(__file__).parent.parent.parent
        return subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)

    done = run()
    assert (done.returncode, done.stderr) == (0, '') and 'all parameters equal' in done.stdout
    again = run()
    assert again.returncode == 1 and again.stderr.count('\n') == 1 and '--overwrite' in again.stderr
    assert again.stdout == ''


STATE = foreign_states.pggan()


@pytest.mark.parametrize(
    'raw, message',
    [
        (b'<!DOCTYPE html><html>Sign in</html>', 'web page'),
        (b'version https://git-lfs.github.com/spec/v1\n', 'git lfs pull'),
        (b'', 'empty'),
        (PGGAN.read_bytes()[:300_000], 'incomplete'),
        (zip_file({'synthesis.layer0.weight': np.ones(3), 'mapping.dense0.bias': np.ones(3)}), 'StyleGAN'),
        (zip_file(STATE | {'layer2.conv.weight': np.ones((8, 8, 5, 5), 'f4')}), 'layer2.conv.weight'),
        (legacy_file(STATE | {'layer2.conv.weight': np.full((8, 8, 3, 3), np.nan, 'f4')}), 'layer2.conv.weight'),
        (
            zip_file({name: value for name, value in STATE.items() if name != 'layer4.conv.weight'}),
            'layer4.conv.weight',
        ),
        (zip_file(STATE | {'evil\n\x1b[2J': np.ones(1)}), 'evil'),
        (zip_file(STATE, count=7), 'promise'),
        (zip_file(call('builtins', 'eval', '1+1')), 'builtins.eval'),
        (torch_writer.archive({'data.pkl': b'\x80\x02' + b'}' * 1_000_001 + b'.'}), 'instructions'),
    ],
)
def test_files_that_cannot_be_used(tmp_path, capsys, raw, message):
    source = tmp_path / 'weights.pth'
    source.write_bytes(raw)
    assert message in refused(capsys, source, tmp_path / 'model')


@pytest.mark.parametrize('write', [zip_file, legacy_file])
@pytest.mark.parametrize('module, name', [('os', 'system'), ('posix', 'system'), ('subprocess', 'getoutput')])
def test_nothing_in_a_file_is_run(tmp_path, capsys, write, module, name):
    sentinel = tmp_path / 'sentinel'
    source = tmp_path / 'weights.pth'
    source.write_bytes(write(STATE | {'x': call(module, name, f'touch {sentinel}')}))
    assert f'{module}.{name}' in refused(capsys, source, tmp_path / 'model')
    assert not sentinel.exists()


def test_sources_that_are_no_files(tmp_path, capsys):
    assert 'no such file' in refused(capsys, tmp_path / 'missing.pth', tmp_path / 'model')
    assert 'directory' in refused(capsys, tmp_path, tmp_path / 'model')


def test_destinations_that_cannot_be_made(tmp_path, capsys):
    (tmp_path / 'file').write_text('a file')
    refused(capsys, PGGAN, tmp_path / 'file' / 'model')
    assert 'exists' in refused(capsys, PGGAN, tmp_path / 'file')
    refused(capsys, PGGAN, tmp_path / 'file', '--overwrite')
    assert (tmp_path / 'file').read_text() == 'a file'
    (tmp_path / 'link').symlink_to(tmp_path / 'nowhere')
    assert 'exists' in refused(capsys, PGGAN, tmp_path / 'link')


@pytest.mark.slow
def test_names_are_passed_on(tmp_path, capsys):
    source = tmp_path / 'several.pth'
    source.write_bytes(zip_file({'g': STATE, 'average': STATE}))
    assert '--network' in refused(capsys, source, tmp_path / 'model')
    assert 'vgg' in refused(capsys, source, tmp_path / 'model', '--network', 'g', '--architecture', 'vgg')
    assert main([str(source), str(tmp_path / 'model'), '--network', 'g', '--architecture', 'pggan']) == 0
