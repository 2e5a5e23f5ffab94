"""Callbacks against Keras' own on the same errors, against brute force; files, bars, errors."""
import io
import os
import warnings

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pytest

from mlcheat.nn import callbacks as C

RNG = np.random.default_rng(5)
ERRORS = [RNG.integers(0, 25, 16).astype(float).tolist() for _ in range(6)] + [
    [5, 4, 3, 3.5, 3.2, 2.9], [1.0] * 8, list(range(10, 0, -1)), [1.0, float("nan"), 0.5, float("nan"), float("nan"), 0.1]]


class Rate:
    learning_rate = 0.1


class Model:
    """Weights are the number of the epoch; enough for Keras' callbacks too."""

    def __init__(self):
        self.optimizer, self.stop_training, self.w, self.saved = Rate(), False, np.array(-1.0), []

    def get_weights(self):
        return [self.w.copy()]

    def set_weights(self, weights):
        self.w = weights[0].copy()

    def save(self, path):
        self.saved.append(path)

    def save_weights(self, path):
        self.saved.append(f"weights of {path}")


def replay(callback, errors, name="val_loss"):
    model, seen = Model(), []
    callback.set_model(model)
    callback.on_train_begin()
    for epoch, error in enumerate(errors):
        callback.on_epoch_begin(epoch)
        model.w, logs = np.array(float(epoch)), {name: error}
        callback.on_epoch_end(epoch, logs)
        seen.append(logs)
        if model.stop_training:
            break
    callback.on_train_end()
    return model, seen


@pytest.mark.parametrize("errors", ERRORS)
@pytest.mark.parametrize("settings", [
    {}, {"patience": 2}, {"patience": 3, "min_delta": 2.0}, {"patience": 1, "mode": "max"}, {"patience": 2, "baseline": 6.0},
    {"patience": 1, "start_from_epoch": 4}, {"patience": 2, "restore_best_weights": True},
    {"patience": 2, "restore_best_weights": True, "start_from_epoch": 2}])
def test_early_stopping_does_what_keras_does(errors, settings):
    import keras

    ours, theirs = C.EarlyStopping(**settings), keras.callbacks.EarlyStopping(**{"mode": "min", **settings})
    (a, seen), (b, there) = replay(ours, errors), replay(theirs, errors)
    assert len(seen) == len(there) and a.stop_training == b.stop_training
    assert a.w == b.w and ours.stopped_epoch == theirs.stopped_epoch and ours.best_epoch == theirs.best_epoch
    np.testing.assert_equal(ours.best, theirs.best if theirs.best is None else float(theirs.best))


@pytest.mark.parametrize("errors", ERRORS)
@pytest.mark.parametrize("settings", [
    {"patience": 1}, {"patience": 2, "factor": 0.5}, {"patience": 1, "factor": 0.5, "cooldown": 2},
    {"patience": 1, "factor": 0.1, "min_lr": 0.005}, {"patience": 1, "min_delta": 3.0}, {"patience": 0, "factor": 0.9},
    {"patience": 2, "mode": "max"}])
def test_reduce_on_plateau_does_what_keras_does(errors, settings):
    import keras

    ours, theirs = C.ReduceLROnPlateau(**settings), keras.callbacks.ReduceLROnPlateau(**{"mode": "min", **settings})
    (a, seen), (b, there) = replay(ours, errors), replay(theirs, errors)
    np.testing.assert_allclose([s["learning_rate"] for s in seen], [s["learning_rate"] for s in there], rtol=1e-6)
    assert a.optimizer.learning_rate == pytest.approx(b.optimizer.learning_rate, rel=1e-6)


def test_the_scheduler_does_what_keras_does():
    import keras

    def schedule(epoch, rate):
        return rate * 0.5 if epoch in (2, 3) else rate

    ours, theirs = (replay(cls(schedule), [1.0] * 6)[1] for cls in (C.LearningRateScheduler, keras.callbacks.LearningRateScheduler))
    assert [s["learning_rate"] for s in ours] == pytest.approx([s["learning_rate"] for s in theirs])
    with pytest.raises(TypeError, match="the schedule must return a float, got None for epoch 0"):
        replay(C.LearningRateScheduler(lambda epoch, rate: None), [1.0])


