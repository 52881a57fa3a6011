"""The chart's folder, and what writes the parts of the chart that are made by programs."""
