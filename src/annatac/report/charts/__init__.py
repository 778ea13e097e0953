"""The pictures of a report as SVG, each with labels, units and a legend."""
