"""GANs: the game in closed form, losses, networks, one step by hand, errors, and what training reaches on the digits."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special, stats
from scipy.spatial.distance import jensenshannon
from sklearn.model_selection import train_test_split
from sklearn.svm import SVC

from mlcheat.architectures.autoencoder import frechet_distance
from mlcheat.architectures.gan import (
    GAN,
    d_loss,
    dcgan,
    discriminator,
    fit_gan,
    from_tanh_range,
    g_loss,
    generator,
    interpolate,
    js_divergence,
    mode_coverage,
    optimal_discriminator,
    sample,
    to_tanh_range,
    value_at_optimum,
)
from mlcheat.architectures.runtime import Runtime, layer_table, max_difference, parameter_count, pipeline, to_numpy
from mlcheat.data import load_digits

KINDS = ["nonsaturating", "minimax", "least_squares", "wasserstein_gp", "hinge"]
PLAIN = {"strategy": "none", "precision": "float32"}


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(return_X_y=True)
    return train_test_split((X / 16).astype("float32"), y, test_size=360, random_state=0, stratify=y)


@pytest.fixture(scope="module")
def trained(digits):
    """Another seed than the notebook's, for the networks, the order and the noise."""
    gan = GAN(generator((8, 8, 1), seed=2), discriminator((8, 8, 1), seed=3))
    seen = []
    x = to_tanh_range(digits[0]).reshape(-1, 8, 8, 1)
    history = fit_gan(gan, x, epochs=30, seed=1, callback=lambda epoch, g: seen.append((epoch, g is gan)))
    return gan, history, seen


@pytest.fixture(scope="module")
def big():
    return dcgan()


def tiny(norm=False, seed=0, latent=3, classes=None, **options):
    """Two small dense networks on two numbers; the generator ends in tanh."""
    layers = keras.layers
    extra = [layers.BatchNormalization()] if norm else []
    more = classes or 0
    G = keras.Sequential([keras.Input((latent + more,)), layers.Dense(6, "relu", kernel_initializer=keras.initializers.HeNormal(seed)),
                          *extra, layers.Dense(2, "tanh", kernel_initializer=keras.initializers.HeNormal(seed + 1))])
    D = keras.Sequential([keras.Input((2 + more,)), layers.Dense(5, "tanh", kernel_initializer=keras.initializers.HeNormal(seed + 2)),
                          layers.Dense(1, kernel_initializer=keras.initializers.HeNormal(seed + 3))])
    return GAN(G, D, classes=classes, **options)


def points(n=32):
    return np.random.default_rng(0).uniform(-1, 1, (n, 2)).astype("float32")


# ---- the game


def test_published_numbers_of_the_game():
    p, q = stats.norm(0, 1).pdf, stats.norm(1, 1).pdf
    assert js_divergence(p, q) == pytest.approx(0.111421, abs=5e-7)
    assert value_at_optimum(p, q) == pytest.approx(-1.163451, abs=5e-7)
    assert optimal_discriminator(p, q, 0.0) == pytest.approx(0.6225, abs=5e-5)
    assert optimal_discriminator(p, q, [0.0, 0.5]) == pytest.approx([special.expit(0.5), 0.5])
    assert js_divergence(p, q) / np.log(2) == pytest.approx(0.1607, abs=5e-5)


def test_best_discriminator_beats_a_grid():
    p, q = stats.norm(0, 1).pdf, stats.norm(1, 2).pdf
    for x in (-3.0, 0.0, 0.7, 4.0):
        grid = np.linspace(0.0005, 0.9995, 1000)
        value = p(x) * np.log(grid) + q(x) * np.log(1 - grid)
        assert grid[value.argmax()] == pytest.approx(optimal_discriminator(p, q, x), abs=0.001)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=2, max_size=8))
def test_divergence_of_vectors(pairs):
    a, b = (np.array(v) + 1e-3 * (i == np.arange(len(pairs))) for i, v in enumerate(zip(*pairs)))
    a, b = a / a.sum(), b / b.sum()
    found = js_divergence(a, b)
    assert found == pytest.approx(np.nan_to_num(jensenshannon(a, b)) ** 2, abs=1e-12)
    assert found == pytest.approx(js_divergence(b, a), abs=1e-14) and -1e-15 <= found <= np.log(2) + 1e-12
    assert value_at_optimum(a, b) == pytest.approx(-np.log(4) + 2 * found, abs=1e-12)
    best = optimal_discriminator(a, b)
    other = np.clip(best + 0.01, 0, 1 - 1e-9)
    assert np.sum(special.xlogy(a, other) + special.xlogy(b, 1 - other)) <= value_at_optimum(a, b) + 1e-12


