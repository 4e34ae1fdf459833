"""The command line: flags, configurations, refusals, and the process that users see."""

import os
import pty
import signal
import subprocess
import sys
import termios
import time

import pytest
from PIL import Image

from mgan_jax import invert
from mgan_jax.settings import fields, presets
from tests.small_runs import FILES, ROOT, SIDE, arguments, folders, refused

pytestmark = pytest.mark.usefixtures('in_the_repository', 'quick_compilation')


# Refusals: one line on standard error, exit code 2, nothing written


REFUSED = [
    # configuration file, a field, its value, what the line says
    ('invert.py', 'generator', '{}/none', 'there is no model directory {}/none'),
    ('invert.py', 'generator', '', 'no generator was given; set --config.generator'),
    ('invert.py', 'generator', '{}/extractor', 'holds a feature extractor; a generator is wanted'),
    ('invert.py', 'extractor', '{}/none', 'there is no model directory {}/none'),
    ('invert.py', 'extractor', '', 'no extractor was given; set --config.extractor to a model directory, or'),
    ('invert.py', 'extractor', '{}/generator', 'holds a generator; a feature extractor is wanted'),
    ('invert.py', 'lpips', '{}/none', 'there is no model directory {}/none'),
    ('invert.py', 'lpips', '{}/extractor', 'holds a feature extractor; a set of LPIPS heads is wanted'),
    ('invert.py', 'extractor', '{}/heads', 'holds a set of LPIPS heads; a feature extractor is wanted'),
    (
        'invert.py',
        'lpips',
        '{}/other_heads',
        'extractor has [4, 4] channels at its stages; these LPIPS heads are for [4, 5]',
    ),
    ('sr.py', 'niqe', '{}/none.npz', 'none.npz cannot be read'),
    ('sr.py', 'niqe', '{}/photos/photo0.png', 'photo0.png is no NIQE model; an .npz of mean [36]'),
    ('invert.py', 'perceptual_loss', 'lpips', 'no heads were given; set --config.lpips to a model directory of LPIPS'),
    ('invert.py', 'perceptual_loss', 'l1', "perceptual_loss is 'l1'; 'features' or 'lpips' is wanted"),
    ('invert.py', 'extractor_layer', 'relu9_9', "extractor_layer 'relu9_9'"),
    ('invert.py', 'extractor_layer', 'relu9_9', 'this extractor has relu1_1, relu2_1'),
    ('invert.py', 'extractor_size', 1, 'at extractor_size 1: images of 1x1 pixels are too small'),
    ('invert.py', 'extractor_size', 0, 'extractor_size is 0; at least 1'),
    ('invert.py', 'images', '{}/none', '{}/none does not exist: give an image file, a folder, a glob, a list'),
    ('invert.py', 'images', '{}/*.jpg', 'the glob {}/*.jpg matches no image'),
    ('invert.py', 'images', '{}/empty', 'the folder {}/empty holds no image'),
    ('invert.py', 'images', '', 'no images were given; set --config.images'),
    ('invert.py', 'images', ' , ', 'no images were given; set --config.images'),
    ('invert.py', 'out', '', 'no output folder was given; set --config.out'),
    ('invert.py', 'out', '{}/generator/model.json', 'cannot be used: Not a directory; choose another --config.out'),
    ('invert.py', 'out', '{}/generator/model.json/x', 'cannot be used: Not a directory; choose another --config.out'),
    ('invert.py', 'layer', 0, 'layer 0 is given, but this generator has the layers 1 to 6'),
    ('invert.py', 'layer', 7, 'layer 7 is given, but this generator has the layers 1 to 6'),
    ('invert.py', 'space', 'w', "space 'w' is given, but a PGGAN has only the space 'z'"),
    ('invert.py', 'num_codes', 0, 'num_codes is 0; at least 1 is wanted'),
    ('invert.py', 'steps', 0, 'steps is 0; at least 1 is wanted'),
    ('invert.py', 'steps', -3, 'steps is -3; at least 1 is wanted'),
    ('invert.py', 'batch_size', -1, 'batch_size is -1; at least 1 is wanted, or 0 for what fits'),
    ('invert.py', 'tolerance', 1, 'tolerance is 1.0; a share from 0 to below 1 is wanted'),
    ('invert.py', 'beta2', 1.0, 'beta2 is 1.0; a share from 0 to below 1 is wanted'),
    ('invert.py', 'tolerance', 'nan', 'tolerance is nan; a share'),
    ('invert.py', 'optimizer', 'admm', "optimizer is 'admm'; 'whitening', 'adam' or 'sgd' is wanted"),
    ('invert.py', 'keep', 'lasst', "keep is 'lasst'; 'best' or 'last' is wanted"),
    ('invert.py', 'latent_rate', 'nan', 'latent_rate is nan; a finite number of at least 0'),
    ('invert.py', 'pixel', 'inf', 'pixel is inf; a finite number of at least 0'),
    ('invert.py', 'perceptual', -1, 'perceptual is -1.0; a finite number of at least 0'),
    ('invert.py', 'seed', -1, 'seed is -1; a whole number from 0 to 4294967295'),
    ('invert.py', 'seed', 2**70, 'a whole number from 0 to 4294967295'),
    ('invert.py', 'task', 'restore', "task 'restore' is given; reconstruct, super_resolve"),
    ('invert.py', 'task', 'inpaint', "the task 'inpaint'; take that task's file in configs/"),
    ('sr.py', 'factor', 3, 'factor 3 does not divide images of 16x16 pixels'),
    ('sr.py', 'factor', 0, 'factor is 0; at least 1 is wanted'),
    ('sr.py', 'method', 'cubic', "method is 'cubic'; 'bilinear', 'area', 'bicubic' or 'lanczos' is wanted"),
    ('colorize.py', 'generator', '{}/grey', 'makes grey images; one that makes colours is wanted'),
    ('inpaint.py', 'mask', 'centre', "the mask 'centre' is neither a known form nor a file"),
    ('inpaint.py', 'mask', '{}/black.png', 'has no hole at 16 x 16 pixels'),
    ('inpaint.py', 'mask', '{}/white.png', 'leaves nothing known at 16 x 16 pixels'),
    ('inpaint.py', 'mask', '{}/generator/model.json', 'looks like a text file'),
    ('denoise.py', 'mask', 'random:0.0001', 'has no hole at 16 x 16 pixels'),
]


