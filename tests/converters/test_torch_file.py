"""torch's two file formats: equal to what was written, or one sentence."""

import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch_writer
from hypothesis import given, settings
from hypothesis import strategies as st
from torch_writer import Bfloat16, Parameter, Raw, call, legacy_file, zip_file

from converters import torch_file

DATA = Path(__file__).parent.parent / 'data'
FORMATS = {'zip': (zip_file, torch_file.read_torch_zip), 'legacy': (legacy_file, torch_file.read_torch_legacy)}


@pytest.fixture(params=FORMATS)
def kind(request):
    return request.param


def roundtrip(kind, value, **lies):
    write, read = FORMATS[kind]
    return read(memoryview(write(value, **lies)))


def test_types_and_shapes(kind):
    arrays = [np.arange(24).reshape(2, 3, 4).astype(t) for t in ('f8', 'f4', 'f2', 'i8', 'i4', 'u1', 'bool')]
    loaded = roundtrip(kind, {str(i): array for i, array in enumerate(arrays)} | {'scalar': np.array(2.5, 'f4')})
    for i, array in enumerate(arrays):
        assert loaded[str(i)].dtype == array.dtype
        np.testing.assert_array_equal(loaded[str(i)], array)
    assert loaded['scalar'].shape == () and loaded['scalar'] == 2.5


def test_bfloat16(kind):
    np.testing.assert_array_equal(
        roundtrip(kind, {'b': Bfloat16(np.array([0x3F80, 0xC040, 0x7F80], np.uint16))})['b'],
        np.array([1, -3, np.inf], np.float32),
    )


def test_nested_content(kind):
    loaded = roundtrip(kind, {'step': 7, 'model': {'w': Parameter(np.ones(3, 'f4'))}, 'args': [('a', None, True)]})
    assert loaded['step'] == 7 and loaded['args'] == [('a', None, True)]
    np.testing.assert_array_equal(loaded['model']['w'], np.ones(3))


def test_big_endian():
    array = np.arange(5, dtype='f4')
    np.testing.assert_array_equal(roundtrip('zip', {'a': array}, order='>')['a'], array)
    bits = Bfloat16(np.array([0x3F80], np.uint16))
    assert roundtrip('zip', {'a': bits}, order='>')['a'] == 1


def test_strided_views(kind):
    array = np.arange(12, dtype='f4')
    turned = roundtrip(kind, {'a': array}, sizes=(3, 4), strides=(1, 3))['a']
    np.testing.assert_array_equal(turned, array.reshape(4, 3).T)
    part = roundtrip(kind, {'a': array}, sizes=(2, 2), strides=(4, 1), offset=5)['a']
    np.testing.assert_array_equal(part, [[5, 6], [9, 10]])


@pytest.mark.parametrize(
    'lies',
    [
        {'count': 13},
        {'count': 11},
        {'count': -1},
        {'count': 2**62},
        {'count': 'many'},
        {'sizes': (13,), 'strides': (1,)},
        {'sizes': (12,), 'strides': (2,)},
        {'sizes': (12,), 'strides': (-1,), 'offset': 11},
        {'sizes': (-12,), 'strides': (1,)},
        {'sizes': (4, 4), 'strides': (0, 1)},
        {'sizes': (2**31, 2**31), 'strides': (0, 0)},
        {'sizes': (2**61,), 'strides': (8,)},
        {'sizes': (12,), 'strides': (1, 1)},
        {'sizes': (1,) * 9, 'strides': (1,) * 9},
        {'sizes': 12},
        {'offset': 1},
        {'offset': -1},
        {'offset': 2**61},
        {'offset': None},
    ],
)
def test_lies_about_tensors_are_refused(kind, lies):
    with pytest.raises(ValueError) as error:
        roundtrip(kind, {'a': np.arange(12, dtype='f4')}, **lies)
    assert '\n' not in str(error.value) and str(error.value).endswith('.')


def test_a_storage_used_too_often_is_refused():
    writer = torch_writer.Pickle()
    once = writer.put(np.ones(1000, 'f4'))
    content = b'\x80\x02](' + once * 20 + b'e.'
    raw = torch_writer.archive({'data.pkl': content, 'data/0': writer.storages['0'][1]})
    with pytest.raises(ValueError, match='more than 4 times'):
        torch_file.read_torch_zip(memoryview(raw))


