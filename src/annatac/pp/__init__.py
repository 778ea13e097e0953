"""From counts to tokens: reading, peak islands, the universe, quality, splits. Loaded when first used."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
