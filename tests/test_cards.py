"""The docstring is the card."""
import re

import pytest

import mlcheat
from mlcheat import cards


def test_by_name_in_any_case_and_by_object():
    from mlcheat.nn.activations import sigmoid

    one, two, three = mlcheat.card("sigmoid"), mlcheat.card("SIGMOID"), mlcheat.card(sigmoid)
    assert one == two == three == mlcheat.card("nn.activations.sigmoid")
    assert one.chapter == "nn/activations" and one.formulas and one.use and one.avoid and one.signature.startswith("sigmoid(")


def test_in_a_terminal_and_in_a_notebook():
    c = cards.Card("f", "mlcheat.nn.demo", "A demo.", "f(x)", [r"f(x) = \frac{1}{1 + e^{-x}}"], [("x", "ndarray, shape (n,)")],
                   "it helps.", "it does not.")
    text = repr(c)
    assert "f(x) = (1)/(1 + e^{-x})" in text and "\\frac" not in text and "Use when    it helps." in text
    assert "x : ndarray, shape (n,)" in text and "nn/demo.html" in text
    markdown = c._repr_markdown_()
    assert "$$\nf(x) = \\frac{1}{1 + e^{-x}}\n$$" in markdown and "**Avoid when** it does not." in markdown
    assert "from mlcheat.nn.demo import f" in markdown


def test_an_unknown_name_names_three():
    with pytest.raises(KeyError) as caught:
        mlcheat.card("sigmoyd")
    message = str(caught.value)
    assert "sigmoid" in message and len(message.split("are ")[1].split(", ")) == 3


def test_a_shared_name_asks_which(monkeypatch):
    monkeypatch.setattr(cards, "_index", lambda: {"huber": ["mlcheat.nn.losses", "mlcheat.basics.linear_regression"]})
    with pytest.raises(KeyError, match=r"several chapters; write card\('nn.losses.huber'\) or card\('basics.linear"):
        mlcheat.card("huber")


@pytest.mark.parametrize("thing", [3, None, [], lambda: 1])
def test_what_has_no_card(thing):
    with pytest.raises(TypeError, match="card expects a name or a documented function or class"):
        mlcheat.card(thing)


@pytest.mark.parametrize("name", mlcheat.cards())
def test_every_public_name_has_a_card(name):
    for module in cards._index()[name]:
        c = mlcheat.card(f"{module.removeprefix('mlcheat.')}.{name}")
        assert c.name == name and c.module == module and c.summary.endswith((".", ":", "?")), c.summary
        assert len(c.summary) > 10 and c.signature.startswith(name)
        assert c._repr_markdown_() and repr(c)
        for formula in c.formulas:
            assert formula.count("{") == formula.count("}"), formula


LIBRARY = {"mlcheat.cards", "mlcheat.data", "mlcheat.exercises", "mlcheat.figures"}


@pytest.mark.parametrize("name", [n for n, modules in cards._index().items() if not set(modules) & LIBRARY])
def test_chapter_cards_say_when_to_use_and_when_not(name):
    for module in cards._index()[name]:
        c = mlcheat.card(f"{module.removeprefix('mlcheat.')}.{name}")
        assert c.use and c.avoid, f"{module}.{name}: Notes need lines 'Use when ...' and 'Avoid when ...'"


def test_math_blocks_are_read_whole():
    doc = "One.\n\n.. math::\n\n   a = b\n\n   c = d\n\nAfter.\n\n.. math:: e = f\n"
    assert cards._formulas(doc) == ["a = b c = d", "e = f"]


def test_plain_text_keeps_unknown_tex():
    assert cards._plain(r"\alpha \le \beta_{i}") == "α ≤ β_i" and r"\begin" in cards._plain(r"\begin{cases}")
    assert not re.search(r"\\t?frac", cards._plain(r"\tfrac12 x"))
