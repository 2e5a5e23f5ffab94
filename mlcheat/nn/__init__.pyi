from .activations import log_softmax as log_softmax
from .activations import sigmoid as sigmoid
from .activations import softmax as softmax