def test_divergence_at_the_ends():
    p, far = stats.norm(0, 0.1).pdf, stats.norm(5, 0.1).pdf
    assert js_divergence(p, p, limits=(-2, 2)) == 0 and js_divergence([0.3, 0.7], [0.3, 0.7]) == 0
    assert js_divergence([1.0, 0.0], [0.0, 1.0]) == pytest.approx(np.log(2), abs=1e-15)
    assert js_divergence(p, far, limits=(-1, 6)) == pytest.approx(np.log(2), abs=1e-9)
    assert value_at_optimum([1.0, 0.0], [0.0, 1.0]) == 0
    assert optimal_discriminator([0.5, 0.5, 0], [0.25, 0.75, 0]) == pytest.approx([2 / 3, 0.4, 0.5])
    assert optimal_discriminator([0.5, 0.5], [0.25, 0.75], [1, 0]) == pytest.approx([0.4, 2 / 3])


@pytest.mark.parametrize("p, q, message", [
    ([0.5, 0.6], [0.5, 0.5], "must sum to 1, got 1.1 and 1"), ([0.5, 0.5], [1.0], "one length"), ([1.5, -0.5], [0.5, 0.5], "negative"),
    (stats.norm(0, 1).pdf, [0.5, 0.5], "both be functions or both be vectors"), (stats.norm.pdf, lambda x: 2 * stats.norm.pdf(x), "sum to 1")])
def test_bad_densities(p, q, message):
    for f in (js_divergence, value_at_optimum):
        with pytest.raises(ValueError, match=message):
            f(p, q)


def test_functions_need_a_place():
    with pytest.raises(ValueError, match="need x"):
        optimal_discriminator(stats.norm.pdf, stats.norm.pdf)


# ---- losses


def test_losses_against_keras():
    rng = np.random.default_rng(0)
    r, f = rng.normal(0, 4, 200), rng.normal(0, 4, 200)
    cross = keras.losses.BinaryCrossentropy(from_logits=True)
    one, zero = np.ones(200), np.zeros(200)
    for kind in KINDS[:2]:
        assert d_loss(r, f, kind).mean() == pytest.approx(float(cross(one, r) + cross(zero, f)), abs=1e-6)
        smooth = d_loss(r, f, kind, label_smoothing=0.2).mean()
        assert smooth == pytest.approx(float(cross(0.8 * one, r) + cross(zero, f)), abs=1e-6)
    assert g_loss(f).mean() == pytest.approx(float(cross(one, f)), abs=1e-6)
    assert g_loss(f, "minimax").mean() == pytest.approx(-float(cross(zero, f)), abs=1e-6)
    square = keras.losses.MeanSquaredError()
    assert d_loss(r, f, "least_squares").mean() == pytest.approx(float(square(one, r) + square(zero, f)) / 2, rel=1e-6)
    assert d_loss(r, f, "least_squares", label_smoothing=0.2).mean() == pytest.approx(float(square(0.8 * one, r) + square(zero, f)) / 2, rel=1e-6)
    assert g_loss(f, "least_squares").mean() == pytest.approx(float(square(one, f)) / 2, rel=1e-6)
    hinge = keras.losses.Hinge()
    assert d_loss(r, f, "hinge").mean() == pytest.approx(float(hinge(one, r) + hinge(-one, f)), rel=1e-6)
    assert np.allclose(d_loss(r, f, "wasserstein_gp"), f - r) and np.allclose(g_loss(f, "hinge"), -f)
    assert np.allclose(g_loss(f, "wasserstein_gp"), -f)