@pytest.mark.parametrize("name, mode, rising", [
    ("val_loss", "auto", False), ("val_accuracy", "auto", True), ("auc", "auto", True), ("val_mae", "auto", False),
    ("val_top_5_accuracy", "auto", True), ("val_loss", "max", True), ("accuracy", "min", False)])
def test_auto_knows_which_way_is_better(name, mode, rising):
    stop = C.EarlyStopping(monitor=name, mode=mode, patience=9)
    replay(stop, [1.0, 2.0, 0.5], name)
    assert stop.best == (2.0 if rising else 0.5)


@pytest.mark.parametrize("make", [C.EarlyStopping, C.ReduceLROnPlateau, lambda: C.ModelCheckpoint("x", save_best_only=True)])
def test_a_monitor_that_is_not_in_the_logs_warns_once_and_training_goes_on(make):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model, seen = replay(make(), [1.0, 2.0, 3.0], "loss")
    assert len(caught) == 1 and "'val_loss', which is not in the logs: loss" in str(caught[0].message)
    assert len(seen) == 3 and not model.saved


def test_early_stopping_can_be_used_twice():
    stop = C.EarlyStopping(patience=1)
    assert len(replay(stop, [3, 2, 5, 1])[1]) == len(replay(stop, [3, 2, 5, 1])[1]) == 3


def test_checkpoints():
    assert replay(C.ModelCheckpoint("a-{epoch:02d}.npz"), [3, 2])[0].saved == ["a-01.npz", "a-02.npz"]
    best = C.ModelCheckpoint("b.npz", save_best_only=True, save_weights_only=True, initial_value_threshold=2.5)
    assert replay(best, [3, 2, 2, 1])[0].saved == ["weights of b.npz"] * 2
    with pytest.raises(ValueError, match="asks for 'accuracy', the logs hold val_loss"):
        replay(C.ModelCheckpoint("{accuracy}.npz"), [1])


def test_terminate_on_nan():
    guard = C.TerminateOnNaN()
    guard.set_model(Model())
    guard.on_train_batch_end(0, {"loss": 1.0})
    assert not guard.model.stop_training
    guard.on_train_batch_end(1, {"loss": float("inf")})
    assert guard.model.stop_training


def test_csv_log(tmp_path):
    path = tmp_path / "log.csv"
    replay(C.CSVLogger(path, separator=";"), [3.0, 2.0])
    assert path.read_text() == "epoch;val_loss\n0;3.0\n1;2.0\n"
    replay(C.CSVLogger(path, separator=";", append=True), [1.0])
    assert path.read_text().splitlines()[-1] == "0;1.0" and path.read_text().count("epoch") == 1
    logger = C.CSVLogger(path)
    logger.on_train_begin()
    logger.on_epoch_end(0, {"b": 1, "a": 2})
    logger.on_epoch_end(1, {"a": 3, "c": 9})
    assert path.read_text() == "epoch,a,b\n0,2,1\n1,3,\n"


def test_the_list_calls_in_order_and_skips_batches_nobody_listens_to():
    calls, made = [], []
    first = C.LambdaCallback(on_epoch_end=lambda epoch, logs: calls.append(("first", epoch)))
    second = C.LambdaCallback(on_epoch_end=lambda epoch, logs: calls.append(("second", epoch)))
    both = C.CallbackList([first, second], add_history=True)
    both.on_epoch_end(3, {"loss": 1.0})
    both.on_train_batch_end(0, lambda: made.append(1) or {})
    assert calls == [("first", 3), ("second", 3)] and both.history.epoch == [3] and not made
    batches = C.LambdaCallback(on_train_batch_end=lambda batch, logs: calls.append((batch, logs)))
    C.CallbackList(batches).on_train_batch_end(7, lambda: {"loss": 2.0})
    assert calls[-1] == (7, {"loss": 2.0})


