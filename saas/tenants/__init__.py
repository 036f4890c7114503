"""The domain: one noun a file. A document's shape, its forms, its operations `verb(scope, …)`.

Knows nothing of HTTP, templates, packets or drivers.
"""
