"""annatac: name the cell type of every cell of a scATAC-seq experiment.

Public names stand in ``__init__.pyi`` and are loaded when first used, so that ``import annatac`` stays fast; every
package whose modules are heavy does the same.
"""

import lazy_loader

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
