"""Every symbol once, every example true."""
import numpy as np
import pytest

from mlcheat.reference import notation
from mlcheat.reference.notation import NOTATION, Symbol, check_examples, clashes, lookup, table

SOURCE = {
    "algebra": ["composition", "delta", "Euler's number", "sum", "product", "epsilon"],
    "calculus": ["first derivative", "second derivative", "limit", "nabla"],
    "linear_algebra": ["brackets", "dot product", "Hadamard product", "transpose", "vector", "matrix", "unit vector"],
    "probability": ["probability"],
    "set_theory": ["set"],
    "statistics": ["population mean", "sample mean", "population variance", "sample variance", "population standard deviation",
                   "sample standard deviation", "correlation", "median"],
}


def test_the_27_rows_of_the_source():
    taken = {name: [s.name for s in rows if s.source] for name, rows in NOTATION.items()}
    assert {k: v for k, v in taken.items() if v} == SOURCE and sum(map(len, SOURCE.values())) == 27


def test_no_symbol_twice_in_a_section():
    for name, rows in NOTATION.items():
        symbols = [s.symbol for s in rows]
        assert len(set(symbols)) == len(symbols), name


ROWS = [s for rows in NOTATION.values() for s in rows]


@pytest.mark.parametrize("s", ROWS, ids=lambda s: f"{s.section}-{s.name}")
def test_rows_are_complete(s):
    assert s.name and s.description and s.example and s.code and s.section in NOTATION
    for tex in (s.symbol, s.example):
        pairs = tex.replace(r"\{", "").replace(r"\}", "")
        assert pairs.count("{") == pairs.count("}") and "$" not in tex


def test_every_example_is_true():
    assert check_examples() == []


def test_a_false_example_is_found(monkeypatch):
    rows = (Symbol("a", "a", "a", "a", "1 == 2", "demo"), Symbol("b", "b", "b", "b", "1 / 0", "demo"))
    monkeypatch.setattr(notation, "NOTATION", {"demo": rows})
    assert check_examples() == ["demo, a: 1 == 2 is not true", "demo, b: ZeroDivisionError: division by zero"]


def test_sympy_agrees_on_calculus_and_algebra():
    import sympy as sp

    x, a, n = sp.symbols("x a n")
    assert sp.diff(x**2, x) == 2 * x and sp.diff(x**2, x, 2) == 2 and sp.limit(sp.sin(x) / x, x, 0) == 1
    assert sp.summation(n, (n, 2, 4)) == 9 and sp.product(n, (n, 2, 4)) == 24
    assert sp.summation(n, (n, 1, 0)) == 0 and sp.product(n, (n, 1, 0)) == 1
    assert sp.integrate(x**2, (x, 0, 1)) == sp.Rational(1, 3) and sp.integrate(2 * x, x) == x**2
    assert sp.simplify(sp.sin(x) ** 2 + sp.cos(x) ** 2) == 1 and sp.zeta(2) == sp.pi**2 / 6


def test_the_five_numbers():
    data = [2, 4, 4, 5, 10]
    assert np.mean(data) == 5 and np.median(data) == 4 and np.var(data, ddof=1) == 9
    np.testing.assert_allclose([np.var(data), np.std(data), np.corrcoef(data, [1, 2, 3, 4, 5])[0, 1]], [7.2, 2.683282, 0.895979],
                               atol=5e-7)


@pytest.mark.parametrize("query, names", [
    ("sigma", {"population standard deviation", "sigmoid", "sigma"}), (r"\sigma", {"population standard deviation", "sigma"}),
    ("$\\odot$", {"Hadamard product"}), ("HADAMARD product", {"Hadamard product"}), ("cdf", {"distribution function"}),
    (r"\lambda", {"eigenvalue", "penalty strength", "lambda"}),
])
def test_lookup(query, names):
    found = {s.name for s in lookup(query)}
    assert found & names and (query != r"\lambda" or found == names), found


def test_lookup_of_nothing():
    with pytest.warns(UserWarning, match="no symbol 'quaternion'; close are"):
        assert lookup("quaternion") == []
    for empty in ("", "  ", "$"):
        with pytest.raises(ValueError, match="empty text"):
            lookup(empty)
    with pytest.raises(TypeError, match="got NoneType"):
        lookup(None)


@pytest.mark.parametrize("section", NOTATION)
def test_tables(section):
    text = table(section)
    assert text.count("\n") == len(NOTATION[section]) + 1
    for line in text.splitlines()[2:]:
        assert line.replace(r"\|", "").count("|") == 4, line
    latex = table(section, "latex")
    assert latex.startswith(r"\begin{tabular}") and latex.count(r"\\") >= len(NOTATION[section])


def test_unknown_tables_are_refused():
    with pytest.raises(ValueError, match="no section 'runes'; there are algebra, calculus"):
        table("runes")
    with pytest.raises(ValueError, match="no format 'html'; there are markdown, latex"):
        table("algebra", "html")


def test_clashes_have_several_meanings():
    assert all(len(m) >= 2 for m in clashes().values()) and r"\sigma" in clashes()
    clashes().clear()
    assert clashes()
