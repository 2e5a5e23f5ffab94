"""Forward propagation: shapes, values against Keras, starting weights, bad input."""

import math
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from mlcheat.nn import activations
from mlcheat.nn import forward_propagation as fp

SCALED = ["glorot_uniform", "glorot_normal", "he_uniform", "he_normal", "lecun_uniform", "lecun_normal"]
PLAIN = ["random_normal", "random_uniform", "truncated_normal", "orthogonal"]
ALL = SCALED + PLAIN + ["zeros", "ones", "constant", "identity", "variance_scaling"]
KERAS = {name: "".join(part.title() for part in name.split("_")) for name in SCALED + PLAIN}


@pytest.fixture(scope="module")
def keras():
    return pytest.importorskip("keras")


def network(sizes=(5, 4, 3, 2), seed=0, bias=0.1, **options):
    return fp.init_weights(list(sizes), seed=seed, bias=bias, **options)


# the scalar network

def test_scalar_example():
    assert fp.feed_forward_scalar(2, 0.5, 3) == 3.0
    y_hat, cache = fp.feed_forward_scalar(2, 0.5, 3, return_cache=True)
    assert y_hat == 3.0 and cache == {"Zh": 1.0, "H": 1.0, "Zo": 3.0}
    assert type(y_hat) is float and all(type(v) is float for v in cache.values())


@given(*[st.floats(-10, 10)] * 3)
@settings(max_examples=50, deadline=None)
def test_scalar_is_the_1_1_1_network(x, Wh, Wo):
    out = fp.feed_forward([[x]], [[[Wh]], [[Wo]]], [[0.0], [0.0]], output_activation="relu")
    assert fp.feed_forward_scalar(x, Wh, Wo) == pytest.approx(float(out[0, 0]), abs=1e-12)


@pytest.mark.parametrize("bad", [[1.0], np.ones((1, 1)), "2", None, 1j])
def test_scalar_wants_numbers(bad):
    with pytest.raises(ValueError, match="x must be a single number"):
        fp.feed_forward_scalar(bad, 1.0, 1.0)


def test_scalar_keeps_nan():
    assert math.isnan(fp.feed_forward_scalar(math.nan, 1.0, 1.0))


# relu and cost

def test_relu_is_that_of_the_activations_and_leaves_its_input_alone():
    assert fp.relu is activations.relu and fp.relu_prime is activations.relu_prime
    for shape in ((), (3,), (2, 3), (2, 3, 4)):
        z = np.random.default_rng(0).normal(size=shape)
        before = z.copy()
        assert np.array_equal(fp.relu(z), np.maximum(0, before)) and np.array_equal(fp.relu_prime(z), before > 0)
        assert np.array_equal(z, before)
    z = np.array([-2.0, 0.0, 3.0])
    assert fp.relu_prime(z) is not z and fp.relu(z) is not z and not np.shares_memory(fp.relu(z), z)


def test_cost_and_its_gradient():
    rng = np.random.default_rng(1)
    y_hat, y = rng.normal(size=(4, 3)), rng.normal(size=(4, 3))
    assert fp.cost(y_hat, y) == pytest.approx(sum((a - b) ** 2 for a, b in zip(y_hat.flat, y.flat)) / 2)
    assert type(fp.cost(y_hat, y)) is float
    for i in np.ndindex(y.shape):
        step = np.zeros_like(y)
        step[i] = 1e-6
        slope = (fp.cost(y_hat + step, y) - fp.cost(y_hat - step, y)) / 2e-6
        assert fp.cost_prime(y_hat, y)[i] == pytest.approx(slope, abs=1e-8)


@pytest.mark.parametrize("f", [fp.cost, fp.cost_prime])
def test_cost_never_broadcasts(f):
    with pytest.raises(ValueError, match=r"\(3,\) and \(3, 1\)"):
        f(np.ones(3), np.ones((3, 1)))
    with pytest.raises(TypeError, match="y must hold real numbers"):
        f([1.0], ["a"])


# shapes

