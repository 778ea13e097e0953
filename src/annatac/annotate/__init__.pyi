from .annotator import Annotator as Annotator
from .annotator import Predictions as Predictions
from .annotator import load as load
from .fit import finetune as finetune
