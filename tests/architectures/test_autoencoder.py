"""Autoencoders: sizes, training, noise, the linear case, distances between sets, and what they reach on the digits."""

import inspect

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import linalg
from sklearn.decomposition import PCA
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split

from mlcheat.architectures.autoencoder import (
    Autoencoder,
    add_gaussian_noise,
    autoencoder,
    conv_autoencoder,
    dead_units,
    fit_autoencoder,
    frechet_distance,
    linear_autoencoder,
    mask_noise,
    psnr,
    salt_and_pepper,
    sample_codes,
    source_autoencoder,
    subspace_cosines,
    tied_autoencoder,
)
from mlcheat.architectures.runtime import Runtime, layer_table, max_difference, parameter_count, to_numpy
from mlcheat.data import load_digits

NOISES = [add_gaussian_noise, mask_noise, salt_and_pepper]


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(return_X_y=True)
    return train_test_split((X / 16).astype("float32"), y, test_size=360, random_state=0, stratify=y)


@pytest.fixture(scope="module")
def trained(digits):
    """Another seed than the notebook's."""
    ae = autoencoder(64, 12, seed=1)
    fit_autoencoder(ae, digits[0], epochs=100, seed=1)
    return ae


# ---- networks


@pytest.mark.parametrize("d, count", [(784, 219_804), (64, 34_764)])
def test_parameters(d, count):
    ae = autoencoder(d)
    assert parameter_count(ae.model) == (count, 0) == parameter_count(source_autoencoder(d).model)
    assert [r["output"][0] for r in layer_table(ae.model)] == [128, 64, 12, 64, 128, d]
    assert parameter_count(ae.encoder)[0] + parameter_count(ae.decoder)[0] == count


def test_tied_parameters():
    assert parameter_count(tied_autoencoder(784).model)[0] == 110_492 == 109_312 + 1_180
    tied = tied_autoencoder(64, 5, hidden=(9,))
    assert [w.shape for w in tied.decoder.get_weights()] == [(9,), (64,)]              # biases only


def test_activations():
    names = lambda ae: [layer.activation.__name__ for layer in ae.model.layers]  # noqa: E731
    assert names(autoencoder(8, 2)) == ["relu", "relu", "linear", "relu", "relu", "sigmoid"]
    assert names(source_autoencoder(64)) == ["relu"] * 5 + ["sigmoid"]
    assert names(autoencoder(8, 2, hidden=(4,), code_activation="tanh", output_activation=None)) == ["relu", "tanh", "relu", "linear"]
    assert names(tied_autoencoder(8, 2)) == names(autoencoder(8, 2))
    assert autoencoder(8, 2).bounded and not autoencoder(8, 2, output_activation=None).bounded


@pytest.mark.parametrize("build", [autoencoder, tied_autoencoder])
def test_seeds_shapes_and_types(build):
    x = np.random.default_rng(0).random((2500, 8))
    a, b, c = build(8, 3), build(8, 3), build(8, 3, seed=1)
    assert a.encode(x).shape == (2500, 3) and a.decode(a.encode(x)).shape == a.reconstruct(x).shape == (2500, 8)
    assert a.reconstruct(x).dtype == np.float32 and a.errors(x).dtype == np.float64 and a.errors(x).shape == (2500,)
    assert np.array_equal(a.reconstruct(x), b.reconstruct(x)) and not np.allclose(a.reconstruct(x), c.reconstruct(x))
    assert np.allclose(a.decode(a.encode(x)), a.reconstruct(x), atol=1e-6)
    assert np.allclose(a.reconstruct(x)[2000:], a.model.predict(x[2000:], verbose=0), atol=1e-6)
    assert np.allclose(a.errors(x), ((x - a.reconstruct(x)) ** 2).mean(axis=1))


