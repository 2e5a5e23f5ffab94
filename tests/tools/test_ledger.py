"""The formula ledger bites."""
import pytest

from tools import ledger
from tools.notebooks import chapters, equations, split_directives

GOOD = "$$\nf(z) = z^2\n$$ (eq-demo)"
CHECK = ("#| check: eq-demo\nassert f(3) == 9",)


def problems(*cells):
    return lambda make: ledger.build([make(*cells)])[1]


def test_a_labelled_and_checked_formula_is_fine(make_chapter):
    entries, found = ledger.build([make_chapter("# Demo\n\n> Words.", GOOD, CHECK)])
    assert found == [] and list(entries) == ["eq-demo"]
    assert entries["eq-demo"].chapter == "nn/demo" and entries["eq-demo"].tex == "f(z) = z^2"


@pytest.mark.parametrize("cells, message", [
    (["$$\nf(z) = z^2\n$$"], "an equation without a label"),
    ([GOOD], "no check names eq-demo"),
    ([GOOD, CHECK, ("#| check: eq-demo, eq-other\nassert f(3) == 9",)], "names eq-other, which is no equation"),
    ([GOOD, ("#| check: eq-demo\nf(3)",)], "asserts nothing"),
    ([GOOD, ("#| check: eq-demo\nassert True",)], "asserts nothing"),
    ([GOOD, ("#| check: eq-demo\nassert (f(3) == 9, 'always true')",)], "asserts nothing"),
    ([GOOD, GOOD, CHECK], "is taken by"),
    (["```{math}\nf(z) = z^2\n```"], "an equation without a label"),
])
def test_the_ledger_bites(make_chapter, cells, message):
    _, found = ledger.build([make_chapter(*cells)])
    assert any(message in p for p in found), found


def test_a_check_belongs_to_the_chapter_of_its_formula(make_chapter):
    one, two = make_chapter(GOOD, CHECK), make_chapter(CHECK, name="other")
    assert any("check it there" in p for p in ledger.build([one, two])[1])


def test_algebra_in_a_dropdown_may_go_without_a_label(make_chapter):
    hidden = ":::{dropdown} Derivation\n$$\na = b\n$$\n:::"
    assert ledger.build([make_chapter(hidden)])[1] == []
    assert [e.in_dropdown for e in equations(hidden + "\n\n" + GOOD)] == [True, False]


def test_a_math_directive_carries_its_label(make_chapter):
    assert ledger.build([make_chapter("```{math}\n:label: eq-demo\nf(z) = z^2\n```", CHECK)])[1] == []


def test_dollars_in_code_are_no_formula():
    assert equations("Write `$$ x $$` for a display.") == []


def test_kinds_are_read_off_the_code(make_chapter):
    scipy = ("#| check: eq-demo\nimport scipy\nassert f(3) == scipy.special.exp10(1)",)
    assert ledger.build([make_chapter(GOOD, scipy)])[0]["eq-demo"].kinds == ["SciPy"]
    assert ledger.build([make_chapter(GOOD, CHECK)])[0]["eq-demo"].kinds == ["worked example"]


def test_directives_are_split_from_code():
    found, code = split_directives("#| export\n#| check: eq-a, eq-b\n#| default_exp nn.demo\n#| tolerance: 0.01\nx = 1")
    assert found == {"export": True, "check": "eq-a, eq-b", "default_exp": "nn.demo", "tolerance": 0.01}
    assert code == "x = 1"
    assert split_directives("x = 1\n#| export")[0] == {}


def test_the_book_has_no_gap():
    entries, found = ledger.build(chapters())
    assert found == [] and entries