def test_dimensions_of_the_running_example():
    rows = fp.matrix_dimensions([1, 2, 2], 3)
    assert [(name, shape) for name, _, shape in rows] == [
        ("X", (3, 1)), ("Wh", (1, 2)), ("Bh", (1, 2)), ("Zh", (3, 2)), ("H", (3, 2)),
        ("Wo", (2, 2)), ("Bo", (1, 2)), ("Zo", (3, 2)), ("O", (3, 2))]
    assert all(isinstance(meaning, str) and meaning for _, meaning, _ in rows)


@given(st.lists(st.integers(1, 6), min_size=2, max_size=5), st.integers(0, 5))
@settings(max_examples=40, deadline=None)
def test_dimensions_are_those_of_a_real_pass(sizes, n):
    weights, biases = fp.init_weights(sizes, seed=0)
    X = np.ones((n, sizes[0]))
    out, cache = fp.feed_forward(X, weights, biases, return_cache=True)
    found = [X.shape]
    for W, b, layer in zip(weights, biases, cache):
        found += [W.shape, b.shape, layer["Z"].shape, layer["output"].shape]
    rows = fp.matrix_dimensions(sizes, n)
    assert [shape for _, _, shape in rows] == found and out.shape == (n, sizes[-1])
    assert len({name for name, _, _ in rows}) == len(rows)


@pytest.mark.parametrize("n, expected", [(4, [(4, 2), (2, 3), (4, 3), (3, 2), (4, 2)]),
                                         (1, [(1, 2), (2, 3), (1, 3), (3, 2), (1, 2)])])
def test_dynamic_resizing(n, expected):
    shapes = {name: shape for name, _, shape in fp.matrix_dimensions([2, 3, 2], n)}
    assert [shapes[name] for name in ("X", "Wh", "H", "Wo", "O")] == expected


@pytest.mark.parametrize("n", [-1, 1.5, True, "3", None])
def test_dimensions_want_a_whole_number_of_samples(n):
    with pytest.raises(ValueError, match="n_samples"):
        fp.matrix_dimensions([1, 2], n)


@pytest.mark.parametrize("sizes", [[], [3], 3, [2, 0], [2, -1, 1], [2, 1.5], [[1, 2], [3, 4]], ["a", "b"], [True, True]])
def test_sizes(sizes):
    for call in (lambda: fp.init_weights(sizes), lambda: fp.matrix_dimensions(sizes, 3)):
        with pytest.raises(ValueError, match=r"sizes must .* got shape \("):
            call()


# the pass

def test_fixed_matrix_example():
    out, (h, o) = fp.feed_forward([[1], [2], [3]], [[[0.5, -0.5]], [[1, -1], [2, 1]]], [np.full((1, 2), 0.1)] * 2,
                                  output_activation="relu", return_cache=True)
    assert h["Z"] == pytest.approx(np.array([[0.6, -0.4], [1.1, -0.9], [1.6, -1.4]]))
    assert np.all(h["output"][:, 1] == 0)
    assert o["Z"] == pytest.approx(np.array([[0.7, -0.5], [1.2, -1.0], [1.7, -1.5]]))
    assert out == pytest.approx(np.array([[0.7, 0], [1.2, 0], [1.7, 0]]))


@pytest.mark.parametrize("activation", ["relu", "tanh", "sigmoid", "gelu"])
@pytest.mark.parametrize("output", ["linear", "softmax", "sigmoid"])
@pytest.mark.parametrize("dtype, tolerance", [("float64", 1e-6), ("float32", 1e-5)])
def test_agrees_with_keras(keras, activation, output, dtype, tolerance):
    weights, biases = network(dtype=dtype)
    X = np.random.default_rng(2).normal(size=(7, 5)).astype(dtype)
    model = keras.Sequential([keras.Input((5,), dtype=dtype)] + [
        keras.layers.Dense(W.shape[1], activation=a, dtype=dtype)
        for W, a in zip(weights, (activation, activation, output))])
    for layer, W, b in zip(model.layers, weights, biases):
        layer.set_weights([W, b[0]])
    out = fp.feed_forward(X, weights, biases, activation=activation, output_activation=output)
    assert out.dtype == dtype
    assert out == pytest.approx(np.asarray(model(X)), abs=tolerance)