def test_parts_share_their_weights():
    ae = autoencoder(6, 2, hidden=())
    ae.encoder.set_weights([np.ones((6, 2)), np.zeros(2)])
    assert np.array_equal(ae.model.get_weights()[0], np.ones((6, 2)))
    assert parameter_count(ae.model)[0] == 6 * 2 + 2 + 2 * 6 + 6


@pytest.mark.parametrize("shape, filters, code, count", [
    ((8, 8, 1), (16, 8), (2, 2, 8), 3_641), ((28, 28, 1), (16, 8), (7, 7, 8), 3_641), ((12, 8, 3), (4,), (6, 4, 4), 307),
    ((16, 8, 1), (8, 4, 2), (2, 1, 2), None)])
def test_convolutional_shapes(shape, filters, code, count):
    ae = conv_autoencoder(shape, filters=filters)
    assert ae.encoder.output_shape[1:] == code and ae.model.output_shape[1:] == shape
    assert count is None or parameter_count(ae.model)[0] == count
    assert [layer.name for layer in ae.decoder.layers] == [f"transposed_{i + 1}" for i in range(len(filters))]
    assert ae.encode(np.zeros((2, *shape))).shape == (2, *code) and ae.errors(np.zeros((2, *shape))).shape == (2,)


@pytest.mark.parametrize("make", [
    lambda: (autoencoder(64, 5, seed=2), (64,)), lambda: (source_autoencoder(64), (64,)),
    lambda: (conv_autoencoder((8, 8, 2)), (8, 8, 2))], ids=["dense", "source", "convolutional"])
def test_numpy_copies(make):
    ae, shape = make()
    x = np.random.default_rng(0).random((6, *shape))
    h = ae.encode(x)
    assert max_difference(ae.encoder, to_numpy(ae.encoder), x) < 1e-5
    assert max_difference(ae.decoder, to_numpy(ae.decoder), h) < 1e-5
    assert max_difference(ae.model, to_numpy(ae.model), x) < 1e-5


def test_tied_weights_have_no_numpy_copy():
    with pytest.raises(NotImplementedError):
        to_numpy(tied_autoencoder(8, 2).decoder)


def test_tied_gradient_is_the_sum_of_both_uses():
    x = np.random.default_rng(0).random((40, 8)).astype("float32")
    tied, free = tied_autoencoder(8, 3, hidden=(6, 5), seed=4), autoencoder(8, 3, hidden=(6, 5))
    kernels, biases = tied.encoder.get_weights()[::2], tied.encoder.get_weights()[1::2]
    weights = [w for pair in zip(kernels, biases) for w in pair]
    weights += [w for pair in zip([k.T for k in kernels[::-1]], tied.decoder.get_weights()) for w in pair]
    free.model.set_weights(weights)
    grads = []
    for ae in (tied, free):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((ae.model(x) - x) ** 2)
        grads.append(dict(zip(map(id, ae.model.trainable_weights),
                              tape.gradient(loss, [w.value for w in ae.model.trainable_weights]))))
    for i in range(3):
        both = grads[1][id(free.encoder.layers[i].kernel)] + tf.transpose(grads[1][id(free.decoder.layers[2 - i].kernel)])
        assert np.allclose(grads[0][id(tied.encoder.layers[i].kernel)], both, atol=1e-5)
        assert np.abs(both).max() > 1e-3
    for a, b in zip(tied.decoder.layers, free.decoder.layers):
        assert np.allclose(grads[0][id(a.bias)], grads[1][id(b.bias)], atol=1e-6)


def test_mixed_precision_ends_in_float32():
    with Runtime(strategy="none", precision="mixed_bfloat16").scope():
        networks = [autoencoder(8, 2), tied_autoencoder(8, 2)]
    for ae in networks:
        assert ae.encoder.layers[0].compute_dtype == "bfloat16"
        assert ae.model(np.zeros((2, 8))).dtype == tf.float32 and ae.reconstruct(np.zeros((2, 8))).dtype == np.float32


