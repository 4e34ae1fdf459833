"""Files that would do harm, and broken ones: each is refused in one sentence, in little time and memory; nothing is run,
nothing is written."""

import io
import struct
import time
import tracemalloc
import zipfile

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from converters import formats
from converters.convert import convert
from tests.converters import pickle_writer as w
from tests.converters.pickle_writer import Raw, call, dumps
from tests.converters.torch_writer import archive, legacy_file, without_checksums, zip_file
from tests.references import DATA

A = np.arange(12, dtype=np.float32).reshape(3, 4)
COMMAND = 'touch CANARY'


def glob(name: str) -> bytes:
    return f'c{name}\n'.encode()


def stack_global(module: str, name: str) -> Raw:
    return Raw(w.put(module) + w.put(name) + b'\x93')


def calling(module: str, name: str, *arguments) -> bytes:
    return dumps(call(module, name, *arguments))


def laughs(depth: int) -> bytes:
    """A list of two lists of two lists ...: each remembered and put twice."""
    body = b'](K\x01K\x01e' + b'q\x00'
    for i in range(depth):
        body += b'](' + b'h' + bytes([i % 256]) + b'h' + bytes([i % 256]) + b'eq' + bytes([(i + 1) % 256])
    return b'\x80\x02' + body + b'.'


def cyclic_modules() -> bytes:
    """A module that gets itself as a child after it was made."""
    state = b'}(' + w.put('_modules') + b'}q\x01' + w.put('_parameters') + b'}u'
    module = b'ctorch_utils.persistence\n_reconstruct_persistent_obj\n}(' + w.put('state') + state + b'u\x85Rq\x02'
    return b'\x80\x02}(' + w.put('G_ema') + module + w.put('x') + b'h\x01' + w.put('self') + b'h\x02su.'


def many_modules() -> bytes:
    """Each level has its child four times: 4^8 modules from a few bytes."""
    body = w.put('0') + w.nvidia({}).instructions + b'q\x00'
    for level in range(8):
        below = Raw(b'h' + bytes([level]))
        children = dict.fromkeys('abcd', below)
        body += w.put(str(level + 1)) + w.nvidia({}, children).instructions + b'q' + bytes([level + 1])
    return b'\x80\x02}(' + body + b'u.'


def wide_settings() -> bytes:
    """Dictionaries of 1000 names that all stand for the next one."""
    body = b'}q\x00'
    for level in range(5):
        names = b''.join(w.put(str(i)) + b'h' + bytes([level]) for i in range(1000))
        body += b'}(' + names + b'uq' + bytes([level + 1])
    settings = b'(' + body + b't'
    return dumps((Raw(settings), w.tf({}, static_kwargs=Raw(b'h\x05'))))


def same_list_again() -> bytes:
    """A long list that is made a dictionary of again and again."""
    pairs = b'](' + b''.join(w.put((str(i), i)) for i in range(20_000)) + b'eq\x00'
    return b'\x80\x02' + pairs + b'(' + b'ccollections\nOrderedDict\nh\x00\x85R' * 20_000 + b't.'


def zip_with(names: list[str], content=b'x', compression=zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, 'w', compression) as file:
        for name in names:
            file.writestr(name, content)
    return buffer.getvalue()


def nested_command() -> bytes:
    return dumps({'G_ema': w.nvidia({'x': w.tensor(A, storage=legacy_file(call('os', 'system', COMMAND)))})})


def nested_twice() -> bytes:
    inner = w.put((w.nested(A),))
    call_again = Raw(b'ctorch.storage\n_load_from_bytes\n' + inner + b'R')
    return dumps({'G_ema': w.nvidia({'x': w.tensor(A, storage=legacy_file(call_again))})})


def network(**lies) -> bytes:
    return dumps(w.tf({'x': w.network_array(A, **lies)}))


def module(**lies) -> bytes:
    return dumps({'G_ema': w.nvidia({'x': w.tensor(A, **lies)})})


