from . import benchmark as benchmark
from . import datasets as datasets
from . import genome as genome
from . import io as io
from . import pl as pl
from . import pp as pp
from . import report as report
from . import simulate as simulate
from . import tl as tl
from .annotate import finetune as finetune
from .annotate import load as load
from .benchmark import evaluate as evaluate
from .pp import read as read
from .train import pretrain as pretrain

__version__: str
