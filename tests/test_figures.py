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
    with pytest.raises(TypeError, match="expected a matplotlib Figure, got Axes"):
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


def frames(n=3, size=(4, 2)):
    made = []
    for i in range(n):
        fig, ax = plt.subplots(figsize=size)
        ax.plot([0, 1], [0, i])
        made.append(fig)
    return made


def test_a_slider_is_one_piece():
    made = figures.slider(frames(), [0.1, 0.5, "<b>"], "rate", ALT, start=1)
    page = made._repr_html_()
    assert page.count("iVBOR") == 4 and 'value="1"' in page and "rate 0.5" in page and f'alt="{ALT}"' in page
    assert "http" not in page and "__" not in page.replace("__proto__", "") and len(page) < 300_000
    assert '"<b>"' in page and "3 pictures" in repr(made)
    assert page == figures.slider(frames(), [0.1, 0.5, "<b>"], "rate", ALT, start=1)._repr_html_()


@pytest.mark.parametrize("arguments, message", [
    ((1, [1]), "at least two figures"), ((3, [1, 2]), "got 3 and 2"),
])
def test_a_slider_needs_as_many_values(arguments, message):
    n, values = arguments
    with pytest.raises(ValueError, match=message):
        figures.slider(frames(n), values, "rate", ALT)
    plt.close("all")


def test_what_a_slider_refuses():
    with pytest.raises(ValueError, match="one size"):
        figures.slider([*frames(1), *frames(1, (3, 2))], [1, 2], "rate", ALT)
    with pytest.raises(ValueError, match="start must be between 0 and 1, got 2"):
        figures.slider(frames(2), [1, 2], "rate", ALT, start=2)
    with pytest.raises(ValueError, match="20 characters"):
        figures.slider(frames(2), [1, 2], "rate", "short")
    with pytest.raises(TypeError, match="got str"):
        figures.slider(["a", "b"], [1, 2], "rate", ALT)
    noisy = []
    for i in range(4):
        fig, ax = plt.subplots(figsize=(6, 6))
        ax.imshow(np.random.default_rng(i).normal(size=(400, 400)))
        noisy.append(fig)
    with pytest.raises(ValueError, match="more than 300"):
        figures.slider(noisy, range(4), "rate", ALT, colors=128)
    plt.close("all")