def pggan(**changes) -> bytes:
    from converters import formats

    state = dict(formats.read_weight_file(DATA / 'pggan_res32_tf.pkl').value['Gs'])
    state.pop('static_kwargs')
    return dumps(w.tf({name: np.asarray(value) for name, value in (state | changes).items()}))


HOSTILE = {
    'os.system': calling('os', 'system', COMMAND),
    'posix.system': calling('posix', 'system', COMMAND),
    'nt.system': calling('nt', 'system', COMMAND),
    'subprocess': calling('subprocess', 'Popen', COMMAND),
    'eval': calling('builtins', 'eval', f'__import__("os").system("{COMMAND}")'),
    'exec': calling('builtins', 'exec', 'open("CANARY", "w")'),
    'python 2 eval': calling('__builtin__', 'eval', '1'),
    'import': calling('builtins', '__import__', 'os'),
    'getattr': calling('builtins', 'getattr', 'os', 'system'),
    'attrgetter': calling('operator', 'attrgetter', 'system'),
    'methodcaller': calling('operator', 'methodcaller', 'system'),
    'partial': calling('functools', 'partial', 'print'),
    'codecs': calling('_codecs', 'lookup', 'x'),
    'codecs.encode to code': calling('_codecs', 'encode', 'x', 'hex'),
    'runpy': calling('runpy', 'run_path', 'x.py'),
    'pickle in pickle': calling('pickle', 'loads', 'x'),
    'torch.load': calling('torch', 'load', 'x'),
    'numpy.load': calling('numpy', 'load', 'x'),
    'numpy loads': calling('numpy.core.multiarray', '_loads', 'x'),
    'copyreg': calling('copyreg', '_reconstructor', 'x'),
    'types.CodeType': calling('types', 'CodeType', 1),
    'dotted name': dumps(stack_global('builtins', 'dict.__class__')),
    'name by stack': dumps(Raw(stack_global('os', 'system').instructions + w.put((COMMAND,)) + b'R')),
    'name of wrong type': dumps(Raw(w.put(3) + w.put('x') + b'\x93')),
    'INST': b'\x80\x02(' + w.put(COMMAND) + b'ios\nsystem\n.',
    'OBJ': b'\x80\x02(' + glob('os\nsystem') + w.put(COMMAND) + b'o.',
    'NEWOBJ': b'\x80\x02' + glob('subprocess\nPopen') + w.put((COMMAND,)) + b'\x81.',
    'NEWOBJ_EX': b'\x80\x04' + glob('tfutil\nNetwork') + b')}\x92.',
    'EXT1': b'\x80\x02\x82\x01.',
    'EXT4': b'\x80\x02\x84\x01\x00\x00\x00.',
    'PERSID': b'\x80\x02Pos.system\n.',
    'BINPERSID': b'\x80\x02' + w.put('x') + b'Q.',
    'call of a text': dumps(Raw(w.put('os.system') + w.put((COMMAND,)) + b'R')),
    'call of an object': dumps(Raw(w.tf({}).instructions + b')R')),
    'call of an inert class': dumps(Raw(b'cnumpy\nndarray\n)R')),
    'state of a list': dumps(Raw(b']}b')),
    'state of a text': dumps(Raw(w.put('x') + b'}b')),
    'class that is replaced': dumps(Raw(b'ctfutil\nNetwork\n}b')),
    'protocol 0': b'cos\nsystem\n(S"touch CANARY"\ntR.',
    'memo before it is filled': b'\x80\x02h\x05.',
    'empty stack': b'\x80\x02R.',
    'mark without items': b'\x80\x02t.',
    'list in itself': b'\x80\x02]q\x00h\x00a.',
    'network in itself': b'\x80\x02' + w.tf({}).instructions + b'q\x00(h\x00h\x00h\x00t.',
    'billion laughs': laughs(200),
    'long tuple of laughs': b'\x80\x02' + laughs(30)[2:-1] + b'\x85.',
    'dictionary with a list as key': b'\x80\x02}]K\x01s.',
    'dictionary of colliding keys': dumps({str(i): i for i in range(3)} | {2**61 - 1 + 2**64: 1}),
    'cycle of modules': cyclic_modules(),
    'many modules': many_modules(),
    'settings of settings': wide_settings(),
    'the same list again': same_list_again(),
    'array of objects': network(kind='O8'),
    'array of records': network(kind='V8'),
    'array of texts': network(kind='U4'),
    'huge item size': network(kind='S9999999999'),
    'negative shape': network(shape=(-3, -4)),
    'shape of a huge array': network(shape=(2**40, 2**40)),
    'too few numbers': network(shape=(3, 5)),
    'odd number of bytes': network(raw=b'abc'),
    'no bytes': network(raw='text'),
    'NaN weights': pggan(**{'8x8/Conv1/bias': np.full(48, np.nan, np.float32)}),
    'infinite weights': pggan(**{'8x8/Conv1/bias': np.full(48, np.inf, np.float32)}),
    'static_kwargs that are a text': dumps(w.tf({}, static_kwargs='x')),
    'no variables': dumps(w.tf({})),
    'network without a description': b'\x80\x02ctfutil\nNetwork\n)\x81.',
    'nested storage that runs a command': nested_command(),
    'nested storage that is a bare pickle': module(storage=calling('os', 'system', COMMAND)),
    'nested storage in a nested storage': nested_twice(),
    'nested storage of text': module(storage=b'hello'),
    'nested storage that is cut': module(storage=w.nested(A)[:-9]),
    'negative stride': module(strides=(-4, 1)),
    'overlapping beyond the end': module(strides=(4, 4)),
    'overlapping strides of a huge tensor': module(sizes=(2**20, 2**20), strides=(0, 0)),
    'negative offset': module(offset=-1),
    'offset of text': module(offset='x'),
    'torch: command': zip_file({'x': call('os', 'system', COMMAND)}),
    'torch legacy: command': legacy_file({'x': call('os', 'system', COMMAND)}),
    'torch: negative stride': zip_file({'x': A}, strides=(-4, 1)),
    'torch: huge storage': zip_file({'x': A}, count=2**62),
    'torch: storage too short': zip_file({'x': A}, count=13),
    'torch: storage too long': zip_file({'x': A}, count=11),
    'torch legacy: storage of another length': legacy_file({'x': A}, count=13),
    'zip bomb': archive({'data.pkl': b'\x80\x02' + b'0' * 10_000_000}, zipfile.ZIP_DEFLATED),
    'zip with a compressed storage': zip_file({'x': A}, compression=zipfile.ZIP_DEFLATED),
    'zip out of its folder': zip_with(['../../data.pkl']),
    'zip with absolute names': zip_with(['/etc/data.pkl', '/CANARY']),
    'zip of two networks': zip_with(['a/data.pkl', 'b/data.pkl']),
    'zip without its directory': zip_file({'x': A})[:-22],
    'zip of TorchScript': zip_with(['a/data.pkl', 'a/constants.pkl']),
    'storage key out of the folder': zip_file({'x': A}).replace(b'data/0', b'../a/0'),
    'damaged storage': without_checksums(zip_file({'x': A}))[:-60],
}


