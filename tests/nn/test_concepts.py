"""Concepts against scikit-learn, Keras and NumPy; shapes, dtypes, edges, errors and properties."""
import re
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import linear_model
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.preprocessing import OneHotEncoder
from sklearn.utils.estimator_checks import check_estimator

from mlcheat.nn.activations import names
from mlcheat.nn.concepts import (Perceptron, accumulate_gradients, describe_tensor, draw_network, glossary, neuron,
                                 one_hot)

RNG = np.random.default_rng(0)
few = settings(max_examples=30, deadline=None)


# neuron ---------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("x_shape, w_shape, shape", [((3,), (3,), ()), ((3,), (3, 2), (2,)), ((5, 3), (3,), (5,)),
                                                     ((5, 3), (3, 2), (5, 2)), ((0, 3), (3, 2), (0, 2))])
def test_neuron_shapes_and_dtype(x_shape, w_shape, shape, dtype):
    x, w = RNG.normal(size=x_shape).astype(dtype), RNG.normal(size=w_shape).astype(dtype)
    b = RNG.normal(size=w_shape[1:])
    kept = x.copy(), w.copy(), np.copy(b)
    a = neuron(x, w, b)
    assert a.shape == shape and a.dtype == dtype
    assert np.array_equal(x, kept[0]) and np.array_equal(w, kept[1]) and np.array_equal(b, kept[2])
    np.testing.assert_allclose(a, 1 / (1 + np.exp(-(np.tensordot(x, w, 1) + b))), rtol=1e-5)


@pytest.mark.parametrize("activation", ["linear", "relu", "sigmoid", "tanh", "softmax", "elu", "softplus", "selu"])
def test_neuron_is_keras_dense(activation):
    keras = pytest.importorskip("keras")
    x, w, b = (RNG.normal(size=s).astype("float32") for s in ((6, 4), (4, 3), (3,)))
    layer = keras.layers.Dense(3, activation=activation)
    layer.build((None, 4))
    layer.set_weights([w, b])
    np.testing.assert_allclose(neuron(x, w, b, activation), np.asarray(layer(x)), atol=1e-6)


def test_neuron_takes_functions_and_none():
    assert neuron([1.0, 2.0], [1.0, 1.0], activation=np.square) == 9
    assert neuron([1, 2], [1, 1], 1, activation=None) == 4


def test_neuron_is_linear_and_logistic_regression():
    X = RNG.normal(size=(80, 2))
    y = X @ [1.0, -2.0] + 0.3 + RNG.normal(size=80)
    line = linear_model.LinearRegression().fit(X, y)
    np.testing.assert_allclose(neuron(X, line.coef_, line.intercept_, None), line.predict(X))
    logit = linear_model.LogisticRegression(C=np.inf).fit(X, y > 0)
    np.testing.assert_allclose(neuron(X, logit.coef_[0], logit.intercept_[0]), logit.predict_proba(X)[:, 1])


@pytest.mark.parametrize("x, w", [((3,), (2,)), ((5, 3), (5, 3)), ((5, 3), (2,)), ((2, 3, 3), (3,)), ((3,), (3, 2, 2)),
                                  ((), (3,))])
def test_neuron_refuses_shapes_and_names_both(x, w):
    with pytest.raises(ValueError, match=f"{re.escape(str(x))}.*{re.escape(str(w))}"):
        neuron(np.zeros(x), np.zeros(w))


@pytest.mark.parametrize("w, b", [((3,), (1,)), ((3, 2), (3,)), ((3, 2), (1,)), ((3, 2), (2, 1))])
def test_neuron_does_not_broadcast_the_bias(w, b):
    with pytest.raises(ValueError, match="b must"):
        neuron(np.zeros(3), np.zeros(w), np.zeros(b))


def test_neuron_unknown_activation_lists_names():
    with pytest.raises(ValueError) as error:
        neuron([1.0], [1.0], activation="sigmiod")
    assert all(name in str(error.value) for name in ("sigmoid", "relu", "tanh"))
    assert "sigmoid" in names()


@pytest.mark.parametrize("bad", [["a"], [1j], [None]])
def test_neuron_refuses_what_is_not_a_number(bad):
    with pytest.raises(TypeError):
        neuron(bad, [1.0])


# Perceptron -----------------------------------------------------------------------------------------------------------

def separable(seed=0, n=100):
    X = np.random.default_rng(seed).normal(size=(n, 2))
    X = X[abs(X @ [1, 2]) > 0.3]
    return X, np.sign(X @ [1, 2])


