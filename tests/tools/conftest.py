"""A notebook made on the spot."""
import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from tools.notebooks import NBS, Chapter


@pytest.fixture
def write_notebook(tmp_path):
    """A function that writes cells to `nn/demo.ipynb` in a temporary folder: a string is Markdown, a tuple is code."""
    def write(*cells, name="demo"):
        nb = new_notebook(cells=[new_markdown_cell(c) if isinstance(c, str) else new_code_cell(c[0], outputs=list(c[1:]))
                                 for c in cells])
        path = tmp_path / f"{name}.ipynb"
        nbformat.write(nb, path)
        return path
    return write


@pytest.fixture
def make_chapter(write_notebook, monkeypatch):
    """The same as a Chapter that takes itself for `nn/demo`."""
    def make(*cells, name="demo"):
        chapter = Chapter(write_notebook(*cells, name=name))
        chapter.nb                                         # read now, then pretend to stand in nbs/
        chapter.path = NBS / "nn" / f"{name}.ipynb"
        return chapter
    return make
