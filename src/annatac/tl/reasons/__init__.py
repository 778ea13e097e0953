"""Why a cell got its label: the islands that spoke for it."""