# ---- bad input of the networks


@pytest.mark.parametrize("build", [autoencoder, tied_autoencoder])
@pytest.mark.parametrize("options, message", [
    ({"input_dim": 0}, "input_dim must be a whole number of at least 1, got 0"), ({"input_dim": 8.0}, "input_dim"),
    ({"code": 0}, "code must be a whole number of at least 1, got 0"), ({"code": True}, "code"),
    ({"hidden": (8, 0)}, "every width in hidden")])
def test_bad_sizes(build, options, message):
    with pytest.raises(ValueError, match=message):
        build(**{"input_dim": 8, "code": 2} | options)


@pytest.mark.parametrize("build", [autoencoder, tied_autoencoder])
@pytest.mark.parametrize("code", [8, 11])
def test_a_wide_code_warns(build, code):
    with pytest.warns(UserWarning, match="a copy becomes possible") as heard:
        assert build(8, code).encoder.output_shape == (None, code)
    assert heard[0].filename == __file__


@pytest.mark.parametrize("shape, options, message", [
    ((8, 8), {}, r"add a channel axis: x\[\.\.\., None\]"), ((64,), {}, r"\(height, width, channels\)"),
    ((8, 0, 1), {}, "whole number"), ((8, 8, 1), {"filters": ()}, "at least one convolution"), ((8, 8, 1), {"filters": (4, 0)}, "filters"),
    ((10, 8, 1), {}, r"multiples of 4, got \(10, 8\); the next valid sizes are 8 or 12 and 8$"),
    ((3, 30, 1), {}, r"the next valid sizes are 4 and 28 or 32"), ((4, 4, 1), {"filters": (4, 4, 4)}, "multiples of 8.*are 8 and 8")])
def test_bad_pictures(shape, options, message):
    with pytest.raises(ValueError, match=message):
        conv_autoencoder(shape, **options)


def test_parts_that_do_not_fit():
    with pytest.raises(ValueError, match=r"encoder \(8,\) -> \(2,\) and decoder \(3,\) -> \(8,\) do not fit"):
        Autoencoder(autoencoder(8, 2).encoder, autoencoder(8, 3).decoder)


@pytest.mark.parametrize("x, message", [
    (np.zeros(8), "one row an example"), (np.zeros((0, 8)), "one row"), (np.zeros((3, 7)), r"x must have shape \(n, 8\), got \(3, 7\)"),
    (np.zeros((3, 8, 1)), r"shape \(n, 8\)"), (np.full((3, 8), np.nan), "24 values that are nan"), ([["a"] * 8], "real numbers")])
@pytest.mark.parametrize("use", ["encode", "reconstruct", "errors", "fit"])
def test_bad_examples(use, x, message):
    ae = autoencoder(8, 2, hidden=())
    with pytest.raises(ValueError, match=message):
        fit_autoencoder(ae, x) if use == "fit" else getattr(ae, use)(x)


def test_bad_codes_and_pictures():
    ae, conv = autoencoder(8, 2, hidden=()), conv_autoencoder((8, 8, 1), filters=(2, 2))
    with pytest.raises(ValueError, match=r"codes must have shape \(n, 2\), got \(5, 3\)"):
        ae.decode(np.zeros((5, 3)))
    with pytest.raises(ValueError, match=r"codes must have shape \(n, 2, 2, 2\), got \(5, 8\)"):
        conv.decode(np.zeros((5, 8)))
    with pytest.raises(ValueError, match=r"x must have shape \(n, 8, 8, 1\), got \(5, 8, 8\)"):
        conv.encode(np.zeros((5, 8, 8)))


# ---- training


