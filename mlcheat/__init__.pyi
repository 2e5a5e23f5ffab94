import types
import typing

from . import algorithms as algorithms
from . import architectures as architectures
from . import basics as basics
from . import data as data
from . import figures as figures
from . import math as math
from . import nn as nn
from . import reference as reference
from .cards import card as card
from .exercises import ExerciseList as ExerciseList
from .exercises import check as check
from .exercises import hint as hint
from .exercises import solution as solution
from .reference.glossary import define as define

class _Cards(types.ModuleType):
    """`mlcheat.cards` is the module and, called, the list of names."""
    def __call__(self) -> list[str]: ...

class _Exercises(types.ModuleType):
    """`mlcheat.exercises` is the module and, called, the list of ids."""
    def __call__(self, chapter: str | None = ...) -> ExerciseList: ...

if typing.TYPE_CHECKING:
    cards: _Cards
    exercises: _Exercises
else:
    from . import cards as cards
    from . import exercises as exercises
