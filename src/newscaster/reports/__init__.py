"""Self-contained HTML reports: the page, its style sheet and plots over time.

Knows nothing of what a report shows: each report brings its own template and values.
"""
