"""Clusters beside the cells' labels: novel groups, consensus and conflicts."""
