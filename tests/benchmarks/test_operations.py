"""Counts of operations that can be computed by hand."""

import jax
import jax.numpy as jnp
import pytest
from jax import lax

from benchmarks.operations import Count, count_operations

FLOAT = 4  # bytes


def array(*shape, dtype=jnp.float32):
    return jax.ShapeDtypeStruct(shape, dtype)


def conv(x, kernel, padding='SAME', **more):
    numbers = ('NHWC', 'HWIO', 'NHWC')
    return lax.conv_general_dilated(x, kernel, (1, 1), padding, dimension_numbers=numbers, **more)


def matmul_count(m, k, n, dtype_bytes=FLOAT):
    return Count(2 * m * k * n, dtype_bytes * (m * k + k * n + m * n))


def test_matrix_product():
    assert count_operations(jnp.matmul, array(3, 5), array(5, 7)) == matmul_count(3, 5, 7)
    half = count_operations(jnp.matmul, array(3, 5, dtype=jnp.bfloat16), array(5, 7, dtype=jnp.bfloat16))
    assert half == matmul_count(3, 5, 7, dtype_bytes=2)


def test_batched_product_contracts_two_axes():
    made = count_operations(lambda x, y: jnp.einsum('bijk,bjkl->bil', x, y), array(2, 3, 4, 5), array(2, 4, 5, 6))
    assert made.operations == 2 * 2 * 3 * 6 * (4 * 5)


def test_elementwise_equations_count_as_traffic_only():
    assert count_operations(lambda x: jnp.exp(x) + x, array(10)) == Count(0, 0, FLOAT * (20 + 30))


def test_plain_convolution():
    made = count_operations(conv, array(2, 8, 8, 3), array(3, 3, 3, 5))
    assert made == Count(2 * (2 * 8 * 8 * 5) * (9 * 3), FLOAT * (2 * 64 * 3 + 9 * 15 + 2 * 64 * 5))
    assert (
        count_operations(lambda x, k: conv(x, k, 'VALID'), array(2, 8, 8, 3), array(3, 3, 3, 5)).operations
        == 2 * 360 * 27
    )


def test_grouped_convolutions_do_less():
    by_features = count_operations(
        lambda x, k: conv(x, k, feature_group_count=4), array(2, 8, 8, 8), array(3, 3, 2, 12)
    )
    assert by_features.operations == 2 * (2 * 64 * 12) * (9 * 2)
    by_batch = count_operations(lambda x, k: conv(x, k, batch_group_count=2), array(2, 8, 8, 3), array(3, 3, 3, 6))
    assert by_batch.operations == 2 * (1 * 64 * 6) * (9 * 3)


def test_each_gradient_of_a_convolution_counts_as_much_as_the_convolution():
    def loss(x, kernel):
        return jnp.sum(jnp.square(conv(x, kernel)))

    shapes, forward = (array(2, 8, 8, 3), array(3, 3, 3, 5)), 2 * (2 * 64 * 5) * 27
    assert count_operations(jax.grad(loss, 0), *shapes).operations == 2 * forward
    assert count_operations(jax.grad(loss, (0, 1)), *shapes).operations == 3 * forward


def test_a_rematerialised_function_counts_twice():
    def loss(x, y):
        return jnp.sum(jnp.sin(jnp.sin(x @ y) @ y))

    shapes, one = (array(4, 4), array(4, 4)), 2 * 4**3
    assert count_operations(jax.grad(loss), *shapes).operations == 4 * one
    again = count_operations(lambda x, y: jax.value_and_grad(jax.checkpoint(loss))(x, y), *shapes)
    assert again.operations == 6 * one


def test_functions_with_own_derivatives_and_jit():
    @jax.custom_vjp
    def product(x, y):
        return x @ y

    def backward(residuals, gradient):
        x, y = residuals
        return gradient @ y.T, x.T @ gradient

    product.defvjp(lambda x, y: (product(x, y), (x, y)), backward)
    shapes, one = (array(4, 4), array(4, 4)), 2 * 4**3
    assert count_operations(jax.jit(product), *shapes) == matmul_count(4, 4, 4)
    gradient = count_operations(jax.jit(jax.value_and_grad(lambda x, y: jnp.sum(product(x, y)), (0, 1))), *shapes)
    assert gradient.operations == 3 * one


def test_unused_equations_do_not_count():
    @jax.jit
    def both(x, y):
        return x @ x, y @ y

    made = count_operations(lambda x, y: both(x @ x, y @ y)[1], array(4, 4), array(4, 4))
    assert made.operations == 2 * (2 * 4**3)


def test_a_scan_counts_every_iteration():
    def passes(x, y):
        return lax.scan(lambda carry, _: (jnp.sin(carry @ y), None), x, length=7)[0]

    assert count_operations(passes, array(3, 4), array(4, 4)).operations == 7 * 2 * 3 * 4 * 4


def test_the_branch_with_most_operations_counts():
    def choose(x):
        return lax.cond(x[0, 0] > 0, lambda x: x @ x @ x, lambda x: x @ x, x)

    assert count_operations(choose, array(4, 4)).operations == 2 * (2 * 4**3)


def test_reductions_and_scatters_count_as_traffic_only():
    made = count_operations(lambda x: jax.grad(lambda x: jnp.sum(x[jnp.array([0, 2])]))(x), array(4, 8))
    assert made.operations == 0 and made.other_bytes >= FLOAT * 2 * 4 * 8


def test_a_loop_of_unknown_length_is_refused():
    def until(x):
        return lax.while_loop(lambda x: x[0, 0] < 9, lambda x: x @ x, x)

    with pytest.raises(ValueError, match="'while'.*not known"):
        count_operations(until, array(4, 4))
    counted = count_operations(lambda x: lax.while_loop(lambda x: x[0] < 9, lambda x: x + 1, x), array(4))
    assert counted.operations == 0