@pytest.mark.slow
@pytest.mark.parametrize(('config', 'field', 'value', 'words'), REFUSED)
def test_unusable_settings(folder, tmp_path, capsys, config, field, value, words):
    (folder / 'empty').mkdir(exist_ok=True)
    Image.new('L', (SIDE, SIDE), 0).save(folder / 'black.png')
    Image.new('L', (SIDE, SIDE), 255).save(folder / 'white.png')
    out = tmp_path / 'out'
    fields = {'out': out, field: str(value).format(folder)}
    assert words.format(folder) in refused(capsys, arguments(folder, config, **fields))
    assert not out.exists()


@pytest.mark.slow
def test_no_loss_at_all(folder, tmp_path, capsys):
    command = arguments(folder, 'invert.py', tmp_path / 'out', pixel=0, perceptual=0)
    assert 'pixel and perceptual are both 0' in refused(capsys, command)


@pytest.mark.parametrize(
    ('command', 'words'),
    [
        (['--config.num_code=3'], "task 'reconstruct' has no field 'num_code'; did you mean 'num_codes'?"),
        (['--config.num_code', '3'], "did you mean 'num_codes'?"),
        (['--config.zzz=3'], "has no field 'zzz'; the fields are alpha_over_n, "),
        (['--config.mask=center'], "task 'reconstruct' has no field 'mask'"),
        (['--config.steps.x=3'], "has no field 'steps.x'; did you mean 'steps'?"),
        (['--config.=3'], "has no field ''"),
        (['--config.steps=many'], '--config.steps=many; a whole number is wanted, as in --config.steps=100.'),
        (['--config.steps=1.5'], '--config.steps=1.5; a whole number is wanted'),
        (['--config.pixel=much'], '--config.pixel=much; a number is wanted'),
        (['--config.alpha_over_n=maybe'], '--config.alpha_over_n=maybe; True or False is wanted'),
        (['--config.steps'], 'Missing value for flag --config.steps; a whole number is wanted'),
        (['--confg.steps=3'], "there is no flag 'confg.steps'; usage: python -m mgan_jax.invert --config"),
        (['--steps=3'], "there is no flag 'steps'; usage: "),
        (['-v'], "there is no flag 'v'; usage: "),
        (['more'], "'more' is not a flag; usage: "),
        (['--flagfile=/none/at/all'], 'Unable to open flagfile'),
    ],
)
def test_unusable_flags(command, words, capsys):
    assert words in refused(capsys, ['--config', 'configs/invert.py', *command])


@pytest.mark.parametrize(
    ('command', 'words'),
    [
        ([], 'no --config was given; usage: python -m mgan_jax.invert --config configs/sr.py'),
        (['--config='], 'no --config was given; usage: '),
        (['--config'], 'Missing value for flag --config; usage: '),
        (['configs/sr.py'], 'configs/sr.py without --config was given; usage: '),
        (['configs/sr.py', '--config.steps=3'], 'configs/sr.py, --config.steps=3 without --config was given'),
        (['--config', 'configs/none.py'], "there is no configuration file 'configs/none.py', and no task of this name"),
        (['--config', 'configs'], "there is no configuration file 'configs', and no task of this name"),
        (['--config', 'configs/sr.py:fasst'], "there is no preset 'fasst'; choose one of demo, fast, upstream, paper."),
        (['--config', 'configs/sr.py:'], "there is no preset ''; choose one of demo, fast, upstream, paper."),
    ],
)
def test_unusable_configuration(command, words, capsys):
    assert words in refused(capsys, command)


