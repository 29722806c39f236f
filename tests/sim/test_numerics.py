"""The shared arithmetic, against published vectors, exact rationals and the true functions."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import ndtri
from threadpoolctl import threadpool_limits

from ohmloom.sim import normal_table as table_script
from ohmloom.sim import numerics
from ohmloom.sim.numerics import (
    Domain,
    NumericsError,
    draw_normal,
    draw_normal_pair,
    exact_matmul,
    exp,
    isqrt,
    kernel,
    log,
    normal_from_word,
    normal_table,
    round_half_even_shift,
    scale,
    threefry2x32,
)

INT64 = st.integers(-(1 << 63), (1 << 63) - 1)


# -- random words ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("counter", "key", "words"),
    [  # Random123's known-answer file, threefry2x32 with 20 rounds
        ((0, 0), (0, 0), (0x6B200159, 0x99BA4EFE)),
        ((0xFFFFFFFF,) * 2, (0xFFFFFFFF,) * 2, (0x1CB996FC, 0xBB002BE7)),
        ((0x243F6A88, 0x85A308D3), (0x13198A2E, 0x03707344), (0xC4923A9C, 0x483DF7A0)),
    ],
)
def test_threefry_gives_the_published_words(counter, key, words):
    assert tuple(int(word) for word in threefry2x32(*key, *counter)) == words


def test_threefry_of_an_array_is_that_of_its_elements():
    key = np.arange(5, dtype=np.uint32)
    counter = np.array([[7], [1 << 31]], dtype=np.uint32)
    x0, x1 = threefry2x32(3, key, counter, 9)
    assert x0.shape == x1.shape == (2, 5)
    for i in range(2):
        for j in range(5):
            alone = threefry2x32(3, key[j], counter[i, 0], 9)
            assert (x0[i, j], x1[i, j]) == alone


# -- normal deviates ------------------------------------------------------------------


def test_the_checked_in_table_is_the_regenerated_one():
    assert np.array_equal(normal_table(), table_script.build())


def test_the_script_writes_what_is_read(tmp_path):
    table_script.write(tmp_path / "table.npy")
    assert np.array_equal(np.load(tmp_path / "table.npy", allow_pickle=False), normal_table())


def _edge_words() -> np.ndarray:
    """Words at, before and after every octave and segment boundary, both signs."""
    boundaries = {
        (1 << octave) * (32 + segment) // 32 // 2 + near
        for octave in range(32)
        for segment in range(33)
        for near in (-1, 0, 1)
    }
    magnitudes = sorted(m for m in boundaries if 0 <= m < 1 << 31)
    return np.array([m | sign << 31 for m in magnitudes for sign in (0, 1)], dtype=np.uint32)


def test_deviates_are_within_two_thousandths_of_the_inverse_normal():
    words = np.append(
        np.random.default_rng(1).integers(0, 1 << 32, 200_000).astype(np.uint32), _edge_words()
    )
    tail = ((words & np.uint32(0x7FFFFFFF)).astype(float) + 0.5) / 2**32
    exact = np.where(words >> np.uint32(31), ndtri(tail), -ndtri(tail))
    z = normal_from_word(words) / 4096
    assert np.abs(z - exact).max() < 0.002
    assert np.abs(z).max() <= 6.4


def test_a_wrong_table_entry_would_be_seen(monkeypatch):
    wrong = normal_table().copy()
    wrong[31 * 32 + 5] += 16
    monkeypatch.setattr(numerics, "normal_table", lambda: wrong)
    with pytest.raises(AssertionError):
        test_deviates_are_within_two_thousandths_of_the_inverse_normal()


def test_deviates_follow_the_integer_formula_of_the_document():
    table = normal_table()
    for word in _edge_words()[::7].tolist():
        u = 2 * (word & 0x7FFFFFFF) + 1
        octave = u.bit_length() - 1
        position = Fraction(u, 1 << octave) - 1
        segment = int(position * 32)
        rest = position * 32 - segment
        low, high = int(table[octave * 32 + segment]), int(table[octave * 32 + segment + 1])
        z = math.floor(low + (high - low) * rest + Fraction(1, 2)) if rest else low
        assert int(normal_from_word(word)) == (-z if word >> 31 else z)


def test_deviates_have_mean_zero_and_variance_one():
    z = draw_normal(11, Domain.PULSE, np.arange(200_000), 0, 0) / 4096
    assert abs(z.mean()) < 4 / math.sqrt(z.size)
    assert abs(z.var() - 1) < 4 * math.sqrt(2 / z.size)


def test_every_part_of_a_name_counts():
    base = {"seed": 1, "domain": Domain.PULSE, "place": 2, "epoch": 3, "index": 4}
    first = int(draw_normal(**base))
    changed = {"seed": 2, "domain": Domain.VERIFY, "place": 3, "epoch": 4, "index": 5}
    others = [int(draw_normal(**{**base, part: value})) for part, value in changed.items()]
    assert len({first, *others}) == 1 + len(changed)


def test_a_draw_does_not_depend_on_the_batch_it_is_in():
    place = np.arange(100_000)  # more than one block
    together = draw_normal(5, Domain.VERIFY, place, place % 7, 1)
    for n in (0, 1, 32_767, 32_768, 99_999):
        assert together[n] == draw_normal(5, Domain.VERIFY, n, n % 7, 1)
    grid = draw_normal(5, Domain.VERIFY, place[:6], place[:4, None], place[:2, None, None])
    assert grid.shape == (2, 4, 6)
    assert grid[1, 3, 5] == draw_normal(5, Domain.VERIFY, 5, 3, 1)


def test_the_compiled_loops_give_the_same_bits(monkeypatch):
    loops = kernel()
    assert loops is not None  # numba is among the packages of the tests
    words = np.append(
        np.random.default_rng(4).integers(0, 1 << 32, 100_000).astype(np.uint32), _edge_words()
    )
    found = np.empty(words.size, dtype=np.int64)
    loops.deviates(words, normal_table().astype(np.int64), found)
    assert np.array_equal(found, normal_from_word(words))
    place = np.arange(70_000)
    name = (7, Domain.VERIFY, place, (place * 12_345) % (1 << 32), place[::-1] % 5)
    fast = draw_normal(*name)
    both = draw_normal_pair(*name)
    monkeypatch.setattr(numerics, "kernel", lambda: None)
    assert np.array_equal(fast, draw_normal(*name))
    assert all(map(np.array_equal, both, draw_normal_pair(*name)))


def test_a_pair_is_both_words_of_a_name():
    first, second = draw_normal_pair(7, Domain.PULSE, np.arange(6), 3, 1)
    words = threefry2x32(7, np.arange(6) | (Domain.PULSE << 28), 3, 1)
    assert first.tolist() == draw_normal(7, Domain.PULSE, np.arange(6), 3, 1).tolist()
    assert first.tolist() == normal_from_word(words[0]).tolist()
    assert second.tolist() == normal_from_word(words[1]).tolist()


def test_a_wrong_loop_would_be_seen(monkeypatch):
    loops = kernel()
    assert loops is not None
    monkeypatch.setattr(loops, "words", lambda *given: given[-1].fill(1))
    with pytest.raises(AssertionError):
        test_the_compiled_loops_give_the_same_bits(monkeypatch)


def test_a_draw_of_nothing_is_empty():
    assert draw_normal(0, Domain.PULSE, np.empty(0, int), 0, 0).shape == (0,)


@pytest.mark.parametrize(
    ("name", "value"), [("place", 1 << 28), ("epoch", 1 << 32), ("index", -1), ("seed", 1 << 32)]
)
def test_a_name_that_does_not_fit_is_refused(name, value):
    parts = {"seed": 0, "place": 0, "epoch": 0, "index": 0, name: value}
    with pytest.raises(NumericsError, match=name):
        draw_normal(domain=Domain.PULSE, **parts)


# -- integer arithmetic ---------------------------------------------------------------


@given(INT64, st.integers(0, 63))
def test_rounding_is_half_to_even(value, shift):
    assert int(round_half_even_shift(value, shift)) == round(Fraction(value, 1 << shift))


@given(st.integers(-(1 << 90), 1 << 90), st.integers(0, 63))
def test_rounding_of_python_integers_is_half_to_even(value, shift):
    result = round_half_even_shift(np.array([value], dtype=object), shift)
    assert result[0] == round(Fraction(value, 1 << shift))


@given(st.lists(st.tuples(INT64, st.integers(0, (1 << 24) - 1), st.integers(0, 63)), min_size=1))
def test_scaling_is_exact_where_the_product_exceeds_64_bits(rows):
    value, mantissa, shift = (
        np.array(column, dtype=np.int64) for column in zip(*rows, strict=True)
    )
    expected = [round(Fraction(v * m, 1 << s)) for v, m, s in rows]
    assert [int(y) for y in scale(value, mantissa, shift)] == expected


def test_ties_go_to_the_even_neighbour():
    assert round_half_even_shift([1, 3, 5, -1, -3], 1).tolist() == [0, 2, 2, 0, -2]


@given(st.integers(0, (1 << 63) - 1))
def test_isqrt_is_exact(value):
    assert int(isqrt(value)) == math.isqrt(value)


def test_isqrt_around_squares():
    root = np.array([1, 2, 1000, 94_906_265, 94_906_267, 3_037_000_498])
    root = np.append(root, np.arange(-3, 4) + (1 << 26))  # where float roots begin to be off
    for offset in (-1, 0, 1):
        assert np.array_equal(isqrt(root * root + offset), root - (offset < 0))
        for each in root:  # alone, it may be an easy one
            assert isqrt(each * each + offset) == each - (offset < 0)


def test_isqrt_refuses_a_negative_value():
    with pytest.raises(NumericsError, match="-1"):
        isqrt([4, -1])


# -- exact sums -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("x_max", "code_max", "rows"),
    [
        (1, 16383, 255),  # float32
        (255, 16383, 300),  # float64
        ((1 << 16) - 1, (1 << 30) - 1, 300),  # split
        ((1 << 40) - 1, (1 << 14) - 1, 40),  # split, the other operand
    ],
)
def test_matmul_is_exact_at_the_bound(x_max, code_max, rows):
    rng = np.random.default_rng(0)
    x = rng.integers(-x_max, x_max + 1, (5, rows))
    codes = rng.integers(-code_max, code_max + 1, (rows, 3))
    x[0], codes[:, 0] = x_max, code_max  # the largest sum there is
    exact = x.astype(object) @ codes.astype(object)
    assert np.array_equal(exact_matmul(x, codes, x_max, code_max).astype(object), exact)


def test_float32_alone_would_be_wrong_beyond_its_bound():
    x = np.full((1, 300), 255)
    codes = np.full((300, 1), 16383)
    codes[0] = 16382
    exact = int((x @ codes)[0, 0])
    assert int((x.astype(np.float32) @ codes.astype(np.float32))[0, 0]) != exact
    assert int(exact_matmul(x, codes, 255, 16383)[0, 0]) == exact


@pytest.mark.parametrize("x_max", [1, 255, 1 << 30])
def test_matmul_is_the_same_for_any_batch_and_thread_count(x_max):
    rng = np.random.default_rng(3)
    x = rng.integers(0, x_max + 1, (1000, 128))
    codes = rng.integers(0, 16384, (128, 64))
    together = exact_matmul(x, codes, x_max, 16383)
    assert np.array_equal(exact_matmul(x[:1], codes, x_max, 16383), together[:1])
    for threads in (1, 2):
        with threadpool_limits(threads, user_api="blas"):
            assert np.array_equal(exact_matmul(x, codes, x_max, 16383), together)


@pytest.mark.parametrize("n", [681, 682, 683, 2000])
def test_a_thin_matmul_is_the_same_in_parts(n):
    rng = np.random.default_rng(6)
    x, codes = rng.integers(0, 2, (n, 32)), rng.integers(0, 16384, (32, 12))
    assert np.array_equal(exact_matmul(x, codes, 1, 16383), x @ codes)


def test_matmul_refuses_values_beyond_the_stated_bound():
    with pytest.raises(NumericsError, match="codes"):
        exact_matmul([[1]], [[5]], 1, 4)
    with pytest.raises(NumericsError, match="63 bits"):
        exact_matmul([[1]], [[1]], 1 << 40, 1 << 40)


# -- exp ------------------------------------------------------------------------------


def test_exp_is_within_four_ulp():
    x = np.append(np.random.default_rng(0).uniform(-708, 709, 50_000), np.linspace(-1, 1, 2001))
    exact = np.array([math.exp(value) for value in x])
    assert np.abs((exp(x) - exact) / np.spacing(exact)).max() < 4


def test_exp_gives_the_same_bits_in_any_array():
    x = np.random.default_rng(2).uniform(-20, 20, 1009)
    y = exp(x)
    assert np.array_equal(y, [exp(value) for value in x])
    assert np.array_equal(exp(x[::-1]), y[::-1])
    assert np.array_equal(exp(x[3::7]), y[3::7])
    assert np.array_equal(exp(x[:1008].reshape(7, 12, 12).T), y[:1008].reshape(7, 12, 12).T)


def test_exp_at_its_ends():
    assert exp(0.0) == 1.0
    assert exp([-1e4, -np.inf]).tolist() == [0.0, 0.0]
    assert exp([1e4, np.inf]).tolist() == [np.inf, np.inf]
    assert np.isnan(exp(np.nan))
    assert exp(-740.0) == pytest.approx(math.exp(-740.0), rel=0.01)


# -- log ------------------------------------------------------------------------------


def test_log_is_within_four_ulp():
    x = np.exp(np.random.default_rng(0).uniform(-700, 700, 50_000))
    exact = np.array([math.log(value) for value in x])
    assert np.abs((log(x) - exact) / np.spacing(np.abs(exact))).max() < 4
    near = 1.0 + np.linspace(-1e-3, 1e-3, 2001)
    assert np.abs(log(near) - [math.log(value) for value in near]).max() < 1e-16


def test_log_gives_the_same_bits_in_any_array():
    x = np.random.default_rng(2).uniform(1e-3, 1e3, 1009)
    y = log(x)
    assert np.array_equal(y, [log(value) for value in x])
    assert np.array_equal(log(x[3::7]), y[3::7])
    assert log(1.0) == 0.0 and log(5e-324) == pytest.approx(math.log(5e-324))


@pytest.mark.parametrize("value", [0.0, -1.0, np.inf, np.nan])
def test_log_of_what_has_none_is_refused(value):
    with pytest.raises(NumericsError, match="logarithm"):
        log([1.0, value])
