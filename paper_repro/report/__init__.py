"""From the runs' JSON to results, tables and the page."""
