"""Backpropagation against tf.GradientTape, Keras, our automatic differentiation and central differences."""
import inspect
import re
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlcheat.nn import autodiff
from mlcheat.nn import backpropagation as B
from mlcheat.nn.activations import ACTIVATIONS, get

HIDDEN = ["relu", "leaky_relu", "sigmoid", "tanh", "elu", "softplus", "selu", "gelu", "silu", "linear"]
PAIRS = [("half_sse", "linear"), ("half_sse", "relu"), ("half_sse", "tanh"), ("half_sse", "sigmoid"),
         ("half_sse", "softmax"), ("mse", "linear"), ("mse", "sigmoid"), ("mse", "softmax"), ("mse", "relu"),
         ("binary_crossentropy", "sigmoid"), ("categorical_crossentropy", "softmax")]
KINKED = {"relu", "leaky_relu", "elu", "selu"}


def problem(loss, sizes=(3, 5, 4, 2), n=6, seed=0, dtype=float, row=False):
    """A random network and data whose weighted inputs stay away from the kinks."""
    for attempt in range(1000):
        rng = np.random.default_rng([seed, attempt])
        X = rng.standard_normal((n, sizes[0])).astype(dtype)
        W = [(rng.standard_normal((a, b)) / np.sqrt(a)).astype(dtype) for a, b in zip(sizes[:-1], sizes[1:])]
        b = [(0.3 * rng.standard_normal((1, k) if row else k)).astype(dtype) for k in sizes[1:]]
        cache = B.forward_cache(X, W, b)
        if min(np.abs(layer["Z"]).min() for layer in cache) > 1e-3:
            break
    if loss == "binary_crossentropy":
        y = rng.integers(0, 2, (n, sizes[-1]))
    elif loss == "categorical_crossentropy":
        y = np.eye(sizes[-1])[rng.integers(0, sizes[-1], n)]
    else:
        y = rng.standard_normal((n, sizes[-1]))
    return X, y.astype(dtype), W, b


def plain_cost(loss, y, Z, output_activation):
    """The four costs written out from their definitions, with loops over rows and outputs."""
    p, total = get(output_activation)(Z), 0.0
    for i in range(len(y)):
        for k in range(y.shape[1]):
            if loss in ("half_sse", "mse"):
                total += (p[i, k] - y[i, k]) ** 2 * (0.5 if loss == "half_sse" else 1 / y.size)
            elif loss == "binary_crossentropy":
                total -= (y[i, k] * np.log(p[i, k]) + (1 - y[i, k]) * np.log(1 - p[i, k])) / y.size
            else:
                total -= y[i, k] * np.log(p[i, k]) / len(y)
    return total


def flat_run(X, y, W, b, **options):
    cost, dW, db, dX = B.backprop(X, y, W, b, **options)
    return cost, [*dW, *db, dX]


@pytest.fixture(scope="module")
def tf():
    return pytest.importorskip("tensorflow")


# --- the toy network ---------------------------------------------------------------------------

def test_toy_step_by_hand():
    assert B.backprop_scalar(1, 2, 0.5, 0.5) == {"cost": 1.53125, "y_hat": 0.25, "Eo": -1.75, "Eh": -0.875,
                                                 "dWo": -0.875, "dWh": -0.875}
    Wh, Wo, cost = B.train_step_scalar(1, 2, 0.5, 0.5, 0.1)
    assert (Wh, Wo, cost) == (0.5875, 0.5875, 1.53125)
    assert round(B.backprop_scalar(1, 2, Wh, Wo)["cost"], 6) == 1.369254


@given(*[st.floats(-3, 3) for _ in range(4)])
@settings(max_examples=50, deadline=None)
def test_scalar_agrees_with_the_matrix_form_and_autodiff(x, y, Wh, Wo):
    g = B.backprop_scalar(x, y, Wh, Wo)
    cost, (dWh, dWo), _, dX = B.backprop([[x]], [[y]], [[[Wh]], [[Wo]]], [[0.0], [0.0]], output_activation="relu")
    assert np.allclose([g["cost"], g["dWh"], g["dWo"], g["Eh"] * Wh], [cost, dWh.item(), dWo.item(), dX.item()], rtol=1e-12)
    auto = autodiff.grad(lambda a, b: 0.5 * (((a * x).relu() * b).relu() - y) ** 2, (0, 1))(Wh, Wo)
    assert np.allclose([g["dWh"], g["dWo"]], auto, rtol=1e-12, atol=1e-300)


