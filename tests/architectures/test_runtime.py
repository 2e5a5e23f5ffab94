"""Running models: the same weights by Keras' fit, by the loop, with XLA, on two replicas, by two workers, after a kill."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import warnings
from dataclasses import FrozenInstanceError
from types import SimpleNamespace

import keras
import numpy as np
import tensorflow as tf
from keras import layers as L

from mlcheat.architectures import runtime as module
from mlcheat.architectures.runtime import (
    History,
    Runtime,
    checkpoint,
    layer_table,
    max_difference,
    parameter_count,
    pipeline,
    seeds,
    supervised,
    time_call,
    to_numpy,
    torch_equivalents,
)

CROSS_ENTROPY = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(70, 8)).astype("float32"), RNG.integers(0, 3, 70)


def _model(extra=(), seed=0):
    s = seeds(seed, 2)
    return keras.Sequential(
        [
            keras.Input((8,)),
            L.Dense(
                16,
                kernel_initializer=keras.initializers.GlorotUniform(s[0]),
                kernel_regularizer="l2",
            ),
            *extra,
            L.ReLU(),
            L.Dense(
                3, kernel_initializer=keras.initializers.GlorotUniform(s[1]), dtype="float32"
            ),
        ]
    )


def _train(runtime, *, epochs=3, callbacks=(), extra=lambda: (), clip=0.1, record=False):
    """The job that all runs of this file share: penalties, clipped gradients, a short last batch in the validation."""
    with runtime.scope():
        model = _model(extra())
    history = runtime.fit_model(
        model,
        pipeline(X, Y, batch_size=16, seed=1),
        loss=CROSS_ENTROPY,
        optimizer=keras.optimizers.Adam(0.01, clipnorm=clip),
        metrics=["accuracy"],
        epochs=epochs,
        validation=pipeline(X, Y, batch_size=15, shuffle=False),
        callbacks=callbacks,
    )
    return (model, history) if record else model.get_weights()


def _two_players(runtime):
    with runtime.scope():
        first, second = (
            keras.Sequential(
                [
                    keras.Input((8,)),
                    L.Dense(8, kernel_initializer=keras.initializers.GlorotUniform(s)),
                ]
            )
            for s in seeds(3, 2)
        )

    def a(batch, training):
        return tf.reduce_sum((first(batch[0]) - batch[1]) ** 2, 1)

    def b(batch, training):
        return {
            "loss": tf.reduce_sum((second(first(batch[0])) - batch[0]) ** 2, 1),
            "size": tf.reduce_sum(batch[1] ** 2, 1),
        }

    history = runtime.fit(
        {"a": a, "b": b},
        {"a": first, "b": second},
        pipeline(X[:64], noise=(8,), batch_size=16),
        epochs=2,
        optimizer={"a": keras.optimizers.SGD(0.01), "b": keras.optimizers.SGD(0.01)},
    )
    return (
        first.get_weights()
        + second.get_weights()
        + [np.array(history.history[k]) for k in ("a", "b", "size")]
    )


class _Kill(keras.callbacks.Callback):
    """Ends the process without any chance to clean up."""

    def __init__(self, after):
        super().__init__()
        self.left = after

    def on_train_batch_end(self, batch, logs=None):
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


class _Stop(_Kill):
    def on_train_batch_end(self, batch, logs=None):
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt


def _dropout():
    return [L.BatchNormalization(), L.Dropout(0.3)]


# ---- what runs in other processes: `python test_runtime.py FOLDER RUN ...` ----


def _save(folder, name, arrays):
    np.savez(os.path.join(folder, name + ".npz"), *arrays)


def _killed(folder, after):
    model, history = _train(
        Runtime(),
        callbacks=[checkpoint(os.path.join(folder, "killed"), every=1), _Kill(int(after))],
        extra=_dropout,
        record=True,
    )
    _save(
        folder,
        "resumed",
        [
            *model.get_weights(),
            history.epoch,
            *(history.history[k] for k in sorted(history.history)),
        ],
    )


def _mirrored(folder):
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(
        cpu, [tf.config.LogicalDeviceConfiguration()] * 2
    )
    two, said = Runtime(strategy="mirrored", jit=False), {}
    _save(folder, "mirrored", _train(two))
    _save(folder, "mirrored-players", _two_players(two))
    _save(folder, "mirrored-xla", _train(Runtime(strategy=two.strategy, jit=True)))
    _save(
        folder,
        "mirrored-float16",
        _train(Runtime(strategy=two.strategy, jit=False, precision="mixed_float16")),
    )
    _save(
        folder,
        "mirrored-moved",
        _train(two, callbacks=[checkpoint(os.path.join(folder, "moved"))]),
    )
    with two.scope():
        normalised = keras.Sequential(
            [keras.Input((8,)), L.BatchNormalization(momentum=0.5), L.Dense(1)]
        )
    two.fit_model(
        normalised,
        pipeline(X[:16], X[:16, :1], batch_size=16, shuffle=False),
        loss="mse",
        optimizer="sgd",
    )
    _save(
        folder,
        "mirrored-averages",
        [
            np.asarray(v)
            for v in two.strategy.experimental_local_results(
                normalised.layers[0].moving_mean.value
            )
        ],
    )
    said["replicas"], said["predict"] = two.replicas, two.predict(normalised, X).shape

    def errors(name, f):
        try:
            f()
            said[name] = "it ran"
        except Exception as error:
            said[name] = f"{type(error).__name__}: {error}"

    fit = lambda model, **kw: two.fit_model(
        model, pipeline(X, Y, **kw), loss=CROSS_ENTROPY, optimizer="adam"
    )  # noqa: E731
    with two.scope():
        inside, keras_model = _model(), _model()
        keras_model.compile("sgd", CROSS_ENTROPY, jit_compile=True)
    errors("odd batch", lambda: fit(inside, batch_size=15))
    errors("one row", lambda: fit(inside, batch_size=1))
    errors("odd batch, shape unknown", lambda: fit(inside, batch_size=15, drop_remainder=False))
    errors("outside", lambda: fit(_model(), batch_size=16))
    errors("keras", lambda: keras_model.fit(X[:16], Y[:16], verbose=0))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        Runtime(strategy="mirrored")
    said["second"] = [str(w.message) for w in caught if "mirrored" in str(w.message)]
    json.dump(said, open(os.path.join(folder, "mirrored.json"), "w"))


def _worker(folder, index, *hosts):
    os.environ["TF_CONFIG"] = json.dumps(
        {"cluster": {"worker": hosts}, "task": {"type": "worker", "index": int(index)}}
    )
    workers = Runtime(jit=False)  # "auto" finds the two workers
    backup = lambda: checkpoint(os.path.join(folder, "workers"), every=1)  # noqa: E731
    try:
        _train(workers, callbacks=[backup(), _Stop(6)])
    except KeyboardInterrupt:
        _save(folder, f"worker{index}", _train(workers, callbacks=[backup()]))
    _save(folder, f"worker{index}-xla", _train(Runtime(strategy=workers.strategy, jit=True)))
    said = {
        "workers": workers.workers,
        "replicas": workers.replicas,
        "chief": workers.chief,
        "why": workers.why["strategy"],
        "left": os.path.exists(os.path.join(folder, "workers")),
    }
    with workers.scope():
        keras_model = _model()
        keras_model.compile("sgd", CROSS_ENTROPY, jit_compile=False)
    try:
        keras_model.fit(X[:16], Y[:16], batch_size=16, verbose=0)
    except ValueError as error:
        said["keras"] = str(error)
    json.dump(said, open(os.path.join(folder, f"worker{index}.json"), "w"))


if __name__ == "__main__":
    {"killed": _killed, "mirrored": _mirrored, "worker": _worker}[sys.argv[2]](
        sys.argv[1], *sys.argv[3:]
    )
    sys.exit()


import pytest  # noqa: E402


def _hosts(n):
    sockets = [socket.socket() for _ in range(n)]
    for s in sockets:
        s.bind(("127.0.0.1", 0))
    hosts = [f"127.0.0.1:{s.getsockname()[1]}" for s in sockets]
    for s in sockets:
        s.close()
    return hosts


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory):
    """Results of the runs in other processes, by name; each process has a time limit."""
    folder = tmp_path_factory.mktemp("runs")
    with pytest.raises(
        KeyboardInterrupt
    ):  # a run on one device that will go on under two replicas
        _train(
            Runtime(strategy="none", jit=False),
            callbacks=[checkpoint(folder / "moved", every=1, keep=True), _Stop(6)],
        )
    log = open(folder / "log", "w")

    def start(*args):
        return subprocess.Popen(
            [sys.executable, __file__, str(folder), *map(str, args)], stdout=log, stderr=log
        )

    def wait(*processes):
        for p in processes:
            try:
                p.wait(timeout=120)
            except subprocess.TimeoutExpired:
                p.kill()
                p.wait()

    mirrored = start("mirrored")
    wait(start("killed", 6))  # in the second epoch
    wait(start("killed", 0), mirrored)
    hosts = _hosts(2)
    wait(*[start("worker", i, *hosts) for i in range(2)])
    log.close()
    log = (folder / "log").read_text()[-3000:]

    def read(name):
        path = folder / name
        assert path.exists(), f"{name} was not written; the log ends:\n{log}"
        if name.endswith(".json"):
            return json.loads(path.read_text())
        return list(np.load(path).values())

    return read


def close(ours, theirs, atol=1e-5):
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs):
        np.testing.assert_allclose(a, b, rtol=0, atol=atol)


@pytest.fixture(scope="module")
def single():
    return _train(Runtime(device="cpu", strategy="none", jit=False))


# ---------------------------------------------------------------- several devices, several processes, interruptions


@pytest.mark.parametrize(
    "name, atol",
    [
        ("mirrored", 1e-5),
        ("mirrored-xla", 1e-5),
        ("mirrored-float16", 2e-3),
        ("worker0", 1e-5),
        ("worker1", 1e-5),
        ("worker0-xla", 1e-5),
        ("worker1-xla", 1e-5),
        ("mirrored-moved", 1e-5),
    ],
)
def test_two_replicas_and_two_workers_train_to_the_weights_of_one_device(
    elsewhere, single, name, atol
):
    close(elsewhere(name + ".npz"), single, atol)
    assert (
        max(np.max(np.abs(a - b)) for a, b in zip(single, _model().get_weights())) > 0.02
    )  # they did move


def test_two_players_on_two_replicas(elsewhere):
    close(elsewhere("mirrored-players.npz"), _two_players(Runtime(strategy="none")))


def test_killed_and_resumed_is_as_if_nothing_had_happened(elsewhere):
    resumed = elsewhere("resumed.npz")
    model, history = _train(Runtime(), extra=_dropout, record=True)
    straight = [
        *model.get_weights(),
        history.epoch,
        *(history.history[k] for k in sorted(history.history)),
    ]
    assert all(
        np.array_equal(a, b) for a, b in zip(resumed, straight, strict=True)
    )  # weights, epochs, the whole record


def test_workers_know_their_places(elsewhere):
    first, second = elsewhere("worker0.json"), elsewhere("worker1.json")
    assert (
        first["workers"] == second["workers"] == first["replicas"] == 2
        and first["why"] == "TF_CONFIG names 2 workers"
    )
    assert first["chief"] and not second["chief"]
    assert not first["left"]  # the chief cleared the checkpoint away
    assert "PerReplica" in first["keras"]  # why not simply Keras' fit: a fact about Keras 3.15


def test_moving_averages_are_averaged_over_replicas(elsewhere):
    mine, other = elsewhere("mirrored-averages.npz")
    np.testing.assert_array_equal(mine, other)
    np.testing.assert_allclose(mine, 0.5 * X[:16].mean(0), atol=1e-6)


def test_what_two_replicas_refuse(elsewhere):
    said = elsewhere("mirrored.json")
    assert said["replicas"] == 2 and said["predict"] == [70, 1]
    for name, numbers in (
        ("odd batch", "15"),
        ("one row", "1"),
        ("odd batch, shape unknown", "15"),
    ):
        assert (
            said[name].startswith("ValueError")
            and f"batch of {numbers} " in said[name]
            and "2 replicas" in said[name]
        )
    assert "scope" in said["outside"] and said["outside"].startswith("ValueError")
    assert (
        "located in device" in said["keras"]
    )  # Keras' fit with XLA on two replicas: a fact about Keras 3.15
    assert len(said["second"]) == 1


# ---------------------------------------------------------------- one device: the loop against Keras' fit


@pytest.mark.parametrize("shuffle, jit", [(False, False), (True, False), (True, True)])
def test_loop_gives_what_keras_fit_gives(shuffle, jit):
    data = lambda: pipeline(X, Y, batch_size=16, shuffle=shuffle)  # noqa: E731
    runtime = Runtime(jit=jit)
    ours, theirs = _model(), _model()
    record = runtime.fit_model(
        ours,
        data(),
        loss=CROSS_ENTROPY,
        optimizer=keras.optimizers.Adam(0.01),
        metrics=["accuracy"],
        epochs=3,
        validation=data(),
    ).history
    theirs.compile(
        keras.optimizers.Adam(0.01), CROSS_ENTROPY, metrics=["accuracy"], jit_compile=jit
    )
    expected = theirs.fit(
        data(), epochs=3, shuffle=False, verbose=0, validation_data=data()
    ).history
    close(ours.get_weights(), theirs.get_weights())
    assert set(record) == set(expected)
    assert len(record["loss"]) == 3
    if not shuffle:  # Keras weighs a short batch's validation like ours only here
        for name in expected:
            np.testing.assert_allclose(record[name], expected[name], atol=1e-5)


def test_sample_weights_as_in_keras():
    weight = RNG.uniform(size=70).astype("float32")
    data = tf.data.Dataset.from_tensor_slices((X, Y, weight)).batch(10)
    ours, theirs = _model(), _model()
    Runtime().fit_model(
        ours, data, loss=CROSS_ENTROPY, optimizer=keras.optimizers.SGD(0.1), epochs=2
    )
    theirs.compile(keras.optimizers.SGD(0.1), CROSS_ENTROPY)
    theirs.fit(data, epochs=2, verbose=0)
    close(ours.get_weights(), theirs.get_weights())


def test_xla_on_and_off_have_the_same_losses():
    losses = [_train(Runtime(jit=jit), record=True)[1].history["loss"] for jit in (False, True)]
    np.testing.assert_allclose(*losses, atol=1e-4)


def test_one_step_of_each_player_by_hand():
    def build():
        return [
            keras.Sequential(
                [
                    keras.Input((2,)),
                    L.Dense(1, kernel_initializer=keras.initializers.GlorotUniform(s)),
                ]
            )
            for s in (1, 2)
        ]

    x = RNG.normal(size=(8, 2)).astype("float32")
    (a, b), (hand_a, hand_b) = build(), build()
    one = lambda a, b: lambda batch, training=True: (a(batch) - b(batch))[:, 0] ** 2  # noqa: E731
    two = lambda a, b: lambda batch, training=True: (a(batch) + b(batch) - 1)[:, 0] ** 2  # noqa: E731
    Runtime().fit(
        {"one": one(a, b), "two": two(a, b)},
        {"one": a, "two": b},
        pipeline(x, batch_size=8, shuffle=False),
        epochs=1,
        optimizer={"one": keras.optimizers.SGD(0.1), "two": keras.optimizers.SGD(0.2)},
    )
    for f, moved, rate in (
        (one(hand_a, hand_b), hand_a, 0.1),
        (two(hand_a, hand_b), hand_b, 0.2),
    ):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(f(x))
        for v, g in zip(
            moved.trainable_variables, tape.gradient(loss, moved.trainable_variables)
        ):
            v.assign_sub(rate * g)
    close(a.get_weights() + b.get_weights(), hand_a.get_weights() + hand_b.get_weights(), 1e-6)


def test_a_player_may_move_twice_with_one_optimizer():
    optimizer, other, model, second = (
        keras.optimizers.SGD(0.1),
        keras.optimizers.SGD(0.1),
        _model(),
        _model(),
    )
    f = lambda m: lambda batch, training: tf.reduce_sum(m(batch) ** 2, 1)  # noqa: E731
    Runtime().fit(
        {"d1": f(model), "d2": f(model), "g": f(second)},
        {"d1": model, "d2": model, "g": second},
        pipeline(X[:32], batch_size=16),
        optimizer={"d1": optimizer, "d2": optimizer, "g": other},
        epochs=1,
    )
    assert int(optimizer.iterations.numpy()) == 4 and int(other.iterations.numpy()) == 2


def test_a_list_of_variables_can_be_trained():
    v = keras.Variable(5.0)
    Runtime().fit(
        lambda batch, training: (v - batch) ** 2,
        [v],
        pipeline(np.full(16, 2.0), batch_size=8),
        optimizer=keras.optimizers.SGD(0.4),
        epochs=20,
    )
    assert abs(float(v.numpy()) - 2) < 1e-3


def test_metrics_of_fit_and_evaluation_cover_every_row():
    v = keras.Variable(1.0)
    loss = lambda batch, training: v * batch  # noqa: E731
    data = pipeline(np.arange(10.0), batch_size=4, shuffle=False)
    record = Runtime().fit(
        loss,
        [v],
        data,
        optimizer=keras.optimizers.SGD(0.0),
        epochs=1,
        metrics={"square": lambda b, training: b**2},
    )
    assert record.history["square"] == [pytest.approx(28.5)] and record.history["loss"] == [
        pytest.approx(4.5)
    ]
    assert Runtime().evaluate(loss, data, metrics={"square": lambda b, training: b**2}) == {
        "loss": pytest.approx(4.5),
        "square": pytest.approx(28.5),
    }


def test_generators_need_steps_and_get_them():
    def rows():
        for i in range(12):
            yield float(i)

    spec, v = tf.TensorSpec((), tf.float32), keras.Variable(1.0)
    loss = lambda batch, training: v * batch  # noqa: E731
    make = lambda: pipeline(rows, batch_size=4, shuffle=False, signature=spec)  # noqa: E731
    fit = lambda **kw: Runtime().fit(
        loss, [v], make(), optimizer=keras.optimizers.SGD(0.0), epochs=2, **kw
    )  # noqa: E731
    assert fit(steps=3).history["loss"] == [pytest.approx(5.5)] * 2
    with pytest.raises(ValueError, match="steps=..."):
        fit()
    with pytest.raises(ValueError, match="steps must be at least 1"):
        fit(steps=0)
    with pytest.raises(ValueError, match="signature"):
        pipeline(rows)


# ---------------------------------------------------------------- callbacks, records, checkpoints


def test_keras_callbacks_drive_the_loop(tmp_path):
    schedule = keras.callbacks.LearningRateScheduler(lambda epoch: 0.1 / (1 + epoch))
    best = keras.callbacks.ModelCheckpoint(
        tmp_path / "best.weights.h5",
        save_weights_only=True,
        monitor="val_loss",
        save_best_only=True,
    )
    stop = keras.callbacks.EarlyStopping(
        "loss", patience=0, min_delta=10.0, restore_best_weights=True
    )
    model, record = _train(Runtime(), callbacks=[schedule, best, stop], epochs=9, record=True)
    assert record.epoch == [0, 1] and record.history["learning_rate"] == pytest.approx(
        [0.1, 0.05]
    )
    assert (
        isinstance(record, History)
        and len(record.seconds) == 2
        and record.seconds[0] > record.seconds[1] > 0
    )
    fresh = _model()
    fresh.load_weights(tmp_path / "best.weights.h5")  # a plain weight file of the model itself
    assert record.model is model and model.optimizer.iterations == 8


def test_progress_bar_is_keras_own(capsys):
    model = _model()
    Runtime().fit_model(
        model,
        pipeline(X, Y, batch_size=16),
        loss=CROSS_ENTROPY,
        optimizer="adam",
        epochs=2,
        verbose=2,
    )
    printed = capsys.readouterr().out
    assert "Epoch 1/2" in printed and "loss" in printed
    Runtime().fit_model(
        model, pipeline(X, Y, batch_size=16), loss=CROSS_ENTROPY, optimizer="adam", epochs=1
    )
    assert capsys.readouterr().out == ""


def test_plain_backup_and_restore_resumes_at_every_batch(tmp_path):
    straight = _train(Runtime())
    for after in (4, 6, 12):  # at the end of an epoch, within one, at the very end
        backup = lambda: keras.callbacks.BackupAndRestore(tmp_path / str(after), save_freq=1)  # noqa: B023, E731
        with pytest.raises(KeyboardInterrupt):
            _train(
                Runtime(),
                callbacks=[backup(), _Stop(after)] if after != 12 else [_Stop(12), backup()],
            )
        if after == 6:
            assert (tmp_path / "6" / "latest.weights.h5").exists()
        assert all(
            np.array_equal(a, b)
            for a, b in zip(_train(Runtime(), callbacks=[backup()]), straight)
        )
        assert not (tmp_path / str(after)).exists()


def test_a_torn_checkpoint_falls_back_to_the_one_before(tmp_path):
    straight, folder = _train(Runtime()), tmp_path / "torn"
    with pytest.raises(KeyboardInterrupt):
        _train(Runtime(), callbacks=[checkpoint(folder, every=1), _Stop(6)])
    latest = folder / "latest.weights.h5"
    latest.write_bytes(latest.read_bytes()[: latest.stat().st_size // 2])
    assert all(
        np.array_equal(a, b)
        for a, b in zip(_train(Runtime(), callbacks=[checkpoint(folder)]), straight)
    )


def test_a_falling_learning_rate_falls_once_an_epoch_after_a_resume(tmp_path):
    fall = lambda: keras.callbacks.LearningRateScheduler(lambda epoch, rate: 0.5 * rate)  # noqa: E731
    with pytest.raises(KeyboardInterrupt):
        _train(Runtime(), callbacks=[fall(), checkpoint(tmp_path / "a", every=1), _Stop(6)])
    resumed = _train(Runtime(), callbacks=[fall(), checkpoint(tmp_path / "a")], record=True)[
        1
    ].history
    assert resumed["learning_rate"] == pytest.approx([0.005, 0.0025, 0.00125])


# ---------------------------------------------------------------- losses and metrics of supervised models


@pytest.mark.parametrize(
    "loss, y",
    [
        ("mse", RNG.normal(size=(6, 3))),
        ("mae", RNG.normal(size=(6, 3))),
        (CROSS_ENTROPY, np.arange(6) % 3),
        (keras.losses.BinaryCrossentropy(from_logits=True), RNG.integers(0, 2, (6, 3))),
        (keras.losses.Huber(0.5), RNG.normal(size=(6, 3))),
    ],
)
def test_per_example_losses_average_to_keras_loss(loss, y):
    model, x = keras.Sequential([keras.Input((8,)), L.Dense(3)]), X[:6]
    y = y.astype("float32") if y.dtype == float else y
    ours = supervised(model, loss)((tf.constant(x), tf.constant(y)), False)["loss"]
    assert ours.shape == (6,)
    expected = keras.losses.get(loss)
    expected = (
        expected
        if isinstance(expected, keras.losses.Loss)
        else (lambda a, b: np.mean(keras.losses.get(loss)(a, b)))
    )
    assert float(np.mean(ours)) == pytest.approx(float(expected(y, model(x))), rel=1e-5)


def test_accuracy_of_scores_and_of_one_logit():
    model = keras.Sequential([keras.Input((1,)), L.Dense(1, kernel_initializer="ones")])
    x, y = np.array([[-1.0], [0.2], [2.0]], "float32"), np.array([0, 1, 0])
    f = supervised(model, keras.losses.BinaryCrossentropy(from_logits=True), "accuracy")
    assert f((x, y[:, None]), False)["accuracy"].numpy().tolist() == [1, 1, 0]
    f = supervised(
        _model(), "categorical_crossentropy", ["accuracy", keras.metrics.categorical_accuracy]
    )
    values = f((tf.constant(X[:5]), tf.one_hot(Y[:5], 3)), False)
    np.testing.assert_array_equal(values["accuracy"], values["categorical_accuracy"])


# ---------------------------------------------------------------- precision


@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_keeps_float32_weights_and_the_result(precision, single):
    runtime = Runtime(precision=precision)
    model, record = _train(runtime, record=True)
    assert {w.dtype for w in model.weights} == {"float32"} and model.layers[
        0
    ].compute_dtype == precision.removeprefix("mixed_")
    assert isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer) == (
        precision == "mixed_float16"
    )
    close(model.get_weights(), single, 0.1)
    np.testing.assert_allclose(
        record.history["loss"], _train(Runtime(), record=True)[1].history["loss"], atol=0.01
    )
    with pytest.raises(NotImplementedError, match="mixed precision"):
        to_numpy(model)


def test_an_overflowing_scale_is_halved_and_its_steps_do_not_count():
    runtime = Runtime(precision="mixed_float16")
    with runtime.scope():
        model = _model()
    optimizer = keras.optimizers.LossScaleOptimizer(
        keras.optimizers.SGD(0.1), initial_scale=2.0**24
    )
    record = runtime.fit_model(
        model, pipeline(X, Y, batch_size=16), loss=CROSS_ENTROPY, optimizer=optimizer, epochs=4
    )
    assert (
        float(optimizer.dynamic_scale.numpy()) < 2.0**24
        and np.isfinite(record.history["loss"]).all()
    )
    assert record.history["loss"][-1] < record.history["loss"][0]


def test_automatic_precision_follows_the_gpu(monkeypatch):
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind=None: ["a GPU"])
    for capability, expected in (
        ((9, 0), "mixed_bfloat16"),
        ((8, 0), "mixed_bfloat16"),
        ((7, 5), "mixed_float16"),
        ((6, 1), "float32"),
    ):
        monkeypatch.setattr(
            tf.config.experimental,
            "get_device_details",
            lambda gpu: {"compute_capability": capability},
        )  # noqa: B023
        assert module._choose_precision("auto", "gpu")[0] == expected
    assert module._choose_precision("auto", "cpu")[0] == "float32"


# ---------------------------------------------------------------- choosing


def test_runtime_is_frozen_and_says_why():
    runtime = Runtime(device="cpu", jit=True)
    with pytest.raises(FrozenInstanceError):
        runtime.jit = False
    said = runtime.describe()
    assert (
        said["jit"] is True
        and said["why"]["jit"] == "asked for"
        and set(said["why"]) == {"device", "precision", "jit", "strategy"}
    )
    assert (said["replicas"], said["workers"], said["device"]) == (
        1,
        1,
        "cpu",
    ) and "jit=True" in repr(runtime)


def test_scope_puts_everything_back_and_seeds_unseeded_layers():
    import random

    policy, state = keras.config.dtype_policy().name, random.getstate()
    kernels = []
    for seed in (1, 1, 2):
        with Runtime(precision="mixed_bfloat16", seed=seed).scope():
            kernels.append(keras.Sequential([keras.Input((3,)), L.Dense(4)]).get_weights()[0])
            assert keras.config.dtype_policy().name == "mixed_bfloat16"
    assert keras.config.dtype_policy().name == policy and random.getstate() == state
    assert np.array_equal(kernels[0], kernels[1]) and not np.array_equal(kernels[0], kernels[2])
    with pytest.raises(ZeroDivisionError), Runtime(precision="mixed_bfloat16").scope():
        1 / 0
    assert keras.config.dtype_policy().name == policy


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"device": "tpu"}, "device must be"),
        ({"device": "gpu:x"}, "device must be"),
        ({"precision": "float64"}, "precision must be"),
        ({"precision": "float16"}, "mixed_float16"),
        ({"jit": "yes"}, "jit must be"),
        ({"strategy": "ring"}, "strategy must be"),
        ({"strategy": "multiworker"}, "TF_CONFIG"),
    ],
)
def test_unknown_settings(settings, message, monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    with pytest.raises(ValueError, match=message):
        Runtime(**settings)


@pytest.mark.parametrize(
    "text, field",
    [
        ("{", "not JSON"),
        ("[]", "cluster"),
        ('{"cluster": {"worker": ["a:1"]}}', "task.type"),
        ('{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker"}}', "task.index"),
        (
            '{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 1}}',
            "task.index",
        ),
        (
            '{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": "0"}}',
            "task.index",
        ),
        (
            '{"cluster": {"chief": ["a:1"]}, "task": {"type": "worker", "index": 0}}',
            "cluster.worker",
        ),
    ],
)
def test_broken_tf_config_names_the_field(text, field, monkeypatch):
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(ValueError, match=field):
        Runtime()


def test_a_chief_comes_before_the_workers(monkeypatch):
    cluster = {"cluster": {"chief": ["a:1"], "worker": ["b:1", "c:1"]}}
    for task, place in (
        ({"type": "chief", "index": 0}, 0),
        ({"type": "worker", "index": 1}, 2),
    ):
        monkeypatch.setenv("TF_CONFIG", json.dumps({**cluster, "task": task}))
        assert module._cluster() == (3, place)


def test_one_worker_is_no_cluster(monkeypatch):
    monkeypatch.setenv(
        "TF_CONFIG",
        json.dumps({"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 0}}),
    )
    assert Runtime(device="cpu").replicas == 1


@pytest.mark.skipif(bool(tf.config.list_physical_devices("GPU")), reason="there is a GPU")
def test_a_missing_gpu_is_named():
    with pytest.raises(RuntimeError, match="CPU"):
        Runtime(device="gpu")


def test_recurrent_layers_and_xla_on_a_gpu():
    gpu = SimpleNamespace(jit=True, device="gpu")
    build = lambda use: keras.Sequential([keras.Input((None, 2)), L.GRU(3, use_cudnn=use)])  # noqa: E731
    with pytest.raises(ValueError, match="use_cudnn=True"):
        module._without_cudnn(build(True), gpu)
    model = build("auto")
    with pytest.warns(UserWarning, match="XLA without cuDNN"):
        module._without_cudnn(model, gpu)
    assert model.layers[0].use_cudnn is False
    untouched = build("auto")
    module._without_cudnn(untouched, SimpleNamespace(jit=False, device="gpu"))
    assert untouched.layers[0].use_cudnn == "auto"


# ---------------------------------------------------------------- the pipeline


@pytest.mark.parametrize("n, size", [(10, 4), (10, 10), (11, 1), (64, 16)])
@pytest.mark.parametrize("shuffle", [False, True])
def test_batches(n, size, shuffle):
    data = pipeline(np.arange(n), np.arange(n) * 2, batch_size=size, shuffle=shuffle)
    rows = [(a.numpy(), b.numpy()) for a, b in data]
    assert len(rows) == len(data) == (n // size if shuffle else -(-n // size))
    seen = np.concatenate([a for a, _ in rows])
    assert len(set(seen.tolist())) == len(seen) and all(
        np.array_equal(2 * a, b) for a, b in rows
    )
    if not shuffle:
        np.testing.assert_array_equal(seen, np.arange(n))


def test_order_is_that_of_from_tensor_slices_and_new_in_every_epoch():
    tf.random.set_seed(87654321)  # as if it had never been set
    ours = pipeline(np.arange(20), batch_size=5, seed=4)
    theirs = (
        tf.data.Dataset.from_tensor_slices(np.arange(20))
        .shuffle(20, seed=4)
        .batch(5, drop_remainder=True)
    )
    epochs = [[b.numpy().tolist() for b in ours] for _ in range(3)]
    assert (
        epochs == [[b.numpy().tolist() for b in theirs] for _ in range(3)]
        and epochs[0] != epochs[1]
    )
    fresh = pipeline(np.arange(20), batch_size=5, seed=4)
    assert [b.numpy().tolist() for b in fresh.repeat(3).skip(4)] == epochs[1] + epochs[2]
    assert [
        b.numpy().tolist() for b in pipeline(np.arange(20), batch_size=5, seed=5)
    ] != epochs[0]


def test_order_and_noise_do_not_follow_the_global_seed():
    def epochs():
        data = pipeline(np.arange(20), batch_size=5, seed=4, noise=(2,))
        yields = lambda: iter(np.arange(20))  # noqa: E731
        generated = pipeline(yields, batch_size=5, seed=4, signature=tf.TensorSpec([], tf.int64))
        return [[b.numpy().tolist() for b in generated] for _ in range(2)], [
            [(b.numpy().tolist(), e.numpy().tolist()) for b, e in data] for _ in range(2)
        ]

    tf.random.set_seed(87654321)
    before = epochs()
    tf.random.set_seed(1)
    assert epochs() == before


def test_several_inputs_noise_and_map():
    x = {"a": np.ones((6, 2)), "b": np.arange(6)}
    ((batch, y),) = pipeline(x, np.zeros(6), batch_size=6, map=lambda x, y: (x, y + 1))
    assert (
        batch["a"].dtype == tf.float32
        and batch["b"].dtype == tf.int64
        and y.numpy().tolist() == [1] * 6
    )
    ((x1, y1, eps),) = pipeline(
        np.ones((6, 2)),
        np.zeros(6),
        batch_size=6,
        noise=(3,),
        map=lambda x, y, eps: (x, y, 2 * eps),
    )
    assert eps.shape == (6, 3) and abs(float(tf.math.reduce_std(eps)) - 2) < 1


@pytest.mark.parametrize(
    "arguments, message",
    [
        ((np.zeros((3, 2)), np.zeros(4)), r"\[3, 4\]"),
        ((np.array([[1.0, np.nan]]),), "1 values that are nan"),
        ((np.zeros((0, 2)),), "no rows"),
        ((np.array([1.0, np.inf]),), "nan or infinite"),
        ((3.0,), "one row an example"),
        ((np.array(["a", None], dtype=object),), "object"),
    ],
)
def test_bad_data(arguments, message):
    with pytest.raises(ValueError, match=message):
        pipeline(*arguments)


def test_bad_batch_sizes():
    with pytest.raises(ValueError, match="at least 1, got 0"):
        pipeline(X, Y, batch_size=0)
    with pytest.raises(ValueError, match="drop_remainder=True"):
        pipeline(X, Y, batch_size=71)
    assert len(pipeline(X, Y, batch_size=71, drop_remainder=False)) == 1


# ---------------------------------------------------------------- bad input to the loop


def fit(model=None, data=None, **settings):
    given = dict(loss=CROSS_ENTROPY, optimizer="adam", epochs=1)
    return Runtime().fit_model(
        model or _model(),
        pipeline(X, Y, batch_size=16) if data is None else data,
        **{**given, **settings},
    )


def test_bad_training_calls():
    with pytest.raises(ValueError, match="negative, got -1"):
        fit(epochs=-1)
    assert fit(epochs=0).history == {}
    with pytest.raises(TypeError, match="pipeline"):
        fit(data=(X, Y))
    with pytest.raises(ValueError, match="no batch"):
        fit(data=tf.data.Dataset.from_tensor_slices((X, Y)).batch(100, drop_remainder=True))
    with pytest.raises(ValueError, match=r"\(x, y\)"):
        fit(data=pipeline(X))
    with pytest.raises(ValueError, match="build the model"):
        Runtime().fit(
            lambda b, t: b,
            keras.Sequential([L.Dense(1)]),
            pipeline(X),
            optimizer="sgd",
            epochs=1,
        )
    with pytest.raises(ValueError, match="metrics must be"):
        fit(metrics=[keras.metrics.AUC])
    with pytest.raises(ValueError, match="repeats forever"):
        Runtime().evaluate(lambda b, t: b[:, 0], pipeline(X).repeat())
    with pytest.raises(ValueError, match="no batch"):
        Runtime().evaluate(
            lambda b, t: b[:, 0],
            tf.data.Dataset.from_tensor_slices(X).batch(100, drop_remainder=True),
        )
    with pytest.raises(ValueError, match="keys of loss_fn"):
        Runtime().fit({"a": lambda b, t: b}, _model(), pipeline(X), optimizer="sgd", epochs=1)


@pytest.mark.parametrize("labels", [[3], [-1]])
@pytest.mark.parametrize("jit", [False, True])
def test_labels_out_of_range(labels, jit):
    data = pipeline(X[:16], np.array([0] * 15 + labels), batch_size=16)
    with pytest.raises((ValueError, tf.errors.InvalidArgumentError), match="label"):
        Runtime(jit=jit).fit_model(_model(), data, loss=CROSS_ENTROPY, optimizer="sgd")


@pytest.mark.parametrize(
    "returned, message",
    [
        (lambda v: tf.reduce_mean(v), r"shape \(batch,\), got shape \(\)"),
        (lambda v: v[:, None], "one number an example"),
        (lambda v: {"cost": v}, "named 'loss'"),
    ],
)
def test_losses_of_the_wrong_shape(returned, message):
    v = keras.Variable(1.0)
    with pytest.raises(ValueError, match=message):
        Runtime().fit(
            lambda batch, training: returned(v * batch),
            [v],
            pipeline(np.ones(8), batch_size=4),
            optimizer="sgd",
            epochs=1,
        )


def test_nan_names_epoch_and_batch():
    v, x = keras.Variable(1.0), np.ones(12)
    x[9] = -1  # its square root is nan
    with pytest.raises(FloatingPointError, match="nan in epoch 0, batch 2"):
        Runtime().fit(
            lambda b, t: v * tf.sqrt(b),
            [v],
            pipeline(x, batch_size=4, shuffle=False),
            optimizer="sgd",
            epochs=1,
        )
    runtime = Runtime(
        precision="mixed_float16"
    )  # float16: the scaler halves its scale first, then gives up
    optimizer = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(), initial_scale=4.0)
    with pytest.raises(FloatingPointError, match="epoch 0, batch [12]"):
        runtime.fit(
            lambda b, t: v * tf.sqrt(-b),
            [v],
            pipeline(np.ones(16), batch_size=4, shuffle=False),
            optimizer=optimizer,
            epochs=1,
        )


# ---------------------------------------------------------------- helpers


def test_seeds():
    assert (
        seeds(5, 10) == seeds(5, 10)
        and all(0 <= s < 2**31 for s in seeds(5, 1000))
        and len(set(seeds(5, 1000))) == 1000
    )
    with pytest.raises(ValueError, match="at least 1"):
        seeds(0, 0)


def test_counts_and_tables_agree_with_keras():
    model = _model([L.BatchNormalization(), L.Dropout(0.5, seed=1)])
    trainable, other = parameter_count(model)
    assert trainable + other == model.count_params() and other == 32
    rows = layer_table(model)
    assert sum(r["trainable"] + r["other"] for r in rows) == model.count_params() and rows[0][
        "output"
    ] == (16,)


def test_time_call_waits_and_keeps_the_first_call_apart():
    calls = []

    def slow():
        calls.append(0)
        time.sleep(0.05 if len(calls) == 1 else 0.001)
        return tf.zeros(2)

    timing = time_call(slow, repeat=3)
    assert len(calls) == 4 and timing.first > 0.05 > timing.median > 0.001
    with pytest.raises(ValueError, match="repeat"):
        time_call(slow, repeat=0)


def test_predict_takes_several_inputs_and_short_batches():
    a, b = keras.Input((2,)), keras.Input((3,))
    model = keras.Model([a, b], L.Concatenate()([a, b]))
    x = [RNG.normal(size=(7, 2)), RNG.normal(size=(7, 3))]
    np.testing.assert_allclose(
        Runtime().predict(model, x, batch_size=3), np.hstack(x), rtol=1e-6
    )


def test_torch_table_states_keras_defaults():
    rows = {r["what"]: r for r in torch_equivalents()}
    norm = L.BatchNormalization()
    assert (norm.epsilon, norm.momentum) == (1e-3, 0.99)
    assert (
        "1e-3" in rows["batch normalisation, epsilon"]["Keras"]
        and "0.99" in rows["batch normalisation, momentum"]["Keras"]
    )
    assert L.LeakyReLU().negative_slope == float(rows["leaky ReLU, slope below zero"]["Keras"])
    assert keras.optimizers.Adam().epsilon == float(rows["Adam, epsilon"]["Keras"])
    assert len(torch_equivalents()) == 12


def _six():
    """Small forms of the architectures: name, input shape, layers."""
    norm = lambda: L.BatchNormalization(
        moving_mean_initializer=keras.initializers.RandomNormal(seed=1)
    )  # noqa: E731
    half = dict(strides=2, padding="same", use_bias=False)
    yield "mlp", (64,), [L.Dense(32, "relu"), L.Dense(10)]
    yield (
        "cnn",
        (8, 8, 1),
        [
            L.Conv2D(8, 3, padding="same", use_bias=False),
            norm(),
            L.ReLU(),
            L.MaxPooling2D(),
            L.Flatten(),
            L.Dropout(0.5),
            L.Dense(10),
        ],
    )
    yield "rnn", (7,), [L.Embedding(12, 5, mask_zero=True), L.GRU(6), L.Dense(4)]
    yield (
        "autoencoder",
        (64,),
        [L.Dense(16, "relu"), L.Dense(4), L.Dense(16, "relu"), L.Dense(64, "sigmoid")],
    )
    yield (
        "vae decoder",
        (3,),
        [
            L.Dense(64),
            L.Reshape((2, 2, 16)),
            L.Conv2DTranspose(8, 4, **half),
            norm(),
            L.ReLU(),
            L.Conv2DTranspose(1, 3, 2),
        ],
    )
    yield (
        "generator",
        (5,),
        [
            L.Dense(64, use_bias=False),
            L.Reshape((2, 2, 16)),
            norm(),
            L.ReLU(),
            L.Conv2DTranspose(1, 4, activation="tanh", **half),
        ],
    )
    yield (
        "discriminator",
        (8, 8, 1),
        [
            L.Conv2D(8, 4, **half),
            L.LeakyReLU(0.2),
            L.Conv2D(4, 4, **half),
            norm(),
            L.LeakyReLU(0.2),
            L.Flatten(),
            L.Dense(1),
        ],
    )


@pytest.mark.parametrize(
    "name, shape, layers", list(_six()), ids=lambda v: v if isinstance(v, str) else ""
)
def test_all_architectures_run_in_numpy(name, shape, layers):
    model = keras.Sequential([keras.Input(shape), *layers])
    x = (
        RNG.integers(1, 12, (5, *shape))
        if name == "rnn"
        else RNG.normal(size=(5, *shape)).astype("float32")
    )
    assert max_difference(model, to_numpy(model), x) < 1e-5 * max(
        1.0, float(np.abs(model.predict(x, verbose=0)).max())
    )


def test_max_difference_sees_a_changed_weight():
    model = keras.Sequential([keras.Input((2,)), L.Dense(1)])
    network = to_numpy(model)
    model.layers[0].bias.assign([0.5])
    assert max_difference(model, network, np.zeros((1, 2), "float32")) == pytest.approx(0.5)


# ---------------------------------------------------------------- on a GPU, where there is one

needs_gpu = pytest.mark.skipif(
    not tf.config.list_physical_devices("GPU"), reason="no GPU is visible"
)


@needs_gpu
@pytest.mark.parametrize("jit", [False, True])
def test_gpu_trains_to_the_weights_of_the_cpu(jit, single):
    close(_train(Runtime(device="gpu", precision="float32", jit=jit)), single, 1e-3)


@needs_gpu
def test_gpu_defaults_and_mixed_precision(single):
    runtime = Runtime(device="gpu:0")
    assert runtime.jit and runtime.device == "gpu:0" and runtime.replicas == 1
    close(_train(runtime), single, 0.05)


@needs_gpu
def test_gpu_machine_can_still_use_its_cpu(single):
    close(_train(Runtime(device="cpu")), single)


@needs_gpu
@pytest.mark.parametrize("jit", [False, True])
def test_gpu_recurrent_layers_with_and_without_xla(jit):
    runtime = Runtime(device="gpu", precision="float32", jit=jit)
    with runtime.scope():
        model = keras.Sequential([keras.Input((5, 2)), L.LSTM(4), L.Dense(1)])
    record = runtime.fit_model(
        model,
        pipeline(RNG.normal(size=(32, 5, 2)), RNG.normal(size=(32, 1)), batch_size=16),
        loss="mse",
        optimizer="adam",
        epochs=2,
    )
    assert np.isfinite(record.history["loss"]).all()