def test_every_mark_reaches_every_callback_with_model_and_parameters():
    seen, names = [], ["on_train_begin", "on_train_end", "on_epoch_begin", "on_epoch_end", "on_train_batch_begin", "on_train_batch_end"]

    class Watch(C.Callback):
        pass

    for name in names:
        setattr(Watch, name, lambda self, *a, name=name, **k: seen.append(name))
    model, watch = object(), Watch()
    both = C.CallbackList([watch], model=model, epochs=4, verbose=0)
    both.on_train_begin(), both.on_epoch_begin(0), both.on_train_batch_begin(0)
    both.on_train_batch_end(0), both.on_epoch_end(0), both.on_train_end()
    assert sorted(seen) == sorted(names) and watch.model is model and watch.params == {"epochs": 4, "verbose": 0}


def test_a_history_that_is_given_is_kept():
    mine = C.History()
    assert C.CallbackList([mine], add_history=True).history is mine


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_the_bar_moves_on_a_terminal_and_prints_a_line_elsewhere():
    screen, file = Terminal(), io.StringIO()
    for stream in (screen, file):
        bar = C.ProgressBar(4, width=10, stream=stream)
        for step in range(1, 5):
            bar.update(step, loss=1 / step, tiny=1e-5)
        bar.close()
    assert screen.getvalue().count("\r") >= 2 and "4/4" in screen.getvalue() and "loss: 0.2500" in screen.getvalue()
    assert file.getvalue().startswith("4/4 - ") and file.getvalue().endswith("loss: 0.2500 - tiny: 1e-05\n")
    assert file.getvalue().count("\n") == 1
    unknown = io.StringIO()
    bar = C.ProgressBar(None, stream=unknown)
    bar.update(3, loss=1.0)
    bar.close()
    assert unknown.getvalue().startswith("3 steps - ")


@pytest.mark.parametrize("verbose, lines", [(1, 4), (2, 2)])
def test_the_logger_prints_an_epoch(verbose, lines):
    out = io.StringIO()
    calls = C.CallbackList([C.ProgbarLogger(out)], epochs=2, steps=3, verbose=verbose)
    for epoch in range(2):
        calls.on_epoch_begin(epoch)
        for batch in range(3):
            calls.on_train_batch_end(batch, {"loss": 1.0})
        calls.on_epoch_end(epoch, {"loss": 1.0, "val_loss": 2.0})
    text = out.getvalue()
    assert text.count("\n") == lines and "Epoch 2/2" in text and "loss: 1.0000 - val_loss: 2.0000" in text


@pytest.mark.parametrize("make, error, message", [
    (lambda: C.EarlyStopping(patience=-1), ValueError, "patience must be a whole number of at least 0, got -1"),
    (lambda: C.EarlyStopping(patience=1.5), ValueError, "got 1.5"),
    (lambda: C.EarlyStopping(mode="up"), ValueError, "mode must be auto, min or max, got 'up'"),
    (lambda: C.ReduceLROnPlateau(factor=1.0), ValueError, r"factor must be in \(0, 1\), got 1.0"),
    (lambda: C.ReduceLROnPlateau(min_lr=-1), ValueError, "min_lr must be at least 0"),
    (lambda: C.LearningRateScheduler(3), TypeError, "a function of epoch and rate, got 3"),
    (lambda: C.LambdaCallback(on_epoch_end=3), TypeError, "on_epoch_end must be a function, got 3"),
    (lambda: C.CallbackList([3]), TypeError, "expected callbacks, got 3"),
    (lambda: C.ProgressBar(0), ValueError, "at least 1, got 0 and 20"),
])
def test_bad_input_is_named(make, error, message):
    with pytest.raises(error, match=message):
        make()