def test_zero_slope_at_zero():
    g = B.backprop_scalar(0.0, 2, 0.5, 0.5)
    assert g["Eo"] == 0 and g["Eh"] == 0 and g["dWh"] == 0


@pytest.mark.parametrize("bad", [np.nan, np.inf, [1.0], "1", None, 1j])
@pytest.mark.parametrize("place", range(4))
def test_scalar_refuses_what_is_no_number(bad, place):
    args = [1.0, 2.0, 0.5, 0.5]
    args[place] = bad
    with pytest.raises(ValueError, match=("x", "y", "Wh", "Wo")[place] + " must be one finite number"):
        B.backprop_scalar(*args)


@pytest.mark.parametrize("lr", [0, -0.1, np.nan, np.inf, "a"])
def test_learning_rate(lr):
    with pytest.raises(ValueError, match="lr must be"):
        B.train_step_scalar(1, 2, 0.5, 0.5, lr)
    with pytest.raises(ValueError, match="lr must be"):
        B.train([[1.0]], [[1.0]], (1, 1), epochs=1, lr=lr)


# --- counting ------------------------------------------------------------------------------------

@pytest.mark.parametrize("h, naive, saved", [(0, 2, 2), (1, 6, 5), (3, 20, 11), (10, 132, 32), (100, 10302, 302)])
def test_counts(h, naive, saved):
    assert B.count_multiplications(h) == (naive, saved) == (sum(2 * k + 2 for k in range(h + 1)), 3 * h + 2)
    assert len(B.chain_factors(h)) == 2 * h + 3 == len(set(B.chain_factors(h)))


@pytest.mark.parametrize("bad", [-1, 1.0, "2", True, None])
def test_counts_refuse(bad):
    for f in (B.count_multiplications, B.chain_factors):
        with pytest.raises(ValueError, match="n_hidden must be an integer of at least 0"):
            f(bad)


@given(st.integers(0, 12), st.integers(0, 1000))
@settings(max_examples=30, deadline=None)
def test_naive_and_memoized_derivatives_agree(h, seed):
    rng = np.random.default_rng(seed)
    w, x, y = rng.uniform(-1.5, 1.5, h + 1), rng.normal(), rng.normal()
    _, dW, _, _ = B.backprop([[x]], [[y]], [[[v]] for v in w], [[0.0]] * (h + 1), activation="tanh",
                             output_activation="tanh")
    Z, A = [], [x]
    for v in w:
        Z.append(A[-1] * v)
        A.append(np.tanh(Z[-1]))
    slope = [1 - np.tanh(z) ** 2 for z in Z]
    for k in range(h + 1):
        d = (A[-1] - y) * slope[h]
        for j in range(h, k, -1):
            d *= w[j] * slope[j - 1]
        assert np.isclose(dW[k].item(), d * A[k], rtol=1e-12, atol=1e-300)


# --- the matrix form -----------------------------------------------------------------------------

def example():
    rng = np.random.default_rng(3)
    X, Wh, Wo, Y = (rng.standard_normal(s) for s in ((3, 1), (1, 2), (2, 2), (3, 2)))
    return X, Y, [Wh, Wo], [np.full((1, 2), 0.5), np.full((1, 2), 0.5)]