@pytest.mark.parametrize(
    ('program', 'words'),
    [
        ('x = 1', 'it has no function get_config'),
        ('x = = 1', 'it raises SyntaxError: invalid syntax'),
        ('import no_such_module_anywhere', "it raises ModuleNotFoundError: No module named 'no_such_module_anywhere'"),
        ('def get_config(): return 1 / 0', 'it raises ZeroDivisionError: division by zero'),
        ('def get_config(): return {}', 'returns dict; a ConfigDict is wanted'),
        ('import ml_collections\ndef get_config(): return ml_collections.ConfigDict()', "task 'None' is given"),
    ],
)
def test_own_configuration_that_cannot_be_used(program, words, tmp_path, capsys):
    (tmp_path / 'own.py').write_text(program)
    assert words in refused(capsys, ['--config', f'{tmp_path}/own.py'])


def test_own_configuration(folder, tmp_path):
    """Flags may stand before or after --config, with = or without."""
    (tmp_path / 'own.py').write_text(
        'import ml_collections\nfrom mgan_jax.settings import presets\n'
        "def get_config(): return ml_collections.ConfigDict(presets.preset_settings('denoise', 'fast') | {'steps': 7})\n"
    )
    command = [
        '--config.layer=2',
        '--config',
        f'{tmp_path}/own.py',
        '--config.mask',
        'random:0.5',
        '--noconfig.composite',
    ]
    settings = invert.read_settings(command)
    changed = {'steps': 7, 'layer': 2, 'mask': 'random:0.5', 'composite': False}
    assert fields.flatten_settings(settings) == presets.preset_settings('denoise', 'fast') | changed


def test_help(capsys):
    assert invert.main(['--help']) == 0
    text = capsys.readouterr().out
    assert text.startswith('usage: python -m mgan_jax.invert --config configs/sr.py')
    names = {name for task in fields.TASKS for name in fields.default_fields(task)} - {'task'}
    assert all(f'--config.{name}=' in text for name in names)


def test_help_of_a_configuration_shows_its_values(capsys):
    assert invert.main(['--config', 'sr', '--config.steps=7', '--help']) == 0
    words = ' '.join(capsys.readouterr().out.split())
    assert 'steps for each image (default: 7)' in words and '(default: 4)' in words and '--config.mask' not in words
    assert invert.main(['--config', 'srr', '-h']) == 2
    assert capsys.readouterr().err.startswith("there is no configuration file 'srr'")


# As a process


def command_line(folder, out, **fields):
    command = arguments(folder, 'invert.py', out, perceptual=0, batch_size=1, **fields)
    return [sys.executable, '-m', 'mgan_jax.invert', *command]


@pytest.mark.slow
def test_quiet_without_a_terminal(folder, tmp_path):
    command = command_line(folder, tmp_path / 'out', images=folder / 'photos' / 'photo0.png')
    environment = os.environ | {'XDG_CACHE_HOME': str(tmp_path)}
    process = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)
    assert process.returncode == 0
    assert process.stderr == ''
    assert process.stdout.startswith('1 of 1 images done')
    assert process.stdout.count('\n') == 1


# Shells start background jobs, and so perhaps the tests, with SIGINT ignored.
HEAR_INTERRUPTIONS = (
    'import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_DFL); os.execv(sys.argv[1], sys.argv[1:])'
)


@pytest.mark.slow
def test_progress_bar_and_interruption(folder, tmp_path):
    """On a terminal a bar shows the figures; Ctrl-C leaves whole folders and a sentence."""
    out = tmp_path / 'out'
    terminal, its_end = pty.openpty()
    termios.tcsetwinsize(its_end, (24, 120))
    command = [sys.executable, '-c', HEAR_INTERRUPTIONS, *command_line(folder, out, steps=4000)]
    environment = os.environ | {'XDG_CACHE_HOME': str(tmp_path)}
    pipes = {'stdout': subprocess.PIPE, 'stderr': its_end}
    with subprocess.Popen(command, cwd=ROOT, env=environment, text=True, **pipes) as process:
        os.close(its_end)
        os.set_blocking(terminal, False)
        seen, deadline = '', time.monotonic() + 300
        while not (out / 'photo0').exists() and process.poll() is None and time.monotonic() < deadline:
            seen += read_terminal(terminal)
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        while process.poll() is None and time.monotonic() < deadline:
            seen += read_terminal(terminal)
            time.sleep(0.01)
        if process.poll() is None:
            process.kill()
        stdout = process.communicate()[0]
    seen += read_terminal(terminal)
    os.close(terminal)
    assert process.returncode == 130, seen
    assert 'Traceback' not in seen
    assert seen.strip().splitlines()[-1].startswith('interrupted; what was finished is kept')
    for figure in ('loss=', 'PSNR=', ' dB', 'images/min=', ' left'):
        assert figure in seen
    assert stdout == ''
    assert 'photo0' in folders(out)
    assert 'photo4' not in folders(out)
    for name in folders(out):
        assert {path.name for path in (out / name).iterdir()} == FILES | {'target.png'}
    assert not list(out.rglob('*.partial'))


def read_terminal(descriptor):
    try:
        return os.read(descriptor, 1 << 16).decode()
    except OSError:  # nothing there yet, or its other end is closed
        return ''