@pytest.mark.parametrize("kind", KINDS)
def test_tensors_and_arrays_give_the_same(kind):
    r, f = np.random.default_rng(1).normal(0, 3, (2, 5)).astype("float32")
    for function, args in ((d_loss, (r, f)), (g_loss, (f,))):
        here, there = function(*args, kind), function(*map(tf.constant, args), kind)
        assert isinstance(here, np.ndarray) and tf.is_tensor(there) and here.dtype == np.float32 == there.dtype
        assert np.allclose(here, there, rtol=1e-6, atol=1e-6)
        assert np.allclose(function(*(keras.Variable(a) for a in args), kind), here, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_slopes_against_central_differences(kind):
    r, f = np.random.default_rng(2).normal(0, 3, (2, 9))
    R, F = tf.constant(r), tf.constant(f)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch([R, F])
        d, g = d_loss(R, F, kind), g_loss(F, kind)
    for function, slope in ((lambda e: d_loss(r + e, f, kind), tape.gradient(d, R)), (lambda e: d_loss(r, f + e, kind), tape.gradient(d, F)),
                            (lambda e: g_loss(f + e, kind), tape.gradient(g, F))):
        assert np.allclose((function(1e-5) - function(-1e-5)) / 2e-5, slope, atol=1e-8)


def test_sums_of_the_two_losses():
    r, f = special.logit([[0.5, 0.9, 0.99], [0.5, 0.1, 0.01]])
    assert d_loss(r, f) + g_loss(f) == pytest.approx([2.0794, 2.5133, 4.6253], abs=5e-5)
    assert d_loss([0.0], [0.0]) + g_loss([0.0]) == pytest.approx(3 * np.log(2))


def test_large_scores_are_exact():
    for dtype in (np.float32, np.float64):
        big = np.array([1e4, -1e4], dtype)
        assert np.array_equal(d_loss(big, -big), [0, 2e4]) and np.array_equal(g_loss(big), [0, 1e4])
        assert d_loss(big, big).dtype == dtype


@pytest.mark.parametrize("call, message", [
    (lambda: d_loss(np.zeros(4), np.zeros((4, 1))), r"one shape, got \(4,\) and \(4, 1\)"),
    (lambda: d_loss([0.0], [0.0], "wgan"), "loss must be one of nonsaturating, .*; got 'wgan'"),
    (lambda: g_loss([0.0], "log"), "loss must be one of"), (lambda: GAN(*pair(), loss="bce"), "loss must be one of"),
    (lambda: d_loss([0.0], [0.0], label_smoothing=0.5), r"label_smoothing must lie in \[0, 0.5\), got 0.5"),
    (lambda: GAN(*pair(), label_smoothing=-0.1), "label_smoothing"),
    (lambda: GAN(*pair(), label_smoothing=0.1, loss="hinge"), "no labels to smooth"),
    (lambda: GAN(*pair(), d_steps=0), "d_steps must be a whole number of at least 1, got 0")])
def test_bad_settings(call, message):
    with pytest.raises(ValueError, match=message):
        call()


# ---- networks


def pair():
    gan = tiny()
    return gan.generator, gan.discriminator


def test_small_networks():
    G, D = generator((8, 8, 1)), discriminator((8, 8, 1))
    assert G.count_params() == 38_529 and D.count_params() == 33_825
    assert [r["output"] for r in layer_table(G) if "Conv" in r["kind"]] == [(4, 4, 32), (8, 8, 1)]
    assert [r["output"] for r in layer_table(D) if "Conv" in r["kind"]] == [(4, 4, 32), (2, 2, 64)]


@pytest.mark.parametrize("side, channels", [(8, 3), (16, 1), (32, 2)])
def test_other_sizes(side, channels):
    G, D = generator((side, side, channels), 5, width=2, batch_norm=False), discriminator((side, side, channels), width=2, dropout=0.2)
    assert G.output_shape == (None, side, side, channels) and D.output_shape == (None, 1)
    assert parameter_count(G)[1] == 0 and parameter_count(D)[1] > 0
    assert np.abs(G(np.ones((2, 5)))).max() <= 1
    assert GAN(G, D).latent == 5


def test_dcgan_shapes_and_counts(big):
    assert [parameter_count(n) for n in big] == [(1_508_800, 960), (693_632, 896)]
    maps = [[r["output"] for r in layer_table(n) if "Conv" in r["kind"]] for n in big]
    assert maps[0] == [(4, 4, 256), (8, 8, 128), (16, 16, 64), (32, 32, 32), (64, 64, 1)]
    assert maps[1] == [(32, 32, 32), (16, 16, 64), (8, 8, 128), (4, 4, 256), (1, 1, 1)]
    assert GAN(*big).latent == 200 and big[0].layers[-1].activation.__name__ == "tanh"
    assert [layer.negative_slope for layer in big[1].layers if isinstance(layer, keras.layers.LeakyReLU)] == [0.2] * 4
    assert not any(getattr(layer, "use_bias", False) for n in big for layer in n.layers)


def test_numpy_copies(big, trained):
    z = np.random.default_rng(0).standard_normal((3, 200)).astype("float32")
    assert max_difference(big[0], to_numpy(big[0]), z) < 1e-5
    assert max_difference(big[1], to_numpy(big[1]), np.asarray(big[0](z))) < 1e-5
    gan = trained[0]
    z = np.random.default_rng(0).standard_normal((20, 16)).astype("float32")
    assert max_difference(gan.generator, to_numpy(gan.generator), z) < 1e-5
    assert max_difference(gan.discriminator, to_numpy(gan.discriminator), np.asarray(gan.generator(z))) < 1e-5


def test_transposed_convolution_is_pytorchs():
    """Stride 2, window 4: each input spreads over 4 x 4 outputs, one pixel is cut off on every side (padding 1)."""
    layer = generator((8, 8, 1), width=2, batch_norm=False).layers[-2]
    x = np.random.default_rng(0).standard_normal((1, 4, 4, 2)).astype("float32")
    kernel, bias = layer.get_weights()
    full = np.zeros((10, 10))
    for i in range(4):
        for j in range(4):
            full[2 * i:2 * i + 4, 2 * j:2 * j + 4] += np.einsum("abc,c->ab", kernel[:, :, 0], x[0, i, j])
    assert np.allclose(layer(x)[0, :, :, 0], full[1:-1, 1:-1] + bias, atol=1e-6)


def test_seeds():
    weights = lambda m: np.concatenate([w.ravel() for w in m.get_weights()])  # noqa: E731
    for build in (generator, discriminator):
        a, b, c = (weights(build((8, 8, 1), width=4, seed=s)) for s in (0, 0, 1))
        assert np.array_equal(a, b) and not np.allclose(a, c)


@pytest.mark.parametrize("call, message", [
    (lambda: generator((8, 8, 1), 0), "latent must be a whole number of at least 1, got 0"), (lambda: generator((8, 8, 0)), "every number of output_shape must be a whole number of at least 1, got 0"),
    (lambda: generator((28, 28, 1)), "one of 8, 16, 32, 64, got 28 x 28"), (lambda: discriminator((8, 16, 1)), "equal and one of"),
    (lambda: discriminator((128, 128, 1)), "one of 8, 16, 32, 64"), (lambda: discriminator((8, 8)), r"input_shape must be \(height, width, channels\), got \(8, 8\); add a channel"),
    (lambda: discriminator((8, 8, 1), width=0), "width"), (lambda: discriminator((8, 8, 1), dropout=1.0), r"dropout must lie in \[0, 1\)")])
def test_bad_sizes(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("last", [
    [keras.layers.Dense(1, "sigmoid")], [keras.layers.Dense(1), keras.layers.Activation("sigmoid")],
    [keras.layers.Dense(1, "sigmoid"), keras.layers.Flatten()]], ids=["dense", "activation", "flattened"])
def test_probabilities_are_refused(last):
    with pytest.raises(ValueError, match="ends in a sigmoid; logits are expected"):
        GAN(pair()[0], keras.Sequential([keras.Input((2,)), *last]))


def test_networks_that_do_not_fit():
    dense = lambda a, b: keras.Sequential([keras.Input(a), keras.layers.Dense(b)])  # noqa: E731
    with pytest.raises(ValueError, match=r"makes \(3,\) and a discriminator \(2,\) -> \(1,\) do not fit"):
        GAN(dense((4,), 3), dense((2,), 1))
    with pytest.raises(ValueError, match=r"a score of shape \(1,\)"):
        GAN(dense((4,), 2), dense((2,), 2))
    with pytest.raises(ValueError, match=r"the generator must read \(batch, latent\)"):
        GAN(dense((4, 4), 2), dense((4, 2), 1))
    with pytest.raises(ValueError, match="without batch normalisation"):
        GAN(generator((8, 8, 1)), discriminator((8, 8, 1)), loss="wasserstein_gp")
    GAN(generator((8, 8, 1)), discriminator((8, 8, 1), batch_norm=False), loss="wasserstein_gp")


# ---- scaling and drawing


@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(-3, 7, width=32), min_size=1), st.sampled_from([np.float32, np.float64]))
def test_scaling_there_and_back(values, dtype):
    x = np.array(values, dtype)
    scaled = to_tanh_range(x, -3, 7)
    assert scaled.dtype == dtype and np.abs(scaled).max() <= 1
    assert np.allclose(from_tanh_range(scaled) * 10 - 3, x, atol=1e-5)


