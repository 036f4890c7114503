"""HTTP: routes, pages, forms. Knows operations of the domain; knows no database, no packets, no jobs."""