def test_perceptron_passes_the_estimator_checks():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        check_estimator(Perceptron())


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("rate", [0.1, 1.0, 3.0])
def test_perceptron_is_scikit_learns(seed, rate):
    X, y = separable(seed)
    model = Perceptron(learning_rate=rate).fit(X, y)
    judge = linear_model.Perceptron(shuffle=False, tol=None, max_iter=100, eta0=rate).fit(X, y)
    np.testing.assert_allclose(model.coef_, judge.coef_[0], rtol=1e-9)
    np.testing.assert_allclose(model.intercept_, judge.intercept_[0], rtol=1e-9)
    assert model.converged_ and model.score(X, y) == 1


@pytest.mark.parametrize("labels", [(-1, 1), (0, 1), (False, True), ("no", "yes")])
def test_perceptron_labels(labels):
    X, y = separable()
    t = np.asarray(labels)[(y > 0).astype(int)]
    model = Perceptron().fit(X, t)
    assert np.array_equal(model.predict(X), t) and (model.n_iter_, model.n_updates_) == (3, 8)


def test_perceptron_obeys_the_bound_on_mistakes():
    X, y = separable(3)
    model = Perceptron(max_epochs=1000).fit(X, y)
    A = np.column_stack([X, np.ones(len(X))])
    w = np.append(model.coef_, model.intercept_)
    margin = (y * (A @ w)).min() / np.linalg.norm(w)
    assert model.n_updates_ <= (np.linalg.norm(A, axis=1).max() / margin) ** 2


def test_perceptron_stops_where_no_line_separates():
    X, y = [[0, 0], [0, 1], [1, 0], [1, 1]], [0, 1, 1, 0]
    with pytest.warns(ConvergenceWarning, match="max_epochs = 7"):
        model = Perceptron(max_epochs=7).fit(X, y)
    assert model.converged_ is False and model.n_iter_ == 7 and model.score(X, y) <= 0.75


@pytest.mark.parametrize("y", [[0, 0, 0], [0, 1, 2], [1, 1, 1]])
def test_perceptron_wants_two_classes(y):
    with pytest.raises(ValueError, match="two classes"):
        Perceptron().fit([[0.0], [1.0], [2.0]], y)


@pytest.mark.parametrize("X, y", [(np.empty((0, 2)), []), ([[np.nan], [1.0]], [0, 1]), ([[np.inf], [1.0]], [0, 1]),
                                  ([[0.0], [1.0]], [0, 1, 1]), ([0.0, 1.0], [0, 1]), ([[0.0], [1.0]], [0.0, np.nan])])
def test_perceptron_refuses_bad_data(X, y):
    with pytest.raises(ValueError):
        Perceptron().fit(X, y)


@pytest.mark.parametrize("options", [{"learning_rate": 0}, {"learning_rate": -1.0}, {"learning_rate": np.nan},
                                     {"max_epochs": 0}, {"max_epochs": 1.5}])