@pytest.mark.parametrize("args, message", [
    (([0, 300], 0, 255), r"x must lie in \[0, 255\], got 0 to 300"), (([0.0], 1, 1), "low must be below high"), (([np.nan],), "must lie in")])
def test_bad_scaling(args, message):
    with pytest.raises(ValueError, match=message):
        to_tanh_range(*args)


def test_sample(trained):
    gan = trained[0]
    a, b, c = sample(gan, 5, seed=3), sample(gan, 5, seed=3), sample(gan, 5, seed=4)
    assert np.array_equal(a, b) and not np.allclose(a, c) and a.shape == (5, 8, 8, 1) and a.dtype == np.float32
    assert a.min() >= 0 and a.max() <= 1
    z = np.random.default_rng(3).standard_normal((5, 16)).astype("float32")
    assert np.allclose(a, np.asarray(gan.generator(z)) / 2 + 0.5, atol=1e-6)
    assert sample(gan, 1100, seed=3).shape == (1100, 8, 8, 1)
    assert np.allclose(sample(gan, 1100, seed=3)[:5], a, atol=1e-5)               # not a matter of the neighbours
    spread = [sample(gan, 300, seed=0, truncation=t).std(axis=0).mean() for t in (0.1, 1.0, None)]
    assert spread[0] < 0.6 * spread[1] < spread[2]


