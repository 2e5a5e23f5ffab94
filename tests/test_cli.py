"""The command line: what it prints, its exit codes, and that it stays light."""
import json
import subprocess
import sys

import pytest

import mlcheat
from mlcheat import cli


def run(capsys, *arguments):
    try:
        code = cli.main(arguments)
    except SystemExit as stop:                                            # argparse
        code = stop.code
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def data(capsys, *arguments):
    code, out, err = run(capsys, *arguments, "--json")
    assert not err
    return code, json.loads(out)


def test_card(capsys):
    code, out, _ = run(capsys, "card", "SIGMOID")
    assert code == 0 and out == repr(mlcheat.card("sigmoid")) + "\n"
    code, found = data(capsys, "card", "sigmoid")
    assert code == 0 and found["chapter"] == "nn/activations" and found["formulas"] and found["use"] and found["avoid"]


@pytest.mark.parametrize("arguments, message", [
    (["card", "sigmod"], "no card 'sigmod'; the closest are sigmoid"),
    (["define", "overfiting"], "Overfitting"),
    (["cards", "nonsense"], "no chapter or part 'nonsense'; there are algorithms/"),
    (["exercises", "nonsense"], "chapters with exercises"),
    (["check", "activation-3", "0"], "the closest are activations-3"),
    (["hint", "x-1"], "no exercise"), (["solution", "x-1"], "no exercise"),
    (["find", "datasets", "--area", "Nonsense"], "Finance"),
    (["find", "papers", "--year", "soon"], "soon"),
])
def test_unknown_names_say_what_there_is(capsys, arguments, message):
    code, out, err = run(capsys, *arguments)
    assert code == 2 and not out and message in err and err.startswith("mlcheat: ")


@pytest.mark.parametrize("arguments", [[], ["crad", "x"], ["card"], ["find", "books"], ["completion", "csh"], ["info", "x"]])
def test_wrong_use_is_exit_code_2(capsys, arguments):
    code, _, err = run(capsys, *arguments)
    assert code == 2 and "usage: mlcheat" in err


def test_cards_of_all_and_of_a_part(capsys):
    _, every = data(capsys, "cards")
    _, losses = data(capsys, "cards", "nn/losses")
    assert every == sorted(mlcheat.cards(), key=lambda n: (n.casefold(), n))
    assert {"huber", "log_cosh"} <= set(losses) < set(every) and data(capsys, "cards", "losses")[1] == losses


def test_define_takes_several_words(capsys):
    code, out, _ = run(capsys, "define", "learning", "rates")
    assert code == 0 and out.startswith("Learning rate: ")
    assert data(capsys, "define", "learning rate")[1]["see"]


@pytest.mark.parametrize("text, first", [("softmax", "Softmax"), ("learning rate", "Learning rate"), ("overfitting", "Overfitting")])
def test_search_has_the_name_first(capsys, text, first):
    code, found = data(capsys, "search", text)
    assert code == 0 and found[0]["name"] == first
    assert all(all(w in " ".join(e.values()).casefold().replace("_", " ") for w in text.split()) for e in found)


def test_search_by_what_it_does(capsys):
    assert "bfgs" in [e["name"] for e in data(capsys, "search", "BFGS")[1]]
    assert run(capsys, "search", "xyzzy")[:2] == (1, "nothing found\n")


def test_exercises_check_hint_solution(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("MLCHEAT_HOME", str(tmp_path))
    assert run(capsys, "check", "activations-3", "0")[:2] == (0, "activations-3: right.\n")
    assert run(capsys, "check", "activations-3", "1")[0] == 1
    assert run(capsys, "check", "activations-3", "--", "-1")[0] == 1
    _, found = data(capsys, "exercises", "activations")
    assert [e["solved"] for e in found if e["id"] == "activations-3"] == [True] and sum(e["solved"] for e in found) == 1
    assert run(capsys, "hint", "activations-3")[1].strip() == mlcheat.hint("activations-3")
    assert "```python" in run(capsys, "solution", "activations-3")[1]


@pytest.mark.parametrize("text, value", [("0.5", 0.5), ("[1, -2]", [1, -2]), ("True", True), ("saddle", "saddle"),
                                         ("__import__('os')", "__import__('os')"), ("1e-3", 1e-3), ("", "")])
def test_answers_are_data_and_never_run(text, value):
    assert cli._answer(text) == value


def test_find(capsys):
    code, found = data(capsys, "find", "papers", "adam", "--year", "2014-2015")
    assert code == 0 and all(2014 <= e["year"] <= 2015 and e["url"].startswith("http") for e in found)
    assert len(data(capsys, "find", "libraries", "--language", "python", "plotting")[1]) > 0
    assert run(capsys, "find", "content", "xyzzy")[0] == 1


def test_info_names_versions(capsys):
    _, found = data(capsys, "info")
    assert found["mlcheat"] == mlcheat.__version__ and found["numpy"].count(".") >= 1 and "python" in found


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_completion_is_a_script(capsys, shell):
    _, script, _ = run(capsys, "completion", shell)
    done = subprocess.run(["bash", "-n", "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    if shell == "bash":
        typed = 'COMP_WORDS=(mlcheat de); COMP_CWORD=1; _mlcheat; echo "${COMPREPLY[@]}"'
        assert subprocess.run(["bash", "-c", f"{script}\n{typed}"], capture_output=True, text=True).stdout == "define\n"


def test_completion_names_every_command(capsys):
    commands = cli._parser()._subparsers._group_actions[0].choices
    for shell in ("bash", "zsh", "fish"):
        script = run(capsys, "completion", shell)[1]
        assert all(name in script for name in commands)


def test_it_loads_nothing_heavy():
    code = ("import sys; from mlcheat import cli; cli.main(['search', 'softmax']); "
            "print([m for m in ('sklearn', 'matplotlib', 'tensorflow', 'scipy.stats') if m in sys.modules])")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.splitlines()[-1] == "[]", done.stdout[-500:] + done.stderr