def test_numbers_of_the_example():
    cost, dW, db, dX = B.backprop(*example(), output_activation="relu")
    assert round(cost, 6) == 5.220795
    assert np.allclose(dW[0], [[-0.093688, -0.100787]], atol=5e-7)
    assert np.allclose(dW[1], [[0.272951, 0], [0.322977, 0]], atol=5e-7)
    assert np.allclose(db[0], [[-0.224082, -0.241060]], atol=5e-7) and db[0].shape == (1, 2)
    assert np.allclose(dX.ravel(), [0, 0, 0.236343], atol=5e-7)
    X, Y, (Wh, Wo), _ = example()
    Eh, Eo = B.layer_errors(*example(), output_activation="relu")
    Zh = X @ Wh + 0.5
    assert np.allclose(X.T @ (Eo @ Wo * (Zh > 0)), [[-0.0937, -0.8778]], atol=5e-5)      # without the transpose
    assert Eh.shape == (3, 2) and (Eh @ Wh.T).shape == (3, 1)


@pytest.mark.parametrize("loss, out", PAIRS)
@pytest.mark.parametrize("hidden", HIDDEN)
def test_central_differences(hidden, loss, out):
    X, y, W, b = problem(loss, seed=1)
    options = {"activation": hidden, "output_activation": out, "loss": loss}
    cost, grads = flat_run(X, y, W, b, **options)
    assert np.isclose(cost, plain_cost(loss, y, B.forward_cache(
        X, W, b, activation=hidden, output_activation=out)[-1]["Z"], out), rtol=1e-10)
    args = [*W, *b, X]

    def moved(k, v):
        new = [*args[:k], v, *args[k + 1:]]
        Z = B.forward_cache(new[6], new[:3], new[3:6], activation=hidden)[-1]["Z"]
        return plain_cost(loss, y, Z, out)

    flat = np.concatenate([g.ravel() for g in grads])
    numeric = np.concatenate([B.numerical_gradient(lambda v: moved(k, v), a, eps=1e-5).ravel() for k, a in enumerate(args)])
    assert np.linalg.norm(flat - numeric) / (np.linalg.norm(flat) + np.linalg.norm(numeric)) < 1e-7


def tape(tf, X, y, W, b, hidden, out, loss):
    """Cost and gradients by TensorFlow, in the order W, b, X."""
    variables = [tf.Variable(v) for v in [*W, *b, X]]
    L = len(W)
    f = {"relu": tf.nn.relu, "leaky_relu": lambda z: tf.where(z > 0, z, tf.constant(0.2, z.dtype) * z), "sigmoid": tf.sigmoid,
         "tanh": tf.tanh, "elu": tf.nn.elu, "softplus": tf.nn.softplus, "selu": tf.nn.selu, "silu": tf.nn.silu,
         "gelu": lambda z: z * 0.5 * (1 + tf.math.erf(z / tf.sqrt(tf.constant(2.0, z.dtype)))),
         "linear": tf.identity, "softmax": tf.nn.softmax}
    with tf.GradientTape() as t:
        A = variables[-1]
        for l in range(L):
            Z = A @ variables[l] + variables[L + l]
            A = f[out if l == L - 1 else hidden](Z)
        if loss == "half_sse":
            cost = 0.5 * tf.reduce_sum((A - y) ** 2)
        elif loss == "mse":
            cost = tf.reduce_mean((A - y) ** 2)
        elif loss == "binary_crossentropy":
            cost = tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(y, Z))
        else:
            cost = tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(y, Z))
    return float(cost), [g.numpy() for g in t.gradient(cost, variables)]


@pytest.mark.parametrize("dtype, tolerance", [(np.float64, 1e-10), (np.float32, 1e-6)])
@pytest.mark.parametrize("loss, out", PAIRS)
def test_gradient_tape(tf, loss, out, dtype, tolerance):
    X, y, W, b = problem(loss, seed=2, dtype=dtype)
    for hidden in HIDDEN:
        cost, grads = flat_run(X, y, W, b, activation=hidden, output_activation=out, loss=loss)
        want, wants = tape(tf, X, y, W, b, hidden, out, loss)
        assert abs(cost - want) < 10 * tolerance * (1 + abs(want))
        for g, w in zip(grads, wants):
            assert g.shape == w.shape and g.dtype == dtype
            assert np.allclose(g, w, rtol=0, atol=tolerance * (1 + np.abs(w).max())), (hidden, loss, out)