@given(st.integers(0, 30), st.integers(0, 10**6))
@settings(max_examples=25, deadline=None)
def test_batch_is_the_loop_over_rows(n, seed):
    X = np.random.default_rng(seed).normal(size=(n, 5))
    weights, biases = network(seed=seed)
    batch = fp.feed_forward(X, weights, biases, activation="tanh", output_activation="softmax")
    rows = [fp.feed_forward(row.reshape(1, -1), weights, biases, activation="tanh", output_activation="softmax")[0]
            for row in X]
    assert batch.shape == (n, 2)
    assert batch == pytest.approx(np.array(rows).reshape(n, 2), abs=1e-12)


def test_cache_chains_and_ends_in_the_output():
    X = np.random.default_rng(3).normal(size=(4, 5))
    weights, biases = network()
    out, cache = fp.feed_forward(X, weights, biases, return_cache=True)
    assert len(cache) == 3 and all(list(layer) == ["input", "Z", "output"] for layer in cache)
    assert np.array_equal(cache[0]["input"], X) and np.array_equal(cache[-1]["output"], out)
    for layer, W, b, bend in zip(cache, weights, biases, (fp.relu, fp.relu, lambda z: z)):
        assert layer["Z"] == pytest.approx(np.einsum("ni,io->no", layer["input"], W) + b, abs=1e-12)
        assert np.array_equal(layer["output"], bend(layer["Z"]))
    for before, after in zip(cache, cache[1:]):
        assert np.array_equal(before["output"], after["input"])
    assert np.array_equal(out, fp.feed_forward(X, weights, biases))


def test_nothing_is_changed_and_nothing_shared():
    X = np.random.default_rng(4).normal(size=(4, 5))
    weights, biases = network()
    copies = [a.copy() for a in [X, *weights, *biases]]
    out, cache = fp.feed_forward(X, weights, biases, return_cache=True)
    out += 1
    for layer in cache:
        layer["output"][:] = layer["Z"][:] = 0
    assert all(np.array_equal(a, c) for a, c in zip([X, *weights, *biases], copies))


def test_a_plain_pass_keeps_no_cache():
    weights, biases = network([50] * 21)
    X = np.ones((2000, 50))
    tracemalloc.start()
    fp.feed_forward(X, weights, biases)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8 * X.nbytes


def test_integers_are_converted_and_float32_is_kept():
    assert fp.feed_forward([[1, 2]], [[[1], [1]]], [[0]]).dtype == np.float64
    weights, biases = network(dtype=np.float32)
    out, cache = fp.feed_forward(np.ones((2, 5), np.float32), weights, biases, return_cache=True)
    assert out.dtype == np.float32 and all(a.dtype == np.float32 for layer in cache for a in layer.values())


def test_biases_as_keras_keeps_them():
    weights, biases = network()
    X = np.random.default_rng(5).normal(size=(4, 5))
    assert np.array_equal(fp.feed_forward(X, weights, biases), fp.feed_forward(X, weights, [b[0] for b in biases]))


def test_activation_may_be_a_function():
    weights, biases = network()
    X = np.random.default_rng(5).normal(size=(4, 5))
    assert np.array_equal(fp.feed_forward(X, weights, biases, activation=np.tanh),
                          fp.feed_forward(X, weights, biases, activation="tanh"))


@pytest.mark.parametrize("output", ["linear", "relu", "sigmoid", "softmax"])
def test_empty_batch(output):
    out, cache = fp.feed_forward(np.empty((0, 5)), *network(), output_activation=output, return_cache=True)
    assert out.shape == (0, 2) and [layer["Z"].shape for layer in cache] == [(0, 4), (0, 3), (0, 2)]


@pytest.mark.parametrize("output", ["linear", "relu"])
def test_nan_and_inf_pass_through(output):
    W, b = [np.ones((1, 1))] * 2, [np.zeros((1, 1))] * 2
    out = fp.feed_forward([[np.nan], [np.inf], [1.0]], W, b, output_activation=output)
    assert np.isnan(out[0, 0]) and out[1, 0] == np.inf and out[2, 0] == 1
    assert fp.feed_forward([[-np.inf]], [[[1.0]]], [[0.0]])[0, 0] == -np.inf