def test_perceptron_refuses_options(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        Perceptron(**options).fit([[0.0], [1.0]], [0, 1])


def test_perceptron_must_be_fitted():
    with pytest.raises(NotFittedError):
        Perceptron().predict([[0.0]])


# accumulate_gradients -------------------------------------------------------------------------------------------------

W = RNG.normal(size=(3, 2))


def mean_gradient(X, y):
    return 2 * X.T @ (X @ W - y) / len(X)


@few
@given(n=st.integers(1, 20), size=st.integers(1, 25), seed=st.integers(0, 99))
def test_accumulation_equals_the_whole_batch(n, size, seed):
    rng = np.random.default_rng(seed)
    X, y = rng.normal(size=(n, 3)), rng.normal(size=(n, 2))
    full = mean_gradient(X, y)
    np.testing.assert_allclose(accumulate_gradients(mean_gradient, X, y, size), full, atol=1e-12)
    np.testing.assert_allclose(accumulate_gradients(mean_gradient, X, y, size, reduction="sum"), n * full, atol=1e-11)


def test_accumulation_of_lists_calls_and_dtype():
    X, y, lengths = RNG.normal(size=(10, 3)).astype("float32"), RNG.normal(size=(10, 2)).astype("float32"), []

    def two(X, y):
        lengths.append(len(X))
        r = X @ W.astype("float32") - y
        return [X.T @ r / np.float32(len(X)), r.mean(axis=0)]

    total = accumulate_gradients(two, X, y, 4)
    assert lengths == [4, 4, 2] and isinstance(total, list) and [g.dtype for g in total] == [np.float32] * 2
    for part, whole in zip(total, two(X, y)):
        np.testing.assert_allclose(part, whole, atol=1e-6)
    lengths.clear()
    accumulate_gradients(two, X, y, 99)
    assert lengths == [10]                                      # larger than the data: one batch


def test_accumulation_leaves_the_gradients_alone():
    g = np.ones(2)
    accumulate_gradients(lambda X, y: g, np.zeros(6), np.zeros(6), 2)
    assert np.array_equal(g, [1, 1])


def test_published_numbers_of_the_example():
    rng = np.random.default_rng(0)
    W, X, y = rng.normal(size=(3, 1)), rng.normal(size=(10, 3)), rng.normal(size=(10, 1))
    gradient = lambda X, y: 2 * X.T @ (X @ W - y) / len(X)
    np.testing.assert_allclose(accumulate_gradients(gradient, X, y, 4).ravel(), [0.51909, 0.13175, -0.01556], atol=5e-6)
    plain = np.mean([gradient(X[i:i + 4], y[i:i + 4]) for i in (0, 4, 8)], axis=0).ravel()
    np.testing.assert_allclose(plain, [0.91234, 0.27269, -0.02433], atol=5e-6)


@pytest.mark.parametrize("size", [0, -1, 2.0, True, "4"])
def test_accumulation_refuses_batch_sizes(size):
    with pytest.raises(ValueError, match="batch_size"):
        accumulate_gradients(mean_gradient, np.zeros((4, 3)), np.zeros((4, 2)), size)


def test_accumulation_refuses_bad_data():
    with pytest.raises(ValueError, match="at least one"):
        accumulate_gradients(mean_gradient, np.zeros((0, 3)), np.zeros((0, 2)), 2)
    with pytest.raises(ValueError, match="same length"):
        accumulate_gradients(mean_gradient, np.zeros((4, 3)), np.zeros((5, 2)), 2)
    with pytest.raises(ValueError, match="same length"):
        accumulate_gradients(mean_gradient, 1.0, 2.0, 2)
    with pytest.raises(ValueError, match="reduction"):
        accumulate_gradients(mean_gradient, np.zeros((4, 3)), np.zeros((4, 2)), 2, reduction="none")


def test_accumulation_refuses_changing_gradients():
    with pytest.raises(ValueError, match="same arrays"):
        accumulate_gradients(lambda X, y: [np.zeros(2)] * len(X), np.zeros(5), np.zeros(5), 2)
    with pytest.raises(ValueError, match="same arrays"):
        accumulate_gradients(lambda X, y: np.zeros(len(X)), np.zeros(5), np.zeros(5), 2)


def test_keras_divides_by_the_number_of_steps():
    keras = pytest.importorskip("keras")
    w = keras.Variable(0.0)
    optimizer = keras.optimizers.SGD(1.0, gradient_accumulation_steps=3)
    optimizer.build([w])
    for g in (1.0, 2.0, 6.0):
        optimizer.apply([keras.ops.convert_to_tensor(g)], [w])
    assert abs(float(w.numpy()) + 3) < 1e-6


def test_keras_gradients_dense_layer_and_batch_normalization():
    tf = pytest.importorskip("tensorflow")
    x, y = (tf.constant(RNG.normal(size=(8, 3)).astype("float32")) for _ in range(2))
    deviations = []
    for extra in ([], [tf.keras.layers.LayerNormalization()], [tf.keras.layers.BatchNormalization()]):
        model = tf.keras.Sequential([tf.keras.layers.Dense(3, activation="tanh",
                                                           kernel_initializer=tf.constant_initializer(W[:, [0, 1, 0]]
                                                                                              * [1, 1, 2])), *extra])

        def gradient(xb, yb):
            with tf.GradientTape() as tape:
                loss = tf.reduce_mean((model(xb, training=True) - yb) ** 2)
            return tape.gradient(loss, model.layers[0].kernel).numpy()

        full = gradient(x, y)
        deviations.append(abs(accumulate_gradients(gradient, x.numpy(), y.numpy(), 4) - full).max())
    assert deviations[0] < 1e-6 and deviations[1] < 1e-5 and deviations[2] > 0.01


# one_hot --------------------------------------------------------------------------------------------------------------

@few
@given(st.lists(st.integers(0, 6), min_size=1, max_size=20))
def test_one_hot_is_scikit_learns(labels):
    expected = OneHotEncoder(categories=[range(7)], sparse_output=False).fit_transform(np.reshape(labels, (-1, 1)))
    assert np.array_equal(one_hot(labels, 7), expected)
    assert one_hot(labels).shape == (len(labels), max(labels) + 1)
    assert np.array_equal(one_hot(labels).argmax(axis=1), labels)


@pytest.mark.parametrize("dtype", [int, np.float32, bool])
def test_one_hot_dtype_and_whole_floats(dtype):
    out = one_hot([0.0, 2.0], dtype=dtype)
    assert out.dtype == dtype and out.tolist() == [[1, 0, 0], [0, 0, 1]]


def test_one_hot_empty():
    assert one_hot([], 3).shape == (0, 3)
    with pytest.raises(ValueError, match="num_classes"):
        one_hot([])


@pytest.mark.parametrize("labels, classes", [([-1, 0], None), ([-1, 0], 2), ([-3], None), ([0, 2], 2), ([0.5, 1], None),
                                             ([np.nan], None), ([np.inf], None), ([[0, 1]], None), (1, None), ([0], 0),
                                             ([0], 1.5)])
def test_one_hot_refuses(labels, classes):
    with pytest.raises(ValueError):
        one_hot(labels, classes)


def test_one_hot_says_what_is_wrong():
    with pytest.raises(ValueError, match="negative, got -3"):
        one_hot([0, -3])
    with pytest.raises(ValueError, match=r"0\.\.2, got 5"):
        one_hot([0, 5], 3)
    with pytest.raises(ValueError, match="whole numbers, got 0.5"):
        one_hot([1, 0.5])


def test_one_hot_refuses_names():
    with pytest.raises(TypeError):
        one_hot(["red", "blue"])


# describe_tensor ------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("shape, kind", [((), "scalar"), ((3,), "vector"), ((2, 3), "vectors"), ((2, 3, 4), "sequences"),
                                         ((2, 3, 4, 1), "images"), ((2, 3, 4, 5, 1), "video")])
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_describe_tensor(shape, kind, data_format):
    facts = describe_tensor(np.zeros(shape, np.float32), data_format)
    assert facts["kind"] == kind and facts["shape"] == shape and facts["rank"] == len(shape) == len(facts["axes"])
    assert facts["dtype"] == "float32"
    if len(shape) > 3:
        assert facts["axes"][-1] == ("channels" if data_format == "channels_last" else "width")


