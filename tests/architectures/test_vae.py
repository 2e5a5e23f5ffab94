"""Variational autoencoders: divergences, likelihoods, the network and the ML Cheatsheet's, training, collapse, what the digits give."""

import inspect
import warnings

import keras
import numpy as np
import pytest
import sympy
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats
from scipy.special import entr
from sklearn.decomposition import PCA
from sklearn.model_selection import train_test_split

from mlcheat.architectures.autoencoder import frechet_distance
from mlcheat.architectures.runtime import Runtime, layer_table, max_difference, parameter_count, to_numpy
from mlcheat.architectures.vae import (
    VAE,
    active_units,
    bernoulli_nll,
    fit_vae,
    gaussian_nll,
    kl_diagonal,
    kl_standard_normal,
    reparameterize,
    source_vae,
)
from mlcheat.data import load_digits


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(return_X_y=True)
    return train_test_split((X / 16).astype("float32").reshape(-1, 8, 8, 1), y, test_size=360, random_state=0, stratify=y)


@pytest.fixture(scope="module")
def trained(digits):
    """Eight units, another seed and faster than in the notebook, on the default runtime."""
    vae = VAE((8, 8, 1), latent=8, seed=1)
    return vae, fit_vae(vae, digits[0], epochs=25, learning_rate=3e-3, seed=1)


def linear_parts(shape, latent, log_var=0.0):
    """An encoder and a decoder of one dense layer each; the log-variance is the same for all pictures."""
    start = keras.Input(shape)
    flat = keras.layers.Flatten()(start)
    constant = keras.initializers.Constant(log_var)
    heads = [keras.layers.Dense(latent, kernel_initializer=keras.initializers.GlorotUniform(1))(flat),
             keras.layers.Dense(latent, kernel_initializer="zeros", bias_initializer=constant)(flat)]
    decoder = keras.Sequential([keras.Input((latent,)), keras.layers.Dense(int(np.prod(shape)), kernel_initializer=keras.initializers.GlorotUniform(2)),
                                keras.layers.Reshape(shape)])
    return keras.Model(start, heads), decoder


# ---- divergences and likelihoods


def test_published_divergences():
    assert kl_standard_normal([[0], [1], [0.5]], np.log([[1], [1], [0.25]])) == pytest.approx([0, 0.5, 0.4431], abs=5e-5)


@given(st.floats(-3, 3), st.floats(-4, 3), st.floats(-3, 3), st.floats(-2, 3))
@settings(max_examples=30, deadline=None)
def test_divergences_are_integrals(m1, v1, m2, v2):
    q, p = stats.norm(m1, np.exp(v1 / 2)), stats.norm(m2, np.exp(v2 / 2))
    ends = m1 - 14 * q.std(), m1 + 14 * q.std()
    inside = lambda z: q.pdf(z) * (q.logpdf(z) - p.logpdf(z))  # noqa: E731
    exact = integrate.quad(inside, *ends, epsabs=1e-12, epsrel=1e-12, limit=200)[0]
    assert kl_diagonal([[m1]], [[v1]], [[m2]], [[v2]])[0] == pytest.approx(exact, abs=1e-8, rel=1e-9)
    assert kl_diagonal([[m1]], [[v1]], [[0.0]], [[0.0]])[0] == pytest.approx(kl_standard_normal([[m1]], [[v1]])[0], abs=1e-12)
    assert kl_diagonal([[m1]], [[v1]], [[m1]], [[v1]])[0] == 0 <= kl_standard_normal([[m1]], [[v1]])[0]


def test_divergence_against_sympy():
    z, a, b = sympy.symbols("z a b", real=True)
    s, t = sympy.symbols("s t", positive=True)
    q = sympy.exp(-((z - a) ** 2) / (2 * s**2)) / (s * sympy.sqrt(2 * sympy.pi))
    log_ratio = sympy.log(t / s) - (z - a) ** 2 / (2 * s**2) + (z - b) ** 2 / (2 * t**2)
    kl = sympy.integrate(sympy.expand(q * log_ratio), (z, -sympy.oo, sympy.oo))
    for values in ((0.3, 1.5, 0.7, 1.1), (-2.0, 0.1, 1.3, 2.5)):
        exact = float(kl.subs(dict(zip((a, b, s, t), values))).evalf())
        m1, m2, s1, s2 = values
        assert kl_diagonal([[m1]], [[2 * np.log(s1)]], [[m2]], [[2 * np.log(s2)]])[0] == pytest.approx(exact, rel=1e-12)


def test_divergence_near_the_prior_keeps_its_digits():
    assert kl_standard_normal([[0.0]], [[1e-6]])[0] == pytest.approx(0.25e-12, rel=1e-3)


