"""Pictures need words; tables come from numbers."""
import io

import matplotlib.pyplot as plt
import numpy as np
import pytest
from PIL import Image

from mlcheat import figures

ALT = "A straight line that rises from left to right."


@pytest.fixture
def fig():
    fig, ax = plt.subplots(figsize=(5, 3))
    ax.plot([0, 1], [0, 1])
    yield fig
    plt.close("all")


def test_show_makes_a_small_png_with_words(fig, tmp_path):
    picture = figures.show(fig, ALT)
    data, metadata = picture._repr_mimebundle_()
    assert metadata["image/png"] == {"alt": ALT, "width": 500}
    assert data["text/plain"] == f"<Figure: {ALT}>" == repr(picture)
    assert len(picture.png) < 40_000 and Image.open(io.BytesIO(picture.png)).size == (800, 480)
    assert picture.save(tmp_path / "p.png").read_bytes() == picture.png
    assert not plt.fignum_exists(fig.number)


def test_the_same_figure_gives_the_same_bytes():
    def draw():
        fig, ax = plt.subplots()
        ax.scatter(*np.random.default_rng(0).normal(size=(2, 50)), c=np.arange(50))
        return figures.show(fig, ALT).png
    assert draw() == draw()


@pytest.mark.parametrize("alt", ["", "a plot", "          spaces          "])
def test_too_few_words_are_refused(fig, alt):
    with pytest.raises(ValueError, match="at least 20 characters"):
        figures.show(fig, alt)


def test_only_figures_are_shown(fig):
    with pytest.raises(TypeError, match="expects a matplotlib Figure, got Axes"):
        figures.show(fig.axes[0], ALT)


def test_the_style_is_complete():
    with plt.rc_context():
        figures.use_style()
        assert plt.rcParams["axes.spines.top"] is False and plt.rcParams["figure.constrained_layout.use"]


def test_a_table_in_both_forms():
    t = figures.table([("sigmoid", 0.25, 1), ("tanh", 1 / 3, 2)], ["name", "slope", "n"], digits=3)
    assert t._repr_markdown_() == (
        "| name | slope | n |\n| :--- | ---: | ---: |\n| sigmoid | 0.25 | 1 |\n| tanh | 0.333 | 2 |")
    assert repr(t).splitlines()[2] == "   tanh  0.333  2"
    with pytest.raises(ValueError, match="a row has 1 entries, the header has 2"):
        figures.table([[1]], ["a", "b"])


def test_contours_are_those_of_the_function(fig):
    drawn = figures.plot_contours(fig.axes[0], lambda x, y: x + 2 * y, (0, 1), (0, 1), levels=[0, 1, 2], n=50)
    assert drawn.zmin == 0 and drawn.zmax == 3


def test_decision_regions_take_any_labels_and_refuse_other_shapes(fig):
    X = np.array([[0.0, 0.0], [1.0, 1.0], [0.0, 1.0], [1.0, 0.0]])
    y = np.array(["no", "yes", "no", "yes"])
    figures.plot_decision_regions(fig.axes[0], lambda P: np.where(P[:, 0] > 0.5, "yes", "no"), X, y)
    assert [t.get_label() for t in fig.axes[0].collections if t.get_label() in ("no", "yes")] == ["no", "yes"]
    with pytest.raises(ValueError, match=r"shape \(n_samples, 2\).*\(4, 3\)"):
        figures.plot_decision_regions(fig.axes[0], lambda P: P, np.zeros((4, 3)), y)
