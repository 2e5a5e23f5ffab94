"""Recurrent networks: text as numbers, masks, both wirings, what the cells can learn, and names that are written."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split

from mlcheat.architectures.mlp import evaluate_classifier, fit_classifier
from mlcheat.architectures.rnn import (
    ALPHABET,
    SourceCell,
    clean,
    decode,
    encode,
    jacobian_norms,
    load_surnames,
    name_model,
    next_letter_data,
    next_letter_loss,
    one_hot,
    parity_data,
    predict_language,
    rnn_classifier,
    sample_name,
    source_forward,
)
from mlcheat.architectures.runtime import Runtime, max_difference, parameter_count, pipeline, to_numpy

CELLS = ["linear", "simple", "gru", "lstm"]


@pytest.fixture(scope="module")
def surnames():
    return load_surnames()


@pytest.fixture(scope="module")
def split(surnames):
    names, _, y = surnames
    return train_test_split(encode(names), y, test_size=0.2, random_state=0, stratify=y)


@pytest.fixture(scope="module")
def reader(split):
    model = rnn_classifier(29, 14, seed=1)
    fit_classifier(model, split[0], split[2], epochs=14, learning_rate=1e-2, seed=1)
    return model


@pytest.fixture(scope="module")
def writer():
    return name_model(29, 14, units=12, embedding=6)


# ---- the data


def test_surnames_are_many_clean_and_unique(surnames):
    names, languages, y = surnames
    assert len(languages) >= 12 and languages == sorted(languages)
    assert np.bincount(y).min() >= 40 and len(y) == len(names) == len(set(names))
    assert set("".join(names)) == set(ALPHABET) and all(name == clean(name) for name in names)


def test_every_surname_there_and_back(surnames):
    names = surnames[0]
    assert decode(encode(names)) == names and decode(encode(names, maxlen=40)) == names


def test_load_surnames_gives_new_lists_each_time(surnames):
    load_surnames()[0].clear()
    assert len(load_surnames()[0]) == len(surnames[0])


@pytest.mark.parametrize(
    "raw, expected",
    [("Dvořák", "dvorak"), ("MÜLLER", "muller"), ("O’Brien", "o'brien"), ("Weiß", "weiss"), ("Łukasz", "lukasz"), ("Yıldız", "yildiz"),
     ("  van   den Berg ", "van den berg"), ("Ñúñez", "nunez"), ("Sørensen", "sorensen"), ("Cafe\u0301", "cafe"), ("İnan", "inan"), ("", "")],
)
def test_clean(raw, expected):
    assert clean(raw) == expected == clean(clean(raw))


@given(st.lists(st.text(ALPHABET, max_size=9).filter(lambda s: any(c.isalpha() for c in s)), min_size=1, max_size=6), st.integers(9, 14))
@settings(max_examples=40, deadline=None)
def test_encode_decode_and_one_hot(names, maxlen):
    codes = encode(names, maxlen=maxlen)
    assert codes.shape == (len(names), maxlen) and codes.dtype == np.int32 and decode(codes) == names
    x = one_hot(codes, 29)
    assert np.array_equal(x.sum(axis=2), codes > 0) and np.array_equal(np.where(codes > 0, x.argmax(axis=2) + 1, 0), codes)


def test_encode_truncates_and_ignores_only_when_asked():
    assert decode(encode(["abcdef", "ab"], maxlen=4, truncate=True)) == ["abcd", "ab"]
    assert decode(encode(["a1b", "ñx"], errors="ignore")) == ["ab", "x"]
    assert encode(["ba"], alphabet="abc").tolist() == [[2, 1]] and decode([[2, 1]], alphabet="abc") == ["ba"]


@pytest.mark.parametrize(
    "names, options, message",
    [
        (["kim", ""], {}, "at least one letter of the alphabet, got ''"),
        (["-' "], {}, "at least one letter"),
        (["123"], {"errors": "ignore"}, "at least one letter of the alphabet, got '123'"),
        (["núñez"], {}, "character 'ú' at position 1 of 'núñez'"),
        (["ab", "xY"], {}, "character 'Y' at position 1"),
        (["abcdef"], {"maxlen": 4}, "maxlen is 4, but the longest name has 6 letters; truncate=True"),
        (["ab"], {"maxlen": 0}, "maxlen must be a whole number of at least 1"),
        (["ab"], {"errors": "replace"}, "errors must be 'strict' or 'ignore'"),
        (["ab"], {"alphabet": "aab"}, "every character of the alphabet"),
        ([], {}, "at least one name"),
    ],
)
def test_encode_refuses_values(names, options, message):
    with pytest.raises(ValueError, match=message):
        encode(names, **options)


@pytest.mark.parametrize(
    "names, message",
    [("kim", r"wrap it in a list: \['kim'\]"), (None, "got NoneType"), (b"kim", "list of names, got bytes"), ([b"kim"], "decode bytes first"),
     (["kim", None], "a name must be a str, got NoneType"), ([3], "got int")],
)
def test_encode_refuses_types(names, message):
    with pytest.raises(TypeError, match=message):
        encode(names)


@pytest.mark.parametrize("use", [decode, lambda codes: one_hot(codes, 29)], ids=["decode", "one_hot"])
@pytest.mark.parametrize("codes, message", [
    ([[30]], "between 0 and 29, got 30"), ([[1, -1]], "between 0 and 29, got -1"), ([1, 2], r"shape \(n, T\)"),
    ([[[1]]], r"shape \(n, T\)"), ([[1.0]], "whole numbers")])
def test_codes_are_checked(use, codes, message):
    with pytest.raises(ValueError, match=message):
        use(codes)


def test_a_stratified_split_needs_two_names_of_each_language():
    with pytest.raises(ValueError, match="least populated class"):
        train_test_split(encode(["ab", "cd", "ef"]), [0, 0, 1], test_size=2, stratify=[0, 0, 1])


# ---- the network


@pytest.mark.parametrize("cell, size", [("linear", 26_130), ("simple", 26_130), ("gru", 74_130), ("lstm", 97_554)])
def test_parameters(cell, size):
    assert parameter_count(rnn_classifier(57, 18, cell=cell, units=128)) == (size, 58 * 57)


def test_parameters_of_exercise_and_variants():
    assert parameter_count(rnn_classifier(26, 6))[0] == 18_054
    assert parameter_count(rnn_classifier(26, 6, embedding=10))[0] == 27 * 10 + 3 * (10 * 64 + 64**2 + 128) + 390
    assert parameter_count(rnn_classifier(26, 6, bidirectional=True))[0] == 2 * 17_664 + 128 * 6 + 6


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("bidirectional, embedding", [(False, None), (True, None), (False, 5), (True, 5)])
def test_padding_changes_nothing_and_numpy_agrees(surnames, cell, bidirectional, embedding):
    names = surnames[0][::60]
    model = rnn_classifier(29, 14, cell=cell, units=8, bidirectional=bidirectional, embedding=embedding, dropout=0.3)
    codes = encode(names)
    together = np.asarray(model(codes))
    alone = np.concatenate([model(encode([name])) for name in names])
    assert np.allclose(together, alone, atol=1e-6)
    assert np.allclose(model(np.pad(codes, ((0, 0), (0, 5)))), together, atol=1e-6)
    assert np.allclose(model(np.pad(codes, ((0, 0), (3, 0)))), together, atol=1e-6)
    assert max_difference(model, to_numpy(model), codes) < 1e-5


def test_without_the_mask_only_full_rows_agree(surnames):
    codes = encode(surnames[0][:20])
    model = rnn_classifier(29, 14, units=8)
    deaf = keras.Sequential([keras.Input((None, 29)), *model.layers[1:]])
    differ = np.abs(np.asarray(deaf(one_hot(codes, 29))) - model(codes)).max(axis=1) > 1e-5
    assert np.array_equal(differ, (codes == 0).any(axis=1))


def test_nothing_but_padding_gives_finite_logits():
    for cell in CELLS:
        assert np.isfinite(rnn_classifier(29, 3, cell=cell, units=4)(np.zeros((2, 6), "int32"))).all()


def test_seeds_decide_the_start():
    a, b, c = (rnn_classifier(29, 3, units=4, seed=s).get_weights() for s in (0, 0, 1))
    assert all(np.array_equal(p, q) for p, q in zip(a, b, strict=True)) and not np.array_equal(a[1], c[1])
    both = rnn_classifier(29, 3, units=4, bidirectional=True).get_weights()
    assert not np.array_equal(both[1], both[4])


@pytest.mark.parametrize("options, message", [
    ({"cell": "rnn"}, "cell must be one of linear, simple, gru, lstm, got 'rnn'"), ({"units": 0}, "units must be"), ({"units": 2.0}, "units must be"),
    ({"dropout": 1.0}, "dropout must be"), ({"dropout": -0.1}, "dropout must be"), ({"embedding": 0}, "embedding must be"),
    ({"vocabulary": 0}, "vocabulary must be"), ({"classes": 0}, "classes must be")])
def test_builder_refuses(options, message):
    with pytest.raises(ValueError, match=message):
        rnn_classifier(**({"vocabulary": 29, "classes": 3} | options))


def test_gru_beats_chance_and_keeps_up_with_counts(split, reader):
    X_train, X_test, y_train, y_test = split
    counts = [one_hot(X, 29).sum(axis=1) for X in (X_train, X_test)]
    plain = LogisticRegression(max_iter=1000).fit(counts[0], y_train).score(counts[1], y_test)
    reached = evaluate_classifier(reader, X_test, y_test)["accuracy"]
    assert plain > 0.4 and reached > plain - 0.05 and reached > 2.5 / 14


@pytest.mark.parametrize("cell", ["linear", "lstm"])
def test_compiled_training_has_the_same_losses(cell):
    x, y = parity_data(64, 4, random_state=0)
    losses = []
    for jit in (False, True):
        runtime = Runtime(device="cpu", strategy="none", precision="float32", jit=jit)
        model = rnn_classifier(2, 2, cell=cell, units=4)
        losses.append(fit_classifier(model, x, y, runtime=runtime, epochs=3, batch_size=32).history["loss"])
    assert np.allclose(*losses, atol=1e-5)


# ---- the wiring of the source


def test_source_cell_has_27156_parameters():
    layer = keras.layers.RNN(SourceCell(128, 18))
    layer.build((None, None, 57))
    assert [w.shape for w in layer.get_weights()] == [(185, 128), (128,), (185, 18), (18,)]
    assert layer.count_params() == 27_156 == 23_808 + 3_348
    other = keras.layers.RNN(SourceCell(128, 18))
    other.build((None, None, 26))
    assert other.count_params() == 22_630


@pytest.mark.parametrize("activation", [None, "tanh"])
def test_source_cell_against_source_forward(activation):
    layer = keras.layers.RNN(SourceCell(6, 4, activation, seed=3), return_sequences=True, return_state=True)
    x = np.random.default_rng(0).normal(size=(3, 5, 7)).astype("float32")
    outputs, state = layer(x)
    h = np.zeros((3, 6))
    for t in range(5):
        log_p, h = source_forward(x[:, t], h, layer.get_weights(), activation=np.tanh if activation else None)
        assert np.allclose(outputs[:, t], log_p, atol=1e-6)
    assert np.allclose(state, h, atol=1e-6)
    again = SourceCell.from_config(layer.cell.get_config())
    assert (again.units, again.classes, again.seed) == (6, 4, 3)


# Two linear layers of PyTorch 2 (seed 0) on [x, h], 4 symbols, 3 units, 2 classes; the sequence 1, 3, 0; loss -log p of class 1.
TORCH = {
    "A": [[-0.0028298, 0.299684, -0.1558057], [0.2027566, -0.0335421, 0.0140012], [-0.3110818, 0.1000141, 0.1494227],
          [-0.2781588, -0.1142258, 0.2267873], [-0.1455747, -0.0742947, -0.2562376], [0.101354, -0.3610878, -0.1645895],
          [-0.0074887, -0.2503191, 0.1372832]],
    "a": [0.3138571, -0.0777852, 0.2828352],
    "B": [[-0.0609216, 0.3265616], [0.039994, -0.2449889], [0.3422378, -0.1739895], [-0.3506264, -0.2640613], [-0.237943, -0.3539868],
          [-0.0956875, -0.2206331], [-0.1473305, 0.3248975]],
    "c": [0.1686547, 0.183189],
    "log_p": [[-0.567038, -0.8374865], [-0.7955211, -0.6002871], [-1.068256, -0.4209959]],
    "h": [[0.2886695, 0.212125, 0.2440467]],
    "grad_A": [[0, 0, 0], [0.0325832, 0.0152455, -0.0333211], [0, 0, 0], [0.0398735, 0.0429322, -0.162261], [0.0205992, 0.0221794, -0.0838262],
               [-0.004439, -0.0047795, 0.0180641], [0.0118359, 0.0127438, -0.048165]],
}


def test_source_wiring_against_pytorch():
    params = [np.array(TORCH[k]) for k in "AaBc"]
    h = np.zeros((1, 3))
    for code, expected in zip((1, 3, 0), TORCH["log_p"], strict=True):
        log_p, h = source_forward(np.eye(4)[[code]], h, params)
        assert np.allclose(log_p, [expected], atol=2e-6)
    assert np.allclose(h, TORCH["h"], atol=2e-6)
    layer = keras.layers.RNN(SourceCell(3, 2))
    layer.build((None, None, 4))
    layer.set_weights(params)
    with tf.GradientTape() as tape:
        loss = -layer(tf.constant(np.eye(4, dtype="float32")[[[1, 3, 0]]]))[0, 1]
    assert np.isclose(loss, 0.4209959, atol=1e-6)
    assert np.allclose(tape.gradient(loss, layer.cell.weight_A.value), TORCH["grad_A"], atol=1e-6)


def test_one_letter_gives_no_gradient_to_the_hidden_map():
    cell = SourceCell(3, 2)
    cell.build((None, 4))
    with tf.GradientTape() as tape:
        log_p, _ = cell(tf.eye(4)[:1], [tf.zeros((1, 3))])
    assert [g is None for g in tape.gradient(log_p, [w.value for w in cell.weights])] == [True, True, False, False]


def test_superposition_holds_without_activation_only():
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=(2, 6, 5))
    params = [rng.normal(size=s) for s in ((9, 4), (4,), (9, 2), (2,))]

    def read(steps, f):
        h = np.zeros((1, 4))
        for x in steps:
            h = source_forward(x[None], h, params, activation=f)[1]
        return h

    for f, holds in ((None, True), (np.tanh, False)):
        gap = read(a + b, f) - read(a, f) - read(b, f) + read(0 * a, f)
        assert (np.abs(gap).max() < 1e-8 * max(1, np.abs(read(a + b, f)).max())) == holds


@pytest.mark.parametrize("x, h, message", [
    (np.zeros((1, 26)), np.zeros((1, 128)), r"26 \+ 128 = 154 entries: expected A \(154, 128\)"),
    (np.zeros(57), np.zeros((1, 128)), r"expected x \(batch, V\)"), (np.zeros((2, 57)), np.zeros((1, 128)), "expected x")])
def test_source_forward_refuses(x, h, message):
    params = np.zeros((185, 128)), np.zeros(128), np.zeros((185, 18)), np.zeros(18)
    with pytest.raises(ValueError, match=message):
        source_forward(x, h, params)


def test_source_cell_refuses():
    with pytest.raises(ValueError, match="units must be"):
        SourceCell(0, 3)
    with pytest.raises(ValueError, match="classes must be"):
        SourceCell(3, -1)


# ---- asking the network


def test_predict_language(reader, surnames):
    answers = predict_language(reader, "Yamashita", top=14)
    assert len(answers) == 14 and np.isclose(sum(p for _, p in answers), 1)
    assert sorted(k for k, _ in answers) == surnames[1] and [p for _, p in answers] == sorted((p for _, p in answers), reverse=True)
    assert predict_language(reader, "YAMASHÍTA", top=1)[0] == answers[0]
    logits = np.asarray(reader(encode(["yamashita"])))[0]
    assert answers[0][0] == surnames[1][logits.argmax()]
    two = rnn_classifier(29, 2, units=3)
    assert {k for k, _ in predict_language(two, "kim", top=2, languages=["x", "y"])} == {"x", "y"}


@pytest.mark.parametrize("name, options, error, message", [
    ("", {}, ValueError, "at least one letter"), ("?!", {}, ValueError, r"character '\?' at position 0"), ("Kim3", {}, ValueError, "character '3' at position 3"),
    ("- '", {}, ValueError, "at least one letter"), (None, {}, TypeError, "must be a str"), (b"kim", {}, TypeError, "decode bytes"),
    ("kim", {"top": 15}, ValueError, "top must be at most 14"), ("kim", {"top": 0}, ValueError, "top must be"),
    ("kim", {"languages": ["a"]}, ValueError, "knows 14 languages, got 1")])
def test_predict_language_refuses(reader, name, options, error, message):
    with pytest.raises(error, match=message):
        predict_language(reader, name, **options)


@pytest.mark.parametrize("length", [1, 2, 5])
def test_parity_data(length):
    codes, y = parity_data(200, length, random_state=3)
    assert codes.shape == (200, length) and set(np.unique(codes)) == {1, 2}
    assert np.array_equal(y, [sum(c == 2 for c in row) % 2 for row in codes.tolist()])
    assert np.array_equal(codes, parity_data(200, length, random_state=3)[0])
    assert np.array_equal(codes, parity_data(200, length, random_state=np.random.default_rng(3))[0])


def test_parity_needs_a_bend():
    reached = {}
    data, test = (parity_data(512, 4, random_state=s) for s in (0, 1))
    for cell in ("linear", "simple"):
        model = rnn_classifier(2, 2, cell=cell, units=32)
        fit_classifier(model, *data, epochs=30, learning_rate=1e-2)
        reached[cell] = evaluate_classifier(model, *test)["accuracy"]
    assert reached["linear"] < 0.7 and reached["simple"] > 0.95


def test_parity_data_refuses():
    for bad in ((0, 3), (3, 0), (2.0, 3), (True, 3)):
        with pytest.raises(ValueError, match="whole number of at least 1"):
            parity_data(*bad)


def test_jacobian_of_a_linear_cell_is_a_power():
    model = rnn_classifier(29, 3, cell="linear", units=6)
    weights = model.get_weights()
    U = np.random.default_rng(0).normal(size=(6, 6)).astype("float32") / 4
    model.set_weights([*weights[:2], U, *weights[3:]])
    norms = jacobian_norms(model, encode(["moreno"], maxlen=9))
    assert norms.shape == (6,)
    assert np.allclose(norms, [np.linalg.norm(np.linalg.matrix_power(U.astype(float), k), 2) for k in range(1, 7)])
    assert np.allclose(jacobian_norms(model, encode(["moreno"])[0]), norms)


@pytest.mark.parametrize("cell", ["simple", "gru"])
def test_jacobian_against_differences(cell):
    model = rnn_classifier(29, 3, cell=cell, units=4, embedding=3)
    codes = encode(["kim"])
    network = to_numpy(model)
    layer, vectors = network.layers[1], network.layers[0].get_weights()[0][codes[0]][None]
    states = [np.zeros((1, 4))]
    for t in range(3):
        states.append(layer.forward(vectors[:, t : t + 1], initial_state=[states[-1]]))
    for k in (1, 2, 3):
        last = lambda h, k=k: layer.forward(vectors[:, 3 - k :], initial_state=[h])[0]  # noqa: E731
        J = [(last(states[3 - k] + d) - last(states[3 - k] - d)) / 2e-5 for d in 1e-5 * np.eye(4)]
        assert np.isclose(jacobian_norms(model, codes)[k - 1], np.linalg.norm(J, 2), rtol=1e-5)


@pytest.mark.parametrize("codes, message", [
    ([[0, 0]], "one name with letters"), ([[1, 2], [3, 4]], "one name"), ([[30]], "between 0 and 29"), ([[1.5]], "whole numbers"), ([[[1]]], "shape")])
def test_jacobian_norms_refuses(codes, message):
    with pytest.raises(ValueError, match=message):
        jacobian_norms(rnn_classifier(29, 3, units=3), codes)


def test_jacobian_norms_refuses_two_directions():
    with pytest.raises(ValueError, match="one direction"):
        jacobian_norms(rnn_classifier(29, 3, units=3, bidirectional=True), [[1]])


def test_spectral_radius_of_the_sources_start():
    limit = 185**-0.5
    draws = [np.random.default_rng(s).uniform(-limit, limit, (128, 128)) for s in range(4)]
    radii = [np.abs(np.linalg.eigvals(U)).max() for U in draws]
    assert np.sqrt(128 / (3 * 185)) == pytest.approx(0.480, abs=5e-4) and np.mean(radii) == pytest.approx(0.48, rel=0.06)
    assert all(1e-7 < np.linalg.norm(np.linalg.matrix_power(U, 20), 2) < 1e-4 for U in draws)


# ---- writing names


def test_next_letter_data():
    x, targets = next_letter_data(encode(["abe", "bo"]), [2, 0], 29)
    assert x.tolist() == [[32, 1, 2, 5], [30, 2, 15, 0]] and targets.tolist() == [[1, 2, 5, 0], [2, 15, 0, -1]]
    for y in ([1], [0.5, 1.0], [-1, 0]):
        with pytest.raises(ValueError, match="one language number for each of the 2 names"):
            next_letter_data(encode(["abe", "bo"]), y, 29)


def test_next_letter_loss_is_the_sum_over_letters(writer):
    x, targets = next_letter_data(encode(["abe", "bo"]), [2, 0], 29)
    found = next_letter_loss(writer)((x, targets), False)
    logits = to_numpy(writer).predict(x)
    log_p = logits - np.log(np.exp(logits).sum(axis=2, keepdims=True))
    expected = [-sum(log_p[i, t, c] for t, c in enumerate(row) if c >= 0) for i, row in enumerate(targets)]
    assert np.allclose(found["loss"], expected, atol=1e-4) and found["letters"].numpy().tolist() == [4, 3]


def test_a_writer_learns_two_names_by_heart():
    model = name_model(29, 2, units=24, embedding=8)
    data = next_letter_data(encode(["bo", "kim"]), [0, 1], 29)
    runtime = Runtime(strategy="none", precision="float32")
    runtime.fit(next_letter_loss(model), [model], pipeline(*data, batch_size=2), epochs=60, optimizer=keras.optimizers.Adam(2e-2))
    two = {"languages": ["A", "B"], "temperature": 0.1}
    assert sample_name(model, "A", **two) == "bo" and sample_name(model, "B", random_state=0, **two) == "kim"


def test_sample_name_follows_seed_and_length(writer):
    a, b, c = (sample_name(writer, "Greek", random_state=s) for s in (0, 0, 1))
    assert a == b != c and set(a) <= set(ALPHABET) and len(a) <= 20
    assert a == sample_name(to_numpy(writer), "Greek", random_state=np.random.default_rng(0))
    assert all(len(sample_name(writer, "Greek", random_state=s, maxlen=2)) <= 2 for s in range(4))


@pytest.mark.parametrize("options, message", [
    ({"temperature": 0}, "temperature must be positive"), ({"temperature": -1.0}, "temperature"), ({"temperature": np.inf}, "temperature"),
    ({"language": "Klingon"}, "language must be one of Arabic"), ({"maxlen": 0}, "maxlen must be"), ({"languages": ["Greek"]}, "knows 14 languages")])
def test_sample_name_refuses(writer, options, message):
    with pytest.raises(ValueError, match=message):
        sample_name(writer, **({"language": "Greek"} | options))


def test_name_model_refuses():
    for options in ({"units": 0}, {"embedding": None}, {"vocabulary": 0}, {"languages": 0}):
        with pytest.raises(ValueError, match="whole number of at least 1"):
            name_model(**({"vocabulary": 29, "languages": 3} | options))