def test_quality_on_the_digits(trained, digits):
    flat = PCA(12).fit(digits[0].astype(float))
    linear = np.mean((flat.inverse_transform(flat.transform(digits[1])) - digits[1]) ** 2)
    error = trained.errors(digits[1]).mean()
    assert linear == pytest.approx(0.01621, abs=5e-6)
    assert np.mean((digits[1] - digits[0].mean(0)) ** 2) == pytest.approx(0.0740, abs=5e-5)
    assert error < 0.0115 and error < 0.75 * linear
    assert dead_units(trained.encode(digits[1])) == 0
    noise = np.random.default_rng(0).random((360, 64))
    assert trained.errors(noise).mean() > 15 * error
    assert roc_auc_score(np.repeat([0, 1], 360), trained.errors(np.concatenate([digits[1], noise]))) == 1


def test_the_published_digits_of_the_entropy(digits):
    x = digits[1].astype(float)
    with np.errstate(divide="ignore", invalid="ignore"):
        entropy = -np.nan_to_num(x * np.log(x)) - np.nan_to_num((1 - x) * np.log(1 - x))
    assert entropy.sum(1).mean() == pytest.approx(13.67, abs=0.005) and entropy.mean() == pytest.approx(0.2136, abs=5e-5)


def test_the_same_run_twice_and_whatever_the_global_seed(digits):
    runs = []
    for seed in (0, 1):
        tf.random.set_seed(seed)
        np.random.seed(seed)
        ae = autoencoder(64, 5, hidden=(8,))
        fit_autoencoder(ae, digits[0], noise=lambda x, rng: mask_noise(x, 0.3, rng), epochs=2)
        runs.append(ae.model.get_weights())
    assert all(np.array_equal(a, b) for a, b in zip(*runs))
    other = autoencoder(64, 5, hidden=(8,))
    fit_autoencoder(other, digits[0], noise=lambda x, rng: mask_noise(x, 0.3, rng), epochs=2, seed=1)
    assert not np.allclose(other.model.get_weights()[0], runs[0][0])


@pytest.mark.parametrize("loss", ["mse", "binary_crossentropy"])
@pytest.mark.parametrize("noise", [None, 0.3, lambda x, rng: 1 - x], ids=["none", "normal", "negative"])
def test_the_target_stays_clean(digits, loss, noise):
    """With hardly any step, the recorded loss is that of the clean target behind the spoiled input."""
    x = digits[0][:256].astype("float64")
    ae = autoencoder(64, 5, hidden=(16,), seed=1)
    fit_autoencoder(ae, x, epochs=30, learning_rate=1e-2)
    recorded = fit_autoencoder(ae, x, noise=noise, loss=loss, epochs=1, batch_size=256, learning_rate=1e-9).history["loss"][0]
    spoiled = {None: lambda: x, 0.3: lambda: add_gaussian_noise(x, 0.3, 0)}.get(noise, lambda: 1 - x)()
    r = ae.reconstruct(spoiled).astype(float)
    expected = (x - r) ** 2 if loss == "mse" else -(x * np.log(r) + (1 - x) * np.log(1 - r))
    assert recorded == pytest.approx(expected.mean(), rel=0.03 if noise == 0.3 else 1e-3)


def test_noise_is_new_in_each_step_and_own_to_each_batch(digits):
    seen = []

    def look(x, rng):
        seen.append((x.copy(), rng.random(4)))
        return x

    fit_autoencoder(autoencoder(64, 2, hidden=()), digits[0][:128], noise=look, epochs=3)
    drawn = np.array([r for _, r in seen])
    assert len(seen) >= 6 and len(np.unique(drawn.round(9), axis=0)) == len(seen)
    assert seen[0][0].shape == (64, 64) and seen[0][0].dtype == np.float32


def test_a_runtime_is_used_and_a_convolution_is_trained(digits):
    runtime = Runtime(strategy="none", precision="float32", jit=True)
    x = digits[0][:256].reshape(-1, 8, 8, 1)
    with runtime.scope():
        ae = conv_autoencoder((8, 8, 1), filters=(4, 2))
    before = ae.errors(x).mean()
    history = fit_autoencoder(ae, x, noise=0.1, runtime=runtime, epochs=8, learning_rate=1e-2)
    assert len(history.history["loss"]) == 8 and ae.errors(x).mean() < 0.8 * before