def test_one_bad_row_spoils_no_other():
    X = np.random.default_rng(6).normal(size=(3, 5))
    good = fp.feed_forward(X, *network())
    X[1, 2] = np.nan
    out = fp.feed_forward(X, *network())
    assert np.isnan(out[1]).all() and out[[0, 2]] == pytest.approx(good[[0, 2]], abs=1e-12)


def test_wrong_number_of_columns():
    with pytest.raises(ValueError, match=r"weights\[0\] must have shape \(4, units\) to follow X of shape \(2, 4\), got shape \(5, 4\)"):
        fp.feed_forward(np.ones((2, 4)), *network())


def test_rank_one_gets_a_hint():
    with pytest.raises(ValueError, match=r"got shape \(5,\); for one sample use X.reshape\(1, -1\)"):
        fp.feed_forward(np.ones(5), *network())
    with pytest.raises(ValueError, match=r"got shape \(1, 2, 5\)$"):
        fp.feed_forward(np.ones((1, 2, 5)), *network())


def test_layers_that_do_not_chain():
    weights, biases = network()
    with pytest.raises(ValueError, match=r"weights\[1\] .*weights\[0\] of shape \(5, 4\), got shape \(3, 2\)"):
        fp.feed_forward(np.ones((2, 5)), [weights[0], weights[2]], [biases[0], biases[2]])
    for wrong in (np.zeros((4, 1)), np.zeros(3), np.zeros(()), np.zeros((1, 1))):
        with pytest.raises(ValueError, match=r"biases\[0\] must have shape \(1, 4\)"):
            fp.feed_forward(np.ones((2, 5)), weights, [wrong, *biases[1:]])


@pytest.mark.parametrize("cut", [(3, 2), (2, 3), (0, 0)])
def test_lists_of_different_length(cut):
    weights, biases = network()
    with pytest.raises(ValueError, match=f"got {cut[0]} weights and {cut[1]} biases"):
        fp.feed_forward(np.ones((2, 5)), weights[:cut[0]], biases[:cut[1]])


@pytest.mark.parametrize("option", ["activation", "output_activation"])
def test_unknown_activation(option):
    with pytest.raises(ValueError, match="'rulu'.*relu.*softmax"):
        fp.feed_forward(np.ones((2, 5)), *network(), **{option: "rulu"})


@pytest.mark.parametrize("bad", [[["a"]], [[1j]], [[None]]])
def test_only_real_numbers(bad):
    with pytest.raises(TypeError, match="X must hold real numbers"):
        fp.feed_forward(bad, [[[1.0]]], [[0.0]])


# starting weights

@pytest.mark.parametrize("shape", [(), 7, (7,), (400, 300), (3, 64, 128), (3, 3, 64, 128), (2, 3, 4, 5, 6)])
def test_fans_are_those_of_keras(keras, shape):
    from keras.src.initializers.random_initializers import compute_fans
    as_tuple = (shape,) if isinstance(shape, int) else shape
    assert fp.compute_fans(shape) == tuple(compute_fans(as_tuple))
    assert all(type(n) is int for n in fp.compute_fans(shape))


@pytest.mark.parametrize("shape", [(400, 300), (3, 3, 64, 128)])
@pytest.mark.parametrize("name", SCALED + PLAIN)
def test_draws_like_keras(keras, name, shape):
    theirs = np.asarray(getattr(keras.initializers, KERAS[name])(seed=1)(shape))
    ours = getattr(fp, name)(shape, seed=0)
    assert ours.shape == shape and ours.dtype == np.float64
    assert ours.std() == pytest.approx(theirs.std(), rel=0.03)
    assert abs(ours.mean()) < 0.02 * ours.std()
    if name not in ("random_normal", "orthogonal"):                          # the rest have limits
        assert np.abs(ours).max() == pytest.approx(np.abs(theirs).max(), rel=0.03)


