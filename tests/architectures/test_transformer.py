"""Sequence to sequence: pairs, teacher, blocks, masks, searches, and what a language model is worth."""

import datetime
import itertools

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlcheat.architectures.rnn import decode, encode
from mlcheat.architectures.transformer import (
    DATE_ALPHABET,
    ISO_ALPHABET,
    PositionEmbedding,
    SinePositionEncoding,
    TransformerDecoder,
    TransformerEncoder,
    beam_search,
    bigram_log_probs,
    date_pairs,
    greedy_search,
    masked_crossentropy,
    next_token_step,
    perplexity,
    reverse_pairs,
    sample_tokens,
    seq2seq_rnn,
    seq2seq_transformer,
    shift_targets,
    transformer_classifier,
    transformer_lm,
)
from mlcheat.nn.attention import causal_mask, positional_encoding

SMALL = {"d_model": 16, "num_heads": 2, "intermediate_dim": 24}
BUILDERS = {
    "rnn": lambda **k: seq2seq_rnn(6, 4, units=8, embedding=5, **k),
    "plain": lambda **k: seq2seq_rnn(6, 4, units=8, embedding=5, attention=False, **k),
    "transformer": lambda **k: seq2seq_transformer(6, 4, **SMALL, **k),
    "lm": lambda **k: transformer_lm(4, **SMALL, **k),
    "classifier": lambda **k: transformer_classifier(6, 3, **SMALL, **k),
}


@pytest.fixture(scope="module")
def models():
    return {kind: build(seed=3) for kind, build in BUILDERS.items()}


@pytest.fixture(scope="module")
def backwards():
    """A small transformer that has learned to write up to four letters backwards, in the plain Keras way."""
    sources, targets = reverse_pairs(1600, shortest=2, longest=4, alphabet="abcd", random_state=0)
    X = encode(sources, alphabet="abcd")
    inputs, said = shift_targets(encode(targets, alphabet="abcd"), 4)
    model = seq2seq_transformer(4, 4, d_model=32, num_heads=2, intermediate_dim=64, seed=1)
    model.compile(keras.optimizers.Adam(5e-3), masked_crossentropy, jit_compile=False)
    history = model.fit([X, inputs], said, batch_size=64, epochs=10, verbose=0)
    fresh = reverse_pairs(120, shortest=2, longest=4, alphabet="abcd", random_state=1)
    return model, history.history["loss"], fresh


# ---- the pairs


@given(st.integers(1, 30), st.integers(1, 5), st.integers(0, 4), st.integers(0, 9))
@settings(max_examples=25, deadline=None)
def test_reverse_pairs(n, shortest, more, seed):
    sources, targets = reverse_pairs(n, shortest=shortest, longest=shortest + more, alphabet="xyz", random_state=seed)
    assert len(sources) == len(targets) == n and all(a == b[::-1] for a, b in zip(sources, targets))
    assert all(shortest <= len(s) <= shortest + more and set(s) <= set("xyz") for s in sources)
    assert (sources, targets) == reverse_pairs(n, shortest=shortest, longest=shortest + more, alphabet="xyz", random_state=seed)


@pytest.mark.parametrize("options", [{"n": 0}, {"shortest": 0}, {"shortest": 5, "longest": 4}, {"alphabet": ""}, {"n": 2.0}])
def test_reverse_pairs_refuses(options):
    with pytest.raises(ValueError, match="whole number|shortest at most longest"):
        reverse_pairs(**{"n": 3, **options})


FORMATS = ["%d %B %Y", "%d %b %Y", "%B %d, %Y", "%b %d, %Y", "%d.%m.%Y", "%d.%m.%Y", "%m/%d/%Y"]