@pytest.mark.parametrize("loss, out", PAIRS)
@pytest.mark.parametrize("hidden", ["relu", "tanh", "sigmoid"])
def test_autodiff_on_the_same_graph(hidden, loss, out):
    X, y, W, b = problem(loss, seed=3)
    act = {"relu": lambda z: z.relu(), "tanh": lambda z: z.tanh(), "sigmoid": lambda z: z.sigmoid(),
           "softmax": lambda z: z.softmax(), "linear": lambda z: z}

    def cost(W1, W2, W3, b1, b2, b3, X):
        A = act[hidden](X @ W1 + b1)
        Z = act[hidden](A @ W2 + b2) @ W3 + b3
        if loss == "binary_crossentropy":
            return (Z.softplus() - Z * y).sum() / y.size
        if loss == "categorical_crossentropy":
            return -(Z.log_softmax() * y).sum() / len(y)
        sse = ((act[out](Z) - y) ** 2).sum()
        return 0.5 * sse if loss == "half_sse" else sse / y.size

    value, auto = autodiff.value_and_grad(cost, tuple(range(7)))(*W, *b, X)
    ours, grads = flat_run(X, y, W, b, activation=hidden, output_activation=out, loss=loss)
    assert np.isclose(ours, float(value), rtol=1e-12)
    assert all(np.allclose(g, a, rtol=1e-12, atol=1e-14) for g, a in zip(grads, auto))


@pytest.mark.parametrize("loss, out, name", [("mse", "linear", "mse"), ("binary_crossentropy", "sigmoid", "binary_crossentropy"),
                                             ("categorical_crossentropy", "softmax", "categorical_crossentropy")])
def test_ten_steps_of_keras(loss, out, name):
    keras = pytest.importorskip("keras")
    X, y, _, _ = problem(loss, seed=4, n=8)
    options = dict(lr=0.2, activation="tanh", output_activation=out, loss=loss, seed=7)
    W, b, _ = B.train(X, y, (3, 5, 2), epochs=0, **options)
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(5, activation="tanh"),
                              keras.layers.Dense(2, activation=out)])
    model.set_weights([W[0], b[0], W[1], b[1]])
    model.compile(keras.optimizers.SGD(0.2), loss=name)
    costs = [float(model.train_on_batch(X, y)) for _ in range(10)]
    W, b, history = B.train(X, y, (3, 5, 2), epochs=10, **options)
    for ours, theirs in zip([W[0], b[0], W[1], b[1]], model.get_weights()):
        assert np.allclose(ours, theirs, atol=1e-5)
    assert np.isclose(history[0], costs[0], rtol=1e-5) and np.abs(W[1] - B.train(X, y, (3, 5, 2), epochs=0, **options)[0][1]).max() > 0.01


def test_layer_errors_are_derivatives_by_the_weighted_input():
    X, y, W, b = problem("half_sse", seed=5)
    E = B.layer_errors(X, y, W, b, activation="tanh")
    cache = B.forward_cache(X, W, b, activation="tanh")

    def onward(Z, l):
        for k in range(l + 1, 3):
            Z = np.tanh(Z) @ W[k] + b[k]
        return 0.5 * np.sum((Z - y) ** 2)

    for l in range(3):
        assert E[l].shape == cache[l]["Z"].shape
        assert B.gradient_check(lambda Z: onward(Z, l), E[l], cache[l]["Z"], eps=1e-5) < 1e-8


def test_batch_gradient_is_the_sum_over_rows():
    X, y, W, b = problem("half_sse", seed=6)
    _, whole = flat_run(X, y, W, b)
    parts = [flat_run(X[i:i + 1], y[i:i + 1], W, b)[1] for i in range(len(X))]
    for k in range(6):
        assert np.allclose(whole[k], sum(p[k] for p in parts), rtol=1e-12, atol=1e-14)


def test_dead_neuron():
    X, y, W, b = problem("half_sse", sizes=(3, 4, 2), seed=7)
    b[0] = np.array([3.0, -50.0, 3.0, 3.0])
    _, dW, db, _ = B.backprop(X, y, W, b)
    assert np.array_equal(np.argwhere(dW[0] == 0)[:, 1], [1, 1, 1]) and db[0][1] == 0 and not dW[1][1].any()
    assert sum(int(np.sum(g == 0)) for g in dW + db) == 6


