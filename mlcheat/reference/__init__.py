"""What the book looks things up in: the glossary, the notation and the catalogues."""
import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
