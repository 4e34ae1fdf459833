"""State dicts and the arrays in them."""

import numpy as np
import pytest

from converters import states

W = np.ones((2, 3), np.float32)


def test_networks_of_a_file():
    assert list(states.find_states({'a': W, 'epoch': 3})) == ['']
    nested = states.find_states({'epoch': 3, 'generator': {'a': W}, 'empty': {}, 'options': {'a': 1}})
    assert list(nested) == ['generator'] and nested['generator']['a'] is W


def test_the_prefix_of_data_parallel_training_is_taken_off():
    assert list(states.find_states({'module.a': W, 'module.b': W})['']) == ['a', 'b']
    assert list(states.find_states({'module.a': W, 'b': W})['']) == ['module.a', 'b']


@pytest.mark.parametrize(
    'content, message', [([W], 'holds a list'), ({}, 'no arrays'), ({'a': {'b': {'c': W}}}, 'no arrays')]
)
def test_content_without_networks(content, message):
    with pytest.raises(ValueError, match=message):
        states.find_states(content)


@pytest.mark.parametrize('dtype', ['f2', 'f8', '>f4', 'f4'])
def test_take_gives_a_copy_in_float32(dtype):
    array = np.arange(6).reshape(2, 3).astype(dtype)
    taken = states.take({'a': array}, 'a', (2, None))
    assert taken.dtype == np.float32 and taken.dtype.isnative and not np.shares_memory(taken, array)
    np.testing.assert_array_equal(taken, array)


@pytest.mark.parametrize(
    'value, message',
    [
        (np.full((2, 3), np.nan, np.float32), "'a' holds NaN or infinite"),
        (np.full((2, 3), 1e300), "'a' holds NaN or infinite"),
        (np.ones((2, 3), int), "'a' does not hold floating-point"),
        (7, "'a' does not hold floating-point"),
        (np.ones((3, 3), np.float32), r"'a' has shape \[3, 3\], but \[2, \*\] is expected"),
        (np.ones(2, np.float32), r"'a' has shape \[2\], but \[2, \*\] is expected"),
    ],
)
def test_take_names_the_tensor(value, message):
    with pytest.raises(ValueError, match=message):
        states.take({'a': value}, 'a', (2, None))
    with pytest.raises(ValueError, match="'b' is missing"):
        states.take({'a': value}, 'b', (2, None))


def test_left_over_names_are_refused():
    states.refuse_left_over({'a': W}, {'a', 'b'}, 'PGGAN')
    with pytest.raises(ValueError, match="'b' .1 in all. does not belong to a PGGAN"):
        states.refuse_left_over({'a': W, 'b': W}, {'a'}, 'PGGAN')
