"""Deep architectures in Keras 3 on TensorFlow, for one device or many."""
import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