def test_confident_mistakes():
    cost, _, db, _ = B.backprop([[1.0]], [[0.0]], [[[800.0]]], [[0.0]], output_activation="sigmoid", loss="binary_crossentropy")
    assert cost == 800 and db[0].item() == 1
    E = B.layer_errors([[-8.0]], [[1.0]], [[[1.0]]], [[0.0]], output_activation="sigmoid", loss="binary_crossentropy")
    S = B.layer_errors([[-8.0]], [[1.0]], [[[1.0]]], [[0.0]], output_activation="sigmoid", loss="mse")
    assert round(E[0].item(), 5) == -0.99966 and round(S[0].item(), 5) == -0.00067


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("row", [True, False])
def test_shapes_dtypes_and_untouched_arguments(dtype, row):
    X, y, W, b = problem("mse", dtype=dtype, row=row)
    copies = [a.copy() for a in [X, y, *W, *b]]
    cost, dW, db, dX = B.backprop(X, y, W, b, loss="mse")
    assert isinstance(cost, float) and dX.shape == X.shape
    assert [g.shape for g in dW + db] == [a.shape for a in W + b]
    assert all(g.dtype == dtype for g in [*dW, *db, dX])
    assert all(np.array_equal(a, c) for a, c in zip([X, y, *W, *b], copies))


def test_integers_become_float64():
    _, dW, _, dX = B.backprop([[1, 2]], [[1]], [[[1], [1]]], [[0]])
    assert dW[0].dtype == dX.dtype == np.float64 and dW[0].ravel().tolist() == [2, 4]


# --- bad input -----------------------------------------------------------------------------------

@pytest.mark.parametrize("f", [B.backprop, B.layer_errors])
def test_targets_are_not_broadcast(f):
    X, W, b = np.ones((4, 2)), [np.ones((2, 1))], [np.zeros(1)]
    with pytest.raises(ValueError, match=r"\(4, 1\), got \(4,\)"):
        f(X, np.ones(4), W, b)
    with pytest.raises(ValueError, match=r"\(4, 1\), got \(4,\)"):
        B.train(X, np.ones(4), (2, 1), epochs=1, lr=0.1)
    with pytest.raises(ValueError, match=r"\(4, 1\), got \(1, 1\)"):
        f(X, np.ones((1, 1)), W, b)


@pytest.mark.parametrize("loss, out, wanted", [
    ("binary_crossentropy", "linear", "sigmoid"), ("binary_crossentropy", "softmax", "sigmoid"),
    ("categorical_crossentropy", "sigmoid", "softmax"), ("categorical_crossentropy", "relu", "softmax")])
def test_crossentropy_needs_its_output(loss, out, wanted):
    X, y, W, b = problem(loss)
    with pytest.raises(ValueError, match=f"{loss} needs output_activation='{wanted}', got '{out}'"):
        B.backprop(X, y, W, b, loss=loss, output_activation=out)


@pytest.mark.parametrize("bad", [-1, 2, 1.5])
def test_labels(bad):
    X, y, W, b = problem("binary_crossentropy")
    y[0, 0] = bad
    with pytest.raises(ValueError, match="labels from 0 to 1"):
        B.backprop(X, y, W, b, loss="binary_crossentropy", output_activation="sigmoid")
    X, y, W, b = problem("categorical_crossentropy")
    y[0] = [bad, 0.5]
    with pytest.raises(ValueError, match="sum to 1"):
        B.backprop(X, y, W, b, loss="categorical_crossentropy", output_activation="softmax")


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_targets_must_be_finite(bad):
    X, y, W, b = problem("mse")
    y[1, 1] = bad
    with pytest.raises(ValueError, match="y must be finite"):
        B.backprop(X, y, W, b)