@given(st.integers(0, 99))
@settings(max_examples=25, deadline=None)
def test_bernoulli_against_keras(seed):
    rng = np.random.default_rng(seed)
    x, logits = rng.random((5, 4, 4, 1)), 6 * rng.standard_normal((5, 4, 4, 1))
    theirs = keras.losses.binary_crossentropy(x.reshape(5, 16), logits.reshape(5, 16), from_logits=True)
    assert bernoulli_nll(x, logits) == pytest.approx(16 * np.asarray(theirs), rel=1e-5)


def test_likelihoods_of_extremes():
    assert bernoulli_nll([[1.0, 0.0]], [[1e5, -1e5]])[0] == 0 and bernoulli_nll([[0.0]], [[1e300]])[0] == 1e300
    assert gaussian_nll([[2.0, 0.0]], [[0.0, 0.0]], 0.0)[0] == pytest.approx(-stats.norm.logpdf([2, 0]).sum())
    x, m, v = np.random.default_rng(0).standard_normal((3, 6, 2, 2))
    assert gaussian_nll(x, m, v) == pytest.approx(-stats.norm(m, np.exp(v / 2)).logpdf(x).sum(axis=(1, 2)))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_tensors_and_arrays_agree(dtype):
    x, a, b, c = np.random.default_rng(0).random((4, 6, 3)).astype(dtype)
    for f, values in ((kl_standard_normal, (a, b)), (kl_diagonal, (a, b, c, x)), (bernoulli_nll, (x, a)), (gaussian_nll, (x, a, b)),
                      (reparameterize, (a, b, c))):
        ours = f(*map(tf.constant, values))
        assert ours.dtype == dtype and f(*values).dtype == np.float64
        assert np.allclose(ours, f(*values), rtol=1e-5, atol=1e-6)


def test_gradient_at_logit_zero():
    logits = tf.Variable(np.zeros((1, 3)))
    with tf.GradientTape() as tape:
        loss = bernoulli_nll(tf.constant([[0.0, 0.25, 1.0]], tf.float64), logits)
    assert np.allclose(tape.gradient(loss, logits), [[0.5, 0.25, -0.5]])


def test_gradient_of_the_whole_loss():
    """Tensors differentiated against the same loss in NumPy by central differences, fixed noise, float64."""
    rng = np.random.default_rng(0)
    x, eps = rng.random((7, 6)), rng.standard_normal((7, 2))
    weights = [0.5 * rng.standard_normal(s) for s in ((6, 2), (6, 2), (2, 5), (5, 6))]

    def loss(weights, lib=np):
        A, B, C, D = weights
        mean, log_var = x @ A, x @ B
        z = reparameterize(mean, log_var, eps)
        return sum(lib.sum(v) for v in (bernoulli_nll(x, lib.tanh(z @ C) @ D), kl_standard_normal(mean, log_var)))

    tensors = [tf.Variable(w) for w in weights]
    with tf.GradientTape() as tape:
        value = loss([tf.convert_to_tensor(w) for w in tensors], keras.ops)
    grads = tape.gradient(value, tensors)
    assert float(value) == pytest.approx(loss(weights), rel=1e-12)
    for k, (w, g) in enumerate(zip(weights, grads)):
        for i in np.ndindex(w.shape):
            step = np.zeros_like(w)
            step[i] = 1e-5
            up, down = ([v + s * step if j == k else v for j, v in enumerate(weights)] for s in (1, -1))
            assert float(g[i]) == pytest.approx((loss(up) - loss(down)) / 2e-5, rel=1e-5, abs=1e-7)


def test_far_log_variances_are_cut_off_with_a_warning():
    for call in (lambda v: kl_standard_normal([[0.0]], [[v]]), lambda v: kl_diagonal([[0.0]], [[v]], [[1.0]], [[0.0]]),
                 lambda v: gaussian_nll([[1.0]], [[0.0]], [[v]]), lambda v: gaussian_nll([[1.0]], [[0.0]], -v),
                 lambda v: reparameterize([[0.0]], [[v]], [[1.0]])):
        with pytest.warns(UserWarning, match="beyond 80 in size were cut off") as heard:
            far = call(1000.0)
        assert np.isfinite(far).all() and far == call(80.0) and heard[0].filename == __file__
    big = tf.constant([[1000.0], [-1000.0]])
    assert np.isfinite(kl_standard_normal(0 * big, big)).all()


