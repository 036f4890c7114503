"""The tenant's console, /t/<slug>/admin: one noun a file, its ROUTES table in its last lines."""