def test_truncated_noise_is_a_truncated_normal():
    line = keras.Sequential([keras.Input((1,)), keras.layers.Dense(2)])
    line.set_weights([np.ones((1, 2)), np.zeros(2)])
    z = sample(GAN(line, pair()[1]), 4000, seed=0, truncation=1.5)[:, 0]
    assert np.abs(z).max() <= 1.5 + 1e-6
    assert stats.kstest(z, stats.truncnorm(-1.5, 1.5).cdf).pvalue > 0.01


def test_interpolate_stays_on_the_circle():
    look = keras.Sequential([keras.Input((3,)), keras.layers.Dense(3)])
    look.set_weights([np.eye(3), np.zeros(3)])
    gan = GAN(look, keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)]))
    way = interpolate(gan, [2.0, 0, 0], [0, 2.0, 0], 9)
    assert np.allclose(np.linalg.norm(way, axis=1), 2, atol=1e-6) and np.allclose(way[[0, -1]], [[2, 0, 0], [0, 2, 0]], atol=1e-6)
    assert np.allclose(np.sum(way[1:] * way[:-1], axis=1), 4 * np.cos(np.pi / 16), atol=1e-5)      # equal angles
    assert np.allclose(interpolate(gan, [1.0, 0, 0], [3.0, 0, 0], 3)[:, 0], [1, 2, 3])
    assert np.allclose(interpolate(gan, [0.0, 0, 0], [3.0, 0, 0], 2)[:, 0], [0, 3])


@pytest.mark.parametrize("call, message", [
    (lambda g: sample(g, 0, seed=0), "n must be"), (lambda g: sample(g, 2, seed=0, truncation=0.0), "truncation must be positive, got 0.0"),
    (lambda g: interpolate(g, np.zeros(2), np.zeros(3), 3), r"z1 must have shape \(3,\), got \(2,\)"),
    (lambda g: interpolate(g, np.zeros(3), np.zeros((1, 3)), 3), r"z2 must have shape \(3,\), got \(1, 3\)"),
    (lambda g: interpolate(g, np.zeros(3), np.ones(3), 1), "steps must be a whole number of at least 2, got 1")])
def test_bad_drawing(call, message):
    with pytest.raises(ValueError, match=message):
        call(tiny())


def test_mode_coverage():
    class Scores:
        def predict(self, x):
            return np.stack([x[:, 0], 1 - x[:, 0], -x[:, 0]], axis=1)

    class Labels:
        def predict(self, x):
            return np.full(len(x), "b")

    assert mode_coverage(np.array([[0.9], [0.1], [0.2]]), Scores()).tolist() == [1, 2, 0]
    labels = Labels()
    with pytest.raises(ValueError, match="classes_"):
        mode_coverage(np.zeros((3, 2)), labels)
    labels.classes_ = np.array(["a", "b"])
    assert mode_coverage(np.zeros((3, 2)), labels).tolist() == [0, 3]


def test_frechet_distance_of_two_gaussians():
    noise = np.random.default_rng(0).standard_normal((500, 3))
    noise = np.linalg.solve(np.linalg.cholesky(np.cov(noise.T)), (noise - noise.mean(0)).T).T      # covariance exactly I
    a, b = np.array([1.0, 2, 3]), np.array([2.0, 2, 0.5])
    assert frechet_distance(noise * a, noise * b + [1, 0, 2]) == pytest.approx(5 + np.sum((a - b) ** 2), rel=1e-9)


# ---- training