@pytest.mark.parametrize("change, message", [
    (lambda a: a.update(X=np.ones(3)), r"X must have shape \(n, d\)"),
    (lambda a: a.update(X=np.ones((0, 3))), "at least one row"),
    (lambda a: a.update(X=np.ones((6, 4))), r"weights\[0\] must have shape \(4, units\), got \(3, 5\)"),
    (lambda a: a.update(weights=a["weights"][:2]), "one length, at least 1, got 2 and 3"),
    (lambda a: a.update(weights=[], biases=[]), "got 0 and 0"),
    (lambda a: a["biases"].__setitem__(1, np.ones(3)), r"biases\[1\] must have shape \(4,\) or \(1, 4\), got \(3,\)"),
    (lambda a: a["biases"].__setitem__(1, np.ones((6, 4))), r"biases\[1\]"),
    (lambda a: a["weights"].__setitem__(1, np.ones(5)), r"weights\[1\]"),
    (lambda a: a.update(loss="hinge"), "loss must be one of half_sse, mse"),
])
def test_networks_that_do_not_fit(change, message):
    X, y, W, b = problem("half_sse")
    args = {"X": X, "y": y, "weights": W, "biases": b}
    change(args)
    with pytest.raises(ValueError, match=message):
        B.backprop(**args)


def test_unknown_activations_and_other_types():
    X, y, W, b = problem("half_sse")
    for option in ("activation", "output_activation"):
        with pytest.raises(ValueError):
            B.backprop(X, y, W, b, **{option: "rellu"})
    with pytest.raises((ValueError, TypeError)):
        B.backprop(X, y, W, b, activation="softmax")                    # a softmax is no hidden activation
    with pytest.raises(TypeError, match="X must hold real numbers"):
        B.backprop(X.astype(complex), y, W, b)


# --- differences ---------------------------------------------------------------------------------

def test_numerical_gradient_leaves_x_alone():
    for x in (np.array([1, 2, 3]), np.array([1.0, 2.0, 3.0]), [1, 2, 3]):
        before = np.array(x)
        g = B.numerical_gradient(lambda v: float(v[0] * v[1] + v[2] ** 2), x)
        assert np.allclose(g, [2, 1, 6], atol=1e-8) and g.dtype == np.float64
        assert np.array_equal(before, x)
    frozen = np.array([1.0, 2.0])
    frozen.flags.writeable = False
    assert np.allclose(B.numerical_gradient(lambda v: v.sum(), frozen), 1)
    assert np.allclose(B.numerical_gradient(lambda v: v**3, 2.0), 12) and B.numerical_gradient(lambda v: v, 1.0).shape == ()


def test_numerical_gradient_survives_a_function_that_changes_its_argument():
    def f(v):
        v *= 2
        return v.sum()
    assert np.allclose(B.numerical_gradient(f, [1.0, 2.0]), 2)


def test_numerical_gradient_refuses():
    with pytest.raises(ValueError, match=r"one number, got an array of shape \(2,\)"):
        B.numerical_gradient(lambda v: v, [1.0, 2.0])
    with pytest.raises(ValueError, match=r"shape \(1,\)"):
        B.gradient_check(lambda v: v[:1], [1.0, 0.0], [1.0, 2.0])
    for eps in (0, -1, np.nan, np.inf):
        with pytest.raises(ValueError, match="eps must be positive"):
            B.numerical_gradient(np.sum, [1.0], eps=eps)


def test_gradient_check_scale():
    f, x = lambda v: float((v**2).sum()), np.array([1.0, -2.0])
    assert B.gradient_check(f, 2 * x, x) < 1e-9
    assert B.gradient_check(f, lambda v: 2 * v, x) < 1e-9
    assert np.isclose(B.gradient_check(f, 4 * x, x), 1 / 3) and np.isclose(B.gradient_check(f, -2 * x, x), 1)
    assert B.gradient_check(lambda v: 0.0, [0.0, 0.0], x) == 0
    with pytest.raises(ValueError, match=r"shape of x, \(2,\), got \(1,\)"):
        B.gradient_check(f, [1.0], x)
    with pytest.raises(ValueError, match="grad must be finite"):
        B.gradient_check(f, [1.0, np.nan], x)


