"""`check` is right, useful and never raises because of an answer; the collection travels with the package."""
import numpy as np
import pytest

import mlcheat
from mlcheat import exercises as ex


def verdict(given, **spec):
    return ex._compare(given, {"tolerance": 1e-3, "inputs": None, "mistakes": [], **spec})


@pytest.mark.parametrize("answer, expected", [
    (2.0, 2), (2.0005, 2), (np.float32(2), 2), ([1, 2], [1, 2]), ((1, 2), [1, 2]), (np.array([1.0, 2.0]), [1, 2]),
    ([[1, 2], [3, 4]], [[1, 2], [3, 4]]), ("Saddle ", "saddle"), (True, True), (np.bool_(False), False), (0.0, 0),
    (float("inf"), float("inf")),
])
def test_right(answer, expected):
    assert verdict(answer, answer=expected) == ""


@pytest.mark.parametrize("answer, expected, message", [
    (3.0, 2, "Not yet."), (-2.0, 2, "the sign is not"), (4.0, 2, "twice"), (1.0, 2, "half"), (200.0, 2, "100 times"),
    (2.01, 2, "keep more digits"), ([2, 1], [1, 2], "another order"), ([1, 2, 3], [1, 2], "got numbers of shape (3,)"),
    ([[1, 2]], [1, 2], "shape (1, 2)"), (1.0, [1, 2], "got a single number"), ([1, 5], [1, 2], "1 of 2 numbers differ"),
    ("two", 2, "got str"), (None, 2, "got NoneType"), (object(), 2, "got object"), ({}, 2, "got dict"),
    ([1, "a"], [1, 2], "got list"), ([[1], [1, 2]], [1, 2], "got list"), (float("nan"), 2, "nan or inf"), (1j, 2, "got complex"),
    (2, "saddle", "Expected a text answer, got int"), ("minimum", "saddle", "not the word"), ("yes", True, "True or False"),
    (1, True, "True or False"), (lambda: 2, 2, "got function"),
])
def test_wrong_with_a_next_step(answer, expected, message):
    assert message in verdict(answer, answer=expected)


def test_a_known_mistake_has_its_own_advice():
    spec = {"answer": 0.25, "mistakes": [[1.0, "That is the slope of tanh."]]}
    assert verdict(1.0, **spec) == "That is the slope of tanh."


def test_functions_are_called():
    spec = {"answer": [4.0, [1.0, 9.0]], "inputs": [[2.0], [[1.0, 3.0]]]}
    assert verdict(np.square, **spec) == ""
    assert "Called with (2.0): Not yet." not in verdict(lambda x: 2 * x, **spec) and "Called with ([1.0, 3.0])" in verdict(lambda x: 2 * x, **spec)
    assert "raises TypeError" in verdict(lambda: 1, **spec)
    assert "raises ZeroDivisionError" in verdict(lambda x: 1 / 0, **spec)
    assert "Expected a function, got float" in verdict(1.0, **spec)


@pytest.mark.parametrize("id", mlcheat.exercises())
def test_every_exercise_is_complete(id):
    assert len(mlcheat.hint(id)) > 10 and "```python" in mlcheat.solution(id)
    spec = ex._unveil(ex._exercise(id)["answer"])
    if spec["inputs"] is None:
        assert mlcheat.check(id, spec["answer"]) and str(mlcheat.check(id, spec["answer"])) == f"{id}: right."
        wrong = (not spec["answer"]) if isinstance(spec["answer"], bool) else "no such word" if isinstance(spec["answer"], str) \
            else (np.asarray(spec["answer"], dtype=float) * 1.37 + 0.77).tolist()
        assert not mlcheat.check(id, wrong)
    assert not mlcheat.check(id, object())
    waiting = mlcheat.check(id, ...)
    assert not waiting and "no answer yet" in str(waiting)
    assert spec["tolerance"] <= 0.05


def test_the_list_of_a_chapter():
    ids = mlcheat.exercises("activations")
    assert ids == mlcheat.exercises("nn/activations") == ex.exercises("nn.activations") and 3 <= len(ids) <= 6
    assert set(ids) < set(mlcheat.exercises())
    with pytest.raises(KeyError, match="no exercises in 'alchemy'; chapters with exercises: .*basics/"):
        mlcheat.exercises("alchemy")


@pytest.mark.parametrize("function", [mlcheat.hint, mlcheat.solution, lambda id: mlcheat.check(id, 1)])
def test_an_unknown_exercise_names_the_closest(function):
    with pytest.raises(KeyError, match="no exercise 'activation-1'; the closest are activations-"):
        function("activation-1")


def test_texts_render_in_a_notebook():
    assert mlcheat.hint("activations-1")._repr_markdown_() == str(mlcheat.hint("activations-1"))


def test_progress_is_kept_and_shown(tmp_path, monkeypatch):
    monkeypatch.setenv("MLCHEAT_HOME", str(tmp_path / "new"))
    assert ex.progress() == [] and "0 of" in repr(mlcheat.exercises())
    mlcheat.check("activations-3", 1.0)
    assert ex.progress() == []                                            # wrong answers are forgotten
    mlcheat.check("activations-3", 0.0)
    mlcheat.check("activations-3", 0.0)
    assert ex.progress() == ["activations-3"] and len(list((tmp_path / "new").iterdir())) == 1
    chapter = mlcheat.exercises("activations")
    (line,) = [row for row in repr(chapter).splitlines() if row.startswith("activations-3 ")]
    assert " solved " in line and repr(chapter).endswith(f"1 of {len(chapter)} solved")
    assert f"| nn/activations | 1 of {len(chapter)} |" in mlcheat.exercises()._repr_markdown_()


@pytest.mark.parametrize("text", ["", "[]", "{", '{"solved": 3}', '{"other": []}'])
def test_a_damaged_progress_is_no_error(tmp_path, monkeypatch, text):
    monkeypatch.setenv("MLCHEAT_HOME", str(tmp_path))
    (tmp_path / "progress.json").write_text(text)
    assert ex.progress() == [] and mlcheat.check("activations-3", 0.0) and ex.progress() == ["activations-3"]


def test_a_folder_that_cannot_be_written_is_no_error(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("MLCHEAT_HOME", str(tmp_path / "file" / "below"))
    assert mlcheat.check("activations-3", 0.0) and ex.progress() == []
