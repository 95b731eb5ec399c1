"""The TensorBoard plugin: reads what `summaries` wrote, serves it, and the page for it."""