def test_describe_tensor_on_digits():
    facts = describe_tensor(load_digits().images[..., None])
    assert facts["shape"] == (1797, 8, 8, 1) and facts["axes"] == ("samples", "height", "width", "channels")


def test_describe_tensor_refuses():
    with pytest.raises(ValueError, match="rank 6"):
        describe_tensor(np.zeros((1,) * 6))
    with pytest.raises(ValueError, match="different lengths"):
        describe_tensor([[1, 2], [3]])
    with pytest.raises(ValueError, match="channels_last, channels_first"):
        describe_tensor([1], data_format="NHWC")


# draw_network and glossary --------------------------------------------------------------------------------------------

def test_draw_network():
    import matplotlib.pyplot as plt

    fig, ax = plt.subplots()
    out = draw_network([3, 4, 2], ax=ax, labels=[["a"] * 3, ["b"] * 4, ["c"] * 2],
                       weights=[-np.ones((3, 4)), np.ones((4, 2))])
    assert out is ax and len(ax.patches) == 9 and len(ax.lines) == 20 and len(ax.texts) == 29
    assert {line.get_linestyle() for line in ax.lines[:12]} == {"--"}
    plt.close("all")


@pytest.mark.parametrize("arguments", [{"sizes": []}, {"sizes": [2, 0]}, {"sizes": [2, 1.5]},
                                       {"sizes": [2, 1], "labels": [["a"], ["b"]]},
                                       {"sizes": [2, 1], "weights": [np.zeros((1, 2))]},
                                       {"sizes": [2, 1], "weights": []}])
def test_draw_network_refuses(arguments):
    with pytest.raises(ValueError):
        draw_network(**arguments)


def test_glossary_reads_the_one_table():
    from mlcheat.reference.glossary import GLOSSARY

    words = glossary()
    assert list(words) == list(GLOSSARY) and all(words[n][0] == t.definition for n, t in GLOSSARY.items())
    words.clear()
    assert glossary("cuda") == glossary("CUDA") == (GLOSSARY["CUDA"].definition, "nn/concepts")
    assert glossary("kernel function")[1] == "algorithms/svm"
    assert glossary("hallucination")[1] == "reference/glossary"               # no chapter of its own


def test_glossary_names_the_three_nearest():
    with pytest.raises(KeyError, match="the closest are Epoch, ") as error:
        glossary("epok")
    assert len(str(error.value).split("closest are ")[1].split(",")) == 3