def by_hand(gan, x, z, rows, rate=1e-2, beta_1=0.5):
    """One move of D (without penalty), then one of G: Adam's first step written out."""
    step = lambda v, g: v.assign(v - rate * g / (np.abs(g) + 1e-7 / np.sqrt(1 - 0.999)))  # noqa: E731
    told = lambda values: tf.concat([values, rows], axis=1)  # noqa: E731
    G, kind = lambda z: gan.generator(told(z), training=True), gan.loss  # noqa: E731
    D, moved = lambda x: gan.discriminator(told(x)), (gan.discriminator.trainable_variables, gan.generator.trainable_variables)  # noqa: E731
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(d_loss(D(x)[:, 0], D(G(z))[:, 0], kind, label_smoothing=gan.label_smoothing))
    for v, g in zip(moved[0], tape.gradient(loss, [v.value for v in moved[0]])):
        step(v, g)
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(g_loss(D(G(z))[:, 0], kind))
    for v, g in zip(moved[1], tape.gradient(loss, [v.value for v in moved[1]])):
        step(v, g)


@pytest.mark.parametrize("kind, smooth, classes", [("nonsaturating", 0.1, None), ("minimax", 0.0, None), ("least_squares", 0.1, 3), ("hinge", 0.0, 2)])
def test_one_step_by_hand(kind, smooth, classes):
    x, y = points(16), np.arange(16) % (classes or 1)
    label = np.eye(classes or 1, dtype="float32")[y]
    batch, rows, draw = next(iter(pipeline(x, label, batch_size=16, seed=5, noise=(1, 4))))
    gan, same = (tiny(seed=2, loss=kind, label_smoothing=smooth, classes=classes) for _ in range(2))
    fit_gan(gan, x, y=y if classes else None, epochs=1, batch_size=16, learning_rate=1e-2, seed=5)
    by_hand(same, batch, draw[:, 0, :3], rows if classes else rows[:, :0])
    for a, b in ((gan.generator, same.generator), (gan.discriminator, same.discriminator)):
        for v, w in zip(a.get_weights(), b.get_weights()):
            assert np.allclose(v, w, atol=1e-6)


def test_each_step_moves_one_network(monkeypatch):
    """Weights are looked at whenever an optimizer is about to move one of the two."""
    gan, x = tiny(norm=True), points()
    seen = []
    original = keras.optimizers.Adam.apply_gradients

    def spy(self, pairs, **options):
        pairs = list(pairs)
        seen.append({id(v) for _, v in pairs})
        return original(self, pairs, **options)

    monkeypatch.setattr(keras.optimizers.Adam, "apply_gradients", spy)
    fit_gan(gan, x, epochs=1, batch_size=16)
    moved = [{id(v) for v in n.trainable_variables} for n in (gan.discriminator, gan.generator)]
    assert seen[:2] == moved and not moved[0] & moved[1]


@pytest.mark.parametrize("frozen", ["generator", "discriminator"])
def test_a_frozen_network_is_left_bit_by_bit(frozen):
    gan, x = tiny(loss="hinge"), points()
    batch, draw = next(iter(pipeline(x, batch_size=16, noise=(1, 4))))
    from mlcheat.architectures import gan as module

    player, name = (module._d_player(gan, 0), "d_loss") if frozen == "generator" else (module._g_player(gan), "g_loss")
    moving = gan.discriminator if frozen == "generator" else gan.generator
    still, before = getattr(gan, frozen), [w.copy() for n in (getattr(gan, frozen), moving) for w in n.get_weights()]
    Runtime(**PLAIN).fit({name: player}, {name: moving}, pipeline(x, batch_size=16, noise=(1, 4)),
                         optimizer={name: keras.optimizers.SGD(0.1)}, epochs=1)
    after, n = [w for m in (still, moving) for w in m.get_weights()], len(still.get_weights())
    assert all(np.array_equal(a, b) for a, b in zip(before[:n], after[:n]))
    assert any(not np.array_equal(a, b) for a, b in zip(before[n:], after[n:]))


def test_penalty_of_a_known_slope():
    from mlcheat.architectures import gan as module

    line = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    line.set_weights([np.array([[3.0], [4.0]]), np.zeros(1)])
    gan = GAN(pair()[0], line, loss="wasserstein_gp")
    real, fake = tf.constant(points(6)), tf.constant(points(6)[::-1].copy())
    assert np.allclose(module._penalty(gan, real, fake, tf.zeros(6)), 16, atol=1e-4)
    label = tf.constant(np.eye(3, dtype="float32")[[0, 1, 2, 0, 1, 2]])                # the slope is taken along the example, not the label
    told = tiny(classes=3, loss="wasserstein_gp")
    told.discriminator = keras.Sequential([keras.Input((5,)), keras.layers.Dense(1)])
    told.discriminator.set_weights([np.array([[3.0], [4], [100], [-50], [7]]), np.zeros(1)])
    assert np.allclose(module._penalty(told, real, fake, tf.zeros(6), label), 16, atol=1e-4)
    curve = keras.Sequential([keras.Input((1,)), keras.layers.Lambda(lambda x: x**2 / 2)])
    gan = GAN(keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)]), curve, loss="wasserstein_gp")
    draw = np.array([-1.0, 0.0, 2.0], "float32")                              # the slope at x is |x|
    place = 2 + stats.norm.cdf(draw) * 3
    found = module._penalty(gan, tf.fill((3, 1), 2.0), tf.fill((3, 1), 5.0), tf.constant(draw))
    assert np.allclose(found, (place - 1) ** 2, atol=1e-4)