PUBLISHED = {"glorot_uniform": (0.0535, 0.0926), "he_normal": (0.0707, 0.1608), "lecun_normal": (0.05, 0.1137),
             "orthogonal": (0.05, None), "random_normal": (0.05, None)}


@pytest.mark.parametrize("name", PUBLISHED)
def test_statistics(name):
    w = getattr(fp, name)((400, 300), seed=0)
    std, limit = PUBLISHED[name]
    assert w.std() == pytest.approx(std, rel=0.01)
    if limit:
        assert limit * 0.999 < np.abs(w).max() <= limit + 5e-5


def test_kernel_statistics():
    assert math.sqrt(2 / 576) == pytest.approx(0.0589, abs=5e-5)
    assert fp.he_normal((3, 3, 64, 128), seed=0).std() == pytest.approx(0.0589, rel=0.005)


@pytest.mark.parametrize("mode, n", [("fan_in", 40), ("fan_out", 300), ("fan_avg", 170)])
@pytest.mark.parametrize("scale", [0.5, 2.0])
def test_variance_scaling_distributions(mode, n, scale):
    std = math.sqrt(scale / n)
    laws = {"truncated_normal": stats.truncnorm(-2, 2, scale=std / stats.truncnorm(-2, 2).std()),
            "untruncated_normal": stats.norm(0, std),
            "uniform": stats.uniform(-math.sqrt(3) * std, 2 * math.sqrt(3) * std)}
    for distribution, law in laws.items():
        w = fp.variance_scaling((40, 300), scale, mode, distribution, seed=0).ravel()
        assert stats.kstest(w, law.cdf).pvalue > 0.001
        assert law.std() == pytest.approx(std) and w.std() == pytest.approx(std, rel=0.03)


@pytest.mark.parametrize("shape", [(40, 30), (30, 40), (30, 30), (1, 5), (5, 1), (3, 3, 4, 8), (2, 3, 50)])
@pytest.mark.parametrize("gain", [1.0, 0.5])
def test_orthogonal(shape, gain):
    w = fp.orthogonal(shape, gain, seed=0).reshape(-1, shape[-1])
    small = w.T @ w if w.shape[0] >= w.shape[1] else w @ w.T
    assert small == pytest.approx(gain**2 * np.eye(min(w.shape)), abs=1e-6)


def test_orthogonal_prefers_no_direction():
    q = np.array([fp.orthogonal((3, 3), seed=i) for i in range(1500)])
    assert np.abs(q.mean(axis=0)).max() < 0.06 and (q**2).mean(axis=0) == pytest.approx(np.full((3, 3), 1 / 3), abs=0.03)


def test_backward_variance_is_that_of_the_transposed_layer():
    """Glorot keeps the mean of both directions; with n_in = n_out it keeps each."""
    rng = np.random.default_rng(7)
    g = rng.normal(size=(400, 200))
    for name in ("glorot_normal", "glorot_uniform", "lecun_normal"):
        back = g @ getattr(fp, name)((200, 200), seed=1).T
        assert back.var() == pytest.approx(g.var(), rel=0.03)


def test_fixed_initialisers():
    assert np.array_equal(fp.zeros((2, 3)), np.zeros((2, 3))) and np.array_equal(fp.ones((2, 3)), np.ones((2, 3)))
    assert np.array_equal(fp.constant((2, 3), 0.2), np.full((2, 3), 0.2)) and fp.constant((2,)).tolist() == [0, 0]
    assert np.array_equal(fp.identity((2, 3), 2.0), [[2, 0, 0], [0, 2, 0]])


@pytest.mark.parametrize("name", ALL)
def test_initialisers_share_one_signature(name):
    f = fp.get_initializer(name)
    a, b, c = f((8, 6), seed=0), f((8, 6), seed=np.random.default_rng(0)), f((8, 6), seed=1)
    assert np.array_equal(a, b) and a.shape == (8, 6) and a.dtype == np.float64
    assert np.array_equal(a, c) == (name in ("zeros", "ones", "constant", "identity"))
    for dtype in (np.float16, np.float32):
        assert f((8, 6), seed=0, dtype=dtype).dtype == dtype
    with pytest.raises(TypeError, match="floating"):
        f((8, 6), dtype=int)
    with pytest.raises(ValueError, match="shape"):
        f((8, -1))
    with pytest.raises(ValueError, match="shape"):
        f((8.5, 2))