def test_inputs_are_left_alone_and_small_data_fit(digits):
    x = digits[0][:20].copy()
    fit_autoencoder(autoencoder(64, 2, hidden=()), x, noise=0.2, epochs=2)
    assert np.array_equal(x, digits[0][:20])
    whole = np.arange(8).reshape(2, 4)
    fit_autoencoder(autoencoder(4, 1, hidden=(), output_activation=None), whole, epochs=1)      # any numbers, linear output
    fit_autoencoder(autoencoder(4, 1, hidden=()), whole > 3, epochs=1, loss=keras.losses.Huber())


def test_a_sparsity_penalty_of_the_code_layer_counts(digits):
    runs = []
    for penalty in (0.0, 0.1):
        ae = autoencoder(64, 5, hidden=(16,))
        ae.encoder.layers[-1].activity_regularizer = keras.regularizers.L1(penalty)
        fit_autoencoder(ae, digits[0][:256], epochs=20, learning_rate=1e-2)
        runs.append(np.abs(ae.encode(digits[1])).mean())
    assert runs[1] < 0.5 * runs[0]


@pytest.mark.parametrize("options, kind, message", [
    ({"y": np.zeros(8)}, TypeError, "the target is the input"),
    ({"ae": keras.Sequential([keras.Input((4,)), keras.layers.Dense(4)])}, TypeError, "an Autoencoder, got Sequential"),
    ({"x": np.full((8, 4), 16.0)}, ValueError, r"pixels in \[0, 1\], got values from 16 to 16"),
    ({"x": np.full((8, 4), -0.5)}, ValueError, r"got values from -0.5 to -0.5"),
    ({"loss": "mae"}, ValueError, "'mse', 'binary_crossentropy' or a Keras loss, got 'mae'"),
    ({"noise": -0.1}, ValueError, "standard deviation of at least 0, got -0.1"), ({"noise": "much"}, ValueError, "noise must be"),
    ({"noise": np.nan}, ValueError, "noise must be"),
    ({"epochs": 0}, ValueError, "epochs"), ({"batch_size": 0}, ValueError, "batch_size"), ({"learning_rate": 0}, ValueError, "learning_rate")])
def test_bad_training(options, kind, message):
    arguments = {"ae": autoencoder(4, 1, hidden=()), "x": np.full((8, 4), 0.5)} | options
    with pytest.raises(kind, match=message):
        fit_autoencoder(**arguments)


def test_cross_entropy_needs_a_sigmoid_and_pixels():
    with pytest.raises(ValueError, match="ends in a sigmoid"):
        fit_autoencoder(autoencoder(4, 1, output_activation=None), np.full((8, 4), 0.5), loss="binary_crossentropy")
    with pytest.raises(ValueError, match=r"needs pixels in \[0, 1\], got values from 0 to 16"):
        fit_autoencoder(autoencoder(4, 1), np.eye(4) * 16, loss="binary_crossentropy")
    with pytest.raises(ValueError, match="got values from 0 to 16"):
        autoencoder(4, 1).errors(np.eye(4) * 16)
    assert np.isfinite(autoencoder(4, 1).reconstruct(np.eye(4) * 2)).all()            # noisy inputs may leave the range


def test_a_noise_function_must_keep_the_shape():
    with pytest.raises(Exception, match=r"noise must keep the shape \(8, 4\), got \(8, 2\)"):
        fit_autoencoder(autoencoder(4, 1, hidden=()), np.full((8, 4), 0.5), noise=lambda x, rng: x[:, :2], epochs=1)


# ---- the linear case