def test_asking_for_a_kind():
    """Three far spots, one a label: after training each label draws its own."""
    y = np.arange(768) % 3
    spots = 0.6 * np.array([[1, 0], [-0.5, 0.8], [-0.5, -0.8]])
    x = (spots[y] + 0.05 * np.random.default_rng(0).standard_normal((768, 2))).clip(-1, 1)
    gan = tiny(classes=3, seed=4)
    fit_gan(gan, x, y=y, epochs=60, batch_size=64, learning_rate=2e-2)
    drawn = 2 * sample(gan, 300, y=np.arange(300) % 3, seed=0) - 1
    nearest = np.linalg.norm(drawn[:, None] - spots, axis=2).argmin(axis=1)
    assert np.mean(nearest == np.arange(300) % 3) > 0.9
    one = sample(gan, 4, y=1, seed=0)
    assert np.array_equal(one, sample(gan, 4, y=[1] * 4, seed=0)) and not np.allclose(one, sample(gan, 4, y=2, seed=0))
    z = np.random.default_rng(0).standard_normal((2, 3)).astype("float32")
    way = interpolate(gan, *z, 5, y=1)
    ends = np.asarray(gan.generator(np.hstack([z, np.eye(3, dtype="float32")[[1, 1]]]), training=False))
    assert gan.latent == 3 and np.allclose(way[[0, -1]], ends / 2 + 0.5, atol=1e-5)


@pytest.mark.parametrize("classes, y, message", [
    (None, [0, 1], "built with no classes"), (2, None, "built with 2 classes, got y=None"), (2, [0, 2], r"y must lie in 0..1, got 0 to 2"),
    (2, [0, 1, 1], r"y must hold 2 whole numbers, got shape \(3,\)"), (2, [0.0, 1.0], "of float64")])
def test_bad_labels(classes, y, message):
    gan = tiny(classes=classes)
    for call in (lambda: sample(gan, 2, y=y, seed=0), lambda: interpolate(gan, np.zeros(3), np.ones(3), 2, y=y),
                 lambda: fit_gan(gan, points(2), y=y, batch_size=2)):
        with pytest.raises(ValueError, match=message):
            call()


def test_networks_that_do_not_read_the_label():
    G, D = generator((8, 8, 1), 16), discriminator((8, 8, 1))
    with pytest.raises(ValueError, match=r"do not fit: .*, and 10 channels more for the label"):
        GAN(G, D, classes=10)
    with pytest.raises(ValueError, match=r"must read latent \+ 16 numbers, reads 16"):
        GAN(G, discriminator((8, 8, 17)), classes=16)
    with pytest.raises(ValueError, match="classes must be a whole number of at least 2, got 1"):
        GAN(G, D, classes=1)


@pytest.mark.parametrize("options", [{"loss": "wasserstein_gp", "d_steps": 3}, {"loss": "wasserstein_gp", "classes": 2}, {"loss": "minimax", "d_steps": 2}],
                         ids=["penalty", "told", "two_steps"])
def test_several_steps_and_the_record(options):
    gan = tiny(**options)
    before = [w.copy() for w in gan.discriminator.get_weights()]
    y = np.arange(32) % 2 if gan.classes else None
    record = fit_gan(gan, points(), y=y, epochs=2, batch_size=16, learning_rate=1e-2).history
    names = {"d_loss", "g_loss", "d_real", "d_fake", *(f"d_loss_{i}" for i in range(1, gan.d_steps))}
    assert set(record) == names and all(len(v) == 2 and np.isfinite(v).all() for v in record.values())
    assert not np.allclose(gan.discriminator.get_weights()[0], before[0])


def test_the_same_run_twice_and_whatever_the_global_seed():
    runs = []
    for state in (0, 1):
        tf.random.set_seed(state)
        np.random.seed(state)
        gan = tiny()
        fit_gan(gan, points(), epochs=2, batch_size=16, seed=4)
        runs.append(gan.generator.get_weights() + gan.discriminator.get_weights())
    assert all(np.array_equal(a, b) for a, b in zip(*runs))