@pytest.mark.slow
@pytest.mark.parametrize('name', HOSTILE)
def test_refused_in_a_sentence(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    source = tmp_path / 'weights.pkl'
    source.write_bytes(HOSTILE[name])
    tracemalloc.start()
    began = time.process_time()  # not the time of other processes
    try:
        with pytest.raises(ValueError) as error:
            convert(source, tmp_path / 'model')
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    sentence = str(error.value)
    assert '\n' not in sentence and sentence.isprintable() and 20 < len(sentence) < 400
    assert time.process_time() - began < 10 and peak < 50 * len(HOSTILE[name]) + 20_000_000
    assert [path.name for path in tmp_path.iterdir()] == ['weights.pkl']


@pytest.mark.parametrize('name', ['os.system', 'nested storage that runs a command', 'torch: command'])
def test_the_name_is_told(name, tmp_path):
    (tmp_path / 'weights.pkl').write_bytes(HOSTILE[name])
    with pytest.raises(ValueError, match="asks for 'os.system', .* nothing of it was run"):
        formats.read_weight_file(tmp_path / 'weights.pkl')


SMALL = {
    'tensorflow': dumps(w.tf({'x': A, 'lod': np.zeros((), np.float32)}, {'mapping': w.tf({'y': A})})),
    'nvidia': dumps({'G_ema': w.nvidia({'x': w.tensor(A)}, {'b': w.nvidia({'y': w.tensor(A)})}), 'D': None}),
    'torch': zip_file({'x': A, 'y': A}),
    'torch legacy': legacy_file({'x': A, 'y': A}),
}


def test_the_small_files_are_sound(tmp_path):
    expected = {'tensorflow': 'Gs', 'nvidia': 'G_ema'}
    for name, raw in SMALL.items():
        (tmp_path / 'weights').write_bytes(raw)
        value = formats.read_weight_file(tmp_path / 'weights').value
        state = value[expected[name]] if name in expected else value
        np.testing.assert_array_equal(state['x'], A)


@pytest.mark.slow
@pytest.mark.parametrize('name', SMALL)
def test_cut_at_every_byte(name, tmp_path):
    path = tmp_path / 'weights'
    for length in range(len(SMALL[name])):
        path.write_bytes(SMALL[name][:length])
        with pytest.raises(ValueError):
            formats.read_weight_file(path)


quick = settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
OPCODES = b'(.0N\x88\x89K\x8aGX\x8cUCB)\x85\x86\x87t]ae}su\x8f\x90qr\x94hjc\x93R\x81bQ\x95'
NAMES = [b'cnumpy\nndarray\n', b'cnumpy\ndtype\n', b'cnumpy.core.multiarray\n_reconstruct\n', b'ctfutil\nNetwork\n']
NAMES += [b'cnumpy.core.multiarray\nscalar\n', b'ctorch.storage\n_load_from_bytes\n', b'c_codecs\nencode\n']
NAMES += [b'ctorch._utils\n_rebuild_tensor_v2\n', b'ctorch_utils.persistence\n_reconstruct_persistent_obj\n']
PIECES = st.one_of(
    st.sampled_from([bytes([code]) for code in OPCODES]),
    st.sampled_from(NAMES),
    st.sampled_from([w.put(value) for value in ('state', 'variables', 'f4', 'latin1', 1, 2**40, -1, b'abcd')]),
    st.binary(max_size=3),
)


def reads_or_refuses(path, raw: bytes) -> None:
    path.write_bytes(raw)
    try:
        formats.read_weight_file(path)
    except ValueError as error:
        assert '\n' not in str(error)


@pytest.mark.slow
@quick
@given(st.sampled_from(sorted(SMALL)), st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), max_size=6))
def test_changed_bytes(tmp_path, name, changes):
    raw = bytearray(SMALL[name])
    for place, value in changes:
        raw[place % len(raw)] = value
    reads_or_refuses(tmp_path / 'weights', bytes(raw))


@pytest.mark.slow
@quick
@given(st.sampled_from(sorted(SMALL)), st.sampled_from(sorted(SMALL)), st.integers(0, 2000), st.integers(0, 2000))
def test_spliced_files(tmp_path, first, second, end, start):
    reads_or_refuses(tmp_path / 'weights', SMALL[first][:end] + SMALL[second][start:] or b'x')


@pytest.mark.slow
@quick
@given(st.lists(PIECES, max_size=40))
def test_any_instructions(tmp_path, pieces):
    reads_or_refuses(tmp_path / 'weights', b'\x80\x02' + b''.join(pieces) + b'.')


def test_lengths_that_lie(tmp_path):
    for opcode, layout in ((b'B', '<I'), (b'\x8e', '<Q'), (b'X', '<I'), (b'\x8d', '<Q')):
        for length in (5, 2**31, 2**32 - 1):
            raw = b'\x80\x04' + opcode + struct.pack(layout, length) + b'abc.'
            (tmp_path / 'weights').write_bytes(raw)
            with pytest.raises(ValueError, match='truncated or damaged'):
                formats.read_weight_file(tmp_path / 'weights')