def test_a_storage_described_in_two_ways_is_refused():
    writer = torch_writer.Pickle()
    once = writer.put(np.ones(4, 'f4'))
    content = b'\x80\x02](' + once + once.replace(b'Float', b'Int') + b'e.'
    raw = torch_writer.archive({'data.pkl': content, 'data/0': bytes(16)})
    with pytest.raises(ValueError, match='two ways'):
        torch_file.read_torch_zip(memoryview(raw))


@pytest.mark.parametrize(
    'value, message',
    [
        (call('os', 'system', 'true'), "asks for 'os.system'"),
        (call('builtins', 'eval', '1'), "asks for 'builtins.eval'"),
        (call('models.generator', 'Generator'), "asks for 'models.generator.Generator'.*state_dict"),
        (call('torch._utils', '_rebuild_tensor_v2'), 'badly described'),
        (call('torch._utils', '_rebuild_tensor_v2', 1, 2, 3, 4), 'badly described'),
        (call('torch', 'FloatStorage', 5), 'cannot be called'),
        (Raw(b'K\x05Q'), 'other than a storage'),
        (Raw(b'(NNNNNtQ'), 'other than a storage'),
        (Raw(b'(X\x07\x00\x00\x00storageNNNNtQ'), 'badly described'),
    ],
)
def test_hostile_content_is_refused(kind, value, message):
    with pytest.raises(ValueError, match=message):
        roundtrip(kind, {'a': value})


def test_compression_is_refused():
    with pytest.raises(ValueError, match='compressed'):
        roundtrip('zip', {'a': np.zeros(10_000, 'f4')}, compression=zipfile.ZIP_DEFLATED)


def test_missing_storages_are_refused():
    writer = torch_writer.Pickle()
    raw = torch_writer.archive({'data.pkl': writer.dumps({'a': np.ones(4, 'f4')})})
    with pytest.raises(ValueError, match="'data/0' is missing"):
        torch_file.read_torch_zip(memoryview(raw))


def test_unknown_byte_order_is_refused():
    raw = torch_writer.archive({'data.pkl': b'\x80\x02}.', 'byteorder': b'middle'})
    with pytest.raises(ValueError, match="byte order is 'middle'"):
        torch_file.read_torch_zip(memoryview(raw))


def test_every_truncation_is_one_sentence(kind):
    write, read = FORMATS[kind]
    raw = write({'a': np.ones(3, 'f4'), 'b': np.ones((2, 2), 'f2')})
    for length in range(len(torch_file.LEGACY_START), len(raw)):
        with pytest.raises(ValueError) as error:
            read(memoryview(raw[:length]))
        assert '\n' not in str(error.value)


def test_real_files_of_both_formats_are_equal():
    new = torch_file.read_torch_zip(memoryview((DATA / 'pggan_res32.pth').read_bytes()))
    old = torch_file.read_torch_legacy(memoryview((DATA / 'pggan_res32_legacy.pth').read_bytes()))
    assert list(new) == list(old) and len(new) == 25
    for name in new:
        np.testing.assert_array_equal(new[name], old[name])


SMALL = {'a': np.arange(6, dtype='f4').reshape(2, 3), 'b': Bfloat16(np.ones(2, np.uint16)), 'c': {'d': [1, 'x', None]}}


@settings(max_examples=600, deadline=None, database=None, derandomize=True)
@given(st.sampled_from(sorted(FORMATS)), st.data())
def test_damaged_files_give_a_result_or_one_sentence(kind, data):
    write, read = FORMATS[kind]
    raw = bytearray(write(SMALL))
    if data.draw(st.booleans()):
        raw = bytearray(torch_writer.without_checksums(bytes(raw)))
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    raw = raw[: data.draw(st.integers(len(raw) // 2, len(raw)))] if data.draw(st.booleans()) else raw
    try:
        read(memoryview(bytes(raw)))
    except ValueError as error:
        assert '\n' not in str(error)