@pytest.mark.parametrize("name", ALL)
def test_no_global_seed(name):
    before = np.random.get_state()[1].copy()
    fp.get_initializer(name)((4, 4))
    assert np.array_equal(before, np.random.get_state()[1])


def test_unknown_initialiser_lists_the_names():
    with pytest.raises(ValueError, match="'he'.*glorot_uniform.*he_normal.*orthogonal"):
        fp.get_initializer("he")
    with pytest.raises(ValueError, match="no initialiser 'xavier'"):
        fp.init_weights([2, 3], initializer="xavier")
    with pytest.raises(TypeError, match="NoneType"):
        fp.get_initializer(None)
    assert fp.get_initializer(fp.ones) is fp.ones


@pytest.mark.parametrize("scale", [0, -1.0, np.nan, np.inf, [1.0], "1"])
def test_scale_must_be_positive(scale):
    with pytest.raises(ValueError, match="scale must be"):
        fp.variance_scaling((2, 3), scale)


def test_unknown_mode_and_distribution():
    with pytest.raises(ValueError, match="mode must be one of fan_in, fan_out, fan_avg, got 'fan'"):
        fp.variance_scaling((2, 3), mode="fan")
    with pytest.raises(ValueError, match="distribution must be one of .* got 'normal'"):
        fp.variance_scaling((2, 3), distribution="normal")


def test_other_bad_parameters():
    for f in (fp.random_normal, fp.truncated_normal):
        with pytest.raises(ValueError, match="stddev must be 0 or more"):
            f((2, 3), stddev=-1.0)
    with pytest.raises(ValueError, match="maxval must not be below minval"):
        fp.random_uniform((2, 3), 1.0, 0.0)
    with pytest.raises(ValueError, match="two numbers"):
        fp.identity((2, 3, 4))
    for shape in ((3,), (0, 3)):
        with pytest.raises(ValueError, match="orthogonal needs"):
            fp.orthogonal(shape)


def test_init_weights():
    weights, biases = fp.init_weights([1, 2, 2], bias=0.1, seed=0, dtype=np.float32)
    assert [w.shape for w in weights] == [(1, 2), (2, 2)] and [b.shape for b in biases] == [(1, 2)] * 2
    assert all(a.dtype == np.float32 for a in weights + biases) and np.allclose(biases, 0.1)
    assert np.all(np.concatenate(fp.init_weights([3, 4, 5])[1], axis=1) == 0)
    again = fp.init_weights([1, 2, 2], seed=0, dtype=np.float32)[0]
    assert all(np.array_equal(a, b) for a, b in zip(weights, again))
    square = fp.init_weights([8, 8, 8], seed=0)[0]
    assert not np.allclose(square[0], square[1])
    with pytest.raises(ValueError, match=r"must return shape \(2, 3\), got shape \(3, 2\)"):
        fp.init_weights([2, 3], initializer=lambda shape, *, seed, dtype: np.ones(shape[::-1]))
    with pytest.raises(ValueError, match="bias must be"):
        fp.init_weights([2, 3], bias=[0.1, 0.2, 0.3])


@pytest.mark.parametrize("std, bend, expected", [(math.sqrt(2 / 64), fp.relu, 0.773), (1 / 8, fp.relu, 0.000755),
                                                 (0.01, fp.relu, 8.7e-26), (1 / 8, np.tanh, 0.144)])
def test_signal_through_twenty_layers(std, bend, expected):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(256, 64))
    weights = [std * rng.normal(size=(64, 64)) for _ in range(20)]
    out = fp.feed_forward(X, weights, [np.zeros((1, 64))] * 20, activation=bend, output_activation=bend)
    assert out.std() == pytest.approx(expected, rel=0.01)
