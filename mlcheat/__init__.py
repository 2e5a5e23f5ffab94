"""mlcheat: the machine learning cheat sheet that runs.

Each module mirrors one chapter of the book: `mlcheat.nn.losses` is the page `nn/losses.html` and the notebook
`nbs/nn/losses.ipynb`. Names are loaded when they are first used, so importing the package costs next to nothing.

>>> import mlcheat
>>> mlcheat.card("sigmoid").name
'sigmoid'
"""
import lazy_loader as _lazy

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