@pytest.mark.parametrize("call, message", [
    (lambda: kl_standard_normal(np.zeros((3, 2)), np.zeros((3, 1))), r"mean, log_var must have one shape, got \(3, 2\), \(3, 1\)"),
    (lambda: kl_standard_normal(np.zeros((3, 2)), np.zeros((1, 2))), "one shape"), (lambda: kl_standard_normal([0.0], [0.0]), "one row"),
    (lambda: kl_standard_normal([[np.nan]], [[0.0]]), "mean holds 1 values that are nan"),
    (lambda: kl_standard_normal(tf.zeros((3, 2)), tf.zeros((3, 1))), "one shape"),
    (lambda: kl_diagonal([[0.0]], [[0.0]], [[0.0, 1.0]], [[0.0]]), "mean1, log_var1, mean2, log_var2 must have one shape"),
    (lambda: bernoulli_nll(np.zeros((2, 3)), np.zeros((2, 3, 1))), "x, logits must have one shape"),
    (lambda: bernoulli_nll([[2.0]], [[0.0]]), r'needs pixels in \[0, 1\], got values from 2 to 2; .*likelihood="gaussian"'),
    (lambda: bernoulli_nll([[0.5]], [[np.inf]]), "logits holds 1"), (lambda: gaussian_nll([[0.5]], [[0.5]], np.nan), "log_var must be finite"),
    (lambda: gaussian_nll([[0.5]], [[0.5]], [[0.0, 1.0]]), "one shape"), (lambda: reparameterize([[0.0]], [[0.0]], [[0.0], [1.0]]), "one shape"),
    (lambda: active_units(np.zeros(3)), "one row"), (lambda: active_units(np.zeros((3, 2, 2))), r"shape \(n, latent\)"),
    (lambda: active_units(np.zeros((3, 2)), -1), "threshold must be"), (lambda: active_units(np.zeros((3, 2)), log_var=np.zeros((3, 1))), "one shape")])