def test_date_pairs_are_read_by_strptime():
    written, iso = date_pairs(400, random_state=3)
    kinds = set()
    for text, day in zip(written, iso):
        read = []
        for i, form in enumerate(FORMATS):
            try:
                read.append(datetime.datetime.strptime(text, form).date().isoformat())
                kinds.add(i)
            except ValueError:
                pass
        assert set(read) == {day}
    assert kinds == set(range(7)) and {int(day[:4]) // 50 for day in iso} == {39, 40}
    assert set("".join(written)) <= set(DATE_ALPHABET) and set("".join(iso)) <= set(ISO_ALPHABET)
    assert (min(map(len, written)), max(map(len, written))) >= (8, 12) and max(map(len, written)) <= 18
    assert (written, iso) == date_pairs(400, random_state=np.random.default_rng(3))
    with pytest.raises(ValueError, match="n must be a whole number"):
        date_pairs(0)


# ---- the teacher


@given(st.lists(st.lists(st.integers(1, 5), min_size=1, max_size=6), min_size=1, max_size=5))
@settings(max_examples=30, deadline=None)
def test_shift_targets(answers):
    T = max(map(len, answers))
    codes = np.array([a + [0] * (T - len(a)) for a in answers])
    inputs, targets = shift_targets(codes, 5)
    for a, x, y in zip(answers, inputs.tolist(), targets.tolist()):
        rest = T - len(a)
        assert x == [6, *a] + [0] * rest and y == [*a, 0] + [-1] * rest


@pytest.mark.parametrize("codes, message", [
    ([[0, 0]], "row 0 must hold letters first"), ([[1, 0], [0, 2]], r"row 1 .* got \[0, 2\]"), ([[1, 0, 2]], "letters first"),
    ([[9]], "between 0 and 5"), ([[-1]], "between 0 and 5"), ([[1.0]], "whole numbers"), ([1, 2], r"shape \(n, T\)"),
    (np.zeros((2, 0), int), "letters first")])
def test_shift_targets_refuses(codes, message):
    with pytest.raises(ValueError, match=message):
        shift_targets(codes, 5)


def test_unknown_letters_are_refused_by_encode():
    with pytest.raises(ValueError, match="character '/' at position 4"):
        encode(["2026/11/20"], alphabet=ISO_ALPHABET)


def test_masked_crossentropy_ignores_what_is_not_asked():
    rng = np.random.default_rng(0)
    z, y = rng.normal(size=(3, 4, 5)).astype("float32"), np.array([[1, 0, -1, -1], [4, 2, 3, 0], [-1] * 4])
    losses = np.asarray(masked_crossentropy(y, z))
    log_p = z - np.log(np.exp(z).sum(axis=2, keepdims=True))
    assert np.allclose(losses, [-sum(log_p[i, t, v] for t, v in enumerate(row) if v >= 0) for i, row in enumerate(y)], atol=1e-5)
    z[0, 2:] = 99
    assert np.allclose(masked_crossentropy(y.astype("float32"), z), losses, atol=1e-5) and losses[2] == 0


@pytest.mark.parametrize("y, z", [((3, 4), (3, 5, 6)), ((2, 4), (3, 4, 6)), ((3,), (3, 4, 6)), ((3, 4), (3, 4))])
def test_masked_crossentropy_refuses_shapes(y, z):
    with pytest.raises(ValueError, match=r"expected targets \(n, T\) and logits"):
        masked_crossentropy(np.zeros(y, int), np.zeros(z, "float32"))


# ---- the models


def inputs_of(kind, T=5):
    sources, inputs = np.array([[1, 2, 3, 4], [5, 6, 0, 0]]), np.array([[5, 1, 2, 3, 4], [5, 4, 4, 1, 0]])[:, :T]
    return {"lm": inputs, "classifier": sources}.get(kind, [sources, inputs])


@pytest.mark.parametrize("kind", BUILDERS)
def test_shapes_seeds_and_dtype(kind, models):
    x = inputs_of(kind)
    y = np.asarray(models[kind](x))
    assert y.shape == ((2, 3) if kind == "classifier" else (2, 5, 5)) and y.dtype == np.float32
    same, other = BUILDERS[kind](seed=3), BUILDERS[kind](seed=4)
    assert np.array_equal(np.asarray(same(x)), y) and np.abs(np.asarray(other(x)) - y).max() > 1e-3


@pytest.mark.parametrize("kind", ["rnn", "plain", "transformer", "classifier"])
def test_padding_of_the_source_changes_nothing(kind, models):
    x = inputs_of(kind)
    pad = lambda a: np.pad(a, ((0, 0), (0, 3)))
    longer = pad(x) if kind == "classifier" else [pad(x[0]), x[1]]
    assert np.allclose(models[kind](longer), models[kind](x), atol=1e-5)
    alone = x[1:, :2] if kind == "classifier" else [x[0][1:, :2], x[1][1:]]
    assert np.allclose(models[kind](alone)[0], models[kind](x)[1], atol=1e-5)


@pytest.mark.parametrize("kind", ["rnn", "plain", "transformer", "lm"])
def test_no_model_sees_the_future(kind, models):
    x = inputs_of(kind)
    before = np.asarray(models[kind](x))
    changed = (x if kind == "lm" else x[1]).copy()
    changed[:, 3] = [1, 2]
    after = np.asarray(models[kind](changed if kind == "lm" else [x[0], changed]))
    assert np.allclose(after[:, :3], before[:, :3], atol=1e-6) and np.abs(after[:, 3:] - before[:, 3:]).max() > 1e-4


@pytest.mark.parametrize("kind", ["rnn", "plain", "transformer"])
def test_the_source_matters(kind, models):
    sources, inputs = inputs_of(kind)
    other = sources.copy()
    other[:, 0] = 2
    assert np.abs(np.asarray(models[kind]([other, inputs])) - np.asarray(models[kind]([sources, inputs]))).max() > 1e-4


def test_an_empty_row_gives_finite_logits(models):
    assert np.isfinite(models["classifier"](np.zeros((1, 4), int))).all()
    assert np.isfinite(models["transformer"]([np.zeros((1, 4), int), np.ones((1, 3), int)])).all()
    assert np.isfinite(models["rnn"]([np.zeros((1, 4), int), np.ones((1, 3), int)])).all()


@pytest.mark.parametrize("build", [seq2seq_transformer, transformer_classifier, transformer_lm])
@pytest.mark.parametrize("options, message", [
    ({"num_heads": 3}, "divisible by num_heads, got 16 and 3"), ({"d_model": 15, "num_heads": 5}, "must be even"),
    ({"layers": 0}, "layers must be"), ({"d_model": 0}, "d_model must be"), ({"intermediate_dim": 2.5}, "intermediate_dim must be"),
    ({"dropout": 1.0}, "dropout must be at least 0"), ({"max_len": 0}, "sequence_length must be")])
def test_builders_refuse(build, options, message):
    sizes = (4,) if build is transformer_lm else (4, 3)
    with pytest.raises(ValueError, match=message):
        build(*sizes, **{**SMALL, **options})


@pytest.mark.parametrize("build, sizes", [(seq2seq_rnn, (0, 3)), (seq2seq_rnn, (3, 0)), (seq2seq_transformer, (3, True)), (transformer_lm, (0,)),
                                          (transformer_classifier, (3, 0))])
def test_vocabularies_are_whole_numbers(build, sizes):
    with pytest.raises(ValueError, match="must be a whole number of at least 1"):
        build(*sizes)


def test_seq2seq_rnn_refuses_sizes():
    for options in ({"units": 0}, {"embedding": -1}):
        with pytest.raises(ValueError, match="must be a whole number"):
            seq2seq_rnn(3, 3, **options)


def test_a_sequence_longer_than_the_positions_is_refused():
    model = transformer_lm(4, **SMALL, max_len=5)
    assert model(np.ones((1, 5), int)).shape == (1, 5, 5)
    with pytest.raises(ValueError, match="there are 5 positions, got a sequence of 6"):
        model(np.ones((1, 6), int))
    assert transformer_lm(4, **SMALL)(np.ones((1, 60), int)).shape == (1, 60, 5)


def test_models_survive_a_file(tmp_path, models):
    for kind in ("transformer", "lm"):
        models[kind].save(tmp_path / f"{kind}.keras")
        again = keras.models.load_model(tmp_path / f"{kind}.keras")
        assert np.array_equal(again(inputs_of(kind)), models[kind](inputs_of(kind)))


# ---- the layers


def test_waves_are_those_of_the_numpy_chapter():
    x = np.zeros((2, 40, 12), "float32")
    assert np.allclose(SinePositionEncoding()(x), np.broadcast_to(positional_encoding(40, 12), x.shape), atol=1e-5)
    assert np.allclose(SinePositionEncoding(50.0)(x)[0], positional_encoding(40, 12, base=50.0), atol=1e-5)


def test_learned_positions():
    layer = PositionEmbedding(7, seed=2)
    y = np.asarray(layer(np.zeros((3, 5, 4))))
    assert y.shape == (3, 5, 4) and np.array_equal(y[0], y[2]) and np.array_equal(y[0], layer.get_weights()[0][:5])


@pytest.mark.parametrize("make", [
    lambda: SinePositionEncoding(0), lambda: SinePositionEncoding(np.inf), lambda: SinePositionEncoding()(np.zeros((1, 2, 5))),
    lambda: PositionEmbedding(0), lambda: PositionEmbedding(2)(np.zeros((1, 3, 4)))])
def test_positions_refuse(make):
    with pytest.raises(ValueError, match="max_wavelength|even number of features|sequence_length|there are 2 positions"):
        make()


@pytest.mark.parametrize("layer", [TransformerEncoder, TransformerDecoder])
@pytest.mark.parametrize("settings_, message", [
    ({"num_heads": 3}, "got 8 features and num_heads=3"), ({"num_heads": 0}, "num_heads must be"),
    ({"intermediate_dim": 0}, "intermediate_dim must be"), ({"dropout": -0.1}, "dropout must be")])
def test_blocks_refuse(layer, settings_, message):
    with pytest.raises(ValueError, match=message):
        layer(**{"intermediate_dim": 12, "num_heads": 2, **settings_})(np.zeros((1, 3, 8)))


def test_masks_and_sequences_that_do_not_fit():
    x, H = np.ones((2, 3, 8), "float32"), np.ones((2, 4, 8), "float32")
    encoder, decoder, both = TransformerEncoder(12, 2), TransformerDecoder(12, 2), TransformerDecoder(12, 2)
    decoder(x), both(x, H)
    for call in (lambda: encoder(x, padding_mask=np.ones((2, 4), bool)), lambda: encoder(x, padding_mask=np.ones(3, bool)),
                 lambda: decoder(x, decoder_padding_mask=np.ones((1, 3), bool)),
                 lambda: both(x, H, encoder_padding_mask=np.ones((2, 3), bool))):
        with pytest.raises(ValueError, match="mask must have the shape"):
            call()
    for mask in (np.ones((4, 4), bool), np.ones(3, bool)):
        with pytest.raises(ValueError, match=r"attention_mask must have shape \(3, 3\)"):
            encoder(x, attention_mask=mask)
    with pytest.raises(ValueError, match="built without an encoder sequence"):
        decoder(x, H)
    with pytest.raises(ValueError, match="needs one"):
        both(x)
    with pytest.raises(ValueError, match="expected an encoder of width 8, got 6"):
        TransformerDecoder(12, 2)(x, H[:, :, :6])


@pytest.mark.parametrize("first", [True, False])
def test_a_decoder_alone_is_an_encoder_with_a_causal_mask(first):
    x = np.random.default_rng(0).normal(size=(2, 6, 8)).astype("float32")
    encoder, decoder = (kind(12, 2, normalize_first=first, seed=9) for kind in (TransformerEncoder, TransformerDecoder))
    assert np.allclose(encoder(x, attention_mask=causal_mask(6)), decoder(x), atol=1e-6)
    assert np.allclose(encoder(x), decoder(x, use_causal_mask=False), atol=1e-6)
    masks = np.stack([causal_mask(6)] * 2)
    assert np.allclose(encoder(x, attention_mask=masks), decoder(x), atol=1e-6)


def test_attention_weights_sum_to_one_over_what_may_be_seen():
    rng = np.random.default_rng(1)
    x, H, seen = rng.normal(size=(2, 3, 8)), rng.normal(size=(2, 5, 8)), np.arange(5) < np.array([[5], [2]])
    _, a = TransformerEncoder(12, 2)(H, padding_mask=seen, return_attention_scores=True)
    _, b = TransformerDecoder(12, 2)(x, return_attention_scores=True)
    _, c = TransformerDecoder(12, 2)(x, H, encoder_padding_mask=seen, return_attention_scores=True)
    for weights, shape in ((a, (2, 2, 5, 5)), (b, (2, 2, 3, 3)), (c, (2, 2, 3, 5))):
        assert weights.shape == shape and np.allclose(np.asarray(weights).sum(axis=-1), 1, atol=1e-5)
    assert not np.asarray(a)[1, :, :, 2:].any() and not np.asarray(c)[1, :, :, 2:].any()
    assert not np.asarray(b)[:, :, ~causal_mask(3)].any()


@pytest.mark.parametrize("layer, args, count", [
    (TransformerEncoder, (np.ones((1, 2, 16)),), 4 * (256 + 16) + (2 * 16 * 24 + 40) + 64),
    (TransformerDecoder, (np.ones((1, 2, 16)),), 4 * (256 + 16) + (2 * 16 * 24 + 40) + 64),
    (TransformerDecoder, (np.ones((1, 2, 16)),) * 2, 8 * (256 + 16) + (2 * 16 * 24 + 40) + 96)],
    ids=["encoder", "decoder", "decoder with encoder"])
@pytest.mark.parametrize("heads", [1, 4])
def test_parameters_do_not_depend_on_the_heads(layer, args, count, heads):
    made = layer(24, heads)
    made(*args)
    assert made.count_params() == count


def test_the_four_maps_of_attention_start_apart():
    made = TransformerEncoder(12, 2, seed=0)
    made.build((None, None, 8))
    kernels = [np.ravel(w) for w in made.attention.get_weights()[::2]]
    assert all(np.abs(a - b).max() > 0.01 for a, b in itertools.combinations(kernels, 2))
    assert max(np.abs(k).max() for k in kernels) <= np.sqrt(6 / 16)


def test_dropout_acts_in_training_only():
    made, x = TransformerEncoder(12, 2, dropout=0.5), np.random.default_rng(0).normal(size=(2, 5, 8)).astype("float32")
    assert np.array_equal(made(x), made(x)) and np.abs(np.asarray(made(x, training=True)) - made(x)).max() > 0.05


def test_blocks_survive_their_config():
    made = TransformerDecoder(12, 2, dropout=0.1, activation="gelu", normalize_first=True, seed=4, name="mine")
    again = TransformerDecoder.from_config(made.get_config())
    x = np.ones((1, 3, 8), "float32")
    assert again.get_config() == made.get_config() and np.array_equal(again(x), made(x))


# ---- searches


def language(seed, letters=3):
    """Token pairs with random probabilities: row a is what follows a; 0 is the end, the last row the start."""
    table = np.log(np.random.default_rng(seed).dirichlet(np.full(letters + 1, 0.6), letters + 2))
    return table, lambda prefixes: table[prefixes[:, -1]]


def plain_beam(table, width, max_len, power):
    """Beam search with lists, to the very end."""
    start, alive, done = len(table) - 1, [((), 0.0)], []
    for length in range(1, max_len + 1):
        grown = [((*y, v), s + table[(start, *y)[-1], v]) for y, s in alive for v in range(table.shape[1])]
        best = sorted(grown, key=lambda c: -c[1])[:width]
        done += [(s / ((5 + length) / 6) ** power, y[:-1]) for y, s in best if y[-1] == 0]
        alive = [(y, s) for y, s in best if y[-1] != 0]
    return sorted(done, reverse=True)[:width]


@given(st.integers(0, 10**6), st.integers(1, 5), st.integers(1, 7), st.sampled_from([0.0, 0.5, 1.0, 2.0]))
@settings(max_examples=50, deadline=None)
def test_beam_search_is_the_plain_one(seed, width, max_len, power):
    table, step = language(seed)
    found = beam_search(step, 4, 0, width=width, max_len=max_len, length_penalty=power)
    ended = [c for c in found if c.finished]
    assert np.allclose([c.score for c in ended], [s for s, _ in plain_beam(table, width, max_len, power)])
    assert len(found) <= width and [c.finished for c in found] == sorted((c.finished for c in found), reverse=True)
    for c in found:
        way = (4, *c.tokens, *([0] if c.finished else []))
        assert np.isclose(c.log_probability, sum(table[a, b] for a, b in zip(way, way[1:])))
        assert np.isclose(c.score, c.log_probability / ((5 + len(way) - 1) / 6) ** power)


@given(st.integers(0, 10**6), st.integers(1, 8))
@settings(max_examples=30, deadline=None)
def test_a_beam_of_one_is_greedy(seed, max_len):
    table, step = language(seed)
    tokens, last = [], 4
    while len(tokens) < max_len and last != 0:
        last = int(table[last].argmax())
        tokens.append(last)
    greedy = greedy_search(step, 4, 0, max_len=max_len, n=3)
    assert all(row.tolist() == tokens + [0] * (max_len - len(tokens)) for row in greedy)
    one = beam_search(step, 4, 0, width=1, max_len=max_len)[0]
    assert one.finished == (last == 0) and [*one.tokens] == [v for v in tokens if v]
    cold = sample_tokens(step, 4, 0, max_len=max_len, n=3, temperature=1e-6, random_state=seed)
    assert np.array_equal(cold, greedy)


def test_impossible_tokens_are_never_kept():
    with np.errstate(divide="ignore"):
        table = np.log([[1.0, 0, 0], [0.5, 0, 0.5], [1.0, 0, 0], [0, 1.0, 0]])
    found = beam_search(lambda p: table[p[:, -1]], 3, 0, width=50, max_len=6)
    assert [c.tokens for c in found] == [(1,), (1, 2)] and all(c.finished for c in found)
    drawn = sample_tokens(lambda p: table[p[:, -1]], 3, 0, max_len=4, n=300, random_state=0)
    assert {tuple(row) for row in drawn.tolist()} == {(1, 0, 0, 0), (1, 2, 0, 0)}


def test_unfinished_answers_come_last():
    table = np.log([[0.5, 0.5], [0.01, 0.99], [0.2, 0.8]])
    found = beam_search(lambda p: table[p[:, -1]], 2, 0, width=2, max_len=1)
    assert [(c.tokens, c.finished) for c in found] == [((), True), ((1,), False)]
    assert found[1].score > found[0].score


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_sample_tokens_draws_as_the_temperature_says(temperature):
    table, step = language(5)
    drawn = sample_tokens(step, 4, 0, max_len=1, n=6000, temperature=temperature, random_state=1)[:, 0]
    p = np.exp(table[4] / temperature)
    assert np.abs(np.bincount(drawn, minlength=4) / 6000 - p / p.sum()).max() < 0.025
    again = sample_tokens(step, 4, 0, max_len=1, n=6000, temperature=temperature, random_state=1)[:, 0]
    assert np.array_equal(drawn, again)


SEARCHES = {"greedy": greedy_search, "sample": sample_tokens, "beam": beam_search}


@pytest.mark.parametrize("name", SEARCHES)
@pytest.mark.parametrize("change, message", [
    ({"max_len": 0}, "max_len must be"), ({"start": -1}, "start must be"), ({"end": 4}, "end must be one of the 4 tokens"),
    ({"end": -1}, "end must be"), ({"step": lambda p: np.zeros(4)}, "step must give"), ({"step": lambda p: np.zeros((9, 4))}, "step must give"),
    ({"step": lambda p: np.full((len(p), 4), np.nan)}, "not nan"), ({"step": lambda p: np.ones((len(p), 4))}, "at most 0")],
    ids=["max_len", "start", "end", "negative end", "one axis", "rows", "nan", "positive"])
def test_searches_refuse(name, change, message):
    options = {"step": language(0)[1], "start": 4, "end": 0, "max_len": 3, **change}
    with pytest.raises(ValueError, match=message):
        SEARCHES[name](**options)


@pytest.mark.parametrize("options, message", [
    ({"width": 0}, "width must be a whole number of at least 1"), ({"width": 2.0}, "width must be"), ({"length_penalty": -1}, "length_penalty must be"),
    ({"length_penalty": np.nan}, "length_penalty must be")])
def test_beam_search_refuses(options, message):
    with pytest.raises(ValueError, match=message):
        beam_search(language(0)[1], 4, 0, max_len=3, **options)


@pytest.mark.parametrize("temperature", [0, -1, np.inf, np.nan])
def test_sample_tokens_refuses_temperatures(temperature):
    with pytest.raises(ValueError, match="temperature must be positive and finite"):
        sample_tokens(language(0)[1], 4, 0, max_len=3, temperature=temperature)


def test_searches_refuse_no_sequence():
    with pytest.raises(ValueError, match="n must be"):
        greedy_search(language(0)[1], 4, 0, max_len=3, n=0)


def test_next_token_step(models):
    sources, inputs = inputs_of("transformer")
    step, whole = next_token_step(models["transformer"], sources), np.asarray(models["transformer"]([sources, inputs]))
    for t in (1, 2, 5):
        p = np.exp(whole[:, t - 1] - whole[:, t - 1].max(axis=1, keepdims=True))
        assert np.allclose(np.exp(step(inputs[:, :t])), p / p.sum(axis=1, keepdims=True), atol=1e-5)
    one = next_token_step(models["transformer"], sources[:1])
    assert np.allclose(one(inputs[:1].repeat(3, axis=0))[2], step(inputs)[0], atol=1e-5)
    with pytest.raises(ValueError, match="expected one source or 3, got 2"):
        step(inputs[:1].repeat(3, axis=0))
    assert next_token_step(models["lm"])(inputs).shape == (2, 5)


@pytest.mark.parametrize("sources", [[], [[]], [1, 2], [[0.5]], [["a"]]])
def test_next_token_step_refuses(sources, models):
    with pytest.raises(ValueError, match="sources must be whole numbers"):
        next_token_step(models["transformer"], sources)


# ---- what a language model is worth


@given(st.integers(2, 40), st.integers(1, 6))
@settings(max_examples=25, deadline=None)
def test_perplexity_of_knowing_nothing_and_everything(V, n):
    y = np.arange(n) % V
    assert np.isclose(perplexity(y, np.full((n, V), 3.0)), V)
    assert np.isclose(perplexity(y, 1000.0 * np.eye(V)[y]), 1)


def test_perplexity_and_the_mask():
    z, y = np.log([[0.5, 0.5], [0.9, 0.1], [0.2, 0.8]]), np.array([0, 1, -1])
    assert np.isclose(perplexity(y, z), 20**0.5) and np.isclose(perplexity(y, z, [True, False, False]), 2)
    losses = np.asarray(masked_crossentropy(y[None], z[None].astype("float32")))
    assert np.isclose(np.exp(losses.sum() / 2), perplexity(y, z), rtol=1e-5)
    assert perplexity([0], [[-1e5, 0.0]]) == np.inf


@pytest.mark.parametrize("y, shape, mask, message", [
    ([0, 1], (2, 3, 4), None, r"logits \(..., V\)"), ([0.0, 1.0], (2, 4), None, "whole numbers"), ([0, 4], (2, 4), None, "from 0 to 3"),
    ([0, 1], (2, 4), [True], "boolean mask of shape"), ([0, 1], (2, 4), [1, 0], "boolean mask"), ([-1, -1], (2, 4), None, "at least one"),
    ([0, -1], (2, 4), [True, True], "from 0 to 3"), ([0, 1], (2, 4), [False, False], "at least one")])
def test_perplexity_refuses(y, shape, mask, message):
    with pytest.raises(ValueError, match=message):
        perplexity(y, np.zeros(shape), mask)


def test_perplexity_refuses_nan():
    with pytest.raises(ValueError, match="without nan"):
        perplexity([0], [[np.nan, 1.0]])


def test_bigram_log_probs():
    inputs, targets = shift_targets(encode(["aba", "b"], alphabet="ab"), 2)
    table = np.exp(bigram_log_probs(inputs, targets, 2, smoothing=0.5))
    assert table.shape == (4, 3) and np.allclose(table.sum(axis=1), 1) and np.allclose(table[0], 1 / 3)
    assert np.allclose(table[3], np.array([0.5, 1.5, 1.5]) / 3.5)        # start: once a, once b
    assert np.allclose(table[1], np.array([1.5, 0.5, 1.5]) / 3.5)        # a: once the end, once b
    best = beam_search(lambda p: np.log(table)[p[:, -1]], 3, 0, width=3, max_len=4)[0]
    assert best.finished and best.log_probability <= 0


@pytest.mark.parametrize("inputs, targets, smoothing, message", [
    ([[3]], [[1, 2]], 1, "of one shape"), ([[3.0]], [[1]], 1, "whole numbers"), ([[4]], [[1]], 1, "inputs up to 3"), ([[3]], [[3]], 1, "targets up to 2"),
    ([[-1]], [[1]], 1, "inputs up to 3"), ([[3]], [[1]], 0, "smoothing must be positive"), ([[3]], [[1]], np.inf, "smoothing must be positive")])
def test_bigram_log_probs_refuses(inputs, targets, smoothing, message):
    with pytest.raises(ValueError, match=message):
        bigram_log_probs(inputs, targets, 2, smoothing=smoothing)


# ---- trained


def test_a_small_transformer_learns_to_write_backwards(backwards):
    model, losses, (sources, targets) = backwards
    X, (inputs, said) = encode(sources, alphabet="abcd"), shift_targets(encode(targets, alphabet="abcd"), 4)
    wrote = greedy_search(next_token_step(model, X), 5, 0, max_len=said.shape[1], n=len(X))
    right = np.array([a == b for a, b in zip(decode(wrote, alphabet="abcd"), targets)])
    assert losses[0] > 2 and losses[-1] < 0.3 and right.mean() > 0.95
    taught = np.asarray(model([X, inputs])).argmax(axis=2)
    assert np.array_equal(((taught == said) | (said < 0)).all(axis=1), right)        # up to the first mistake both read the truth


def test_a_beam_finds_no_worse_answer(backwards):
    model, _, (sources, _) = backwards
    for source in sources[:3]:
        step = next_token_step(model, encode([source], alphabet="abcd"))
        narrow, wide = (beam_search(step, 5, 0, width=k, max_len=6)[0] for k in (1, 6))
        assert wide.log_probability >= narrow.log_probability - 1e-5
        loss = masked_crossentropy(np.array([[*wide.tokens, 0]]), model([encode([source], alphabet="abcd"), np.array([[5, *wide.tokens]])]))
        assert np.isclose(wide.log_probability, -float(loss[0]), atol=1e-4)