@pytest.mark.parametrize("code, published", [(2, 0.052286), (8, 0.023781)])
def test_linear_autoencoder_is_pca(digits, code, published):
    x = digits[0].astype(float)
    W, b, V, c = linear_autoencoder(x, code)
    judge = PCA(code).fit(x)
    error = np.mean(((x @ W + b) @ V + c - x) ** 2)
    assert error == pytest.approx(published, abs=5e-7)
    assert error == pytest.approx(np.mean((judge.inverse_transform(judge.transform(x)) - x) ** 2), rel=1e-9)
    for A in (W, V.T):
        assert subspace_cosines(A, judge.components_.T).min() > 1 - 1e-8
    assert np.allclose(c, judge.mean_) and np.allclose(V @ W, np.eye(code))


@given(n=st.integers(2, 30), d=st.integers(1, 7), k=st.integers(1, 7), seed=st.integers(0, 9))
@settings(max_examples=40, deadline=None)
def test_linear_autoencoder_reaches_the_discarded_eigenvalues(n, d, k, seed):
    k = min(k, d)
    x = np.random.default_rng(seed).standard_normal((n, d)) * 3 ** np.arange(d) + 5
    W, b, V, c = linear_autoencoder(x, k)
    values = np.linalg.eigvalsh(np.cov(x.T, bias=True).reshape(d, d))[::-1]
    error = np.mean(((x @ W + b) @ V + c - x) ** 2)
    assert error == pytest.approx(values[k:].sum() / d, rel=1e-5, abs=1e-9 * values.sum())


def test_linear_autoencoder_of_all_numbers_is_a_copy(digits):
    W, b, V, c = linear_autoencoder(digits[0], 64)
    assert np.mean(((digits[0] @ W + b) @ V + c - digits[0]) ** 2) < 1e-12