def test_gradient_check_warns_at_kinks():
    f = lambda v: float(np.maximum(v, 0).sum())
    with pytest.warns(UserWarning, match="1 of the weighted inputs lie within eps"):
        error = B.gradient_check(f, [1.0, 0.0], [1.0, 0.0], Z=[np.array([1.0, 0.0])])
    assert error > 0.1
    with pytest.warns(UserWarning, match="2 of the weighted inputs"):
        B.gradient_check(f, [1.0, 1.0], [1.0, 2.0], Z=np.array([1e-7, -1e-7, 0.5]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert B.gradient_check(f, [1.0, 0.0], [1.0, -1.0], Z=[np.array([1.0, -1.0])]) < 1e-9


# --- training ------------------------------------------------------------------------------------

def test_train_learns_and_repeats_itself():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(40, 2))
    y = (X[:, :1] * X[:, 1:] > 0).astype(float)
    options = dict(epochs=300, lr=1.0, batch_size=16, activation="tanh", output_activation="sigmoid", loss="binary_crossentropy")
    W, b, history = B.train(X, y, [2, 8, 1], seed=3, **options)
    assert len(history) == 301 and history[-1] < 0.15 < history[0] and all(isinstance(c, float) for c in history)
    again = B.train(X, y, [2, 8, 1], seed=3, **options)
    assert history == again[2] and all(np.array_equal(a, c) for a, c in zip(W + b, again[0] + again[1]))
    other = B.train(X, y, [2, 8, 1], seed=0, **options)[2]
    assert history != other
    final = B.forward_cache(X, W, b, activation="tanh", output_activation="sigmoid")[-1]["output"]
    assert np.mean((final > 0.5) == y) > 0.95


def test_train_solves_least_squares():
    rng = np.random.default_rng(1)
    X, noise = rng.normal(size=(50, 3)), rng.normal(size=(50, 2))
    y = X @ rng.normal(size=(3, 2)) + 0.7 + 0.1 * noise
    W, b, history = B.train(X, y, (3, 2), epochs=2000, lr=0.5, loss="mse", seed=0)
    best = np.linalg.lstsq(np.column_stack([X, np.ones(50)]), y, rcond=None)[0]
    assert np.allclose(W[0], best[:3], atol=1e-8) and np.allclose(b[0], best[3], atol=1e-8)
    assert all(b <= a + 1e-12 for a, b in zip(history, history[1:]))


def test_train_start():
    W, b, history = B.train(np.ones((5, 400)), np.ones((5, 1)), (400, 300, 1), epochs=0, lr=0.1, seed=0)
    assert np.isclose(W[0].var(), 2 / 400, rtol=0.02) and not b[0].any() and len(history) == 1
    W, _, _ = B.train(np.ones((5, 400)), np.ones((5, 1)), (400, 300, 1), epochs=0, lr=0.1, seed=0, activation="tanh")
    assert np.isclose(W[0].var(), 1 / 400, rtol=0.02)
    W, _, _ = B.train(np.ones((5, 4), np.float32), np.ones((5, 1)), (4, 1), epochs=2, lr=0.1, seed=0)
    assert W[0].dtype == np.float32
    rng = np.random.default_rng(0)
    first, second = (B.train([[1.0]], [[1.0]], (1, 1), epochs=0, lr=1, seed=rng)[0][0] for _ in range(2))
    assert first != second


@pytest.mark.parametrize("change, message", [
    ({"epochs": -1}, "epochs must be an integer of at least 0"), ({"epochs": 1.5}, "epochs must be"),
    ({"batch_size": 0}, "batch_size must be an integer of at least 1"),
    ({"sizes": (2,)}, "sizes must be"), ({"sizes": (3, 1)}, r"sizes must be \(2, ..., outputs\), got \(3, 1\)"),
    ({"sizes": (2, 0, 1)}, "each of sizes"), ({"sizes": (2, 4)}, r"\(4, 4\), got \(4, 1\)"),
    ({"X": np.ones((0, 2)), "y": np.ones((0, 1))}, "at least one row"), ({"X": np.ones(4)}, "shape"),
])
def test_train_refuses(change, message):
    args = {"X": np.ones((4, 2)), "y": np.ones((4, 1)), "sizes": (2, 1), "epochs": 1, "lr": 0.1} | change
    with pytest.raises(ValueError, match=message):
        B.train(**args)


def test_divergence_names_the_step():
    X, y = np.array([[10.0], [20.0]]), np.array([[1.0], [2.0]])
    for loss, lr in (("half_sse", 1e3), ("mse", 1e200)):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with pytest.raises(FloatingPointError, match=r"the cost is (inf|nan) after step (\d+)") as e:
                B.train(X, y, (1, 3, 1), epochs=500, lr=lr, activation="linear", loss=loss, seed=0)
        step = int(re.search(r"step (\d+)", str(e.value))[1])
        assert 1 <= step < 500
        short = B.train(X, y, (1, 3, 1), epochs=step - 1, lr=lr, activation="linear", loss=loss, seed=0)
        assert np.isfinite(short[2]).all()


# --- norms ---------------------------------------------------------------------------------------

@pytest.mark.parametrize("name, std, ratio", [
    ("sigmoid", 1 / 8, 5.1e-13), ("tanh", 1 / 8, 0.152), ("relu", np.sqrt(2 / 64), 4.0), ("relu", 1 / 8, 0.0055), ("tanh", 1.0, 1.5e6)])
def test_gradient_norms(name, std, ratio):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((256, 64))
    W = [rng.standard_normal((64, 64)) * std for _ in range(20)]
    cache = B.forward_cache(X, W, [np.zeros(64)] * 20, activation=name, output_activation=name)
    norms = B.gradient_norms(W, cache, np.ones((256, 64)), activation=name, output_activation=name)
    assert len(norms) == 20 and np.isclose(norms[0] / norms[-1], ratio, rtol=0.025)


def test_gradient_norms_are_those_of_the_layer_errors():
    X, y, W, b = problem("half_sse", seed=8)
    cache = B.forward_cache(X, W, b, activation="tanh", output_activation="softmax")
    norms = B.gradient_norms(W, cache, cache[-1]["output"] - y, activation="tanh", output_activation="softmax")
    errors = B.layer_errors(X, y, W, b, activation="tanh", output_activation="softmax")
    assert np.allclose(norms, [np.linalg.norm(E) for E in errors], rtol=1e-12)
    with pytest.raises(ValueError, match=r"shape of the output, \(6, 2\), got \(2,\)"):
        B.gradient_norms(W, cache, np.ones(2))
    with pytest.raises(ValueError, match="got 2 and 3"):
        B.gradient_norms(W, cache[:2], np.ones((6, 2)))


def test_forward_cache():
    X, _, W, b = problem("half_sse", seed=9, row=True)
    cache = B.forward_cache(X, W, b, activation="tanh", output_activation="sigmoid")
    A = np.tanh(np.tanh(X @ W[0] + b[0]) @ W[1] + b[1])
    assert np.array_equal(cache[0]["input"], X) and np.allclose(cache[2]["input"], A)
    assert np.allclose(cache[2]["output"], 1 / (1 + np.exp(-(A @ W[2] + b[2])))) and len(cache) == 3


# --- documentation -------------------------------------------------------------------------------

@pytest.mark.parametrize("name", B.__all__)
def test_docstrings(name):
    f = getattr(B, name)
    assert inspect.isfunction(f)
    doc = inspect.getdoc(f)
    for part in (".. math::", "Parameters\n", "Returns\n", "Raises\n", "\nUse when ", "\nAvoid when ", ">>> "):
        assert part in doc, f"{name}: {part!r} is missing"
    for parameter in inspect.signature(f).parameters:
        assert re.search(rf"^(.*\b)?{parameter}\b.* : ", doc, re.M), f"{name}: {parameter} is not documented"


def test_all_activations_are_usable_in_hidden_layers():
    X, y, W, b = problem("mse", seed=10)
    for name, entry in ACTIVATIONS.items():
        if entry.prime is not None:
            assert np.isfinite(B.backprop(X, y, W, b, activation=name, loss="mse")[0])
