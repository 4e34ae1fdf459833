"""The pickle machine: values that it reads, pickles that it refuses, and no execution."""

import pickle
import struct
import time

import pytest

from converters import unpickling
from converters.unpickling import Function


def load(stream, names=(), persistent=None):
    return unpickling.load_pickle(memoryview(stream), 0, dict(names), persistent)


@pytest.mark.parametrize('protocol', [2, 3, 4, 5])
def test_plain_values(protocol):
    value = {
        'a': [1, 255, 65535, -7, 2**40, -(2**40), 1.5, True, None],
        'b': (),
        'c': ('é\n', (1, 2), (1, 2, 3, 4)),
        3: {},
    }
    value['again'] = value['a']
    stream = pickle.dumps(value, protocol)
    loaded, end = load(stream + b'more')
    assert loaded == value and end == len(stream)
    assert loaded['again'] is loaded['a']


def test_bytes():
    assert load(pickle.dumps(b'\x00\xff' * 200, 4))[0] == b'\x00\xff' * 200


def test_text_of_python_2():
    assert load(b'\x80\x02U\x03ab\xe9.')[0] == 'ab\xe9'
    assert load(b'\x80\x02T\x03\x00\x00\x00ab\xe9.')[0] == 'ab\xe9'


def test_names_are_what_the_table_says():
    names = {'a.f': Function(lambda arguments: ['called', arguments]), 'b.C': 'inert'}
    assert load(b'\x80\x02ca\nf\n(K\x01K\x02tR.', names)[0] == ['called', (1, 2)]
    assert load(b'\x80\x02cb\nC\n.', names)[0] == 'inert'
    assert load(b'\x80\x04\x8c\x01b\x8c\x01C\x93.', names)[0] == 'inert'


def test_ordered_dict_with_attributes():
    names = {'collections.OrderedDict': Function(unpickling.ordered_dict)}
    stream = b'\x80\x02ccollections\nOrderedDict\n]](X\x01\x00\x00\x00aK\x05ea\x85R}X\x01\x00\x00\x00x]sb.'
    assert load(stream, names)[0] == {'a': 5}


def test_persistent_id():
    assert load(b'\x80\x02K\x05Q.', persistent=lambda identity: ['storage', identity])[0] == ['storage', 5]
    with pytest.raises(ValueError, match='where none belongs'):
        load(b'\x80\x02K\x05Q.')


@pytest.mark.parametrize(
    'stream',
    [
        b'\x80\x02cos\nsystem\nX\x04\x00\x00\x00true\x85R.',
        b'\x80\x02cposix\nsystem\nX\x04\x00\x00\x00true\x85R.',
        b'\x80\x02c__builtin__\neval\nX\x01\x00\x00\x001\x85R.',
        b'\x80\x04\x8c\x08builtins\x8c\x04eval\x93\x8c\x011\x85R.',
        b'\x80\x04\x8c\x0bcollections\x8c\x14OrderedDict.__init__\x93.',
        b'\x80\x04\x8c\x0bcollections\x8c\x22OrderedDict.__reduce__.__globals__\x93.',
        b'\x80\x02ccollections\nOrderedDict.fromkeys\n.',
        b'\x80\x02cbuiltins\ngetattr\n.',
        b'\x80\x04K\x01K\x02\x93.',
    ],
)
def test_other_names_are_refused(stream):
    names = {'collections.OrderedDict': Function(unpickling.ordered_dict)}
    with pytest.raises(ValueError, match='^the file asks for .* nothing of it was run'):
        load(stream, names)


@pytest.mark.parametrize('instruction', [b'i', b'o', b'\x92', b'\x82', b'0', b'2', b'I', b'S', b'\x97', b'\x8b'])
def test_other_instructions_are_refused(instruction):
    with pytest.raises(ValueError, match='has the instruction'):
        load(b'\x80\x02(]' + instruction + b'\n\n.')


def test_only_functions_of_the_table_are_called():
    for stream in (
        b'\x80\x02])\x81.',
        b'\x80\x02X\x01\x00\x00\x00f)R.',
        b'\x80\x02ca\nf\n]R.',
        b'\x80\x02])R.',
        b'\x80\x02}]bs)R.',
    ):
        with pytest.raises(ValueError):
            load(stream, {'a.f': Function(lambda arguments: arguments)})


@pytest.mark.parametrize(
    'stream',
    [
        b'',
        b'\x80',
        b'\x80\x02',
        b'\x80\x02.',
        b'\x80\x02a.',
        b'\x80\x02t.',
        b'\x80\x02Ka',
        b'\x80\x02h\x07.',
        b'\x80\x02q\x00.',
    ]
    + [b'\x80\x09N.', b'\x80\x02}K\x01s.', b'\x80\x02}(K\x01u.', b'\x80\x02()u.', b'\x80\x02cname without end']
    + [b'\x80\x02X\xff\xff\xff\xffabc.', b'\x80\x02\x8e' + b'\xff' * 8 + b'abc.', b'\x80\x02B\xff\xff\xff\x7fabc.'],
)
def test_broken_pickles_are_one_sentence(stream):
    with pytest.raises(ValueError) as error:
        load(stream)
    assert '\n' not in str(error.value) and str(error.value).endswith('.')


def test_doubling_and_nesting_cost_nothing():
    doubling = b'\x80\x02)' + b'q\x00h\x00\x86' * 20_000 + b'q\x00.'
    nesting = b'\x80\x02)' + b'\x85' * 200_000 + b'.'
    for stream in (doubling, nesting):
        assert isinstance(load(stream)[0], tuple)
        with pytest.raises(ValueError, match='key of type tuple'):
            load(b'\x80\x02}' + stream[2:-1] + b'Ns.')


def test_lists_inside_themselves():
    loaded = load(b'\x80\x02]q\x00h\x00a.')[0]
    assert loaded[0] is loaded


def test_memo_of_any_index_takes_one_entry():
    assert load(b'\x80\x02K\x05r\xff\xff\xff\xffj\xff\xff\xff\xff\x86.')[0] == (5, 5)


def test_numbers_of_instructions_are_bounded():
    with pytest.raises(ValueError, match='more than 1000000 instructions'):
        load(b'\x80\x02' + b'N' * 1_000_001 + b'.')


def test_colliding_keys_are_refused():
    def number(value):
        return b'\x8a\x0a' + struct.pack('<Q', value) + b'\x00\x00'

    begin = time.monotonic()
    with pytest.raises(ValueError, match='key of type int'):
        load(b'\x80\x02}(' + b''.join(number(k * (2**61 - 1)) + b'N' for k in range(1, 8)) + b'u.')
    assert time.monotonic() - begin < 1


def test_quote_is_one_printable_line():
    assert unpickling.quote('a\n\x1b[31m\u202eb') == "'a\\n\\x1b[31m\\u202eb'"
    assert len(unpickling.quote('x' * 1000)) == 82