@given(st.integers(2, 8), st.integers(1, 4), st.integers(1, 4), st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_subspace_cosines(d, k, l, seed):
    rng = np.random.default_rng(seed)
    A, B = rng.standard_normal((d, min(k, d))), rng.standard_normal((d, min(l, d)))
    ours = subspace_cosines(A, B)
    assert np.allclose(ours, np.sort(np.cos(linalg.subspace_angles(A, B)))[::-1], atol=1e-7)
    assert np.allclose(subspace_cosines(A, A @ rng.standard_normal((A.shape[1],) * 2)), 1) and ours.max() <= 1


@pytest.mark.parametrize("call, message", [
    (lambda: linear_autoencoder(np.zeros((3, 4)), 5), "code must be at most 4"), (lambda: linear_autoencoder(np.zeros((3, 4)), 0), "code"),
    (lambda: linear_autoencoder(np.zeros((3, 2, 2)), 1), r"shape \(n, d\)"), (lambda: linear_autoencoder([[np.inf, 1]], 1), "infinite"),
    (lambda: subspace_cosines(np.eye(3), np.eye(4)), "as many rows"), (lambda: subspace_cosines(np.ones((3, 2)), np.eye(3)), "of A must be"),
    (lambda: subspace_cosines(np.eye(3), np.zeros((3, 1))), "of B must be linearly independent")])
def test_bad_linear(call, message):
    with pytest.raises(ValueError, match=message):
        call()


# ---- noise


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("spoil", NOISES)
def test_noise(spoil, dtype):
    x = np.random.default_rng(0).random((40, 5, 5, 1)).astype(dtype)
    kept = x.copy()
    out = spoil(x, 0.3, random_state=1)
    assert out.dtype == dtype and out.shape == x.shape and np.array_equal(x, kept) and not np.array_equal(out, x)
    assert 0 <= out.min() and out.max() <= 1
    assert np.array_equal(out, spoil(x, 0.3, random_state=np.random.default_rng(1)))
    assert not np.array_equal(out, spoil(x, 0.3, random_state=2))
    assert np.array_equal(spoil(x, 0.0, random_state=0), x)


def test_shares_of_spoiled_pixels():
    x = np.full((1000, 50), 0.4)
    masked, salted, noisy = (spoil(x, 0.3, random_state=0) for spoil in NOISES[1:] + NOISES[:1])
    assert np.mean(masked == 0) == pytest.approx(0.3, abs=0.01) and np.mean(masked == 0.4) == pytest.approx(0.7, abs=0.01)
    assert [np.mean(salted == v) for v in (0, 1, 0.4)] == pytest.approx([0.15, 0.15, 0.7], abs=0.01)
    normal = (noisy > 0) & (noisy < 1)
    assert np.mean(noisy == 0) == pytest.approx(0.0912, abs=0.005) and np.mean(noisy == 1) == pytest.approx(0.0228, abs=0.003)
    assert normal.mean() == pytest.approx(0.886, abs=0.006)
    assert np.all(mask_noise(x, 1.0, 0) == 0) and set(np.unique(salt_and_pepper(x, 1.0, 0))) == {0.0, 1.0}
    assert np.array_equal(mask_noise(-3 * x, 0.0), -3 * x)


@pytest.mark.parametrize("spoil", NOISES)
@pytest.mark.parametrize("level", [-0.1, np.nan, np.inf, "a", True, None])
def test_bad_levels(spoil, level):
    with pytest.raises(ValueError, match="level must be"):
        spoil(np.zeros((2, 2)), level)


@pytest.mark.parametrize("spoil", [mask_noise, salt_and_pepper])
def test_probabilities_end_at_one(spoil):
    with pytest.raises(ValueError, match="between 0 and 1, got 1.5"):
        spoil(np.zeros((2, 2)), 1.5)


@pytest.mark.parametrize("spoil", [add_gaussian_noise, salt_and_pepper])
def test_noise_on_unscaled_pixels(spoil):
    with pytest.raises(ValueError, match=r"pixels in \[0, 1\], got values from 0 to 16"):
        spoil(np.array([[0.0, 16.0]]), 0.1)


# ---- measures


@given(st.integers(0, 99), st.floats(1e-4, 1))
@settings(max_examples=25, deadline=None)
def test_psnr(seed, scale):
    x, y = np.random.default_rng(seed).random((2, 4, 5)) * scale
    assert psnr(x, y) == pytest.approx(10 * np.log10(1 / np.mean((x - y) ** 2)))
    assert psnr(x, x) == np.inf and psnr(x, y) == psnr(y, x)
    assert psnr(x, x + (y - x) / np.sqrt(10)) == pytest.approx(psnr(x, y) + 10)


def test_dead_units():
    h = np.array([[0, 1.0, 1e-10, -2], [0, 0, 0, 0]])
    assert dead_units(h) == 2 and dead_units(h, tol=0) == 1 and dead_units(h, tol=1) == 3 and dead_units(h[1:]) == 4


@pytest.mark.parametrize("shapes", [(50, 40, 3), (200, 300, 10), (30, 30, 1)])
def test_frechet_distance_against_a_matrix_root(shapes):
    n, m, d = shapes
    rng = np.random.default_rng(n)
    a, b = rng.standard_normal((n, d)) @ rng.standard_normal((d, d)), rng.standard_normal((m, d)) * 2 + 1
    Sa, Sb = np.cov(a.T).reshape(d, d), np.cov(b.T).reshape(d, d)
    long = np.sum((a.mean(0) - b.mean(0)) ** 2) + np.trace(Sa + Sb - 2 * linalg.sqrtm(Sa @ Sb).real)
    assert frechet_distance(a, b) == pytest.approx(long, rel=1e-8) == frechet_distance(b, a)
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-10) and frechet_distance(a, a[::-1]) == pytest.approx(0, abs=1e-10)
    assert frechet_distance(a, a + 2) == pytest.approx(4 * d)


