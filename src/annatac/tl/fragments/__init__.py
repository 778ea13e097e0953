"""From fragment files, by type: quality, footprints, coverage."""
