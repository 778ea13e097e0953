"""One self-contained HTML file about annotated cells, for a biologist to look at. Loaded when first used."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