def test_a_keras_callback_and_a_runtime():
    class Stop(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.model.stop_training = True

    runtime = Runtime(**PLAIN, jit=False)
    with runtime.scope():
        gan = tiny()
    assert len(fit_gan(gan, points(), runtime=runtime, epochs=5, batch_size=16, callback=Stop()).history["d_loss"]) == 1


def test_inputs_are_left_alone():
    x = points()
    kept = x.copy()
    fit_gan(tiny(), x, epochs=1, batch_size=16)
    assert np.array_equal(x, kept)


@pytest.mark.parametrize("x, options, message", [
    (2 * points(), {}, r"x must lie in \[-1, 1\], where tanh ends, got values from .*: use to_tanh_range"),
    (points()[:, :1], {}, r"x must hold numbers of shape \(n, 2\), got \(32, 1\)"), (points() * np.nan, {}, "nan or infinite"),
    (points(), {"batch_size": 33}, "batch_size 33 is more than the 32 examples"), (points(), {"batch_size": 0}, "batch_size"),
    (points(), {"batch_size": 1, "norm": True}, "batch_size of at least 2, got 1"), (points(), {"epochs": 0}, "epochs"),
    (points(), {"learning_rate": 0.0}, "learning_rate must be positive"), (points(), {"beta_1": 1.0}, "beta_1")])
def test_bad_training(x, options, message):
    options = {"batch_size": 16} | options
    with pytest.raises(ValueError, match=message):
        fit_gan(tiny(norm=options.pop("norm", False)), x, **options)


def test_not_a_gan():
    with pytest.raises(TypeError, match="gan must be a GAN, got Sequential"):
        fit_gan(pair()[0], points())


@pytest.mark.parametrize("which, name", [("discriminator", "d_loss"), ("generator", "d_loss")])
def test_nan_stops_the_training_and_names_the_network(which, name):
    gan = tiny()
    network = getattr(gan, which)
    network.set_weights([w * np.nan for w in network.get_weights()])
    with pytest.raises(FloatingPointError, match=rf"{name} became nan in epoch 0, batch 0"):
        fit_gan(gan, points(), epochs=1, batch_size=16)


def test_only_the_generators_loss_is_named():
    class Odd(keras.layers.Layer):
        """Nan from the second call of a step on: the first two are D's."""

        def build(self, shape):
            self.count = self.add_weight(shape=(), trainable=False, initializer="zeros")

        def call(self, x):
            self.count.assign_add(1.0)
            return x + tf.where(self.count > 1.5, np.nan, 0.0)

    G, D = pair()
    gan = GAN(keras.Sequential([keras.Input((3,)), Odd(), *G.layers]), D)
    with pytest.raises(FloatingPointError, match="g_loss became nan in epoch 0, batch 0"):
        fit_gan(gan, points(), epochs=1, batch_size=16)


# ---- what training reaches


def test_quality_on_the_digits(trained, digits):
    gan, history, seen = trained
    drawn = sample(gan, 1000, seed=0)
    judge = SVC(gamma=0.3).fit(digits[0], digits[2])
    counts = mode_coverage(drawn, judge)
    assert frechet_distance(drawn.reshape(1000, -1), digits[0]) < 0.8
    assert counts.sum() == 1000 and np.sum(counts >= 10) >= 8
    assert seen == [(epoch, True) for epoch in range(1, 31)]
    assert 0.1 < history.history["d_fake"][-1] < 0.5 < history.history["d_real"][-1] < 0.9


def test_pixels_from_0_to_1_are_no_failure(digits):
    """The range that the ML Cheatsheet leaves unsaid: negative pixels are cut off."""
    gan = GAN(generator((8, 8, 1), seed=2), discriminator((8, 8, 1), seed=3))
    assert np.mean(sample(gan, 500, seed=0) < 0.5) == pytest.approx(0.5, abs=0.1)          # below 0 before from_tanh_range
    fit_gan(gan, digits[0].reshape(-1, 8, 8, 1), epochs=30, seed=1)
    drawn = np.clip(2 * sample(gan, 1000, seed=0) - 1, 0, 1)
    assert frechet_distance(drawn.reshape(1000, -1), digits[0]) < 0.8


def test_published_distances_of_the_digits(digits):
    assert frechet_distance(digits[0], digits[1]) == pytest.approx(0.103, abs=5e-4)
    assert frechet_distance(np.random.default_rng(0).random((1000, 64)), digits[0]) == pytest.approx(9.97, abs=0.1)
