"""Deep architectures in Keras 3 on TensorFlow, for one device or many."""
from importlib.util import find_spec as _find_spec

import lazy_loader as _lazy

if not (_find_spec("tensorflow") and _find_spec("keras")):
    raise ImportError("the architectures need TensorFlow and Keras: pip install 'mlcheat[tf]'")

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