def test_bad_numbers(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_active_units():
    mean = np.array([[1.0, 0.2, 0, 3], [-1, -0.2, 0, 3]])
    assert active_units(mean).tolist() == [True, False, False, False] and active_units(mean, 0.03).tolist() == [True, True, False, False]
    assert active_units(mean, log_var=0 * mean).tolist() == [True, False, False, True]
    assert active_units(0 * mean, log_var=0 * mean - 1).all() and active_units(mean).dtype == bool


# ---- networks


@pytest.mark.parametrize("shape, latent, encoder, decoder", [((28, 28, 1), 20, 159_050, 84_673), ((8, 8, 1), 20, 43_850, 24_193)])
def test_parameters_of_the_source(shape, latent, encoder, decoder):
    vae = source_vae(shape, latent)
    counts = parameter_count(vae.encoder), parameter_count(vae.decoder)
    assert [c[0] for c in counts] == [encoder, decoder] and counts[0][1] + counts[1][1] == 258
    assert encoder + decoder in (243_723, 68_043)
    assert parameter_count(VAE(shape, latent).encoder) == counts[0]
    assert parameter_count(VAE(shape, latent).decoder)[0] == decoder + (16 - 9) * (64 * 32 + 32)


def test_shapes_of_the_source():
    rows = layer_table(source_vae((28, 28, 1), 20).decoder)
    assert [r["output"][0] for r in rows] == [3136, 7, 15, 15, 15, 31, 28]            # 31: before the padding of 1 is cut
    assert source_vae((9, 9, 1), 2).decode(np.zeros((1, 2))).shape == (1, 9, 9, 1)


def _reference(x, z, encoder, decoder):
    """The ML Cheatsheet's network in plain loops, channels first, weights in PyTorch's order: (out, in, h, w), transposed (in, out, h, w)."""
    def norm(x, gamma, beta, mean, var):
        one = lambda a: a[None, :, None, None]  # noqa: E731
        return one(gamma) * (x - one(mean)) / np.sqrt(one(var) + 1e-5) + one(beta)

    def conv(x, kernel, bias):
        x = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
        side = (x.shape[2] - 4) // 2 + 1
        out = np.empty((len(x), len(kernel), side, side))
        for i in range(side):
            for j in range(side):
                out[:, :, i, j] = np.einsum("ncab,ocab->no", x[:, :, 2 * i : 2 * i + 4, 2 * j : 2 * j + 4], kernel) + bias
        return out

    def transposed(x, kernel, bias, padding):
        side = x.shape[2]
        out = np.zeros((len(x), kernel.shape[1], 2 * side + 1, 2 * side + 1))
        for i in range(side):
            for j in range(side):
                out[:, :, 2 * i : 2 * i + 3, 2 * j : 2 * j + 3] += np.einsum("nc,coab->noab", x[:, :, i, j], kernel)
        return out[:, :, padding : out.shape[2] - padding, padding : out.shape[3] - padding] + bias[None, :, None, None]

    leaky = lambda x: np.where(x > 0, x, 0.01 * x)  # noqa: E731
    n1, c1, n2, c2, n3, heads = encoder
    h = leaky(norm(conv(leaky(norm(conv(norm(x, *n1), *c1), *n2)), *c2), *n3))
    flat = h.transpose(0, 2, 3, 1).reshape(len(h), -1)                                 # our order of the flat numbers
    dense, t1, n4, t2 = decoder
    q = int(np.sqrt(dense[0].shape[1] // 64))
    g = (z @ dense[0] + dense[1]).reshape(len(z), q, q, 64).transpose(0, 3, 1, 2)
    g = transposed(np.maximum(norm(transposed(g, *t1, 0), *n4), 0), *t2, 1)
    side = x.shape[2]
    top = int(round((g.shape[2] - side) / 2))                                           # where a centred crop of 1 begins: 0
    return [flat @ w + b for w, b in heads], g[:, :, top : top + side, top : top + side]


@pytest.mark.parametrize("side", [8, 9])
def test_source_against_plain_loops(side):
    rng = np.random.default_rng(side)
    vae, x, z = source_vae((side, side, 1), 3), rng.random((4, side, side, 1)), rng.standard_normal((4, 3))
    for part in (vae.encoder, vae.decoder):
        part.set_weights([(0.1 * rng.standard_normal(w.shape) if w.ndim > 1 else 0.5 + rng.random(w.shape)) for w in part.get_weights()])
    take = lambda part, name: part.get_layer(name).get_weights()  # noqa: E731
    norms = [[layer.get_weights() for layer in part.layers if isinstance(layer, keras.layers.BatchNormalization)] for part in (vae.encoder, vae.decoder)]
    turned = lambda w, b: (w.transpose(3, 2, 0, 1), b)  # noqa: E731
    encoder = [norms[0][0], turned(*take(vae.encoder, "conv_1")), norms[0][1], turned(*take(vae.encoder, "conv_2")), norms[0][2],
               [take(vae.encoder, "mean"), take(vae.encoder, "log_var")]]
    decoder = [take(vae.decoder, "dense"), turned(*take(vae.decoder, "transposed_1")), norms[1][0], turned(*take(vae.decoder, "output"))]
    (mean, log_var), out = _reference(x.transpose(0, 3, 1, 2), z, encoder, decoder)
    assert np.allclose(vae.encode(x), [mean, log_var], rtol=1e-5, atol=1e-5)
    assert np.allclose(vae.decode_logits(z), out.transpose(0, 2, 3, 1), rtol=1e-5, atol=1e-5)
    assert max_difference(vae.encoder, to_numpy(vae.encoder), x) < 1e-5 and max_difference(vae.decoder, to_numpy(vae.decoder), z) < 1e-5


@pytest.mark.parametrize("shape", [(28, 32, 1), (27, 27, 1), (30, 30, 1), (31, 31, 1), (32, 32, 3), (3, 3, 1)])
def test_pictures_the_source_cannot_take(shape):
    with pytest.raises(ValueError, match="square pictures with one channel whose side leaves 0 or 1"):
        source_vae(shape, 2)


@pytest.mark.parametrize("shape, filters, latent", [((8, 8, 1), (4, 6), 3), ((12, 8, 3), (4,), 1), ((8, 16, 2), (2, 3, 4), 5)])
@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian"])
def test_interface(shape, filters, latent, likelihood):
    x = np.random.default_rng(0).random((1030, *shape))
    vae, same, other = (VAE(shape, latent, filters=filters, likelihood=likelihood, seed=s) for s in (0, 0, 1))
    mean, log_var = vae.encode(x)
    assert mean.shape == log_var.shape == (1030, latent) and mean.dtype == log_var.dtype == np.float32
    assert np.array_equal(same.encode(x)[0], mean) and not np.allclose(other.encode(x)[0], mean)
    out = vae.decode(mean)
    assert out.shape == x.shape == vae.reconstruct(x).shape and out.dtype == np.float32 and np.array_equal(vae.reconstruct(x), out)
    drawn = [vae.reconstruct(x, sample=True, seed=s) for s in (0, 0, 1)]
    assert np.array_equal(*drawn[:2]) and not np.allclose(*drawn[1:]) and not np.allclose(drawn[0], out)
    assert vae.sample(7, seed=0).shape == (7, *shape) and np.array_equal(vae.sample(7, seed=0), vae.sample(7, seed=0))
    assert not np.allclose(vae.sample(7, seed=0), vae.sample(7, seed=1))
    parts = vae.elbo(x[:9], n_samples=2)
    assert all(v.shape == (9,) and v.dtype == np.float64 for v in parts.values())
    assert np.allclose(parts["elbo"], -parts["reconstruction"] - parts["kl"]) and np.allclose(parts["kl"], kl_standard_normal(mean, log_var)[:9])
    if likelihood == "bernoulli":
        assert out.min() >= 0 and out.max() <= 1 and np.allclose(out[:5], 1 / (1 + np.exp(-vae.decode_logits(mean[:5]))), atol=1e-6)
    for part, values in ((vae.encoder, x[:9]), (vae.decoder, mean[:9])):
        assert max_difference(part, to_numpy(part), values) < 1e-5


def test_bounds_are_ordered_and_exact_for_probabilistic_pca():
    rng = np.random.default_rng(3)
    x = (rng.standard_normal((150, 2)) @ rng.standard_normal((2, 16)) + 0.4 * rng.standard_normal((150, 16)))
    pca = PCA(2).fit(x)
    W, ev, noise = pca.components_.T * np.sqrt(pca.explained_variance_ - pca.noise_variance_), pca.explained_variance_, pca.noise_variance_
    truth, pictures = pca.score_samples(x), x.reshape(-1, 4, 4, 1)
    results = {}
    for wider in (0.0, 0.7):
        vae = VAE((4, 4, 1), 2, likelihood="gaussian", scale=np.sqrt(noise), parts=linear_parts((4, 4, 1), 2))
        vae.encoder.set_weights([W / ev, -pca.mean_ @ W / ev, 0 * W, np.log(noise / ev) + wider])
        vae.decoder.set_weights([W.T, pca.mean_])
        results[wider] = [vae.log_likelihood(pictures, n_samples=k, seed=1).mean() for k in (1, 5, 60)]
        gap = 0.5 * 2 * (np.expm1(wider) - wider)
        assert vae.elbo(pictures, n_samples=60)["elbo"].mean() == pytest.approx(truth.mean() - gap, abs=0.03)
    assert results[0.0] == pytest.approx([truth.mean()] * 3, abs=0.01)
    assert results[0.7][0] + 0.02 < results[0.7][1] < results[0.7][2] - 0.005 and results[0.7][2] == pytest.approx(truth.mean(), abs=0.02)


@pytest.mark.filterwarnings("ignore:posterior collapse")
def test_mixed_precision():
    runtime = Runtime(strategy="none", precision="mixed_bfloat16")
    with runtime.scope():
        vae = VAE((8, 8, 1), 2, filters=(4, 4))
    x = np.random.default_rng(0).random((64, 8, 8, 1))
    assert vae.encoder.get_layer("conv_1").compute_dtype == "bfloat16"
    history = fit_vae(vae, x, runtime=runtime, epochs=1, free_bits=0.1)
    assert np.isfinite(history.history["loss"]).all() and vae.encode(x)[1].dtype == np.float32


# ---- asking for a kind


@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian"])
def test_conditional_interface(likelihood):
    rng = np.random.default_rng(0)
    x, y = rng.random((30, 8, 8, 2)), np.arange(30) % 3
    vae = VAE((8, 8, 2), 4, filters=(3, 5), likelihood=likelihood, classes=3)
    assert vae.encoder.input_shape == (None, 8, 8, 5) and vae.decoder.input_shape == (None, 7) and vae.decoder.output_shape == (None, 8, 8, 2)
    mean, log_var = vae.encode(x, y=y)
    told = np.concatenate([x, np.broadcast_to(np.eye(3)[y][:, None, None], (30, 8, 8, 3))], axis=-1)
    assert np.allclose([mean, log_var], to_numpy(vae.encoder).predict(told), atol=1e-5) and mean.shape == (30, 4)
    out = to_numpy(vae.decoder).predict(np.hstack([mean, np.eye(3)[y]]))
    out = 1 / (1 + np.exp(-out)) if likelihood == "bernoulli" else out
    assert np.allclose(vae.decode(mean, y=y), out, atol=1e-5) and np.allclose(vae.reconstruct(x, y=y), out, atol=1e-5)
    assert not np.allclose(vae.encode(x, y=(y + 1) % 3)[0], mean) and not np.allclose(vae.decode(mean, y=(y + 1) % 3), out)
    assert np.array_equal(vae.sample(5, y=2, seed=0), vae.sample(5, y=[2] * 5, seed=0)) and vae.sample(5, y=2, seed=0).shape == (5, 8, 8, 2)
    parts, one = vae.elbo(x, y=y, n_samples=2), vae.log_likelihood(x, y=y, n_samples=2)
    assert np.allclose(parts["elbo"], -parts["reconstruction"] - parts["kl"]) and np.allclose(parts["kl"], kl_standard_normal(mean, log_var))
    assert one.shape == (30,) and np.isfinite(one).all()


def test_training_with_labels_leaves_the_kind_to_the_label():
    """Pictures with ink on the left or on the right: the label says which, the code need not."""
    y = np.random.default_rng(0).integers(0, 2, 256)
    x = np.where(np.arange(4)[None, None, :, None] // 2 == y[:, None, None, None], 0.9, 0.1) * np.ones((256, 4, 4, 1))
    vae = VAE((4, 4, 1), 2, filters=(4, 4), classes=2)
    with pytest.warns(UserWarning, match="posterior collapse"):                          # nothing is left for the code
        history = fit_vae(vae, x, y=y, epochs=30, learning_rate=2e-2, batch_size=32)
    drawn = vae.sample(40, y=np.arange(40) % 2, seed=0)
    assert np.array_equal(drawn[:, :, 2:].mean(axis=(1, 2, 3)) > drawn[:, :, :2].mean(axis=(1, 2, 3)), np.arange(40) % 2 == 1)
    assert history.history["reconstruction"][-1] < 7 and history.history["kl"][-1] < 0.2       # the entropy of the pixels is 5.2


@pytest.mark.parametrize("classes, y, message", [
    (None, [0, 1, 1], r"built with no classes, got y=\[0, 1, 1\]"), (3, None, "built with 3 classes, got y=None"),
    (3, [0, 1], r"y must hold 3 whole numbers, got shape \(2,\)"), (3, [0.0, 1.0, 2.0], "whole numbers, got shape .* of float64"),
    (3, [[0], [1], [2]], r"got shape \(3, 1\)"), (3, [0, 1, 3], r"y must lie in 0..2, got 0 to 3"), (3, [-1, 0, 1], "got -1 to 1"), (3, 5, "got 5 to 5")])
def test_bad_labels(classes, y, message):
    vae, x = VAE((4, 4, 1), 2, filters=(2, 2), classes=classes), np.zeros((3, 4, 4, 1))
    for call in (vae.encode, vae.reconstruct, vae.elbo, vae.log_likelihood, lambda x, y: vae.sample(3, y=y), lambda x, y: fit_vae(vae, x, y=y),
                 lambda x, y: vae.decode(np.zeros((3, 2)), y=y)):
        with pytest.raises(ValueError, match=message):
            call(x, y=y)


# ---- bad input


@pytest.mark.parametrize("options, message", [
    ({"input_shape": (10, 8, 1)}, r"multiples of 4, got \(10, 8\); the next valid sizes are 8 or 12 and 8$"),
    ({"input_shape": (3, 30, 1)}, "the next valid sizes are 4 and 28 or 32"), ({"input_shape": (8, 8)}, r"add a channel axis: x\[\.\.\., None\]"),
    ({"input_shape": (8, 8, 0)}, "whole number"), ({"latent": 0}, "latent must be a whole number of at least 1, got 0"), ({"latent": 2.0}, "latent"),
    ({"beta": -1}, "beta must be a finite number of at least 0, got -1"), ({"beta": np.nan}, "beta"), ({"beta": "much"}, "beta"),
    ({"likelihood": "poisson"}, "'bernoulli' or 'gaussian', got 'poisson'"), ({"filters": ()}, "at least one convolution"), ({"filters": (4, 0)}, "filters"),
    ({"scale": 0.1}, "spread of a gaussian pixel"), ({"likelihood": "gaussian", "scale": 0}, "positive spread"),
    ({"parts": linear_parts((8, 8, 3), 2)}, r"do not fit an encoder \(None, 8, 8, 3\)"), ({"parts": linear_parts((8, 8, 1), 3)}, "do not fit"),
    ({"classes": 1}, "classes must be a whole number of at least 2, got 1"), ({"classes": 10, "parts": linear_parts((8, 8, 1), 2)}, "with 10 classes do not fit")])
def test_bad_networks(options, message):
    with pytest.raises(ValueError, match=message):
        VAE(**{"input_shape": (8, 8, 1)} | options)


@pytest.fixture(scope="module")
def small():
    return VAE((4, 4, 1), 2, filters=(2, 2))


@pytest.mark.parametrize("x, message", [
    (np.zeros((3, 16)), r"x must have shape \(n, 4, 4, 1\), got \(3, 16\)"), (np.zeros((3, 4, 4)), "got"), (np.zeros((3, 4, 4, 3)), r"got \(3, 4, 4, 3\)"),
    (np.zeros((0, 4, 4, 1)), "one row"), (np.full((3, 4, 4, 1), np.nan), "48 values that are nan"),
    (np.full((3, 4, 4, 1), 16.0), 'got values from 16 to 16; .*likelihood="gaussian"'), (np.full((3, 4, 4, 1), -0.1), "got values from -0.1")])
@pytest.mark.parametrize("use", ["encode", "reconstruct", "elbo", "log_likelihood", "fit"])
def test_bad_pictures(small, use, x, message):
    with pytest.raises(ValueError, match=message):
        fit_vae(small, x) if use == "fit" else getattr(small, use)(x)


def test_bad_codes_and_numbers(small):
    for call, message in ((lambda: small.decode(np.zeros((5, 3))), r"z must have shape \(n, 2\), got \(5, 3\)"), (lambda: small.decode([[np.inf, 0]]), "infinite"),
                          (lambda: small.decode_logits(np.zeros((5, 1))), "z must have shape"), (lambda: small.sample(0), "n must be"),
                          (lambda: small.elbo(np.zeros((1, 4, 4, 1)), n_samples=0), "n_samples"),
                          (lambda: VAE((4, 4, 1), likelihood="gaussian", filters=(2, 2)).decode_logits(np.zeros((1, 2))), "only with likelihood")):
        with pytest.raises(ValueError, match=message):
            call()
    with pytest.raises(TypeError, match="takes 2 positional arguments but 3 were given"):
        small.decode(np.zeros((1, 2)), np.ones((1, 2)))


@pytest.mark.parametrize("options, kind, message", [
    ({"vae": "model"}, TypeError, "vae must be a VAE, got str"), ({"epochs": 0}, ValueError, "epochs"), ({"batch_size": 0}, ValueError, "batch_size"),
    ({"learning_rate": 0}, ValueError, "learning_rate must be positive"), ({"learning_rate": -1}, ValueError, "learning_rate"),
    ({"kl_warmup": -1}, ValueError, "kl_warmup"), ({"free_bits": -0.1}, ValueError, "free_bits")])
def test_bad_training(small, options, kind, message):
    with pytest.raises(kind, match=message):
        fit_vae(**{"vae": small, "x": np.zeros((8, 4, 4, 1))} | options)


# ---- training


def test_quality_on_the_digits(trained, digits):
    vae, history = trained
    test, parts = digits[1], vae.elbo(digits[1], n_samples=5)
    mean, log_var = vae.encode(test)
    assert np.mean((vae.reconstruct(test) - test) ** 2) < 0.031 and parts["kl"].mean() > 1
    assert 3 <= active_units(mean).sum() < 8 and 22 < -parts["elbo"].mean() < 25.5
    at_mean = bernoulli_nll(test, vae.decode_logits(mean)) + kl_standard_normal(mean, log_var)
    assert at_mean.mean() == pytest.approx(23.0, abs=0.6) and at_mean.mean() < -parts["elbo"].mean()
    assert set(history.history) == {"loss", "reconstruction", "kl"} and len(history.seconds) == 25
    loss, rec, kl = (np.array(history.history[k]) for k in ("loss", "reconstruction", "kl"))
    assert np.allclose(loss, rec + kl, rtol=1e-5) and loss[-1] < 0.9 * loss[1]
    assert vae.log_likelihood(test[:60], n_samples=30).mean() > parts["elbo"][:60].mean()


def test_codes_and_samples(trained, digits):
    vae, _ = trained
    mean, log_var = vae.encode(digits[1])
    z = reparameterize(mean, log_var, np.random.default_rng(0).standard_normal(mean.shape))
    assert np.abs(z.mean(axis=0)).max() < 0.35 and np.abs(z.std(axis=0) - 1).max() < 0.25
    new = vae.sample(1000, seed=0)
    assert frechet_distance(new.reshape(-1, 64), digits[1].reshape(-1, 64)) < 1.6
    near = np.linalg.norm(new[:100].reshape(-1, 1, 64) - digits[0].reshape(1, -1, 64), axis=2).min(axis=1)
    assert near.min() > 0.3 and 1.0 < near.mean() < 1.4
    for part, values in ((vae.encoder, digits[1]), (vae.decoder, mean)):
        assert max_difference(part, to_numpy(part), values) < 2e-5


def test_published_floor(digits):
    x = digits[1].astype(float)
    assert np.sum(entr(x) + entr(1 - x), axis=(1, 2, 3)).mean() == pytest.approx(13.67, abs=0.005)
    assert bernoulli_nll(x, np.log(np.clip(x, 1e-12, 1) / np.clip(1 - x, 1e-12, 1))).mean() == pytest.approx(13.67, abs=0.005)
    assert np.mean((digits[0].mean(axis=0) - x) ** 2) == pytest.approx(0.0740, abs=5e-5)


def test_the_wrong_scale_kills_the_code(digits):
    vae = VAE((8, 8, 1), latent=20, beta=64, seed=2)
    with pytest.warns(UserWarning, match="posterior collapse: .* beta=64 .* scale of the loss is wrong") as heard:
        fit_vae(vae, digits[0], epochs=10)
    assert heard[0].filename == __file__
    assert vae.elbo(digits[1])["kl"].mean() < 0.05 and not active_units(vae.encode(digits[1])[0]).any()
    same = vae.reconstruct(digits[1])
    assert same.std(axis=0).max() < 0.05 and np.mean((same - digits[1]) ** 2) == pytest.approx(0.0741, rel=0.02)


@pytest.mark.filterwarnings("ignore:posterior collapse")
def test_first_update_with_and_without_xla(digits):
    moved = []
    for jit in (False, True):
        vae = VAE((8, 8, 1), 4, filters=(4, 8))
        fit_vae(vae, digits[0][:64], runtime=Runtime(strategy="none", precision="float32", jit=jit), epochs=1)
        moved.append({w.path: w.numpy() for part in (vae.encoder, vae.decoder) for w in part.weights})
    gaps = [np.abs(a - b).max() for (name, a), b in zip(moved[0].items(), moved[1].values())
            if not name.endswith(("conv_1/bias", "conv_2/bias", "transposed_1/bias"))]     # gradient 0 before batch norm: Adam takes the sign of its rounding
    assert len(gaps) == 27 and max(gaps) < 1e-5
    fresh = VAE((8, 8, 1), 4, filters=(4, 8)).encoder.get_weights()
    assert np.abs(moved[0]["conv_1/kernel"] - fresh[4]).max() > 5e-4


@pytest.mark.filterwarnings("ignore:posterior collapse")
def test_the_same_run_twice_whatever_the_global_seed(digits):
    runs, x = [], digits[0][:256].copy()
    for seed, own in ((0, 0), (1, 0), (0, 1)):
        tf.random.set_seed(seed)
        np.random.seed(seed)
        vae = VAE((8, 8, 1), 2, filters=(2, 4))
        fit_vae(vae, x, epochs=2, seed=own)
        runs.append(vae.decoder.get_weights())
    assert all(np.array_equal(a, b) for a, b in zip(*runs[:2])) and not np.allclose(runs[0][0], runs[2][0])
    assert np.array_equal(x, digits[0][:256])


def test_far_log_variances_in_training_warn_once():
    x = np.random.default_rng(0).random((32, 4, 4, 1))
    for far in (-100.0, 100.0):
        vae = VAE((4, 4, 1), 2, parts=linear_parts((4, 4, 1), 2, log_var=far))
        with warnings.catch_warnings(record=True) as heard:
            warnings.simplefilter("always")
            history = fit_vae(vae, x, epochs=2, batch_size=8)
        said = [str(w.message) for w in heard]
        assert said.count("log-variances beyond 80 in size were cut off in the loss") == 1
        assert np.isfinite(history.history["loss"]).all() and set(history.history) == {"loss", "reconstruction", "kl"}


def test_learned_and_fixed_scales(digits):
    x = 3 * digits[0][:512] - 1                                                          # any numbers
    scales = []
    for scale in (None, 0.5):
        vae = VAE((8, 8, 1), 4, likelihood="gaussian", scale=scale, filters=(8, 8))
        before = vae.scale
        fit_vae(vae, x, epochs=20, learning_rate=1e-2)
        scales.append((before, vae.scale, np.sqrt(np.mean((vae.reconstruct(x) - x) ** 2))))
    (start, learned, left), (fixed, still, _) = scales
    assert start == pytest.approx(np.exp(-1)) and learned > 1.3 * start and learned == pytest.approx(left, rel=0.2)
    assert fixed == still == pytest.approx(0.5) and VAE((4, 4, 1), filters=(2, 2)).scale is None


def test_free_bits_and_warm_up(digits):
    runs = {}
    for free, warm in ((0.0, 0), (0.3, 0), (0.0, 2)):
        vae = VAE((4, 4, 1), 2, beta=2, parts=linear_parts((4, 4, 1), 2))
        h = fit_vae(vae, digits[0][:64, :4, :4], epochs=4, free_bits=free, kl_warmup=warm, learning_rate=1e-12).history
        runs[free, warm] = (np.array(h["loss"]) - h["reconstruction"]) / h["kl"]
    mean, log_var = vae.encode(digits[0][:64, :4, :4])
    units = 0.5 * (np.exp(log_var) + mean**2 - 1 - log_var)
    assert runs[0.0, 0] == pytest.approx([2] * 4, rel=1e-3) and runs[0.0, 2] == pytest.approx([0, 1, 2, 2], rel=1e-3, abs=1e-3)
    assert runs[0.3, 0] == pytest.approx([2 * np.maximum(units, 0.3).sum(axis=1).mean() / units.sum(axis=1).mean()] * 4, rel=1e-3)


def test_signatures():
    names = lambda f: list(inspect.signature(f).parameters)  # noqa: E731
    assert names(VAE) == ["input_shape", "latent", "beta", "likelihood", "filters", "seed", "scale", "parts", "classes"]
    assert names(fit_vae) == ["vae", "x", "y", "runtime", "epochs", "batch_size", "learning_rate", "kl_warmup", "free_bits", "seed"]
    assert names(source_vae) == ["input_shape", "latent", "seed"]