def test_frechet_distance_of_pictures_and_of_few(digits):
    train, test = digits[:2]
    assert frechet_distance(train, test) == pytest.approx(0.10, abs=0.005)
    assert frechet_distance(train.reshape(-1, 8, 8, 1), test.reshape(-1, 8, 8, 1)) == frechet_distance(train, test)
    assert frechet_distance(np.random.default_rng(0).random((360, 64)), train) == pytest.approx(9.95, abs=0.1)
    with pytest.warns(UserWarning, match="20 examples of 64 dimensions: a poor estimate"):
        few = frechet_distance(train[:20], test)
    Sa, Sb = np.cov(train[:20].T.astype(float)), np.cov(test.T.astype(float))
    root = np.sqrt(np.maximum(np.linalg.eigvals(Sa @ Sb).real, 0)).sum()
    assert few == pytest.approx(np.sum((train[:20].mean(0) - test.mean(0)) ** 2) + np.trace(Sa + Sb) - 2 * root, rel=1e-3)


def test_sample_codes():
    rng = np.random.default_rng(0)
    codes = np.concatenate([rng.normal(-4, 0.3, (300, 2)), rng.normal(4, 1.0, (100, 2))])
    drawn = sample_codes(codes, 4000, components=2, random_state=0)
    left = drawn[:, 0] < 0
    assert drawn.shape == (4000, 2) and left.mean() == pytest.approx(0.75, abs=0.03)
    assert drawn[left].std() == pytest.approx(0.3, abs=0.03) and drawn[~left].std() == pytest.approx(1.0, abs=0.1)
    assert abs(left[:2000].mean() - left[2000:].mean()) < 0.05                           # in random order
    assert np.array_equal(drawn, sample_codes(codes, 4000, components=2, random_state=np.random.default_rng(0)))
    assert not np.array_equal(drawn, sample_codes(codes, 4000, components=2, random_state=1))


def test_generated_digits(trained, digits):
    codes, rng = trained.encode(digits[0]), np.random.default_rng(0)
    mixture = frechet_distance(trained.decode(sample_codes(codes, 1000, random_state=0)), digits[1])
    assert mixture < 0.35 and frechet_distance(trained.decode(rng.standard_normal((1000, 12))), digits[1]) > 8 * mixture


@pytest.mark.parametrize("call, message", [
    (lambda: psnr(np.zeros((2, 2)), np.zeros((2, 1))), r"one shape, got \(2, 2\) and \(2, 1\)"), (lambda: psnr([np.nan], [0.0]), "nan"),
    (lambda: dead_units(np.zeros(3)), "one row"), (lambda: dead_units(np.zeros((3, 2, 2))), r"\(n, code\)"),
    (lambda: dead_units(np.zeros((3, 2)), tol=-1), "tol must be at least 0"),
    (lambda: frechet_distance(np.zeros((5, 2)), np.zeros((5, 3))), "examples of one shape"),
    (lambda: frechet_distance(np.zeros((1, 2)), np.zeros((5, 2))), "at least two"), (lambda: frechet_distance(np.full((5, 2), np.inf), np.zeros((5, 2))), "a holds"),
    (lambda: sample_codes(np.zeros((5, 2)), 0, components=1), "n must be"), (lambda: sample_codes(np.zeros((5, 2)), 5), "components must be at most 5"),
    (lambda: sample_codes(np.zeros((5, 2)), 5, components=0), "components"), (lambda: sample_codes(np.zeros((5, 2, 1)), 5), r"\(m, code\)")])
def test_bad_measures(call, message):
    with pytest.raises(ValueError, match=message):
        call()


# ---- the interface


def test_signatures():
    names = lambda f: list(inspect.signature(f).parameters)  # noqa: E731
    assert names(autoencoder) == ["input_dim", "code", "hidden", "code_activation", "output_activation", "seed"] == names(tied_autoencoder)
    assert names(fit_autoencoder) == ["ae", "x", "y", "noise", "loss", "runtime", "epochs", "batch_size", "learning_rate", "seed"]
